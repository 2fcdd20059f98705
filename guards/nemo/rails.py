"""Runs a folder of rails on one text at a time. Everything here belongs to the event loop that made it.

The library lets a text pass when nothing stopped it: also when an action of Colang 2 raised. Here a text has passed
only if the rails came to their end, where a mark of ours stands, and no action has failed on the way.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from guards.judge.session import Ruling
from guards.nemo.folder import COLANG_2, gate_models, in_short, main_model
from guards.nemo.model import RUN, GateModel, RailsFailed, Run
from guards.nemo.verdicts import PARSERS
from guards.types import GuardConfigError, Stage

if TYPE_CHECKING:
    from nemoguardrails import LLMRails, RailsConfig

REWRITTEN = "REWRITTEN"
STOPPED = "STOPPED"  # by a rail that cannot be named

# Actions of the library that ask models through us, or nobody. The others ask somebody by themselves.
_ACTIONS = frozenset(
    {
        "self_check_input", "self_check_output", "content_safety_check_input", "content_safety_check_output",
        "detect_language", "topic_safety_check_input", "llama_guard_check_input", "llama_guard_check_output",
        "detect_regex_pattern", "injection_detection", "context_bloat_detection",
    }
)  # fmt: skip

_PASSED = "sluicegate_passed"
_END_1 = f"define subflow {_PASSED.replace('_', ' ')}\n  execute {_PASSED}\n"
_MAIN_2 = """
flow main
  global $output_rails_in_progress
  global $user_message
  global $bot_message
  $output_rails_in_progress = True
  when SluicegateInput() as $event
    $user_message = $event.text
    $bot_message = ""
    await input rails $user_message
    send SluicegatePassed(text=$user_message)
  or when SluicegateOutput() as $event
    $user_message = ""
    $bot_message = $event.text
    await output rails $bot_message
    send SluicegatePassed(text=$bot_message)
"""
_WAY_2 = {Stage.INPUT: ("SluicegateInput", "input rails"), Stage.OUTPUT: ("SluicegateOutput", "output rails")}


def quiet() -> None:
    """Keep the library's loggers from writing what they were given to read."""
    logging.getLogger("nemoguardrails").setLevel(logging.CRITICAL + 1)


class Rails:
    """`model`: the gate's model for what rails ask the main model; None: the folder's, else the caller's.

    Raises GuardConfigError if the library cannot make rails of the folder.
    """

    def __init__(self, config: RailsConfig, model: str | None) -> None:
        self._is_v2 = config.colang_version == COLANG_2
        self._checks = 0
        try:
            self._rails = _make(config, model or main_model(config), self._is_v2)
        except Exception as error:
            raise GuardConfigError(f"these rails cannot be run: {in_short(error)}", ("rails",)) from None

    async def check(self, text: str, run: Run) -> Ruling:
        """Raises RailsFailed, ModelUnavailable, and whatever the library raises."""
        RUN.set(run)
        self._checks += 1
        try:
            ruling = await (self._check_v2 if self._is_v2 else self._check_v1)(text, run)
        except Exception:
            if run.failed is None:
                raise
        finally:
            self._checks -= 1
            if not self._checks:
                self._rails._explain_info = None  # the prompts of the last check
        if run.failed is not None:
            raise run.failed from None
        return ruling

    async def _check_v1(self, text: str, run: Run) -> Ruling:
        from nemoguardrails.rails.llm.options import RailStatus, RailType

        role, kind = ("user", RailType.INPUT) if run.stage is Stage.INPUT else ("assistant", RailType.OUTPUT)
        result = await self._rails.check_async([{"role": role, "content": text}], rail_types=[kind])
        if result.status is RailStatus.BLOCKED:
            return Ruling({result.rail or STOPPED: 1})
        passed = run.passed is not None and result.content == str(run.passed)
        # Else something else was said, or the end was not reached.
        return _passed(text, run) if passed else Ruling({STOPPED: 1})

    async def _check_v2(self, text: str, run: Run) -> Ruling:
        # `check_async` cannot do Colang 2: it asks for a log that is refused there.
        event, flow = _WAY_2[run.stage]
        said: Any = await self._rails.generate_async(
            messages=[{"role": "event", "event": {"type": event, "text": text}}]
        )
        if pending := said.get("tool_calls"):
            name = pending[0]["function"]["name"]
            raise RailsFailed(f"the rails wait for the action {name!r}, which nobody has")
        passed = [each for each in said.get("events") or () if each["type"] == "SluicegatePassed"]
        if said["content"] or len(passed) != 1:
            return Ruling({flow: 1})
        run.passed = passed[0]["text"]
        return _passed(text, run)


def _passed(text: str, run: Run) -> Ruling:
    if not isinstance(run.passed, str):
        raise RailsFailed("the rails made something of the text that is no text")
    return Ruling() if run.passed == text else Ruling({REWRITTEN: 1}, run.passed)


def _make(config: RailsConfig, model: str | None, is_v2: bool) -> LLMRails:
    from nemoguardrails import LLMRails

    models = {kind: GateModel(name) for kind, name in gate_models(config).items()}
    described, config.models = config.models, []  # or it would open connections of its own to them
    config.enable_rails_exceptions = False  # `check_async` cannot give those back
    # Nothing that rails can do here needs embeddings; what asks for them fails, and downloads nothing.
    config.core.embedding_search_provider.name = config.knowledge_base.embedding_search_provider.name = "none"
    _mark_end(config, is_v2)
    rails = LLMRails(config, llm=GateModel(model))
    config.models = described
    rails.runtime.register_action_param("llms", models)
    for kind, own in models.items():
        rails.runtime.register_action_param(f"{kind}_llm", own)
    for name, parser in PARSERS.items():
        rails.register_output_parser(parser, name)
    rails.register_action(_note_passed, _PASSED)
    rails.events_history_cache = _Forgetful()
    _watch_actions(rails.runtime.action_dispatcher)
    return rails


def _mark_end(config: RailsConfig, is_v2: bool) -> None:
    """Put our mark where all rails are done. In Colang 1 they have to run one after another for that."""
    from nemoguardrails.colang import parse_colang_file

    if is_v2:
        ours = parse_colang_file("sluicegate.co", content=_MAIN_2, version=COLANG_2, include_source_mapping=False)
        config.flows = [flow for flow in config.flows if flow.name != "main"] + ours["flows"]
        return
    config.flows += parse_colang_file("sluicegate.co", content=_END_1)["flows"]
    for way in (config.rails.input, config.rails.output):
        way.parallel = False
        if way.flows:
            way.flows = [*way.flows, _PASSED.replace("_", " ")]


async def _note_passed(context: Mapping[str, Any] | None = None) -> None:
    run = RUN.get()
    run.passed = (context or {}).get("user_message" if run.stage is Stage.INPUT else "bot_message")


def _watch_actions(dispatcher: Any) -> None:
    """Note each action that fails, that is missing, or that would go by the gate: the library goes on after them."""
    execute, find = dispatcher.execute_action, dispatcher.get_action

    async def watched(action_name: str, params: dict[str, Any]) -> tuple[Any, str]:
        name = dispatcher._normalize_action_name(action_name)
        if dispatcher.is_manifest_action(name) and name not in _ACTIONS:
            RUN.get().failed = RailsFailed(f"the action {name!r} of the library asks a service of its own")
            return None, "failed"
        result, status = await execute(action_name, params)
        if status != "success":
            run = RUN.get()
            run.failed = run.failed or RailsFailed(f"the action {name!r} failed")
        return result, status

    def found(name: str) -> Any:
        action = find(name)
        if action is None:
            RUN.get().failed = RailsFailed(f"there is no action {name!r}")
        return action

    dispatcher.execute_action = watched
    dispatcher.get_action = found


class _Forgetful(dict[str, Any]):
    """In place of the library's history of conversations, which holds every text and forgets none."""

    def __setitem__(self, key: str, value: Any) -> None:
        pass
