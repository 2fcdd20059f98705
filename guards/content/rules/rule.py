"""What a rule is. Rules read folded text: see `guards.content.folding`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

# The labels: OpenAI's categories of moderation, and two of our own.
HATE, HATE_THREAT = "hate", "hate/threatening"
HARASS, THREAT = "harassment", "harassment/threatening"
VIOLENCE, GRAPHIC = "violence", "violence/graphic"
SEXUAL, MINORS = "sexual", "sexual/minors"
SELF_HARM, INTENT, METHOD = "self-harm", "self-harm/intent", "self-harm/instructions"
ILLICIT, WEAPONS = "illicit", "illicit/violent"
PROFANITY, TOXICITY = "profanity", "toxicity"

LABELS = (
    HARASS,
    THREAT,
    HATE,
    HATE_THREAT,
    ILLICIT,
    WEAPONS,
    SELF_HARM,
    INTENT,
    METHOD,
    SEXUAL,
    MINORS,
    VIOLENCE,
    GRAPHIC,
    PROFANITY,
    TOXICITY,
)


@dataclass(frozen=True, slots=True)
class Rule:
    """`pattern` (RE2, on folded bytes) is evidence of some labels, as strong as `scores` say, 0 to 1.

    `unless`: what takes the evidence away if it stands in the same sentence.
    """

    pattern: str
    scores: Mapping[str, float] = field(default_factory=dict)
    unless: str | None = None


def word(letters: str) -> str:
    """A pattern for one word however it is drawn out, and with letters inside it starred out: `fuuck`, `f*ck`, `f**k`.

    Double letters stay double. The last letter and the first are always there.
    """
    runs: list[tuple[str, int]] = []
    for letter in letters:
        if runs and runs[-1][0] == letter:
            runs[-1] = (letter, runs[-1][1] + 1)
        else:
            runs.append((letter, 1))
    out = []
    for index, (letter, count) in enumerate(runs):
        inside = 0 < index < len(runs) - 1
        one = f"[{letter}*#%]" if inside and letter.isalpha() else letter
        most = max(2, count)
        out.append(f"{one}{{{count},{most}}}" if letter.isalpha() else one)
    return "".join(out)


def words(listed: str) -> str:
    """Any of the words of a list, each as `word` has it. A word that ends in `~` may have an ending."""
    alternatives = []
    for entry in listed.split():
        stem, ending = (entry[:-1], True) if entry.endswith("~") else (entry, False)
        alternatives.append(word(stem) + ("[a-z]{0,8}" if ending else "(?:s|es)?"))
    return rf"\b(?:{'|'.join(alternatives)})\b"


def either(phrases: Iterable[str] | str) -> str:
    """Any of the phrases; a string is split at `|`."""
    listed = phrases.split("|") if isinstance(phrases, str) else list(phrases)
    return "(?:" + "|".join(part.strip() for part in listed) + ")"
