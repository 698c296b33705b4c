"""The page of a demo, and the parts of it that the quickstart shows too."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from birnn import report
from birnn.demos import brackets, senses
from birnn.demos.demo import Shown, draw
from birnn.report import figures
from birnn.report.figures import READERS
from birnn.report.parts import (
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
from birnn.studies.compare.contest import Contest, Member
from birnn.studies.compare.significance import percent

LONGEST_STRIP = 30  # symbols that are shown of a sequence
LONGEST_SERIES = 60  # steps that are drawn of a series
SHORT = 2  # characters of a symbol or a tag that a cell has room for
EXAMPLES = 3  # sequences that are shown


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
    # Of a user's own data it is not known what a demo's examples are chosen by.
    of_demo = BY_DEMO.get(contest.name, _sequences) if shown.cases else _sequences
    examples = of_demo(shown)
    if examples:
        first = (
            "; answers of the models of the first seed" if len(contest.comparison.seeds) > 1 else ""
        )
        drawn = f"Drawn at random from the test set, not by what the models answered{first}:"
        parts += [Text(drawn), *examples]
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
    )


# ---------------------------------------------------------------------- examples


def _senses(shown: Shown) -> list[Part]:
    """Sentences for each place of the evidence, the evidence underlined."""
    notes = {
        "left": "Evidence on the left",
        "right": "Evidence on the right",
        "both": "Evidence on both sides: a thing or a deed, and of which kind",
    }
    members = [
        (notes[evidence], member)
        for evidence in senses.EVIDENCE
        for member in shown.drawn(evidence, 2)
    ]
    return [Sentences([_sentence(shown, member, note, member[1]) for note, member in members])]


def _sentiment(shown: Shown) -> list[Part]:
    """A sentence of each kind."""
    members = [(kind, member) for kind in shown.contest.groups for member in shown.drawn(kind)]
    return [
        Sentences([_sentence(shown, member, kind.capitalize(), -1) for kind, member in members])
    ]


def _sentence(shown: Shown, member: Member, note: str, position: int) -> Sentence:
    contest = shown.contest
    return Sentence(
        words=[str(token) for token in contest.inputs[member[0]]],
        position=position,
        gold=contest.gold(member),
        answers={way: contest.answer(way, member) for way in contest.ways},
        clues=shown.cases[member[0]].clues,
        note=note,
    )


def _brackets(shown: Shown) -> list[Part]:
    """Sequences of each kind."""
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
        strips += [
            _strip(contest, found[at], marked=(brackets.INSIDE,), note=note)
            for at in draw(len(found), 2, of=note)
        ]
    return [Strips(strips)]


def _sequences(shown: Shown) -> list[Part]:
    """Sequences of symbols, or series, with their tags; nothing of texts, whose words are long."""
    contest = shown.contest
    inputs = contest.inputs
    if contest.comparison.task != "tagger":
        return []
    numbers = [at for at, sequence in enumerate(inputs) if len(sequence)]
    numbers = [numbers[at] for at in draw(len(numbers), EXAMPLES, of=contest.name)]
    marked = shown.demo.marked if shown.cases else _marked(contest)
    if all(isinstance(inputs[number], np.ndarray) for number in numbers):
        return [_series(contest, number, marked) for number in numbers]
    if any(len(str(symbol)) > SHORT for sequence in inputs for symbol in sequence):
        return []
    return [Strips([_strip(contest, number, marked=marked) for number in numbers])]


BY_DEMO: dict[str, Callable[[Shown], list[Part]]] = {
    "brackets": _brackets,
    "senses": _senses,
    "sentiment": _sentiment,
}


def _marked(contest: Contest) -> tuple[str, ...]:
    """Of tags too long to be written in a cell, the commonest but one; else none."""
    every: Counter[str] = Counter(tag for tags in contest.comparison.golds for tag in tags)
    ranked = [tag for tag, _ in every.most_common()]
    return () if max(map(len, ranked), default=0) <= SHORT else tuple(ranked[1:2])


def _part(contest: Contest, number: int, longest: int) -> slice:
    """A stretch of a sequence that is short enough, drawn at random."""
    over = len(contest.inputs[number]) - longest
    [first] = draw(over + 1, 1, of=f"{contest.name} {number}") if over > 0 else [0]
    return slice(first, first + longest)


def _place(contest: Contest, number: int, part: slice) -> str:
    """Which steps of a sequence are shown, where not all are."""
    length = len(contest.inputs[number])
    if length <= part.stop - part.start:
        return ""
    return f"Steps {part.start + 1} to {part.stop} of {length}"


def _strip(contest: Contest, number: int, *, marked: Sequence[str], note: str = "") -> Strip:
    part = _part(contest, number, LONGEST_STRIP)
    notes = [note, _place(contest, number, part), f"Filled: {', '.join(marked)}" if marked else ""]
    return Strip(
        symbols=[str(symbol) for symbol in contest.inputs[number]][part],
        gold=_tags(contest, number)[part],
        answers={way: _answers(contest, way, number)[part] for way in contest.ways},
        marked=marked,
        note=". ".join(filter(None, notes)),
    )


def _series(contest: Contest, number: int, marked: Sequence[str]) -> Picture:
    part = _part(contest, number, LONGEST_SERIES)
    gold = _tags(contest, number)[part]
    rows = [
        figures.TagRow("correct", "", gold),
        *(
            figures.TagRow(READERS[way].name, way, _answers(contest, way, number)[part])
            for way in contest.ways
        ),
    ]
    figure = figures.series(
        contest.inputs[number][part], rows=rows, gold=gold, marked=marked, first=part.start
    )
    place = _place(contest, number, part) or f"A series of {len(gold)} steps"
    return Picture(figure, f"{place}; what is wrong is framed.")


def _tags(contest: Contest, number: int) -> tuple[str, ...]:
    tags: tuple[str, ...] = contest.comparison.golds[number]
    return tags


def _answers(contest: Contest, way: str, number: int) -> tuple[str, ...]:
    tags: tuple[str, ...] = tuple(contest.comparison.trials[way][0].answers[number])
    return tags
