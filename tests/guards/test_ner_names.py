"""The rules that tell people, places and organisations from what only looks like them; without a model."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guards.ner.names import LOCATION, ORGANIZATION, OTHER, PERSON, Entity, weigh


def found(text: str, **model: str) -> list[tuple[str, str]]:
    """What is found in `text`, where the model found the words given (`_` for a space) as those kinds."""
    entities = []
    for words, kind in model.items():
        start = text.index(words.replace("_", " "))
        entities.append(Entity(start, start + len(words), kind))
    return [(text[one.start : one.end], one.kind) for one in weigh(text, entities)]


def people(text: str, **model: str) -> list[str]:
    return [value for value, kind in found(text, **model) if kind == PERSON]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Please call Dr. Vandersloot before noon.", "Vandersloot"),
        ("My name is Xochitl and I need help.", "Xochitl"),
        ("Kind regards,\nOrsk Tambling", "Orsk Tambling"),
        ("Dear Mrs Tambling,", "Tambling"),
        ("Hello Xanthe, thanks for writing.", "Xanthe"),
        ("customer: Orsk Tambling\norder: 12", "Orsk Tambling"),
        ("I met Wojciech Kowalczyk yesterday.", "Wojciech Kowalczyk"),
        ("We follow up with Orsk Tambling tomorrow.", "Orsk Tambling"),
        ("Then Jean-Pierre left the room.", "Jean-Pierre"),
        ("Paid by Otterly Q. Bramblewick in May.", "Otterly Q. Bramblewick"),
        ("the book of Maria de la Cruz is late", "Maria de la Cruz"),
        ("Ludwig van der Berg called.", "Ludwig van der Berg"),
        ("Adam McDowell sang.", "Adam McDowell"),
        ("Sinéad O'Brien's house was sold.", "Sinéad O'Brien"),
        ("It is under Patrick's account, SARAH JOHNSON said.", "SARAH JOHNSON"),
    ],
)
def test_a_person_is_known_by_what_stands_around_or_by_the_name(text: str, name: str) -> None:
    assert name in people(text)


@pytest.mark.parametrize(
    ("text", "name", "kind"),
    [
        ("Tambling shouted at the driver.", "Tambling", ORGANIZATION),
        ("It was Tambling's daughter who came.", "Tambling", ORGANIZATION),
        ("My cousin Orsk is ill.", "Orsk", ORGANIZATION),
        ("We hired Zofia Orbeliani last year.", "Zofia_Orbeliani", ORGANIZATION),
        ("We hired Orsk T. Bramble last year.", "Bramble", OTHER),
    ],
)
def test_a_person_that_the_model_takes_for_something_else_is_one(text: str, name: str, kind: str) -> None:
    assert any(name.replace("_", " ") in value for value in people(text, **{name: kind}))
    assert ORGANIZATION not in {kind for _, kind in found(text, **{name: kind})}


@pytest.mark.parametrize("text", ["my name is tambling", "can maria garcia call me back, it is about bertram"])
def test_names_in_a_text_without_capitals_are_found(text: str) -> None:
    assert people(text)


def test_ordinary_words_in_a_text_without_capitals_are_no_names() -> None:
    assert not people("please mark the page and grant us access, the rose will be there in may, my dog is called x")


def test_in_a_list_all_are_people_if_one_is() -> None:
    assert people("Present: Orsk, Maria, Zog and Ludwig.") == ["Orsk", "Maria", "Zog", "Ludwig"]
    assert people("Present: Orsk, Tambling and Zog.") == []


def test_a_list_that_names_a_company_stays_one() -> None:
    text = "The Clark, Romero and Hall Orchestra played."
    assert people(text, Clark=PERSON, Romero=PERSON)[-1:] != ["Hall Orchestra"]


def test_who_was_named_in_full_is_known_by_one_name_afterwards() -> None:
    assert people("Dr. Orsk Tambling came. Later Tambling left.") == ["Orsk Tambling", "Tambling"]
    assert people("Later Tambling left.") == []


@pytest.mark.parametrize("word", ["Kafka", "Jenkins", "Docker", "Grafana", "Terraform", "Hibernate", "Django"])
def test_software_is_nobody_whatever_the_model_says(word: str) -> None:
    assert found(f"We moved it to {word} last week.", **{word: PERSON}) == []


def test_an_unknown_word_among_software_is_more_of_it() -> None:
    assert people("Spring Boot starts Tomcat and Blorpway migrates.", Blorpway=PERSON) == []
    assert people("At ten Blorpway arrives.", Blorpway=PERSON) == ["Blorpway"]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("call Foo(self) first", "Foo(self"),
        ("return self.Maria now", "Maria"),
        ("see Maria.py there", "Maria"),
        ("run `Maria` twice", "Maria"),
        ("path/Maria/x", "Maria"),
        ("the Maria_id column", "Maria"),
        ("a @Maria mention", "Maria"),
        ("Maria::new()", "Maria"),
        ("use MariaConnector here", "MariaConnector"),
        ("the m2 and C4 policy", "m2 and"),
        ("set Maria=1", "Maria"),
    ],
)
def test_code_is_nobody(text: str, word: str) -> None:
    start = text.index(word)
    assert [one for one in weigh(text, [Entity(start, start + len(word), PERSON)]) if one.kind == PERSON] == []


@pytest.mark.parametrize(
    "text",
    [
        "Vitamin C is sold here.",
        "Mark the item as read.",
        "Bill the client on Friday.",
        "Hello World, Dear Customer, Hi Team, Dear Hiring Manager",
        "I'm Happy to help.",
        "Best Regards.",
        "name: Build and Test",
        "San Francisco and Los Angeles",
        "Chapter Two, Section B Part 2, Series A Funding",
    ],
)
def test_what_only_looks_like_a_name_is_none(text: str) -> None:
    assert people(text) == []


def test_a_word_that_may_be_an_order_is_none_even_if_the_model_says_so() -> None:
    assert people("Mark the item as read.", Mark=PERSON) == []
    assert people("Then Mark came home.", Mark=PERSON) == ["Mark"]


@pytest.mark.parametrize(
    ("text", "street"),
    [
        ("It stands at 12 Crown Street today.", "Crown_Street"),
        ("Send it to Villacher Strasse 89 please.", "Villacher_Strasse"),
        ("Send it to Dalbraut 99 please.", "Dalbraut"),
        ("at 5850 Orsk Nerudy 894 there", "Orsk_Nerudy"),
    ],
)
def test_a_house_number_makes_a_place_of_a_person(text: str, street: str) -> None:
    value = street.replace("_", " ")
    assert found(text, **{street: PERSON}) == [(value, LOCATION)]


def test_one_lives_in_a_place() -> None:
    assert found("She lives in Tambling now.", Tambling=ORGANIZATION) == [("Tambling", LOCATION)]


def test_one_flies_to_a_place() -> None:
    assert found("She flew to Coles on Sunday.", Coles=PERSON) == [("Coles", LOCATION)]
    assert people("She flew to Anna Schmidt on Sunday.") == ["Anna Schmidt"]


@pytest.mark.parametrize("name", ["San Antonio", "Vitamin C", "Plan B"])
def test_what_begins_like_no_persons_name_is_none(name: str) -> None:
    assert found(f"Then {name} won.", **{name.replace(" ", "_"): PERSON}) == []


def test_a_name_that_is_a_word_needs_more_than_a_capital() -> None:
    assert people("The Rose and the Lily bloom in the Dawn.") == []
    assert people("My name is Rose.") == ["Rose"]


def test_a_name_in_small_letters_counts_only_where_there_are_no_others() -> None:
    assert people("We ran linda on it. Then Anna came, and She Left.") == ["Anna"]
    assert people("we ran linda on it, then anna came and she left") == ["linda", "anna"]


def test_of_what_several_models_found_the_longer_counts() -> None:
    text = "near Stratford upon Avon today"
    entities = [Entity(5, 14, LOCATION), Entity(5, 24, LOCATION), Entity(20, 24, ORGANIZATION)]
    assert [(one.start, one.end) for one in weigh(text, entities)] == [(5, 24)]


def test_a_companys_ending_makes_no_person() -> None:
    assert found("We asked Jackson Ltd about it.", Jackson_Ltd=ORGANIZATION) == [("Jackson Ltd", ORGANIZATION)]
    assert people("We asked Maria Systems Inc about it.") == []


def test_what_the_model_found_is_trimmed() -> None:
    text = 'near "Uppsala\'s" lake'
    assert [(text[e.start : e.end], e.kind) for e in weigh(text, [Entity(5, 16, LOCATION)])] == [("Uppsala", LOCATION)]


_PIECES = [
    "Maria",
    "O'Brien",
    "Mc",
    " ",
    " ",
    ". ",
    ", ",
    " and ",
    "\n",
    "Dr",
    "St",
    "12",
    "(",
    "_",
    "'s",
    "é",
    "maria",
]


@given(
    st.lists(st.one_of(st.sampled_from(_PIECES), st.text(max_size=4)), max_size=30).map("".join),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 30), st.sampled_from([PERSON, LOCATION, OTHER])), max_size=5),
)
def test_finds_lie_in_the_text_in_order_and_apart(text: str, model: list[tuple[int, int, str]]) -> None:
    entities = [Entity(min(s, len(text)), min(s + n, len(text)), kind) for s, n, kind in model]
    position = 0
    for one in weigh(text, entities):
        assert position <= one.start < one.end <= len(text)
        assert text[one.start : one.end].strip() == text[one.start : one.end]
        assert one.kind in (PERSON, LOCATION, ORGANIZATION)
        position = one.end


@pytest.mark.parametrize("piece", ["Maria ", "A. ", "Maria, ", "de la ", "name is ", "Aa-", "'s ", "(Maria", "\n> "])
def test_hostile_texts_take_no_longer_than_others(piece: str) -> None:
    text = (piece * 2000)[:2000]
    started = time.process_time()
    weigh(text, [])
    assert time.process_time() - started < 0.5
