#!/usr/bin/env bash
# Make requirements/*.lock anew, but for the two of torch, which are written by hand when its version changes.
# torch is left out of all others, because an index offers its CUDA build, gigabytes of it; what its CPU build needs is in.
# So is what only a package that carries a model asks for, and the gate never imports (sentence-transformers).
set -euo pipefail
cd "$(dirname "$0")/.."
uv=${UV:-uv}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf "%s; sys_platform == 'never'\n" torch sentence-transformers > "$work/no-torch.txt"
printf 'hatchling==1.33.0\neditables\n' > "$work/build.in"
printf '%s\n' filelock fsspec jinja2 networkx setuptools 'sympy>=1.13.3' typing-extensions > "$work/torch-needs.in"

compile() { # NAME ARGUMENT...
    local name=$1
    shift
    "$uv" pip compile --quiet --universal --generate-hashes --python-version 3.11 --override "$work/no-torch.txt" \
        --no-emit-package torch --no-emit-package sentence-transformers --no-header --no-annotate "$@" --output-file "$work/$name.lock"
    { echo "# Made by scripts/lock.sh; do not edit."; cat "$work/$name.lock"; } > "requirements/$name.lock"
}

# Everything at once first: the versions all sets share.
"$uv" pip compile --quiet --universal --python-version 3.11 --override "$work/no-torch.txt" --no-header --no-annotate \
    pyproject.toml "$work/build.in" "$work/torch-needs.in" --all-extras --group test --group lint --output-file "$work/all.txt"

compile base pyproject.toml "$work/build.in" --constraint "$work/all.txt"
compile engine pyproject.toml "$work/build.in" "$work/torch-needs.in" --extra engine --constraint "$work/all.txt"
for extra in postgres providers ner nemo language topics onnx; do
    compile "$extra" pyproject.toml "$work/build.in" --extra "$extra" --constraint "$work/all.txt"
done
served=(--extra engine --extra postgres --extra providers)
compile run pyproject.toml "$work/build.in" "$work/torch-needs.in" "${served[@]}" --constraint "$work/all.txt"
guarded=(--extra ner --extra nemo --extra language --extra topics --extra onnx)
compile dev pyproject.toml "$work/build.in" "$work/torch-needs.in" "${served[@]}" "${guarded[@]}" --group test --group lint --constraint "$work/all.txt"
