"""Rails as they run: what passes, what is stopped or rewritten, and that nothing passes for want of a verdict."""

from __future__ import annotations

import logging
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guards.judge.session import Ruling
from guards.nemo.verdicts import NoVerdict, is_safe
from guards.types import GuardConfigError, ModelUnavailable, Question, Stage

pytest.importorskip("nemoguardrails")

from guards.nemo.folder import read_folder  # they need the extra to be of use
from guards.nemo.model import RailsFailed, Run
from guards.nemo.rails import Rails, quiet
from guards.nemo.selftest import try_rails

pytestmark = pytest.mark.slow  # loads the rails' own runtime

EXAMPLES = Path(__file__).resolve().parents[2] / "examples/rails"
BOTH = frozenset(Stage)
VERSIONS = ("colang1", "colang2")
PROMPTS = """
prompts:
  - {task: self_check_input, content: "Block this? {{ user_input }}"}
  - {task: self_check_output, content: "Block this? {{ bot_response }}"}
"""


@dataclass
class Models:
    answer: str | Exception = "no"
    questions: list[Question] = field(default_factory=list)

    async def ask(self, guard: str, question: Question) -> str:
        self.questions.append(question)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def load(folder: Path, model: str | None = None, stages: frozenset[Stage] = BOTH) -> Rails:
    quiet()
    return Rails(read_folder(str(folder), stages), model)


@pytest.fixture(scope="module", params=VERSIONS)
def example(request: pytest.FixtureRequest) -> Rails:
    """The rails that come with the house; the same in both versions of the language."""
    return load(EXAMPLES / request.param)


async def check(rails: Rails, text: str, stage: Stage = Stage.INPUT, models: Models | None = None) -> Ruling:
    return await rails.check(text, Run("rails", stage, models or Models()))


def write(folder: Path, **files: str) -> Path:
    """A folder with these files; a double underscore stands for a dot."""
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(textwrap.dedent(text))
    return folder


ACTIONS = """
from nemoguardrails.actions import action

@action(name="look")
async def look(text: str):
    if "crash" in text:
        raise RuntimeError("cannot read " + text)
    return "bad" in text

@action(name="louder")
async def louder(text: str):
    return text.upper() if "loud" in text else 7 if "number" in text else text
"""


def custom(folder: Path, version: str, flow_1: str, flow_2: str, config: str = "") -> Path:
    """A folder whose only input rail is this flow."""
    if version == "colang1":
        config = f"models: []\nrails: {{input: {{flows: [mine]}}}}\n{config}"
        return write(folder, config__yml=config, rails__co=f"define subflow mine\n{flow_1}", actions__py=ACTIONS)
    rails = f"import guardrails\n\nflow input rails $input_text\n{flow_2}"
    return write(
        folder, config__yml=f'colang_version: "2.x"\nmodels: []\n{config}', rails__co=rails, actions__py=ACTIONS
    )


LOOKS = (
    "  $bad = execute look(text=$user_message)\n  if $bad\n    bot refuse to respond\n    stop\n",
    "  $bad = await LookAction(text=$input_text)\n  if $bad\n    bot refuse to respond\n    abort\n",
)


@pytest.mark.parametrize("text", ["Hello.", "$config", "{{ 7 * 7 }}", '"', "a\n\nb", "  \u00e9\u4e2d ", "x" * 9_000])
async def test_a_text_that_nothing_stops_passes_as_it_is(example: Rails, text: str) -> None:
    for stage in Stage:
        assert await check(example, text, stage) == Ruling()


async def test_a_custom_action_can_stop_a_text_before_any_model_is_asked(example: Rails) -> None:
    models = Models()
    assert (await check(example, "Is Globex any good?", models=models)).findings
    assert not models.questions


async def test_a_rail_can_rewrite_a_text(example: Rails) -> None:
    ruling = await check(example, "Yes.\n-- \nBob", Stage.OUTPUT)
    assert (ruling.text, dict(ruling.findings)) == ("Yes.", {"REWRITTEN": 1})


@pytest.mark.parametrize("answer", ["no", "No", "NO.", " no\n", '"No"', "safe", "**Safe**"])
async def test_a_plain_no_lets_a_text_pass(example: Rails, answer: str) -> None:
    for stage in Stage:
        assert await check(example, "hello", stage, Models(answer)) == Ruling()


@pytest.mark.parametrize("answer", ["yes", "Yes.", "unsafe\nS1", "Not safe.", "no, but yes", "It is not safe"])
async def test_a_verdict_that_is_not_clean_stops_a_text(example: Rails, answer: str) -> None:
    for stage in Stage:
        ruling = await check(example, "hello", stage, Models(answer))
        assert ruling.findings and ruling.text is None


@pytest.mark.parametrize("answer", ["", "maybe", "I think this is safe", "noyes", "n/a", "safe?", "no no"])
async def test_what_is_no_verdict_is_a_failure(example: Rails, answer: str) -> None:
    for stage in Stage:
        with pytest.raises(RailsFailed, match="self_check"):
            await check(example, "hello", stage, Models(answer))


@given(st.text(alphabet="noyesaf ut.,!'\n") | st.text())
def test_only_no_and_safe_are_safe(answer: str) -> None:
    try:
        safe = is_safe(answer)[0]
    except NoVerdict:
        return
    assert not safe or answer.strip(" \n\t\r\f\v\x1c\x1d\x1e\x1f\x85\xa0\u2028\"'`*.!").lower() in ("no", "safe")


async def test_a_model_that_cannot_be_asked_is_a_failure(example: Rails) -> None:
    for stage in Stage:
        with pytest.raises(ModelUnavailable, match="budget_exceeded"):
            await check(example, "hello", stage, Models(ModelUnavailable("budget_exceeded")))
        with pytest.raises(Exception):  # noqa: B017  # whatever it was
            await check(example, "hello", stage, Models(RuntimeError("x")))


async def test_questions_carry_what_the_prompt_says(example: Rails) -> None:
    models = Models()
    await check(example, "hello there", models=models)
    (question,) = models.questions
    assert [message["role"] for message in question.messages] == ["user"]
    assert "hello there" in question.messages[0]["content"]
    assert (question.model, question.max_tokens) == (None, 5)


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_action_that_raises_is_a_failure_and_not_a_pass(tmp_path: Path, version: str) -> None:
    rails = load(custom(tmp_path, version, *LOOKS), stages=frozenset({Stage.INPUT}))
    assert await check(rails, "hello") == Ruling()
    assert (await check(rails, "bad")).findings
    with pytest.raises(RailsFailed, match=r"^the action 'look' failed$"):
        await check(rails, "crash")


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_action_that_nobody_has_is_a_failure(tmp_path: Path, version: str) -> None:
    flows = [flow.replace("look", "seek").replace("Look", "Seek") for flow in LOOKS]
    rails = load(custom(tmp_path, version, *flows), stages=frozenset({Stage.INPUT}))
    with pytest.raises(RailsFailed, match=r"[Ss]eek"):
        await check(rails, "hello")
    with pytest.raises(GuardConfigError, match=r"[Ss]eek"):
        await try_rails(rails, Stage.INPUT)


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_rails_make_of_a_text_has_to_be_a_text(tmp_path: Path, version: str) -> None:
    flows = (
        "  $user_message = execute louder(text=$user_message)\n",
        "  global $user_message\n  $user_message = await LouderAction(text=$input_text)\n",
    )
    rails = load(custom(tmp_path, version, *flows), stages=frozenset({Stage.INPUT}))
    assert (await check(rails, "be loud")).text == "BE LOUD"
    with pytest.raises(RailsFailed):
        await check(rails, "a number")


@pytest.mark.parametrize("version", VERSIONS)
async def test_rails_that_stop_without_a_word_or_speak_without_stopping_let_nothing_pass(
    tmp_path: Path, version: str
) -> None:
    said = ("  bot refuse to respond\n", '  bot say "No."\n')
    stopped = ("  stop\n", "  abort\n")
    for number, flows in enumerate((said, stopped)):
        (folder := tmp_path / str(number)).mkdir()
        rails = load(custom(folder, version, *flows), stages=frozenset({Stage.INPUT}))
        assert (await check(rails, "hello")).findings


async def test_words_that_are_not_the_text_are_never_taken_for_it(tmp_path: Path) -> None:
    flow = '  create event StartUtteranceBotAction(script="Something else")\n'
    rails = load(custom(tmp_path, "colang1", flow, ""), stages=frozenset({Stage.INPUT}))
    assert dict((await check(rails, "hello")).findings) == {"STOPPED": 1}


@pytest.mark.parametrize("version", VERSIONS)
async def test_rails_may_raise_exceptions_instead_of_speaking(tmp_path: Path, version: str) -> None:
    flows = ("  do self check input\n", "  self check input\n")
    folder = custom(tmp_path, version, *flows, PROMPTS + "enable_rails_exceptions: true\n")
    if version == "colang2":
        library = "import nemoguardrails.library.self_check.input_check\n"
        (folder / "rails.co").write_text(library + (folder / "rails.co").read_text())
    rails = load(folder, stages=frozenset({Stage.INPUT}))
    assert await check(rails, "hello") == Ruling()
    assert (await check(rails, "hello", models=Models("yes"))).findings


@pytest.mark.parametrize("version", VERSIONS)
async def test_actions_of_the_library_that_ask_others_are_not_run(tmp_path: Path, version: str) -> None:
    flows = (
        '  $found = execute detect_pii(source="input", text=$user_message)\n',
        '  $found = await DetectPiiAction(source="input", text=$input_text)\n',
    )
    rails = load(custom(tmp_path, version, *flows), stages=frozenset({Stage.INPUT}))
    with pytest.raises(RailsFailed, match="a service of its own"):
        await check(rails, "hello")
    with pytest.raises(GuardConfigError, match="a service of its own"):
        await try_rails(rails, Stage.INPUT)


async def test_rails_one_beside_the_other_are_run_one_after_the_other(tmp_path: Path) -> None:
    config = "models: []\nrails: {input: {parallel: true, flows: [first, second, third]}}"
    flow = (
        "define subflow {}\n  $bad = execute look(text=$user_message)\n  if $bad\n    bot refuse to respond\n    stop\n"
    )
    flows = [flow.format("first"), flow.format("second"), flow_of_louder("third")]
    write(tmp_path, config__yml=config, rails__co="".join(flows), actions__py=ACTIONS)
    rails = load(tmp_path, stages=frozenset({Stage.INPUT}))
    assert await check(rails, "hello") == Ruling()
    assert dict((await check(rails, "bad")).findings) == {"first": 1}
    assert (await check(rails, "be loud")).text == "BE LOUD"


def flow_of_louder(name: str) -> str:
    return f"define subflow {name}\n  $user_message = execute louder(text=$user_message)\n"


async def test_a_rail_in_the_old_list_of_a_colang_2_config_is_run(tmp_path: Path) -> None:
    config = 'colang_version: "2.x"\nmodels: []\nrails: {input: {flows: [self check input]}}' + PROMPTS
    library = "import guardrails\nimport nemoguardrails.library.self_check.input_check\n"
    rails = load(write(tmp_path, config__yml=config, rails__co=library), stages=frozenset({Stage.INPUT}))
    assert await check(rails, "hello") == Ruling()
    assert (await check(rails, "hello", models=Models("yes"))).findings


async def test_models_of_the_folder_are_the_gates(tmp_path: Path) -> None:
    config = """
    models:
      - {type: main, engine: sluicegate, model: house-model}
      - {type: self_check_output, engine: sluicegate, model: small-model}
    rails: {input: {flows: [self check input]}, output: {flows: [self check output]}}
    """
    write(tmp_path, config__yml=textwrap.dedent(config) + PROMPTS)
    for given_model, expected in ((None, "house-model"), ("checker", "checker")):
        models = Models()
        rails = load(tmp_path, given_model)
        await check(rails, "hello", models=models)
        await check(rails, "hello", Stage.OUTPUT, models)
        assert [question.model for question in models.questions] == [expected, "small-model"]


async def test_nothing_of_a_text_is_kept_or_logged(
    example: Rails, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG):
        for number in range(5):
            await check(example, f"my secret {number}")
        with pytest.raises(RailsFailed):
            await check(example, "my secret", models=Models("maybe"))
    assert "secret" not in caplog.text and "secret" not in "".join(capfd.readouterr())
    inner = example._rails
    assert len(inner.events_history_cache) == 0 and inner._explain_info is None


LISTED = "models: []\nrails: {input: {flows: [mine]}}\n"
VERSION_2 = 'colang_version: "2.x"\nmodels: []'
FLOW = "define subflow mine\n  bot refuse to respond\n  stop\n"


@pytest.mark.parametrize(
    ("config", "flows", "why"),
    [
        (LISTED, FLOW + '\ndefine user express greeting\n  "hi"\n', "dialog"),
        (
            VERSION_2,
            'import guardrails\n\nflow input rails $t\n  $x = 1\n\nflow user greets\n  user said "hi"\n',
            "dialog",
        ),
        (LISTED.replace("}}", "}, retrieval: {flows: [mine]}}"), FLOW, "retrieval"),
        (LISTED.replace("}}", "}, tool_output: {flows: [mine]}}"), FLOW, "tool_output"),
        (LISTED + "actions_server_url: http://localhost:1", FLOW, "actions server"),
        (LISTED + "tracing: {enabled: true}", FLOW, "tracing"),
        (LISTED.replace("[]", "[{type: content_safety, engine: nim, model: x}]"), FLOW, "content_safety"),
        (LISTED.replace("[]", "[{type: embeddings, engine: FastEmbed, model: x}]"), FLOW, "embeddings"),
        (LISTED.replace("mine", "yours"), FLOW, "yours"),
        (LISTED.replace("mine", "self check input"), FLOW, "self_check_input"),
        ("models: [}", FLOW, "cannot be read"),
        (LISTED, "define define\n", "cannot be read"),
        ("models: []", FLOW, "no input rails"),
        (VERSION_2, "import guardrails\n\nflow main\n  match Never()\n", "no input rails"),
    ],
)
def test_a_folder_that_asks_for_more_is_refused(tmp_path: Path, config: str, flows: str, why: str) -> None:
    write(tmp_path, config__yml=config, rails__co=flows)
    with pytest.raises(GuardConfigError, match=why) as fault:
        load(tmp_path, stages=frozenset({Stage.INPUT}))
    assert fault.value.at in (("rails",), ("stages",))


def test_a_knowledge_base_is_refused(tmp_path: Path) -> None:
    write(tmp_path, config__yml=LISTED, rails__co=FLOW)
    (tmp_path / "kb").mkdir()
    (tmp_path / "kb" / "facts.md").write_text("# Facts\n\nWater is wet.\n")
    with pytest.raises(GuardConfigError, match="knowledge base"):
        load(tmp_path, stages=frozenset({Stage.INPUT}))


def test_a_stage_without_rails_is_refused() -> None:
    with pytest.raises(GuardConfigError) as fault:
        read_folder(str(Path(__file__).parent), frozenset({Stage.INPUT}))
    assert fault.value.at in (("rails",), ("stages",))


async def test_rails_that_take_an_unclear_verdict_for_a_good_one_are_refused(tmp_path: Path) -> None:
    config = """
    models: []
    rails: {input: {flows: [self check input]}}
    prompts: [{task: self_check_input, content: "Block this? {{ user_input }}", output_parser: lenient}]
    """
    lenient = """
    def init(app):
        app.register_output_parser(lambda answer: [answer != "yes"], "lenient")
    """
    rails = load(write(tmp_path, config__yml=config, config__py=lenient), stages=frozenset({Stage.INPUT}))
    with pytest.raises(GuardConfigError, match="let a text pass"):
        await try_rails(rails, Stage.INPUT)
    for version in VERSIONS:
        rails = load(EXAMPLES / version)
        for stage in Stage:
            await try_rails(rails, stage)


async def test_what_needs_embeddings_fails_and_fetches_nothing(example: Rails) -> None:
    with pytest.raises(Exception, match="none"):
        example._rails._get_embeddings_search_provider_instance(example._rails.config.core.embedding_search_provider)
