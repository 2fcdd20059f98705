"""The nemo guard: a folder of rails."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from guards.base import Policy
from guards.judge.session import Asking
from guards.nemo.guard import NemoGuard
from guards.resources import Resources
from guards.spec import GuardSpec, read_options
from guards.types import Action, Guard, GuardConfigError


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`rails`: the folder. `model`: the gate's model that rails ask; None: the one that the folder names with
    `engine: sluicegate`, else the one that the caller asked. `turns`, `stream`, `piece`, `remember`: see
    `guards.judge.session.Asking`; rails whose verdict depends on more than the text must not be remembered."""

    rails: str
    model: str | None = None
    turns: Literal["all", "last"] = "all"
    stream: Literal["pieces", "whole"] = "pieces"
    piece: Annotated[int, msgspec.Meta(ge=20, le=1_000_000)] = 200
    remember: bool = True


def build(spec: GuardSpec, resources: Resources) -> Guard:
    """Raises GuardConfigError for what it cannot do. The folder is read by `prepare`."""
    policy = Policy.of(
        spec,
        actions=frozenset({Action.BLOCK, Action.REDACT, Action.FLAG, Action.LOG}),
        action=Action.BLOCK,
    )
    options = read_options(spec, Options)
    folder = Path(options.rails)
    if not folder.is_dir():
        raise GuardConfigError(f"there is no folder {options.rails}", ("rails",))
    if importlib.util.find_spec("nemoguardrails") is None:
        raise GuardConfigError("rails need the extra: pip install 'sluicegate[nemo]'", ("kind",))
    piece = options.piece if options.stream == "pieces" else None
    asking = Asking.of(spec, options.turns, piece, options.remember)
    return NemoGuard(policy, asking, resources, str(folder.resolve()), options.model)
