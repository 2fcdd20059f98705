"""Presidio recognizers as an operator would write them. Imported by workers only."""

from __future__ import annotations

from typing import Any

from presidio_analyzer import EntityRecognizer, RecognizerResult


class BadgeRecognizer(EntityRecognizer):
    """`badge 4711`, and what a recognizer must not be able to do: find beyond the text, or at another's cost."""

    def __init__(self) -> None:
        super().__init__(supported_entities=["BADGE", "UNASKED"], supported_language="en")

    def load(self) -> None:
        print("noise")

    def analyze(self, text: str, entities: list[str], nlp_artifacts: Any = None) -> list[RecognizerResult]:
        words = [word.text for word in nlp_artifacts.tokens]
        assert len(words) == len(nlp_artifacts.lemmas) == len(nlp_artifacts.tokens_indices)
        found = []
        for index, word in enumerate(words[:-1]):
            if word == "badge":
                start = nlp_artifacts.tokens_indices[index + 1]
                end = start + len(words[index + 1])
                found.append(RecognizerResult("BADGE", start, end, 0.9))
                found.append(RecognizerResult("UNASKED", start, end, 0.9))
        return found


class BadlyNamed(BadgeRecognizer):
    def __init__(self) -> None:
        EntityRecognizer.__init__(self, supported_entities=["badge number"], supported_language="en")


class NoRecognizer:
    pass
