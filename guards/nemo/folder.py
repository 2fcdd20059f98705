"""Reads a rails folder, and refuses what would be skipped in silence, or go by the gate, if it were run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from guards.nemo.model import ENGINE
from guards.types import GuardConfigError, Stage

if TYPE_CHECKING:
    from nemoguardrails import RailsConfig

COLANG_2 = "2.x"


def read_folder(folder: str, stages: Iterable[Stage]) -> RailsConfig:
    """Raises GuardConfigError."""
    from nemoguardrails import RailsConfig

    try:
        config = RailsConfig.from_path(folder)
    except Exception as error:  # whatever the library makes of a folder that is none
        raise _fault(f"they cannot be read: {in_short(error)}") from None
    for fault in _faults(config):
        raise _fault(fault)
    for stage in sorted(stages):
        if not has_rails(config, stage):
            raise GuardConfigError(f"the rails in {folder} have no {stage.value} rails; leave that stage out", _STAGES)
    return config


def has_rails(config: RailsConfig, stage: Stage) -> bool:
    if config.colang_version == COLANG_2:
        return any(flow.name == f"{stage.value} rails" for flow in config.flows)
    return bool(getattr(config.rails, stage.value).flows)


def gate_models(config: RailsConfig) -> dict[str, str]:
    """The models that rails ask beside the main one: the gate's name of each, by its type."""
    return {model.type: str(model.model) for model in config.models if model.type != "main"}


def main_model(config: RailsConfig) -> str | None:
    """The gate's model that the folder names as the main one. One with another engine is not asked."""
    return next((m.model for m in config.models if m.type == "main" and m.engine == ENGINE), None)


def in_short(error: Exception) -> str:
    """What an error says, in one line: it is about the operator's own files."""
    return (" ".join(str(error).split()) or type(error).__name__)[:400]


_STAGES = ("stages",)


def _fault(message: str) -> GuardConfigError:
    return GuardConfigError(f"these rails cannot be run: {message}", ("rails",))


def _faults(config: RailsConfig) -> Iterator[str]:
    if config.docs:
        yield "they have a knowledge base, which needs an embedding model to be downloaded"
    if config.user_messages or any(_is_dialog(flow) for flow in config.flows):
        yield "they have dialog rails (what a user may say), and only input and output rails are run here"
    for kind in ("retrieval", "tool_input", "tool_output"):
        if getattr(config.rails, kind).flows:
            yield f"they have {kind} rails, and only input and output rails are run here"
    if config.actions_server_url:
        yield "they send texts to an actions server; put the actions into the folder"
    for kind in ("tracing", "metrics"):
        if getattr(config, kind).enabled:
            yield f"they have their own {kind}; the gate's has every verdict, and no text"
    for model in config.models:
        if model.type != "main" and model.engine != ENGINE:
            yield f'the model of type "{model.type}" is not one of the gate\'s; name one with "engine: {ENGINE}"'


def _is_dialog(flow: Any) -> bool:
    """Whether a flow of Colang 2 is an operator's example of what a user says."""
    if isinstance(flow, dict):
        return False
    source = str((flow.file_info or {}).get("name", ""))
    return bool(flow.name.startswith("user ")) and "nemoguardrails" not in source
