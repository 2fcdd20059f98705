"""Which words of a text name a person, a place or an organisation: a model's word, weighed against what stands around.

The small model takes many people for companies (names that it has not seen), streets for people, and software for
either. So it is one witness of several: every run of capitalised words is given points for what speaks for a person
(the model, known names, a title, an initial, "my name is" before it, "said" after it) and against one (a house
number, a company's ending, code around it). Whatever is no person then is what the model says, unless it cannot be.

Pure: needs no model and no library, so that each rule can be tried by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from guards.ner import words
from guards.ner.given_names import ALSO_WORDS, FAMILY, GIVEN

PERSON = "PERSON"
LOCATION = "LOCATION"
ORGANIZATION = "ORGANIZATION"
OTHER = "OTHER"  # the model names it, but it is none of the three

ENOUGH = 3.0  # points that make a person

_TOKEN = re.compile(r"[^\W\d_]+(?:['’\-][^\W\d_]+)*|\d+")
_GENITIVE = re.compile(r"['’][sS]$")
_JOINT = re.compile(r"[ \u00a0]|\. |-")  # between two words of one name
_LIST = re.compile(r",? (?:and|or|und|et|y|e|og|och|&) |, ", re.IGNORECASE)
_CODE_BEFORE = re.compile(r"(?:[\w.\\/@#$=`{\[]|::|->)\Z")
_CODE_AFTER = re.compile(r"^(?:[_(\\/=`{\[@]|::|->|\.\w|\d)")
_CAMEL = re.compile(r"^(?!(?:Mc|Mac|De|Di|Du|La|Le|Van|Von|Fitz|O['’])[A-ZÀ-Þ][a-zß-ÿ]).*[a-zß-ÿ][A-ZÀ-Þ]")
_ADDRESS_LINE = re.compile(r"[ \t>|*?]*\n+[ \t>|*?]*(?:\d|p\.? ?o\.? box|apt|suite|unit)", re.IGNORECASE)
_LINE_START = re.compile(r"(?:^|\n)[ \t>|*?\-]*\Z")
_SAINT = words.words_of("san santa santo saint st são los las el la fort port mount mt lake cape new")
_OBJECTS = frozenset(["the", "a", "an", "this", "that", "these", "those", "it", "all", "my", "your", "our", "their"])
_FAMILY_BEGINNING = re.compile(r"(?:Mc|Mac|Fitz|O['’])[A-ZÀ-Þ][a-zß-ÿ]")
_STREET_ENDING = re.compile(
    r"(?:stra(?:ss|ß)e|straat|gade|gatan|gata|vej|vägen|veien|katu|kuja|tie|utca|allee|weg|laan)$"
)


@dataclass(frozen=True, slots=True)
class Entity:
    """What stands at `text[start:end]`; `kind` is one of this module's four."""

    start: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    start: int
    end: int

    @property
    def key(self) -> str:
        return self.text.lower()


@dataclass(slots=True)
class _Run:
    """Words that may be one name."""

    words: list[_Word]
    model: str | None = None
    points: float = 0.0
    against: bool = False
    place: bool = False
    keys: list[str] = field(default_factory=list)

    @property
    def start(self) -> int:
        return self.words[0].start

    @property
    def end(self) -> int:
        return self.words[-1].end

    @property
    def person(self) -> bool:
        return self.points >= ENOUGH


def weigh(text: str, entities: Iterable[Entity]) -> list[Entity]:
    """The people, places and organisations in `text`, in order and apart, given what the model found."""
    tokens = [_Word(_GENITIVE.sub("", m.group()), m.start(), m.end()) for m in _TOKEN.finditer(text)]
    tokens = [_Word(t.text, t.start, t.start + len(t.text)) for t in tokens]
    known = [entity for entity in entities if entity.start < entity.end]
    lower = _is_lower(text)
    runs = list(_runs(text, tokens, known, lower=lower))
    position = {token.start: index for index, token in enumerate(tokens)}
    for run in runs:
        _score(run, text, tokens, position[run.start], lower=lower)
    _weigh_lists(text, runs)
    _weigh_repeats(runs)
    people = [Entity(run.start, run.end, PERSON) for run in runs if run.person]
    found = people + [entity for entity in map(_as_place, runs) if entity]
    rest = [entity for entity in known if not _touches(entity, found) and not _touches_all(entity, runs)]
    found += [kept for entity in rest if (kept := _as_the_model_says(text, entity))]
    return _apart(found)


def _is_lower(text: str) -> bool:
    """Whether the text is written without capitals, as in a hurry."""
    letters = sum(map(str.isalpha, text))
    return letters > 0 and sum(map(str.isupper, text)) * 100 <= letters


def _runs(text: str, tokens: Sequence[_Word], entities: Sequence[Entity], *, lower: bool) -> Iterator[_Run]:
    run: list[_Word] = []
    for index, token in enumerate(tokens):
        named = lower and words.NAMED_IN_LOWER_CASE.search(text, max(0, token.start - 40), token.start) is not None
        joins = bool(run) and _JOINT.fullmatch(text, run[-1].end, token.start) is not None
        if joins and text[run[-1].end] == "." and len(run[-1].text) > 1:
            joins = False  # a sentence ended
        if not joins and run:
            yield from _ended(text, run, entities)
            run = []
        if _may_name(token, run[-1] if run else None, lower=lower, named=named) or (
            run and token.key in words.PARTICLES and _leads_on(text, tokens, index)
        ):
            run.append(token)
        elif run:
            yield from _ended(text, run, entities)
            run = []
    if run:
        yield from _ended(text, run, entities)


def _may_name(token: _Word, after: _Word | None, *, lower: bool, named: bool) -> bool:
    if len(token.text) == 1 and token.text.isupper():
        return after is not None
    if not token.text[0].isalpha() or token.key in words.COMMON:
        return False
    if token.text[0].isupper():
        return True
    if not lower:
        return False
    if after is None:
        return len(token.text) > 2 and (named or (token.key in GIVEN and token.key not in ALSO_WORDS))
    return token.key in FAMILY or _family_ending(token.key)


def _leads_on(text: str, tokens: Sequence[_Word], index: int) -> bool:
    """Whether a capitalised word follows a particle, perhaps after another particle."""
    for token in tokens[index + 1 : index + 3]:
        if text[token.start - 1] != " ":
            return False
        if token.text[0].isupper():
            return token.key not in words.COMMON
        if token.key not in words.PARTICLES:
            return False
    return False


def _ended(text: str, run: list[_Word], entities: Sequence[Entity]) -> Iterator[_Run]:
    """The run without what cannot begin or end a name."""
    while run and (len(run[-1].text) == 1 or (run[-1].key in words.PARTICLES and not run[-1].text[0].isupper())):
        run = run[:-1]
    while run and (len(run) > 6 or run[0].key in words.TITLES or run[0].key in words.KIN):
        run = run[1:]
    if run and len(run[0].text) > 1:
        yield _Run(run, _label(run, entities), keys=[word.key for word in run])


def _label(run: Sequence[_Word], entities: Sequence[Entity]) -> str | None:
    start, end = run[0].start, run[-1].end
    kinds = {entity.kind for entity in entities if entity.start < end and entity.end > start}
    return next((kind for kind in (PERSON, ORGANIZATION, OTHER, LOCATION) if kind in kinds), None)


def _score(run: _Run, text: str, tokens: Sequence[_Word], index: int, *, lower: bool) -> None:
    before, after = text[max(0, run.start - 80) : run.start], text[run.end : run.end + 40]
    previous = tokens[index - 1] if index else None
    following = tokens[index + len(run.words)] if index + len(run.words) < len(tokens) else None
    if _is_code(run, before, after):
        run.points, run.against = -9, True
        return
    context = _by_context(run, text, before, after, previous, following)
    run.points = _by_model(run) + _by_names(run) + context
    if not context and len(run.words) == 1 and _is_doubtful(run, tokens, index):
        run.points -= 3
    run.place = _is_address(run, text, previous, following)
    if run.place and following is not None and following.key in words.STREET and text[run.end] == " ":
        run.words.append(following)
    if run.place or words.COMPANY & set(run.keys):
        run.points -= 5
        run.against = True
    elif _company_follows(run, text, following):
        run.points -= 3
        run.against = True
    elif words.PLACE_BEFORE.search(before) and (run.keys[0] not in GIVEN or len(run.keys) == 1):
        run.points -= 3
        run.place = run.model in (PERSON, ORGANIZATION)


def _is_doubtful(run: _Run, tokens: Sequence[_Word], index: int) -> bool:
    """A single word that may be an order ("Mark the item"), or one more piece of software among others."""
    key = run.keys[0]
    following = tokens[index + 1].key if index + 1 < len(tokens) else ""
    if following in _OBJECTS and (key in ALSO_WORDS or key not in GIVEN):
        return True
    near = tokens[max(0, index - 12) : index + 13]
    return key not in GIVEN and any(token.text[0].isupper() and token.key in words.JARGON for token in near)


def _company_follows(run: _Run, text: str, following: _Word | None) -> bool:
    if following is None or following.key not in words.COMPANY or not following.text[0].isupper():
        return False
    return text[run.end : following.start] in (" ", ", ")


def _is_code(run: _Run, before: str, after: str) -> bool:
    if any(key in words.PRODUCTS for key in run.keys) and not any(key in GIVEN for key in run.keys):
        return True
    if _CODE_BEFORE.search(before) or _CODE_AFTER.search(after):
        return True
    return any(_CAMEL.search(word.text) for word in run.words)


def _by_model(run: _Run) -> float:
    if run.model == PERSON:
        return 3
    if run.model == LOCATION:
        return -1.5 if len(run.words) == 1 else 0
    return 0 if run.model is None else 1


def _by_names(run: _Run) -> float:
    """Points for what the words are by themselves."""
    points = 0.0
    first, last, many = run.keys[0], run.keys[-1], len(run.words) > 1
    if first in _SAINT if many else first in words.LETTERED:
        return -4
    if first in GIVEN:
        points += 1 if first in ALSO_WORDS else 3
    elif any(key in GIVEN and key not in ALSO_WORDS for key in run.keys):
        points += 1.5
    if last in FAMILY:
        points += 1
    elif _family_ending(last):
        points += 1.5 if many else 1
    elif _FAMILY_BEGINNING.match(run.words[-1].text):
        points += 1.5
    points += _by_initial(run)
    if len(run.words) == 1 and run.words[0].text.isupper():
        points -= 1.5
    return points


def _family_ending(key: str) -> bool:
    return key not in words.NOT_BY_ENDING and words.FAMILY_ENDING.search(key) is not None


def _by_initial(run: _Run) -> float:
    """ "Maja S Hermansen", "J. R. Hartley": a letter between or before words, and no "Vitamin C Serum"."""
    texts = [word.text for word in run.words]
    if len(texts) < 2 or len(texts[-1]) < 3 or run.keys[0] in words.LETTERED or all(map(str.isupper, texts)):
        return 0
    initials = [index for index, text in enumerate(texts[:-1]) if len(text) == 1]
    if not initials:
        return 0
    # More than a space between it and the next word: a full stop, which shows that it is one.
    dotted = any(run.words[index + 1].start - run.words[index].end > 1 for index in initials)
    return 3 if dotted else 2


def _by_context(
    run: _Run, text: str, before: str, after: str, previous: _Word | None, following: _Word | None
) -> float:
    points = 0.0
    gap = text[previous.end : run.start] if previous else ""
    word_before, word_after = previous.key if previous else "", following.key if following else ""
    if (word_before in words.TITLES and gap in (" ", ". ")) or words.NAMED.search(before):
        points += 4
    elif word_before in words.KIN and gap in (" ", ", "):
        points += 2
    elif (word_before in words.TOLD and gap == " ") or words.PERHAPS_NAMED.search(before):
        points += 1.5
    its = after[:2] in ("'s", "’s") and word_after in words.OF_A_PERSON
    does = word_after in words.DOING and following is not None and text[run.end : following.start] == " "
    if its or does:
        points += 2
    if _LINE_START.search(before):
        if len(run.words) > 1 and _ADDRESS_LINE.match(after):
            points += 1.5
        elif after.startswith(":") and len(run.words) < 3:
            points += 1
    return points


def _is_address(run: _Run, text: str, previous: _Word | None, following: _Word | None) -> bool:
    """A house number beside it, or the word for a street in it."""
    ending = _STREET_ENDING.search(run.keys[-1]) is not None or run.keys[-1] in words.STREET
    number_after = (
        following is not None and following.text.isdecimal() and text[run.end : following.start] in (" ", ", ", ". ")
    )
    number_before = previous is not None and previous.text.isdecimal() and text[previous.end : run.start] == " "
    street_after = (
        following is not None and following.key in words.STREET and text[run.end : following.start] in (" ", ", ")
    )
    if number_before and (number_after or ending or street_after):
        return True
    if number_after and (ending or run.keys[0] in words.STREET or run.keys[0] not in GIVEN):
        return True
    return (street_after or ending) and (len(run.words) > 1 or street_after)


def _weigh_lists(text: str, runs: Sequence[_Run]) -> None:
    """In "X, Y and Z" they are all people if one is."""
    group: list[_Run] = []
    for run in [*runs, None]:
        if run is not None and group and _LIST.fullmatch(text, group[-1].end, run.start):
            group.append(run)
            continue
        people = sum(member.person for member in group)
        if people and not any(member.against for member in group):
            for member in group:
                surely = len(group) > 2 and people * 2 >= len(group)
                if not member.person and (surely or (member.model != LOCATION and member.points > 0)):
                    member.points = ENOUGH
        group = [run] if run is not None else []


def _weigh_repeats(runs: Sequence[_Run]) -> None:
    """Who was named in full is known by a part of the name afterwards."""
    named = {
        key
        for run in runs
        if run.person and len(run.words) > 1
        for key in run.keys
        if len(key) > 2 and key not in ALSO_WORDS and key not in words.PARTICLES
    }
    for run in runs:
        if run.person or run.against or run.keys[-1] not in named:
            continue
        if run.keys[0] not in named:  # before the name stands how the sentence begins
            run.words, run.keys = run.words[-1:], run.keys[-1:]
        if named.issuperset(key for key in run.keys if len(key) > 2):
            run.points = ENOUGH


def _as_place(run: _Run) -> Entity | None:
    if run.person or not run.place or (run.model is None and len(run.words) < 2):
        return None
    return Entity(run.start, run.end, LOCATION)


def _as_the_model_says(text: str, entity: Entity) -> Entity | None:
    """What the model found and nothing else is known of: trimmed, or None where it cannot be such a thing."""
    value = text[entity.start : entity.end]
    line = value.split("\n")[0]
    stripped = _GENITIVE.sub("", line.strip(" \t\"'’,.:;-*>|"))
    if not stripped:
        return None
    start = entity.start + value.index(stripped)
    end = start + len(stripped)
    keys = stripped.lower().split()
    if entity.kind == OTHER or not any(map(str.isalpha, stripped)) or len(stripped) < 2:
        return None
    never = words.JARGON if entity.kind == ORGANIZATION else words.PRODUCTS
    if all(key.strip(".,") in words.COMMON or key.strip(".,") in never for key in keys):
        return None
    if _CODE_BEFORE.search(text[max(0, start - 2) : start]) or _CODE_AFTER.search(text[end : end + 2]):
        return None
    if re.search(r"[()\[\]{}<>=_\\/@#$`|]", stripped) or _CAMEL.search(stripped):
        return None
    if entity.kind != ORGANIZATION and any(map(str.isdecimal, stripped)):
        return None
    if entity.kind == PERSON and not any(map(str.isupper, stripped)) and not any(key in GIVEN for key in keys):
        return None
    return Entity(start, end, entity.kind)


def _touches(entity: Entity, others: Iterable[Entity]) -> bool:
    return any(entity.start < other.end and entity.end > other.start for other in others)


def _touches_all(entity: Entity, runs: Iterable[_Run]) -> bool:
    """Whether the model's find is a run that was weighed and found to be no person, and was held to be one."""
    touching = [run for run in runs if entity.start < run.end and entity.end > run.start]
    return entity.kind == PERSON and bool(touching) and not any(run.person for run in touching)


def _apart(found: Iterable[Entity]) -> list[Entity]:
    """In order; of two that overlap, the first, and of those the longer."""
    kept: list[Entity] = []
    for entity in sorted(found, key=lambda entity: (entity.start, -entity.end)):
        if not kept or entity.start >= kept[-1].end:
            kept.append(entity)
    return kept
