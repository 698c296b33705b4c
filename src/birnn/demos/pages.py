"""The pages of the demos, of the forecasts and of the quickstart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from birnn import report
from birnn.demos.forecast import ForecastResult
from birnn.demos.runner import DemoResult, pick
from birnn.metrics.significance import percent
from birnn.report import figures
from birnn.report.figures import READERS
from birnn.report.parts import (
    Code,
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
from birnn.studies.compare.contest import Contest
from birnn.studies.compare.groups import Member
from birnn.studies.turns import footer
from birnn.tasks import TASKS

LONGEST_STRIP = 30  # symbols that are shown of a sequence
LONGEST_SERIES = 60  # steps that are drawn of a series
SHORT = 2  # characters of a symbol or a tag that a cell has room for
EXAMPLES = 3  # sequences that are shown

LIMIT = (
    "The limit of one direction is computed from how the sequences are made: no rule that reads "
    "from left to right is right more often in expectation. On a finite test set a reader may land "
    "a little above it."
)


def write(path: Path | str, shown: DemoResult) -> Path:
    """Write the page of a demo.

    Args:
        path: Where.
        shown: What was measured.

    Raises:
        OutputError: The file cannot be written.
    """
    contest = shown.contest
    parts = contest_parts(shown)
    if shown.samples:
        parts.append(Text(shown.demo.one_direction))
    tables = [contest.table(), *([variants] if (variants := shown.by_variant()) else [])]
    numbers: list[Part] = [*tables, *(Text(line) for line in contest.comparison.verdicts())]
    if contest.bound:
        numbers.append(Text(LIMIT))
    return report.write(
        path,
        shown.demo.title,
        [
            Section("What each direction knows", parts),
            Section("How they learned", [learning(contest)]),
            Section("All numbers", numbers),
            *(_forecast_sections(shown.forecast) if shown.forecast else []),
        ],
        lead=shown.demo.about,
        footer=footer(_trained(shown.models, shown.seconds)),
    )


def write_forecast(path: Path | str, found: ForecastResult) -> Path:
    """Write the page of the forecasts.

    Args:
        path: Where.
        found: What was measured.

    Raises:
        OutputError: The file cannot be written.
    """
    return report.write(
        path,
        "Why two directions cannot forecast",
        _forecast_sections(found),
        lead="Each value of a series is forecast from those before it. One direction learns to; "
        "for two the answer stands in the input.",
        footer=footer(_trained(found.models, found.seconds)),
    )


def _forecast_sections(found: ForecastResult) -> list[Section]:
    """What is forecast, what is refused, and what would happen if it were not."""
    steps, channels = found.example.shape
    drawn = figures.series(found.example)
    first, *further = found.tables()
    return [
        Section(
            "What is forecast",
            [
                Picture(
                    drawn,
                    f"The first of the test series, {steps} steps"
                    + (f" of {channels} channels" if channels > 1 else "")
                    + ": each value is to be said from those before it.",
                )
            ],
        ),
        Section(
            "Refused",
            [
                Text(found.refusal[0].upper() + found.refusal[1:]),
                Picture(
                    figures.no_generation(),
                    "Step by step, the backward half waits for values that have not come.",
                ),
            ],
        ),
        Section(
            "What would happen",
            [
                Text(
                    "The same model with two directions was trained past the refusal. Told the "
                    "whole series it looks better than is possible: the backward half has read "
                    "the value it is asked for. Told only the past, as in use, it has nothing."
                ),
                first,
                *further,
                Picture(
                    figures.training_losses(
                        {"forward": found.forward.losses, "both": found.both.losses}
                    ),
                    "Mean squared error of each epoch of training, in standard units: that of two "
                    f"directions falls as if values were known.{_band(len(found.seeds))}",
                ),
            ],
        ),
    ]


def write_quickstart(
    path: Path, words: DemoResult, pairs: DemoResult, *, bundle: Path, seconds: float
) -> Path:
    """Write the page of the quickstart.

    Args:
        path: Where.
        words: The demo `senses`.
        pairs: The demo `brackets`.
        bundle: Folder of the tagger that was kept.
        seconds: Time that training and testing took.

    Raises:
        OutputError: The file cannot be written.
    """
    both = (words, pairs)
    models = sum(shown.models for shown in both)
    return report.write(
        path,
        "What the second direction buys",
        [
            *(
                Section(
                    shown.demo.title,
                    [
                        Text(shown.demo.about),
                        *contest_parts(shown),
                        Text(shown.demo.one_direction),
                    ],
                )
                for shown in both
            ),
            Section("How they learned", [learning(shown.contest) for shown in both]),
            Section("All numbers", [*(shown.contest.table() for shown in both), Text(LIMIT)]),
            Section("Go on", _next(words, bundle)),
        ],
        lead="Pairs of taggers with the same settings, trained on the same sequences. One of each "
        "pair reads from left to right, the other in both directions. Where what is to come "
        "matters, they part.",
        footer=footer(_trained(models, seconds)),
    )


def _next(words: DemoResult, bundle: Path) -> list[Part]:
    sentence, parted = example_sentence(words)
    picked = ", picked because two directions tag it right and one does not" if parted else ""
    return [
        Text(
            f"The tagger of senses with two directions is in {bundle}: a folder with a model card, "
            f"that needs no PyTorch to run. The sentence below is one of the test set{picked}."
        ),
        Code(
            f'echo "{sentence}" | birnn predict {bundle}\n'
            f'birnn explain {bundle} "{sentence}" --out explained.html\n'
            "birnn train tagger --train train.conllu --dev dev.conllu --out pos/"
        ),
    ]


def example_sentence(words: DemoResult) -> tuple[str, bool]:
    """A test sentence with evidence on the right, and whether two directions alone tag it well.

    The first one of which that is so, or the first of all.
    """
    contest = words.contest

    def parted(member: Member) -> bool:
        return contest.right("both", member) and not contest.right("forward", member)

    found = min(contest.groups["right"], key=lambda member: not parted(member))
    return " ".join(map(str, contest.inputs[found[0]])), parted(found)


def _trained(models: int, seconds: float) -> str:
    return f"{models} models trained and tested in {seconds:.0f} s"


def contest_parts(shown: DemoResult) -> list[Part]:
    """Numbers, figure and examples of a demo."""
    contest = shown.contest
    parts: list[Part] = [tiles(contest), accuracy(contest)]
    # Of a user's own data it is not known what a demo's examples are chosen by.
    chosen = _of_kinds(shown) if shown.samples and shown.demo.shown else _of_all(shown)
    if chosen:
        first = (
            "; answers of the models of the first seed" if len(contest.comparison.seeds) > 1 else ""
        )
        drawn = f"Drawn at random from the test set, not by what the models answered{first}:"
        parts += [Text(drawn), *chosen]
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
    """The score on the dev set and the training loss, epoch by epoch."""
    found = contest.comparison
    metric = found.measure
    figure = figures.learning_curves(
        found.curves,
        found.losses,
        metric=f"{metric.name} on dev",
        lower_is_better=metric.lower_is_better,
        share=metric.share,
    )
    return Picture(
        figure,
        f"{contest.name.capitalize()}: {metric.name} on the dev set after each epoch, and the mean "
        f"training loss in it. The best epoch's weights are kept.{_band(len(found.seeds))}",
    )


def _band(seeds: int) -> str:
    return f" The line is the median of {seeds} seeds, the band their range." if seeds > 1 else ""


# ---------------------------------------------------------------------- examples


def _of_kinds(shown: DemoResult) -> list[Part]:
    """Samples of each kind that the demo shows: strips of symbols, or sentences."""
    demo, contest = shown.demo, shown.contest
    chosen: list[tuple[int, str]] = []
    for kind, note in demo.shown.items():
        found = [number for number, sample in enumerate(shown.samples) if sample.kind == kind]
        chosen += [(found[at], note) for at in pick(len(found), demo.shown_each, of=kind)]
    if demo.marked:
        return [Strips([_strip(contest, number, demo.marked, note) for number, note in chosen])]
    return [Sentences([_sentence(shown, number, note) for number, note in chosen])]


def _sentence(shown: DemoResult, number: int, note: str) -> Sentence:
    contest, sample = shown.contest, shown.samples[number]
    member = (number, sample.place)
    return Sentence(
        words=[str(token) for token in contest.inputs[number]],
        position=sample.position if TASKS[contest.comparison.task].per_step else -1,
        gold=contest.gold(member),
        answers={way: contest.answer(way, member) for way in contest.ways},
        clues=sample.clues,
        note=note,
    )


def _of_all(shown: DemoResult) -> list[Part]:
    """Sequences of symbols, or series, with their tags; nothing of texts, whose words are long."""
    contest = shown.contest
    inputs = contest.inputs
    if not TASKS[contest.comparison.task].per_step:
        return []
    numbers = [at for at, sequence in enumerate(inputs) if len(sequence)]
    numbers = [numbers[at] for at in pick(len(numbers), EXAMPLES, of=contest.name)]
    marked = shown.demo.marked if shown.samples else _marked(contest)
    if all(isinstance(inputs[number], np.ndarray) for number in numbers):
        return [_series(contest, number, marked) for number in numbers]
    if any(len(str(symbol)) > SHORT for sequence in inputs for symbol in sequence):
        return []
    return [Strips([_strip(contest, number, marked) for number in numbers])]


def _marked(contest: Contest) -> tuple[str, ...]:
    """Of tags too long to be written in a cell, the commonest but one; else none."""
    every: Counter[str] = Counter(tag for tags in contest.comparison.golds for tag in tags)
    ranked = [tag for tag, _ in every.most_common()]
    return () if max(map(len, ranked), default=0) <= SHORT else tuple(ranked[1:2])


def _part(contest: Contest, number: int, longest: int) -> slice:
    """A stretch of a sequence that is short enough, drawn at random."""
    over = len(contest.inputs[number]) - longest
    [first] = pick(over + 1, 1, of=f"{contest.name} {number}") if over > 0 else [0]
    return slice(first, first + longest)


def _place(contest: Contest, number: int, part: slice) -> str:
    """Which steps of a sequence are shown, where not all are."""
    length = len(contest.inputs[number])
    if length <= part.stop - part.start:
        return ""
    return f"Steps {part.start + 1} to {part.stop} of {length}"


def _strip(contest: Contest, number: int, marked: Sequence[str], note: str = "") -> Strip:
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
