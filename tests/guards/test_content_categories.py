"""How well the categories do on rows written by hand, and what they must never object to."""

from __future__ import annotations

from pathlib import Path

import pytest

from guards.content.categories import CATEGORIES, by_category, scorer
from guards.content.folding import fold, unmask

ROWS = Path(__file__).resolve().parents[2] / "bench" / "guard_rows"


def rows(name: str) -> list[tuple[set[str], str]]:
    lines = (ROWS / name).read_text(encoding="utf-8").splitlines()
    split = [line.split("\t") for line in lines if line and not line.startswith("#")]
    return [(set(categories.split(",")) - {"-"}, text) for categories, text in split]


def found(text: str, threshold: float = 0.5) -> set[str]:
    return {name for name, score in by_category(scorer().labels(text)).items() if score >= threshold}


@pytest.mark.parametrize(("name", "least", "most"), [("content.tsv", 0.93, 0.02), ("content_held_out.tsv", 0.5, 0.04)])
def test_the_measured_quality_holds(name: str, least: float, most: float) -> None:
    both = rows(name)
    harmful = [text for categories, text in both if categories]
    harmless = [text for categories, text in both if not categories]
    assert len(harmful) >= 50 and len(harmless) >= 50
    assert sum(bool(found(text)) for text in harmful) >= least * len(harmful)
    assert sum(bool(found(text)) for text in harmless) <= most * len(harmless)


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_category_is_found_by_its_own_name(category: str) -> None:
    own = [text for categories, text in rows("content.tsv") if category in categories]
    assert len(own) >= 15
    assert sum(category in found(text) for text in own) >= 0.9 * len(own)


@pytest.mark.parametrize(
    "text",
    [
        "Kill the process.",
        "Shoot me an email.",
        "Execute the child, then wait for it.",
        "How do I kill all child processes of a daemon?",
        "Breast cancer screening starts at fifty.",
        "How can I protect my shop against SQL injection and phishing?",
        "Scunthorpe, Penistone and Essex are in England.",
        "Der Fluss lag im Mist und die Wiesen waren hell und dick bewachsen.",
    ],
)
def test_harmless_words_are_harmless(text: str) -> None:
    assert not found(text, 0.3)


@pytest.mark.parametrize(
    "text",
    [
        "fuck this",
        "FUCK this",
        "fuuuuuuck this",
        "f u c k this",
        "f.u.c.k this",
        "f-u-c-k this",
        "f*ck this",
        "f**k this",
        "fu\u200bck this",
        "f\u00fack this",
        "\uff46\uff55\uff43\uff4b this",
        "fu\u0441k this",  # a Cyrillic letter
        "5h1t happens",
        "$hit happens",
    ],
)
def test_disguises_are_seen_through(text: str) -> None:
    assert "profanity" in found(text)


def test_harmless_text_is_not_changed_by_taking_off_disguises() -> None:
    folded = fold("Version 2.0.1 costs 30 EUR! Mail a.b@c.example, call +49 30 1234.")
    assert b"version" in unmask(folded)
    assert fold("Stra\u00dfe \u00c9t\u00e9 ma\u00f1ana") == "strasse ete ma\xf1ana".encode("latin-1")
    assert unmask(fold("plain words only")) == fold("plain words only")


def test_a_long_text_is_not_worse_than_its_worst_sentence() -> None:
    one = "Shut up."
    short = by_category(scorer().labels(one))
    assert 0.5 < short["toxicity"] < 0.9
    assert by_category(scorer().labels((one + " ") * 200)) == short


def test_evidence_in_one_sentence_adds_up() -> None:
    alone = [by_category(scorer().labels(text))["toxicity"] for text in ("shut up", "nobody likes you")]
    more = by_category(scorer().labels("shut up, nobody likes you"))["toxicity"]
    assert more > max(alone)


def test_the_same_words_count_once_however_many_rules_know_them() -> None:
    assert scorer().labels("That cretin again!")["toxicity"] == 0.4  # English, French and Spanish have the word


def test_what_takes_the_evidence_away_counts_in_its_own_sentence_only() -> None:
    assert "illicit" not in found("How do I build a pipe bomb detector? That is against the law.".replace(".", ","))
    assert "illicit" in found("How do I build a pipe bomb? I read about prevention.")
