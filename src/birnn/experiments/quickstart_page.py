"""What the quickstart measured, and the page that shows it."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from birnn.data import Example
from birnn.experiments import brackets, senses
from birnn.explain import figures, report
from birnn.explain.figures import READERS
from birnn.explain.report import (
    Code,
    Part,
    Picture,
    Section,
    Sentence,
    Sentences,
    Strip,
    Strips,
    Table,
    Text,
    Tiles,
)


@dataclass(frozen=True, slots=True)
class Answered:
    """A test sequence and the tags that each way of reading gave to it."""

    example: Example
    answers: Mapping[str, tuple[str, ...]]

    def right(self, way: str, position: int) -> bool:
        """Whether the tag at a position is the right one."""
        assert isinstance(self.example.target, tuple)
        return self.answers[way][position] == self.example.target[position]


@dataclass(frozen=True, slots=True)
class Contest:
    """Ways of reading, compared on one test set.

    Args:
        name: The experiment.
        unit: What is counted.
        groups: Name of a group to its members: (number of the test sequence, position).
        bound: Group to the accuracy that no left-to-right reader can exceed in expectation.
        answered: The test sequences and all answers.
        curves: Way of reading to its accuracy of all tags on the dev set, epoch by epoch.
        cases: What is known of the sentences, where they are cases of `senses`.
    """

    name: str
    unit: str
    groups: Mapping[str, Sequence[tuple[int, int]]]
    bound: Mapping[str, float]
    answered: Sequence[Answered]
    curves: Mapping[str, Sequence[float]]
    cases: Sequence[senses.Case]

    @property
    def ways(self) -> tuple[str, ...]:
        """The ways of reading."""
        return tuple(self.curves)

    def counts(self, way: str) -> dict[str, tuple[int, int]]:
        """For each group, how many answers are right, of how many."""
        return {
            group: (sum(self.answered[n].right(way, at) for n, at in members), len(members))
            for group, members in self.groups.items()
        }

    def by_group(self, way: str) -> dict[str, float]:
        """Accuracy in each group."""
        return {group: right / total for group, (right, total) in self.counts(way).items()}

    def accuracy(self, way: str) -> float:
        """Accuracy over all groups together."""
        counts = self.counts(way).values()
        return sum(right for right, _ in counts) / sum(total for _, total in counts)

    def limit(self) -> float:
        """The bound over all groups together."""
        sizes = {group: len(members) for group, members in self.groups.items()}
        return sum(self.bound[group] * size for group, size in sizes.items()) / sum(sizes.values())

    def table(self) -> Table:
        """A row for each group and one for all, a column for each way of reading."""
        label = {"senses": "evidence", "brackets": "position"}[self.name]
        groups = {way: self.by_group(way) for way in self.ways}
        rows = [
            [f"{label} {group}", *(percent(groups[way][group]) for way in self.ways), percent(best)]
            for group, best in self.bound.items()
        ]
        rows.append(["all", *(percent(self.accuracy(way)) for way in self.ways)])
        rows[-1].append(percent(self.limit()))
        header = [self.unit, *(READERS[way].name for way in self.ways), "limit of one direction"]
        return Table(header, rows, f"{self.name}: accuracy on {len(self.answered)} test sequences")

    def to_dict(self) -> dict[str, Any]:
        """The numbers as plain Python objects."""
        return {
            way: {
                "accuracy": self.accuracy(way),
                "by_group": self.by_group(way),
                "dev_accuracy_by_epoch": list(self.curves[way]),
            }
            for way in self.ways
        } | {"limit_of_one_direction": self.limit(), "test_sequences": len(self.answered)}


def percent(share: float) -> str:
    """A share as it is shown everywhere.

    Example:
        >>> percent(0.9996)
        '99.96 %'
        >>> percent(1.0), percent(0.5)
        ('100.0 %', '50.0 %')
    """
    # nothing short of all is shown as all
    return f"{100 * share:.2f} %" if 0.9995 <= share < 1 else f"{100 * share:.1f} %"


def sentence(contest: Contest) -> str:
    """A test sentence with evidence on the right, that only two directions tag well if any."""
    number, _ = _telling(contest, "right")
    return " ".join(str(token) for token in contest.answered[number].example.inputs)


def write(path: Path, words: Contest, pairs: Contest, *, bundle: Path, seconds: float) -> Path:
    """Write the page of the quickstart.

    Args:
        path: Where.
        words: The contest on `senses`.
        pairs: The contest on `brackets`.
        bundle: Folder of the tagger that was kept.
        seconds: Time that training and testing took.

    Raises:
        OutputError: The file cannot be written.
    """
    return report.write(
        path,
        "What the second direction buys",
        [
            Section("A word whose sense is settled elsewhere", _senses_parts(words)),
            Section("Inside the pair of brackets?", _brackets_parts(pairs)),
            Section("How they learned", _learning_parts(words, pairs)),
            Section(
                "All numbers",
                [
                    words.table(),
                    pairs.table(),
                    Text(
                        "The limit of one direction is computed from how the sequences are made: "
                        "no rule that reads from left to right is right more often in "
                        "expectation. On a finite test set a reader may land a little above it."
                    ),
                ],
            ),
            Section("Go on", _next_parts(words, bundle)),
        ],
        lead="Pairs of taggers with the same settings, trained on the same sequences. One of each "
        "pair reads from left to right, the other in both directions. Where what is to come "
        "matters, they part.",
        footer=f"four models trained and tested in {seconds:.0f} s, "
        f"Python {platform.python_version()}, {platform.system()} {platform.machine()}",
    )


def _senses_parts(contest: Contest) -> list[Part]:
    accuracy = {way: contest.by_group(way) for way in contest.ways}
    figure = figures.accuracy_by_group(
        accuracy, groups="where the evidence stands", bound=contest.bound
    )
    return [
        Text(
            "Which bank, which bark? The words that settle it stand to the left, to the right, or "
            "on both sides, where each side alone leaves two senses open. The test sentences "
            "combine openers, reasons and closings in ways that training never showed."
        ),
        _tiles(contest, "senses right"),
        Picture(
            figure,
            "Ambiguous words with the right sense. With the evidence on the left both ways of "
            "reading know it; what is still to come, only two directions know.",
            "Bars: accuracy at the ambiguous word by where the evidence stands. "
            + figures.describe(accuracy),
        ),
        Text("From the test set, the evidence underlined:"),
        Sentences([_sentence(contest, evidence) for evidence in senses.EVIDENCE]),
    ]


def _brackets_parts(contest: Contest) -> list[Part]:
    accuracy = {way: contest.by_group(way) for way in contest.ways}
    figure = figures.accuracy_by_position(
        {way: list(values.values()) for way, values in accuracy.items()},
        bound=list(contest.bound.values()),
    )
    return [
        Text(
            "A position is inside if a bracket was opened before it and is closed after it. In a "
            f"few sequences ({percent(brackets.UNPAIRED)}) the closing bracket never comes: "
            "reading from left to right, one can only bet that it will."
        ),
        _tiles(contest, "positions right"),
        Picture(
            figure,
            "Accuracy at each position of the sequence.",
            "Lines: accuracy at each position. " + figures.describe(accuracy),
        ),
        Strips(_strips(contest)),
    ]


def _learning_parts(*contests: Contest) -> list[Part]:
    parts: list[Part] = []
    for contest in contests:
        last = {way: {"last epoch": scores[-1]} for way, scores in contest.curves.items()}
        parts.append(
            Picture(
                figures.learning_curves(contest.curves, metric="accuracy of all tags"),
                f"{contest.name.capitalize()}: accuracy of all tags on the dev set after each "
                "epoch. The best epoch's weights are kept.",
                f"Lines: accuracy on the dev set of {contest.name} after each epoch. "
                + figures.describe(last),
            )
        )
    return parts


def _next_parts(contest: Contest, bundle: Path) -> list[Part]:
    return [
        Text(
            f"The tagger of senses with two directions is in {bundle}: a folder with a model card, "
            "that needs no PyTorch to run."
        ),
        Code(
            f'echo "{sentence(contest)}" | birnn predict {bundle}\n'
            "birnn train tagger --train train.conllu --dev dev.conllu --out pos/"
        ),
    ]


def _tiles(contest: Contest, what: str) -> Tiles:
    tiles = [
        (f"{READERS[way].name}: {what}", percent(contest.accuracy(way)), way)
        for way in contest.ways
    ]
    return Tiles([*tiles, ("limit of one direction", percent(contest.limit()), "")])


def _telling(contest: Contest, group: str) -> tuple[int, int]:
    """The first member of a group that two directions get right and one gets wrong, or any."""
    members = contest.groups[group]
    answered = contest.answered
    return next(
        (
            (n, at)
            for n, at in members
            if answered[n].right("both", at) and not answered[n].right("forward", at)
        ),
        members[0],
    )


def _sentence(contest: Contest, evidence: str) -> Sentence:
    number, position = _telling(contest, evidence)
    answered, case = contest.answered[number], contest.cases[number]
    notes = {
        "left": "Evidence on the left",
        "right": "Evidence on the right",
        "both": "Evidence on both sides: a thing or a deed, and of which kind",
    }
    return Sentence(
        words=[str(token) for token in answered.example.inputs],
        position=position,
        gold=case.tag,
        answers={way: tags[position] for way, tags in answered.answers.items()},
        clues=case.clues,
        note=notes[evidence],
    )


def _strips(contest: Contest) -> list[Strip]:
    """One sequence of each kind; of the unclosed ones one on which one direction errs most."""
    kinds = {
        "Opened and closed": (True, True),
        "Opened and never closed: nothing is inside": (True, False),
        "Closed and never opened: nothing is inside": (False, True),
    }
    strips = []
    for note, (opened, closed) in kinds.items():
        found = [
            answered
            for answered in contest.answered
            if (brackets.OPEN in answered.example.inputs) == opened
            and (brackets.CLOSE in answered.example.inputs) == closed
        ]
        if found:
            answered = max(found, key=_telling_marks)
            assert isinstance(answered.example.target, tuple)
            strips.append(
                Strip(
                    symbols=[str(symbol) for symbol in answered.example.inputs],
                    gold=answered.example.target,
                    answers=dict(answered.answers),
                    marked=brackets.INSIDE,
                    note=note,
                )
            )
    return strips


def _telling_marks(answered: Answered) -> tuple[int, int]:
    """What makes a sequence worth showing: errors of one direction, then positions inside."""
    places = range(len(answered.example))
    assert isinstance(answered.example.target, tuple)
    errors = sum(not answered.right("forward", place) for place in places)
    return errors, answered.example.target.count(brackets.INSIDE)
