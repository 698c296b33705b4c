"""What the second direction buys on a data set: one direction against two, at several widths.

Four ways of reading (`trials.WAYS`) are trained with the same settings and seeds and asked for the
same test set. Half the width gives an output as wide as that of one direction; the width of equal
parameters tells the second direction's worth from that of a bigger model.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from birnn.data import ReadOptions
from birnn.errors import Tell, UsageError, nearest, no_notice
from birnn.metrics import edit_distance
from birnn.metrics.significance import (
    McNemar,
    PairedPermutation,
    PairedTest,
    mcnemar,
    p_value,
    paired_permutation,
)
from birnn.report.figures import READERS
from birnn.report.parts import Table
from birnn.studies.compare.groups import group_name, groups_of, places_of
from birnn.studies.compare.metric import Metric, Spread, metric_of
from birnn.studies.compare.trials import WAYS, Trial, TrialPlan, run_trials
from birnn.tasks import TASKS
from birnn.training.recipe import Recipe
from birnn.training.sets import DataSource, DataSources

COMPARED = tuple(
    name for name, head in TASKS.items() if head.has_labels or head.target == "sequence"
)
"""The tasks whose answers are right or wrong, which tests of significance count."""
PAIR = ("forward", "both")  # who meet in the tests


@dataclass(frozen=True, slots=True)
class Comparison:
    """Ways of reading, trained with several seeds and asked for one test set.

    Args:
        task: One of `COMPARED`.
        golds: The right answers: tags of each sequence, its label or labels, or its target symbols.
        lengths: Steps of each test sequence.
        trials: Way of reading to its trials, in the order of the seeds.
        threads: Threads of each trial, where they were set.
        jobs: Trials that ran side by side.
        references: Of each sequence the answers that are right as well; none where it is empty.
        steps: Of each sequence the steps that have an answer, from 1 on, where some alone have.
    """

    task: str
    golds: Sequence[Any]
    lengths: Sequence[int]
    trials: Mapping[str, Sequence[Trial]]
    threads: int | None = None
    jobs: int = 1
    references: Sequence[Sequence[Any]] = ()
    steps: Sequence[np.ndarray] = ()

    @classmethod
    def of(
        cls, plan: TrialPlan, trials: Mapping[str, Sequence[Trial]], *, jobs: int = 1
    ) -> Comparison:
        """Trials of a plan beside the right answers.

        Args:
            plan: What all trials shared.
            trials: Way of reading to its trials.
            jobs: Trials that ran side by side.
        """
        head = next(iter(trials.values()))[0].spec.head
        test = [head.question(example, number) for number, example in enumerate(plan.sets.test)]
        golds = [example.target for example in test]
        lengths = [len(example) for example in test]
        references = [example.references for example in test]
        asked = [head.asked([example.inputs]) for example in test]
        steps = [np.flatnonzero(rows) + 1 for rows in asked if rows is not None]
        return cls(plan.task, golds, lengths, trials, plan.threads, jobs, references, steps)

    @property
    def ways(self) -> tuple[str, ...]:
        """The ways of reading."""
        return tuple(self.trials)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of each."""
        return tuple(trial.seed for trial in next(iter(self.trials.values())))

    @property
    def metric(self) -> str:
        """What counts, a key of `METRICS`: the score that chose the weights."""
        return next(iter(self.trials.values()))[0].monitored

    @property
    def measure(self) -> Metric:
        """The same in words."""
        return metric_of(self.metric, next(iter(self.trials.values()))[0].scores)

    def scores(self) -> dict[str, list[float]]:
        """The metric on the test set, for each way and seed."""
        return {
            way: [float(trial.scores[self.metric]) for trial in trials]
            for way, trials in self.trials.items()
        }

    def spread(self, way: str) -> Spread:
        """The metric of a way over its seeds."""
        return Spread.of(self.scores()[way])

    @property
    def curves(self) -> dict[str, list[Sequence[float]]]:
        """The metric on the dev set after each epoch, for each way and seed."""
        return {way: [trial.curve for trial in trials] for way, trials in self.trials.items()}

    @property
    def losses(self) -> dict[str, list[Sequence[float]]]:
        """The mean training loss in each epoch, for each way and seed."""
        return {way: [trial.losses for trial in trials] for way, trials in self.trials.items()}

    def right(self, trial: Trial) -> list[np.ndarray]:
        """For each test sequence, whether each of its steps, or its one answer, is right."""
        if not TASKS[self.task].per_step:
            return [
                np.array([any(self._is_same(answer, each) for each in references)])
                for references, answer in zip(self._references(), trial.answers, strict=True)
            ]
        return [
            np.array([g == a for g, a in zip(gold, answer, strict=True)])
            for gold, answer in zip(self.golds, trial.answers, strict=True)
        ]

    def _is_same(self, answer: Any, gold: Any) -> bool:
        """Whether an answer is a right one; sets of labels have no order."""
        if TASKS[self.task].independent:
            return set(answer) == set(gold)
        return bool(answer == gold)

    def errors(self, trial: Trial) -> list[int]:
        """For each test sequence, the edits from its answer to the closest right one."""
        return [
            min(edit_distance(reference, answer) for reference in references)
            for references, answer in zip(self._references(), trial.answers, strict=True)
        ]

    def _references(self) -> list[tuple[Any, ...]]:
        """Of each sequence all its right answers."""
        others = self.references or [()] * len(self.golds)
        return [(gold, *more) for gold, more in zip(self.golds, others, strict=True)]

    def by_position(self) -> tuple[list[str], dict[str, list[float]]]:
        """Accuracy of steps by their position, or of labels by the sequence's length.

        Positions that few sequences reach are taken together until there are enough of them.

        Returns:
            Names of the groups, such as ``"1"`` and ``"11-20"``; and for each way its accuracy in
            each, over all seeds.
        """
        places = self.steps or places_of(self.task, self.lengths)
        place = np.concatenate([np.zeros(0, int), *places])
        edges = groups_of(place)
        names = [group_name(first, last) for first, last in edges]
        accuracy = {}
        for way, trials in self.trials.items():
            right = np.mean([np.concatenate(self.right(trial)) for trial in trials], axis=0)
            accuracy[way] = [
                float(right[(place >= first) & (place <= last)].mean()) for first, last in edges
            ]
        return names, accuracy

    def tests(self) -> dict[str, list[PairedTest]]:
        """Tests of one direction against two, for each seed.

        Returns:
            What is counted to the tests, in the order of the seeds; nothing where one of the two
            was left out. ``steps`` and ``sequences`` (all of a sequence right or not) are counted
            by McNemar's test, ``symbols`` (edits of each sequence) by a permutation test.
        """
        if any(way not in self.trials for way in PAIR):
            return {}
        pairs = list(zip(*(self.trials[way] for way in PAIR), strict=True))
        rights = [(self.right(one), self.right(two)) for one, two in pairs]
        found: dict[str, list[PairedTest]] = {}
        if TASKS[self.task].per_step:
            found["steps"] = [mcnemar(*map(np.concatenate, both)) for both in rights]  # type: ignore[arg-type]
        if self._counts_errors:
            found["symbols"] = [
                paired_permutation(self.errors(one), self.errors(two)) for one, two in pairs
            ]
        found["sequences"] = [
            mcnemar(*([bool(right.all()) for right in one] for one in both)) for both in rights
        ]
        return found

    @property
    def _counts_errors(self) -> bool:
        """Whether answers are sequences, which are more or less wrong."""
        return TASKS[self.task].target == "sequence"

    def verdicts(self) -> list[str]:
        """What the tests say: for each unit, that of the seed with the median p."""
        one, two = (READERS[way].name for way in PAIR)
        return [
            f"Of {unit}, {_middle(tests).verdict(one, two)}" for unit, tests in self.tests().items()
        ] + self._same_models()

    def _same_models(self) -> list[str]:
        """Ways that are one model, since no other width is left between them."""
        ways = list(self.trials)
        return [
            f"{READERS[one].name.capitalize()} and {READERS[other].name} are the same model here."
            for at, one in enumerate(ways)
            for other in ways[at + 1 :]
            if self.trials[one][0].spec.encoder == self.trials[other][0].spec.encoder
        ]

    def answer(self) -> str:
        """Whether two directions are better than one here, in a sentence or two.

        Of errors in symbols the permutation test decides, of other answers McNemar's test of whole
        sequences, since steps of one sequence are no independent questions; where only the steps
        differ beyond chance, or the metric says otherwise, that is said. Empty where one of the two
        was left out.
        """
        tests = {unit: _middle(each) for unit, each in self.tests().items()}
        if not tests:
            return ""
        one, two = (self.spread(way).median for way in PAIR)
        metric, seeds = self.measure, len(self.seeds)
        whole = tests["symbols" if self._counts_errors else "sequences"]
        article = "an" if metric.name[0] in "aeiou" else "a"
        reached = (
            f"{article} {metric.name} of {metric.shown(two)} against {metric.shown(one)} for one"
        )
        reached += f" (medians of {seeds} seeds)" if seeds > 1 else ""
        if self._counts_errors and min(one, two) >= 1:
            return (
                f"Neither has learnt this: two directions reach {reached}, where empty answers "
                "make 100.0 %. Train for longer, or on more data."
            )
        alone = whole.apart(len(self.golds))
        test = f"{whole.name}, {p_value(whole.p)}"
        better = whole.second_is_better
        if not whole.significant:
            why = test if whole.decidable else "too few answers differ for a test"
            steps = tests.get("steps")
            more = (
                f" Counted by single steps the difference is beyond chance ({p_value(steps.p)}), "
                "but steps of one sequence hang together."
                if steps is not None and steps.significant
                else ""
            )
            return f"No difference is shown: two directions reach {reached}; {alone} ({why}).{more}"
        if one != two and better != ((two < one) if metric.lower_is_better else (two > one)):
            return self._contrary(whole, reached, f"{alone}, a difference beyond chance ({test})")
        verdict = "better" if better else "worse"
        return (
            f"Two directions are {verdict} than one here: they reach {reached}, and {alone}, a "
            f"difference beyond chance ({test})."
        )

    def _contrary(self, whole: PairedTest, reached: str, alone: str) -> str:
        """The answer where the metric's medians say other than the test of the middle seed."""
        if self._counts_errors:
            least = "fewer" if whole.second_is_better else "more"
            what = f"make {least} errors with the seed of the median p"
        else:
            least = "more" if whole.second_is_better else "fewer"
            what = f"get {least} whole sequences right"
        return f"It depends on what counts: two directions reach {reached}, but {what}: {alone}."

    def tables(self) -> list[Table]:
        """What each way of reading reached, and what it took."""
        seeds, metric = len(self.seeds), self.measure
        key, beside = metric.beside or ("", "")
        reached = Table(
            ["way of reading", "hidden", "parameters", metric.name, "least", "most"]
            + [beside] * bool(key),
            [
                [
                    READERS[way].name,
                    f"{trials[0].spec.encoder.hidden_size}",
                    f"{trials[0].spec.parameter_count():,}",
                    *map(metric.cell, self.spread(way).values()),
                    *(
                        [f"{statistics.median(trial.scores[key] for trial in trials):.4f}"]
                        if key
                        else []
                    ),
                ]
                for way, trials in self.trials.items()
            ],
            f"on the test set: median, least and most of {seeds} seeds"
            if seeds > 1
            else "on the test set",
        )
        return [reached, self._times()]

    def _times(self) -> Table:
        steps = sum(self.lengths)
        rows = []
        for way, trials in self.trials.items():
            train = statistics.median(trial.train_seconds for trial in trials)
            predict = statistics.median(trial.predict_seconds for trial in trials)
            epochs = statistics.median(trial.epochs for trial in trials)
            speed = f"{steps / predict:,.0f}" if predict > 0 else ""
            rows.append([READERS[way].name, f"{epochs:.0f}", f"{train:.1f}", speed])
        header = ["way of reading", "epochs", "training, s", "prediction, steps/s"]
        beside = f", {self.jobs} trainings side by side" if self.jobs > 1 else ""
        threads = f", threads: {self.threads}" if self.threads else ""
        return Table(header, rows, f"time{beside}{threads}")

    def to_dict(self) -> dict[str, Any]:
        """The numbers as plain Python objects."""
        names, accuracy = self.by_position()
        numbers: dict[str, Any] = {
            "task": self.task,
            "metric": self.measure.name,
            "test_sequences": len(self.golds),
            "test_steps": sum(self.lengths),
            "seeds": list(self.seeds),
        }
        for way, trials in self.trials.items():
            numbers[way] = self.spread(way).to_dict(self.metric) | {
                "hidden_size": trials[0].spec.encoder.hidden_size,
                "parameters": trials[0].spec.parameter_count(),
                "epochs": [trial.epochs for trial in trials],
                "train_seconds": [round(trial.train_seconds, 3) for trial in trials],
                "predict_seconds": [round(trial.predict_seconds, 4) for trial in trials],
                "scores": self.scores()[way],
                "dev_by_epoch": [list(trial.curve) for trial in trials],
                "loss_by_epoch": [list(trial.losses) for trial in trials],
                "by_position": dict(zip(names, accuracy[way], strict=True)),
            }
        for key, kind in (("mcnemar", McNemar), ("permutation", PairedPermutation)):
            numbers[key] = {
                unit: [test.to_dict(*PAIR) for test in tests]
                for unit, tests in self.tests().items()
                if isinstance(tests[0], kind)
            }
        numbers["verdicts"] = self.verdicts()
        numbers["answer"] = self.answer()
        return numbers


def compare(
    task: str,
    *,
    train: DataSource,
    test: DataSource,
    dev: DataSource | None = None,
    recipe: Recipe | None = None,
    ways: Sequence[str] = tuple(WAYS),
    seeds: Sequence[int] = (1, 2, 3),
    jobs: int = 1,
    threads: int | None = None,
    reading: ReadOptions = ReadOptions(),  # noqa: B008 - it is frozen
    tell: Tell = no_notice,
) -> Comparison:
    """Train every way of reading with every seed and ask each for the test set.

    Args:
        task: One of `COMPARED`.
        train: File of labelled examples, or the examples themselves.
        test: What all are asked.
        dev: What decides which weights are kept; a tenth of ``train``, the same for all, where
            there is none.
        recipe: Settings of training; its width is that of the model in one direction.
        ways: Ways of reading, keys of `WAYS`.
        seeds: Seeds of the models.
        jobs: Trials side by side.
        threads: Threads of each trial.
        reading: What is set about the reading of files.
        tell: Takes a line after each trial.

    Raises:
        UsageError: A task without labels, no such way, or none.
        DataError: Data that cannot be read or learnt from.
        Interrupted: Ctrl-C.

    Example:
        >>> from birnn.demos import brackets
        >>> draw = brackets.generate
        >>> found = compare(
        ...     "tagger", train=draw(40, 1), dev=draw(20, 2), test=draw(20, 3),
        ...     recipe=Recipe.load("tagger", overrides=["training.epochs=1"]),
        ...     ways=("forward", "both"), seeds=(1,),
        ... )
        >>> found.ways, found.metric, sorted(found.tests())
        (('forward', 'both'), 'accuracy', ['sequences', 'steps'])
    """
    if task not in COMPARED:
        raise UsageError(
            f"compare takes {', '.join(COMPARED)}, got {task!r}: {nearest(task, COMPARED)}"
        )
    for way in ways:
        if way not in WAYS:
            raise UsageError(f"{way!r} is no way of reading: {nearest(way, WAYS)}")
    recipe = recipe or Recipe.load(task)
    sources = DataSources(train, dev, test, reading)
    sets = sources.read(task, kind=recipe.inputs.kind, tell=tell)
    for note in sets.notes:
        tell(note)
    plan = TrialPlan(task, sets, recipe, threads)
    trials = run_trials(plan, ways, seeds, jobs=jobs, tell=tell)
    return Comparison.of(plan, trials, jobs=jobs)


def _middle(tests: Sequence[PairedTest]) -> PairedTest:
    """The test of the seed with the median p."""
    return sorted(tests, key=lambda test: test.p)[len(tests) // 2]
