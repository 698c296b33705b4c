"""The page of a demo, and the parts of it that the quickstart shows too."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from birnn.experiments import brackets, senses
from birnn.experiments.compare.contest import Contest
from birnn.experiments.compare.significance import percent
from birnn.experiments.demo import Shown
from birnn.explain import figures, report
from birnn.explain.figures import READERS
from birnn.explain.parts import (
    Part,
    Picture,
    Section,
    Sentence,
    Sentences,
    Strip,
    Strips,
    Text,
    Tiles,
)

LONGEST_STRIP = 24  # steps that are shown of a sequence
BEFORE = 6  # steps that are shown before the first error


def write(path: Path | str, shown: Shown, *, seconds: float) -> Path:
    """Write the page of a demo.

    Args:
        path: Where.
        shown: What was measured.
        seconds: Time that training and testing took.

    Raises:
        OutputError: The file cannot be written.
    """
    contest = shown.contest
    parts = [*contest_parts(shown)]
    if shown.cases:
        parts.append(Text(shown.demo.facts.one_direction))
    tables = [contest.table(), *([variants] if (variants := shown.by_variant()) else [])]
    numbers: list[Part] = [*tables, *(Text(line) for line in contest.comparison.verdicts())]
    if contest.bound:
        numbers.append(Text(LIMIT))
    return report.write(
        path,
        shown.demo.facts.title,
        [
            Section("What each direction knows", parts),
            Section("How they learned", [learning(contest)]),
            Section("All numbers", numbers),
        ],
        lead=shown.demo.facts.about,
        footer=footer(shown.models, seconds),
    )


LIMIT = (
    "The limit of one direction is computed from how the sequences are made: no rule that reads "
    "from left to right is right more often in expectation. On a finite test set a reader may land "
    "a little above it."
)


def footer(models: int, seconds: float) -> str:
    """How a page came about."""
    return (
        f"{models} models trained and tested in {seconds:.0f} s, "
        f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    )


def contest_parts(shown: Shown) -> list[Part]:
    """Numbers, figure and examples of a demo."""
    contest = shown.contest
    parts: list[Part] = [tiles(contest), accuracy(contest)]
    examples = (
        EXAMPLES.get(contest.name, _strips)(shown) if shown.cases or _symbols(shown) else None
    )
    if examples is not None:
        parts += [Text("From the test set:"), examples]
    return parts


def tiles(contest: Contest) -> Tiles:
    """Accuracy of each way of reading, and the limit of one direction."""
    shown = [
        (f"{READERS[way].name}: {contest.unit} right", percent(contest.spread(way).median), way)
        for way in contest.ways
    ]
    limit = contest.limit()
    return Tiles([*shown, *([("limit of one direction", percent(limit), "")] if limit else [])])


def accuracy(contest: Contest) -> Picture:
    """Accuracy in each group: a line over positions, else bars."""
    shares = {way: contest.by_group(way) for way in contest.ways}
    if contest.grouping not in ("position", "length"):
        figure = figures.accuracy_by_group(
            shares, groups=contest.grouping, bound=contest.bound or None
        )
    else:
        figure = figures.accuracy_by_position(
            {way: list(values.values()) for way, values in shares.items()},
            positions=list(contest.groups),
            bound=list(contest.bound.values()) or None,
            of=contest.grouping,
        )
    return Picture(
        figure,
        f"Share of {contest.unit} that are right, by {contest.grouping}.",
        figures.in_words(figure),
    )


def learning(contest: Contest) -> Picture:
    """The score on the dev set, epoch by epoch."""
    figure = figures.learning_curves(contest.curves, metric="accuracy on dev")
    seeds = len(contest.comparison.seeds)
    band = f" The line is the median of {seeds} seeds, the band their range." if seeds > 1 else ""
    return Picture(
        figure,
        f"{contest.name.capitalize()}: accuracy on the dev set after each epoch. The best epoch's "
        f"weights are kept.{band}",
        figures.in_words(figure),
    )


# ---------------------------------------------------------------------- examples


def _senses(shown: Shown) -> Part:
    """A sentence for each place of the evidence, the evidence underlined."""
    notes = {
        "left": "Evidence on the left",
        "right": "Evidence on the right",
        "both": "Evidence on both sides: a thing or a deed, and of which kind",
    }
    contest, sentences = shown.contest, []
    for evidence in senses.EVIDENCE:
        number, position = shown.telling(evidence)
        sentences.append(
            Sentence(
                words=[str(token) for token in contest.inputs[number]],
                position=position,
                gold=contest.gold((number, position)),
                answers={way: contest.answer(way, (number, position)) for way in contest.ways},
                clues=shown.cases[number].clues,
                note=notes[evidence],
            )
        )
    return Sentences(sentences)


def _sentiment(shown: Shown) -> Part:
    """A sentence of each kind and both verdicts."""
    contest, sentences = shown.contest, []
    for kind in contest.groups:
        member = shown.telling(kind)
        sentences.append(
            Sentence(
                words=[str(token) for token in contest.inputs[member[0]]],
                position=-1,
                gold=contest.gold(member),
                answers={way: contest.answer(way, member) for way in contest.ways},
                clues=shown.cases[member[0]].clues,
                note=kind.capitalize(),
            )
        )
    return Sentences(sentences)


def _brackets(shown: Shown) -> Part:
    """One sequence of each kind; of the unclosed ones one on which one direction errs most."""
    kinds = {
        "Opened and closed": (True, True),
        "Opened and never closed: nothing is inside": (True, False),
        "Closed and never opened: nothing is inside": (False, True),
    }
    contest, strips = shown.contest, []
    for note, (opened, closed) in kinds.items():
        found = [
            number
            for number, symbols in enumerate(contest.inputs)
            if (brackets.OPEN in symbols) == opened and (brackets.CLOSE in symbols) == closed
        ]
        if found:
            inside = {number: _tags(contest, number).count(brackets.INSIDE) for number in found}
            number = max(found, key=lambda n: (_errors(contest, n), inside[n]))
            strips.append(_strip(contest, number, marked=(brackets.INSIDE,), note=note))
    return Strips(strips)


def _strips(shown: Shown) -> Part | None:
    """The sequences on which one direction errs most and two err least."""
    contest = shown.contest
    order = sorted(
        range(len(contest.inputs)),
        key=lambda n: (_errors(contest, n, "both"), -_errors(contest, n)),
    )
    strips = [
        _strip(contest, n, marked=shown.demo.marked or (_telling_tag(contest, n),))
        for n in order[:3]
    ]
    return Strips(strips) if strips else None


EXAMPLES: dict[str, Callable[[Shown], Part | None]] = {
    "brackets": _brackets,
    "senses": _senses,
    "sentiment": _sentiment,
}


def _symbols(shown: Shown) -> bool:
    inputs = shown.contest.inputs
    return bool(inputs) and not isinstance(inputs[0], np.ndarray)


def _strip(contest: Contest, number: int, *, marked: Sequence[str], note: str = "") -> Strip:
    """A stretch of a sequence, which of a long one holds the first error of one direction."""
    gold = _tags(contest, number)
    errors = (at for at in range(len(gold)) if not contest.right("forward", (number, at)))
    first = max(0, min(next(errors, 0) - BEFORE, len(gold) - LONGEST_STRIP))
    part = slice(first, first + LONGEST_STRIP)
    inputs = contest.inputs[number]
    named = [str(step + 1) for step in range(len(inputs))]
    symbols = named if isinstance(inputs, np.ndarray) else [str(symbol) for symbol in inputs]
    filled = f"Filled: {', '.join(marked)}"
    return Strip(
        symbols=symbols[part],
        gold=gold[part],
        answers={
            way: contest.comparison.trials[way][0].answers[number][part] for way in contest.ways
        },
        marked=marked,
        note=f"{note}. {filled}" if note else filled,
    )


def _tags(contest: Contest, number: int) -> tuple[str, ...]:
    tags: tuple[str, ...] = contest.comparison.golds[number]
    return tags


def _errors(contest: Contest, number: int, way: str = "forward") -> int:
    gold = _tags(contest, number)
    return sum(not contest.right(way, (number, at)) for at in range(len(gold)))


def _telling_tag(contest: Contest, number: int) -> str:
    """The tag that one direction misses most in a sequence, but not the commonest of all."""
    every: Counter[str] = Counter(tag for tags in contest.comparison.golds for tag in tags)
    [(commonest, _)] = every.most_common(1)
    missed: Counter[str] = Counter()
    for at, tag in enumerate(_tags(contest, number)):
        answer = contest.answer("forward", (number, at))
        missed.update([tag, answer] if answer != tag else [])
    rare = [tag for tag, _ in missed.most_common() if tag != commonest]
    return rare[0] if rare else commonest
