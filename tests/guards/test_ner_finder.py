"""The finder of names: with the real model in a real worker, and by itself with a worker that is played."""

from __future__ import annotations

import asyncio
import importlib
import re
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import ner_jobs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guards.ner import models
from guards.ner.finder import NAMES, NerFinder, NerOptions, TextTooLong, ner_finder
from guards.ner.prose import WINDOW
from guards.pool import WorkerPool
from guards.resources import Resources
from guards.spans.finder import Found
from guards.types import GuardConfigError

_Result = TypeVar("_Result")
Run = Callable[[Awaitable[_Result]], _Result]


# One worker for all tests that need a model: to start one and load what they need takes seconds.
@pytest.fixture(scope="module")
def run() -> Iterator[Run[Any]]:
    with asyncio.Runner() as runner:

        async def wait(work: Awaitable[Any]) -> Any:
            return await work

        yield lambda work: runner.run(wait(work))


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of packages beside the installed ones, here and in workers."""
    folder = tmp_path_factory.mktemp("packages")
    sys.path.append(str(folder))
    yield folder
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def resources(run: Run[Any], packages: Path) -> Iterator[Resources]:
    resources = Resources()
    yield resources
    run(resources.close())


@pytest.fixture(scope="module")
def finder(run: Run[Any], resources: Resources) -> NerFinder:
    finder = ner_finder(NerOptions(), resources)
    run(finder.prepare())
    return finder


def values(text: str, found: Any, *kinds: str) -> list[str]:
    return [text[one.start : one.end] for one in found if one.kind in (kinds or NAMES)]


def test_people_places_and_organisations_are_found(run: Run[Any], finder: NerFinder) -> None:
    text = "Dear Dr. Weber,\nAnna Schmidt from Siemens moved to Lyon on Monday.\nRegards, Tom O'Neill"
    found = run(finder.find(text))
    assert values(text, found, "PERSON") == ["Weber", "Anna Schmidt", "Tom O'Neill"]
    assert values(text, found, "LOCATION") == ["Lyon"]
    assert values(text, found, "ORGANIZATION") == ["Siemens"]
    assert found == sorted(found, key=lambda one: one.start)
    assert finder.kinds == set(NAMES)


PEOPLE = [
    "Please ask Maria Fernandes whether the parcel has arrived.",
    "The interview with Jonas Lindqvist is on Thursday at ten.",
    "Priya Raghunathan will present the results of the second quarter.",
    "I think Tomasz forgot to sign the form.",
    "This is Olumide Bakare from the second floor, my screen is black.",
    "Sofia and her brother Mateo are both allergic to nuts.",
    "Write a letter of thanks to Professor Abernathy.",
    "can you tell giulia that the meeting is at noon",
    "The flat belongs to Mrs. Papadaki, who lives in Athens.",
    "Yuki Tanaka, Hye-jin Park and Linh Tran won the prize.",
    "Her maiden name is Oyelaran.",
    "Signed by Bartholomew J. Crisp on the first of May.",
]
NOBODY = [
    "The deployment runs on Kubernetes, and Jenkins starts the Docker build.",
    "Grafana shows a spike while Prometheus scrapes Kafka.",
    "Translate the following paragraph into German and keep the Markdown.",
    "def Foo(self, Bar): return self.Baz(Bar)",
    "Summarise the second chapter in three sentences.",
    "The public policy for m2 and C4 instances on EKS changed.",
    "Best regards, Hello World, Dear Customer.",
    "Use React with Redux or Angular; Vue is smaller.",
    "Vitamin C and Plan B are sold over the counter.",
    "Mark the item as read, then bill the client.",
]


def test_nearly_all_people_are_found_and_software_is_nobody(run: Run[Any], finder: NerFinder) -> None:
    missed = [text for text in PEOPLE if not values(text, run(finder.find(text)), "PERSON")]
    assert len(missed) <= 1, missed
    taken = {text: names for text in NOBODY if (names := values(text, run(finder.find(text)), "PERSON"))}
    assert not taken


def test_a_long_text_is_read_to_its_end(run: Run[Any], finder: NerFinder) -> None:
    filler = "The pump was replaced twice and the second one failed after a week of use. " * 10
    text = "".join(f"{filler}Maria Lopez{number:03d} \ud800 signed. " for number in range(8)).replace(
        "Lopez0", "Lopez 0"
    )
    assert len(text) > 3 * WINDOW
    assert values(text, run(finder.find(text)), "PERSON") == ["Maria Lopez"] * 8


def test_code_is_left_out_unless_it_is_asked_for(run: Run[Any], finder: NerFinder, resources: Resources) -> None:
    text = "Look:\n```python\nauthor = 'by'  # Maria Lopez said so\nx = run(author)\n```\nJohn Miller wrote it."
    assert values(text, run(finder.find(text)), "PERSON") == ["John Miller"]
    reading = ner_finder(NerOptions(scan_code=True), resources)
    run(reading.prepare())
    assert values(text, run(reading.find(text)), "PERSON") == ["Maria Lopez", "John Miller"]
    run(reading.close())


def test_only_what_is_asked_for_is_found(run: Run[Any], finder: NerFinder, resources: Resources) -> None:
    people = ner_finder(NerOptions(entities=("PERSON",)), resources)
    run(people.prepare())
    text = "Anna Schmidt lives in London."
    assert run(people.find(text)) == [Found(0, 12, "PERSON")]
    run(people.close())


def test_no_word_of_a_text_is_kept_by_the_worker(run: Run[Any], finder: NerFinder, resources: Resources) -> None:
    assert values("Zwrxqblat Qwertzuiop said no.", run(finder.find("Zwrxqblat Qwertzuiop said no.")))
    assert not run(resources.pool.run(ner_jobs.remembers, "Zwrxqblat"))
    assert run(resources.pool.run(ner_jobs.remembers, "PERSON")), "this would tell if it were"


def test_torch_is_not_loaded_in_a_worker(run: Run[Any], finder: NerFinder, resources: Resources) -> None:
    loaded = set(run(resources.pool.run(ner_jobs.loaded_modules)))
    assert "spacy" in loaded
    assert not loaded & {"torch", "transformers", "tensorflow"}


def test_another_language_is_read_by_its_own_model(run: Run[Any], resources: Resources, packages: Path) -> None:
    run(resources.pool.run(ner_jobs.write_german_model, str(packages)))
    importlib.invalidate_caches()
    both = ner_finder(NerOptions(models={"de": "de_trial", "en": models.DEFAULT_MODEL}), resources)
    run(both.prepare())
    german = "Wir haben das mit der Zwetajewna aus Quedlingen besprochen, und sie war nicht einverstanden."
    assert values(german, run(both.find(german))) == ["Zwetajewna", "Quedlingen"]
    english = "It was said that the people who live there do not know where Anna Schmidt is."
    assert values(english, run(both.find(english)), "PERSON") == ["Anna Schmidt"]
    unclear = "Zwetajewna flew to London."
    assert values(unclear, run(both.find(unclear))) == ["Zwetajewna", "London"]
    run(both.close())


REGISTRY = """
supported_languages: [en]
global_regex_flags: 26
recognizers:
  - name: tickets
    supported_language: en
    supported_entity: TICKET
    patterns: [{name: number, regex: "\\\\b[A-Z]{3}-[0-9]{4}\\\\b", score: 0.3}]
    context: [ticket]
  - name: EmailRecognizer
    type: predefined
"""


def test_presidio_recognizers_find_what_they_are_for_and_reach_nothing(
    run: Run[Any], resources: Resources, tmp_path: Path
) -> None:
    registry = tmp_path / "registry.yaml"
    registry.write_text(REGISTRY)
    options = NerOptions(
        presidio=("ner_recognizers:BadgeRecognizer",),
        presidio_registry=str(registry),
        presidio_entities=("BADGE", "TICKET", "EMAIL_ADDRESS"),
    )
    own = ner_finder(options, resources)
    assert own.kinds == {*NAMES, "BADGE", "TICKET", "EMAIL_ADDRESS"}
    run(resources.pool.run(ner_jobs.cut_the_network))
    run(own.prepare())
    text = "Maria Lopez, badge 4711, opened the ticket ABC-1234, not DEF-5678.\nWrite to ada@example.co.uk " + "x " * 40
    text += "ABC-9999"
    found = [(text[one.start : one.end], one.kind) for one in run(own.find(text))]
    assert ("Maria Lopez", "PERSON") in found
    assert ("4711", "BADGE") in found
    assert ("ABC-1234", "TICKET") in found, "the word before it says what it is"
    assert ("ABC-9999", "TICKET") not in found, "nothing does"
    assert ("ada@example.co.uk", "EMAIL_ADDRESS") in found
    assert {kind for _, kind in found} <= own.kinds
    assert run(resources.pool.run(ner_jobs.network_attempts)) == []
    run(own.close())


@pytest.mark.parametrize(
    ("options", "message", "at"),
    [
        ({"models": {"fr": "fr_core_news_nowhere"}}, "pip install fr_core_news_nowhere", ("models", "fr")),
        ({"models": {"xx": "xx_nameless"}}, "names neither people", ("models",)),
        ({"models": {"en": "json"}}, "holds no spaCy pipeline", ("models",)),
        ({"presidio": ["nowhere:Nothing"], "presidio_entities": ["X1"]}, "No module named 'nowhere'", ("presidio",)),
        (
            {"presidio": ["ner_recognizers:NoRecognizer"], "presidio_entities": ["X1"]},
            "is no presidio",
            ("presidio",),
        ),
        ({"presidio": ["ner_recognizers:BadlyNamed"], "presidio_entities": ["X1"]}, "badge number", ("presidio",)),
        (
            {"presidio": ["ner_recognizers:BadgeRecognizer"], "presidio_entities": ["BADGE", "PASS"]},
            "no recognizer finds PASS; they find BADGE, UNASKED",
            ("presidio_entities",),
        ),
    ],
)
def test_what_cannot_be_enforced_is_refused_before_it_is_used(
    run: Run[Any], resources: Resources, packages: Path, options: dict[str, Any], message: str, at: tuple[str, ...]
) -> None:
    run(resources.pool.run(ner_jobs.write_nameless_model, str(packages)))
    importlib.invalidate_caches()
    refused = ner_finder(NerOptions(**options), resources)
    with pytest.raises(GuardConfigError, match=re.escape(message)) as error:
        run(refused.prepare())
    assert error.value.at == at
    run(refused.close())


@pytest.mark.parametrize(
    ("options", "at"),
    [
        ({"entities": ("EMAIL",)}, ("entities",)),
        ({"models": {}}, ("models",)),
        ({"models": {"en": "../model"}}, ("models", "en")),
        ({"models": {"en": "en-core-web"}}, ("models", "en")),
        ({"presidio": ("a.b.C",), "presidio_entities": ("X1",)}, ("presidio", 0)),
        ({"presidio": ("a:B",)}, ("presidio_entities",)),
        ({"presidio_entities": ("X1",)}, ("presidio_entities",)),
        ({"presidio": ("a:B",), "presidio_entities": ("x",)}, ("presidio_entities", 0)),
        ({"presidio_registry": "/nowhere.yaml", "presidio_entities": ("X1",)}, ("presidio_registry",)),
        ({"presidio_threshold": 1.5}, ("presidio_threshold",)),
        ({"max_characters": 0}, ("max_characters",)),
        ({"seconds": 0}, ("seconds",)),
    ],
)
def test_options_that_mean_nothing_are_refused_at_once(options: dict[str, Any], at: tuple[str | int, ...]) -> None:
    with pytest.raises(GuardConfigError) as error:
        ner_finder(NerOptions(**options), Resources())
    assert error.value.at == at


def test_a_default_model_of_other_contents_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.cfg").write_text("[nlp]\n")
    monkeypatch.setattr(models, "data_folder", lambda package: tmp_path)
    with pytest.raises(models.NoSuchModel, match="not those of its release"):
        models.load([models.DEFAULT_MODEL])


class PlayedPool(WorkerPool):
    """Finds `Anna` in what it is given, without a process."""

    def __init__(self, workers: int = 1) -> None:
        super().__init__(workers)
        self.parts: list[str] = []
        self.at_once = self.most_at_once = 0
        self.slow = False
        self.edges = False

    async def run(self, function: Any, *arguments: Any, limit: float = 10.0) -> Any:
        self.parts.append(arguments[1])
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(3600 if self.slow else 0)
        self.at_once -= 1
        found = [[m.start(), m.end(), "PERSON"] for m in re.finditer("Anna", arguments[1])]
        return found + [[len(arguments[1]) - 3, len(arguments[1]), "PERSON"]] * self.edges


def played(pool: PlayedPool, **options: Any) -> NerFinder:
    return ner_finder(NerOptions(**options), Resources(pool=pool))


@given(
    st.lists(
        st.sampled_from(["Anna ", "Anna\n", "x" * 300 + " ", "é \U0001f600 ", "\ud800 ", "word " * 30]), max_size=40
    )
)
def test_every_find_is_told_once_wherever_it_stands(pieces: list[str]) -> None:
    text = "".join(pieces)
    pool = PlayedPool(workers=2)
    found = asyncio.run(played(pool).find(text))
    assert [(one.start, one.end) for one in found] == [m.span() for m in re.finditer("Anna", text)]
    for part in pool.parts:
        assert len(part) <= WINDOW
        part.encode()


async def test_what_is_found_at_the_edge_of_a_window_is_left_to_the_next() -> None:
    pool = PlayedPool()
    pool.edges = True
    text = "word " * 2000 + "end"
    assert values(text, await played(pool).find(text)) == ["end"]
    assert len(pool.parts) > 3


async def test_a_recognizer_reads_texts_without_words_too() -> None:
    pool = PlayedPool()
    finder = played(pool, presidio=("a:B",), presidio_entities=("PERSON",))
    await finder.find("4711-22")
    assert pool.parts == ["4711-22"]


async def test_as_many_windows_are_read_at_once_as_there_are_workers() -> None:
    for workers in (1, 3):
        pool = PlayedPool(workers)
        await played(pool).find("word " * 5000)
        assert pool.most_at_once == workers


async def test_a_text_without_words_costs_nothing() -> None:
    pool = PlayedPool()
    assert list(await played(pool).find("12 + 3 = 15 \n\n ... \U0001f600 a")) == []
    assert pool.parts == []


async def test_a_text_that_is_too_long_is_a_failure_and_no_clean_bill() -> None:
    pool = PlayedPool()
    with pytest.raises(TextTooLong):
        await played(pool, max_characters=10).find("Anna is here now")
    assert pool.parts == []


async def test_a_text_that_takes_too_long_is_a_failure() -> None:
    pool = PlayedPool()
    pool.slow = True
    with pytest.raises(TimeoutError):
        await played(pool, seconds=0.01).find("Anna is here now")
