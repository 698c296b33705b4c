"""A comparison whose answers fall into groups: by place of the evidence, by position, by kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from birnn.metrics.significance import percent
from birnn.report.figures import READERS
from birnn.report.parts import Table
from birnn.studies.compare.comparison import Comparison
from birnn.studies.compare.groups import Member
from birnn.studies.compare.metric import Spread
from birnn.studies.compare.trials import Trial
from birnn.tasks import TASKS


@dataclass(frozen=True, slots=True)
class Contest:
    """Ways of reading, compared on groups of answers.

    Args:
        name: The demo.
        unit: What is counted.
        grouping: What the groups are.
        groups: Name of a group to the answers in it. What is in none does not count.
        bound: Group to the accuracy that no left-to-right reader can exceed in expectation; empty
            where that is not known.
        inputs: The test sequences.
        comparison: Their right answers, and those of every trial.
    """

    name: str
    unit: str
    grouping: str
    groups: Mapping[str, Sequence[Member]]
    bound: Mapping[str, float]
    inputs: Sequence[Any]
    comparison: Comparison

    @property
    def ways(self) -> tuple[str, ...]:
        """The ways of reading."""
        return self.comparison.ways

    def answer(self, way: str, member: Member) -> str:
        """What a way of reading said, with the first seed."""
        return self._pick(self.comparison.trials[way][0].answers, member)

    def gold(self, member: Member) -> str:
        """The right answer."""
        return self._pick(self.comparison.golds, member)

    def right(self, way: str, member: Member) -> bool:
        """Whether a way of reading is right, with the first seed."""
        return self.answer(way, member) == self.gold(member)

    def counts(self, way: str) -> dict[str, tuple[int, int]]:
        """For each group, how many answers are right, of how many; over all seeds."""
        each = [self._counts(trial) for trial in self.comparison.trials[way]]
        return {
            group: (sum(one[group][0] for one in each), sum(one[group][1] for one in each))
            for group in self.groups
        }

    def by_group(self, way: str) -> dict[str, float]:
        """Accuracy in each group, over all seeds."""
        return {group: right / total for group, (right, total) in self.counts(way).items()}

    def spread(self, way: str) -> Spread:
        """Accuracy over all groups together: the median over seeds, the least and the most."""
        shares = []
        for trial in self.comparison.trials[way]:
            counts = self._counts(trial).values()
            shares.append(sum(right for right, _ in counts) / sum(total for _, total in counts))
        return Spread.of(shares)

    def limit(self) -> float | None:
        """The bound over all groups together, where it is known."""
        if not self.bound:
            return None
        sizes = {group: len(members) for group, members in self.groups.items()}
        return sum(self.bound[group] * size for group, size in sizes.items()) / sum(sizes.values())

    def table(self) -> Table:
        """A row for each group and one for all, a column for each way of reading."""
        accuracy = {way: self.by_group(way) for way in self.ways}
        rows = [
            [f"{self.grouping} {group}", *(percent(accuracy[way][group]) for way in self.ways)]
            for group in self.groups
        ]
        header = [self.unit, *(READERS[way].name for way in self.ways)]
        spreads = [self.spread(way) for way in self.ways]
        rows.append(["all", *(percent(spread.median) for spread in spreads)])
        limit = self.limit()
        if limit is not None:
            header.append("limit of one direction")
            for row, best in zip(rows, [*self.bound.values(), limit], strict=True):
                row.append(percent(best))
        title = f"{self.name}: accuracy on {len(self.inputs)} test sequences"
        seeds = len(self.comparison.seeds)
        if seeds > 1:
            rows[-1][0] = "all, median of seeds"
            rest = [""] * (len(header) - 1 - len(spreads))
            rows.append(["all, least", *(percent(spread.least) for spread in spreads), *rest])
            rows.append(["all, most", *(percent(spread.most) for spread in spreads), *rest])
            title += f", {seeds} seeds"
        return Table(header, rows, title)

    def to_dict(self) -> dict[str, Any]:
        """The numbers as plain Python objects: one object for each way of reading, and facts."""
        numbers: dict[str, Any] = {}
        for way in self.ways:
            trials = self.comparison.trials[way]
            numbers[way] = self.spread(way).to_dict("accuracy") | {
                "by_group": self.by_group(way),
                "parameters": trials[0].spec.parameter_count(),
                "train_seconds": [round(trial.train_seconds, 3) for trial in trials],
                f"dev_{self.comparison.metric}_by_epoch": [list(trial.curve) for trial in trials],
                "loss_by_epoch": [list(trial.losses) for trial in trials],
            }
        return numbers | {
            "name": self.name,
            "limit_of_one_direction": self.limit(),
            "test_sequences": len(self.inputs),
            "seeds": list(self.comparison.seeds),
            "verdicts": self.comparison.verdicts(),
        }

    def _counts(self, trial: Trial) -> dict[str, tuple[int, int]]:
        right = self.comparison.right(trial)
        return {
            group: (int(sum(right[number][at] for number, at in members)), len(members))
            for group, members in self.groups.items()
        }

    def _pick(self, answers: Sequence[Any], member: Member) -> str:
        number, at = member
        answer = answers[number]
        if TASKS[self.comparison.task].target == "sequence":
            return " ".join(answer)
        return str(answer if isinstance(answer, str) else answer[at])
