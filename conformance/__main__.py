"""`python -m conformance`: run the suite against a gateway whose upstream is the scripted one."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import aiohttp

from conformance.case import Case, load_cases
from conformance.profile import ABILITIES, PROFILES, Profile, ProfileError, load_profile
from conformance.report import as_json, line, summary
from conformance.runner import Result, Runner, Verdict
from conformance.upstream import run_upstream

BAD_USAGE = 2
REFUSED_PORT = 64_999  # above what systems hand out by themselves, so that nobody listens there


def main() -> int:
    """0: every case that could be put passed. 1: some failed. 2: bad usage."""
    options = _parser().parse_args()
    cases = load_cases()
    if options.list:
        for case in cases:
            needs = f"  (needs {', '.join(sorted(case.needs))})" if case.needs else ""
            sys.stdout.write(f"{case.id:<34} {case.title}{needs}\n")
        return 0
    if not options.url:
        return _refuse("--url is missing")
    chosen = [case for case in cases if not options.case or case.id in options.case]
    if unknown := set(options.case or ()) - {case.id for case in chosen}:
        return _refuse(f"no such case: {', '.join(sorted(unknown))}")
    url = options.url.rstrip("/").removesuffix("/v1")
    values = {
        "UPSTREAM": f"http://{options.upstream_host}:{options.upstream_port}/v1",
        "REFUSED": f"http://{options.upstream_host}:{REFUSED_PORT}/v1",
    }
    try:
        profile = load_profile(options.profile, values)
        results = asyncio.run(_run(options, url, profile, chosen))
    except ProfileError as error:
        return _refuse(str(error))
    except aiohttp.ClientConnectionError as error:
        return _refuse(f"the gateway cannot be reached: {error}")
    except OSError as error:
        return _refuse(f"port {options.upstream_port} cannot be listened on: {error.strerror}")
    sys.stdout.write(f"\n{profile.title}: {summary(results)}\n")
    if options.json:
        Path(options.json).write_text(as_json(profile.title, results))
    return int(any(result.verdict is Verdict.FAIL for result in results))


async def _run(options: argparse.Namespace, url: str, profile: Profile, cases: Sequence[Case]) -> list[Result]:
    def told(result: Result) -> None:
        sys.stdout.write(line(result) + "\n")
        sys.stdout.flush()

    async with aiohttp.ClientSession() as http, http.get(url):
        pass  # whatever it answers, it is there
    async with run_upstream(cases, options.upstream_host, options.upstream_port) as (upstream, _):
        return await Runner(url, options.key, profile, upstream).run(cases, told)


def _parser() -> argparse.ArgumentParser:
    abilities = "\n".join(f"  {name:<18} {what}" for name, what in ABILITIES.items())
    profiles = ", ".join(sorted(path.stem for path in PROFILES.glob("*.toml")))
    parser = argparse.ArgumentParser(
        prog="python -m conformance",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"profiles: {profiles}, or the path of a .toml file\nabilities a profile can name:\n{abilities}",
    )
    parser.add_argument("--url", help="the gateway under test, http://127.0.0.1:8080")
    parser.add_argument("--key", default="none", help="a key of it; one that may make keys where the profile does")
    parser.add_argument("--profile", default="openai", help="what the gateway is (default: openai, any compatible one)")
    parser.add_argument("--upstream-host", default="127.0.0.1", help="where the scripted upstream listens")
    parser.add_argument("--upstream-port", type=int, default=18999)
    parser.add_argument("--case", action="append", help="only this case; may be given more than once")
    parser.add_argument("--json", help="a file to write the results to")
    parser.add_argument("--list", action="store_true", help="print the cases and end")
    return parser


def _refuse(why: str) -> int:
    sys.stderr.write(f"conformance: {why}\n")
    return BAD_USAGE


if __name__ == "__main__":
    sys.exit(main())
