"""From labelled texts to weights. Pure Python, a minute or two; the same texts and seed make the same weights.

Logistic regression by stochastic gradient with a rate for each weight (AdaGrad; Duchi et al., 2011). What is learnt by
heart looks surer than it is, so slope and bias are then fitted to scores of texts whose template the weights had not
seen (Platt, 1999). Both heads are trained on stretches of the size that they will be asked about.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from guards.injection.corpus import FOLDS, Label, Row, expand_file, plain_file
from guards.injection.features import BUCKETS, hashes, norm, words
from guards.injection.model import SPAN, Head, InjectionModel, sentence_bounds
from guards.injection.normalise import clean, flatten

EACH = 40  # texts of a template
EPOCHS = 8
CALIBRATION_EPOCHS = 20
CALIBRATION_FOLDS = 2  # of them all: each takes as long as the weights themselves
RATE = 0.2
DECAY = 3e-4  # of a weight with each step that moves it
SEED = 1729
SHARED = 3  # templates that have a feature in common before it gets a weight
HEAPS = 800  # of harmless texts, for each fold
BIAS = -2.0  # log-odds of a text of which nothing is known: most texts are harmless


# Words that stand in every text. What little one alone says is chance; pairs with them count.
_COMMON_WORDS = """
    a about above after again all also am an and any are as at be because been before being below both but by can
    could did do does doing done down each even ever every few for from further get go had has have having he her
    here hers him his how i if in into is it its itself just know let like made make many may me might more most
    much my no nor not now of off on once one only or other our out over own per said same see she should so some
    such than that the their them then there these they thing this those through to too two under until up upon us
    use used using very want was way we well were what when where which while who whom why will with without would
    yes yet you your yours http https www com org html en de la le el les los das der die und et e y i o um para por
    con est que
"""


class Example(NamedTuple):
    """Hashes of one stretch of text, whether an attack is in it, and where its template belongs."""

    hashes: tuple[int, ...]
    tokens: int
    attack: bool
    fold: int
    template: str


def bundled_rows() -> tuple[list[Row], list[Row]]:
    """The texts in the repository: said to a model, and fetched."""
    attacks, embedded = expand_file("attacks.txt", EACH), expand_file("embedded.txt", EACH)
    benign, documents = expand_file("benign.txt", EACH), expand_file("documents.txt", EACH)
    prompts = plain_file("prompts.txt", Label.BENIGN, "prompts")
    pages = plain_file("pages.txt", Label.BENIGN, "pages")
    read = [*documents, *pages, *plain_file("prose.txt", Label.BENIGN, "prose")]
    read += plain_file("sources.txt", Label.BENIGN, "sources")
    return [*attacks, *benign, *prompts, *read], [*attacks, *embedded, *read]


def train(said: Sequence[Row], fetched: Sequence[Row], *, seed: int = SEED, heaps: int = HEAPS) -> InjectionModel:
    """Fit both heads to all rows, and to so many heaps of harmless ones in each fold.

    Raises ValueError where a head has not both labels."""
    for rows in (said, fetched):
        if {row.label for row in rows} != set(Label):
            raise ValueError("both labels are needed to train on, said and fetched")
    rng = random.Random(seed)
    direct = list(_stretches(_mixed(said, rng, heaps)))
    indirect = list(_sentences(fetched))
    return InjectionModel(
        _fit(direct, rng),
        _fit(indirect, rng),
        {"said": digest(said), "fetched": digest(fetched), "rows": len(said) + len(fetched), "seed": seed},
    )


def digest(rows: Iterable[Row]) -> str:
    """SHA-256 of the rows in their order, in hex: which texts weights are from."""
    return hashlib.sha256(msgspec.json.encode(list(rows))).hexdigest()


def _mixed(rows: Sequence[Row], rng: random.Random, heaps: int) -> Iterator[Row]:
    """The rows; some of them between others in good faith, as attacks seldom come alone; and heaps of harmless ones."""
    benign = {fold: [row for row in rows if row.label is Label.BENIGN and row.fold == fold] for fold in range(FOLDS)}
    for row in rows:
        yield row
        fellows = benign[row.fold]
        if not fellows or rng.random() < 0.5:
            continue
        around = [fellow.text[:200] for fellow in rng.choices(fellows, k=rng.choice((1, 1, 2, 3)))]
        around.insert(rng.randrange(len(around) + 1), row.text)
        text = rng.choice((" ", "\n", "\n\n")).join(around)
        yield msgspec.structs.replace(row, text=text, template=row.template or row.text)
    for fold, fellows in benign.items():
        by_family: dict[str, list[Row]] = {}
        for row in fellows:
            by_family.setdefault(row.family, []).append(row)
        for number in range(heaps if fellows else 0):
            heap = rng.choices(by_family[rng.choice([*by_family])], k=12)
            text = rng.choice((" ", "\n", "\n\n")).join(row.text for row in heap)[:600]
            yield Row(text, Label.BENIGN, "heap", template=_template_of(fold, number))


def _template_of(fold: int, number: int) -> str:
    """A name for a template of that fold."""
    while Row("", Label.BENIGN, template=f"heap {number}").fold != fold:
        number += 1_000_003
    return f"heap {number}"


def _stretches(rows: Iterable[Row]) -> Iterator[Example]:
    """As `Head.spans` takes them; of an attack the first stretch only, the others may hold nothing of it."""
    for row in rows:
        found = hashes(words(flatten(clean(row.text))))
        starts = range(0, max(len(found) - SPAN // 2, 1), SPAN // 2)
        for start in starts if row.label is Label.BENIGN else starts[:1]:
            yield _example(found[start : start + SPAN], row)


def _sentences(rows: Iterable[Row]) -> Iterator[Example]:
    """As `Head.sentences` takes them."""
    for row in rows:
        tokens = words(flatten(clean(row.text)))
        found = hashes(tokens)
        for start, end in sentence_bounds(tokens):
            yield _example(found[start:end], row)


def _example(found: Sequence[tuple[int, ...]], row: Row) -> Example:
    together = tuple(one for token in found for one in token)
    return Example(together, len(found), row.label is Label.ATTACK, row.fold, row.template or row.text)


def _fit(examples: Sequence[Example], rng: random.Random) -> Head:
    unseen: list[tuple[float, bool]] = []
    for fold in range(CALIBRATION_FOLDS):
        weights, bias = _weights([example for example in examples if example.fold != fold], rng)
        unseen += [(_odds(example, weights, bias), example.attack) for example in examples if example.fold == fold]
    slope, shift = _calibrated(unseen, rng)
    weights, bias = _weights(examples, rng)
    scaled = [slope * weight for weight in weights]
    scale = max(map(abs, scaled)) / 127 or 1.0
    return Head.of([round(weight / scale) for weight in scaled], scale, round(slope * bias + shift, 6))


def _weights(examples: Sequence[Example], rng: random.Random) -> tuple[list[float], float]:
    """Weights and bias. What fewer than `SHARED` templates have says more of them than of attacks, and gets none."""
    owners: dict[int, set[str]] = {}
    for example in examples:
        for one in example.hashes:
            owners.setdefault(one, set()).add(example.template)
    shared = {one for one, templates in owners.items() if len(templates) >= SHARED}
    shared -= {one for word in _COMMON_WORDS.split() for one in _alone(word)}
    order = [
        (example, tuple(one for one in example.hashes if one in shared), 1 / norm(example.tokens))
        for example in examples
    ]
    attacks = sum(example.attack for example in examples)
    prior = math.log(attacks / (len(examples) - attacks))  # the mix of the corpus says nothing of that of the world
    weights, squares = [0.0] * BUCKETS, [1e-2] * BUCKETS
    for _ in range(EPOCHS):
        rng.shuffle(order)
        for example, found, value in order:
            total = sum(weights[one] if one < BUCKETS else -weights[one - BUCKETS] for one in found)
            slope = _logistic(prior + BIAS + total * value) - example.attack
            if abs(slope) < 0.01:
                continue
            for one in found:
                place, sign = (one, value) if one < BUCKETS else (one - BUCKETS, -value)
                gradient = slope * sign + DECAY * weights[place]
                squares[place] += gradient * gradient
                weights[place] -= RATE * gradient / math.sqrt(squares[place])
    return weights, BIAS


def _alone(word: str) -> tuple[int, int]:
    """The features of a word that do not tell what stands before it."""
    features = hashes([word.encode()])[0]
    return features[0], features[3]


def _odds(example: Example, weights: Sequence[float], bias: float) -> float:
    total = sum(weights[one] if one < BUCKETS else -weights[one - BUCKETS] for one in example.hashes)
    return bias + total / norm(example.tokens)


def _calibrated(unseen: Sequence[tuple[float, bool]], rng: random.Random) -> tuple[float, float]:
    """Slope and shift that make odds of unseen texts true."""
    slope, shift = 1.0, 0.0
    squares = [1e-2, 1e-2]
    order = list(unseen)
    for _ in range(CALIBRATION_EPOCHS):
        rng.shuffle(order)
        for odds, attack in order:
            error = _logistic(slope * odds + shift) - attack
            for index, gradient in enumerate((error * odds, error)):
                squares[index] += gradient * gradient
            slope -= 0.1 * error * odds / math.sqrt(squares[0])
            shift -= 0.1 * error / math.sqrt(squares[1])
    return max(slope, 0.0), shift


def _logistic(odds: float) -> float:
    return 0.5 + 0.5 * math.tanh(odds / 2)
