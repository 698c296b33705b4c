"""The page of a comparison."""

from __future__ import annotations

from pathlib import Path

from birnn import report
from birnn.report import figures
from birnn.report.figures import READERS
from birnn.report.parts import Part, Picture, Section, Text, Tiles
from birnn.studies.compare.comparison import Comparison
from birnn.studies.compare.metric import Metric
from birnn.studies.turns import footer
from birnn.tasks import TASKS


def write(path: Path | str, found: Comparison, *, name: str) -> Path:
    """Write the page of a comparison.

    Args:
        path: Where.
        found: What was measured.
        name: Of the test set.

    Raises:
        OutputError: The file cannot be written.
    """
    metric = found.measure
    medians = [
        (f"{READERS[way].name}: {metric.name}", metric.shown(found.spread(way).median), way)
        for way in found.ways
    ]
    asked = Text(
        f"{len(found.ways)} ways of reading, trained with the same settings and asked for the "
        f"same {len(found.golds):,} sequences ({sum(found.lengths):,} steps) of {name}. Half the "
        "width gives an output as wide as that of one direction; the width of equal parameters "
        "tells what the second direction is worth from what a bigger model is worth."
    )
    reached: list[Part] = [asked, Tiles(medians), *found.tables(), _scores(found, metric)]
    return report.write(
        path,
        "One direction or two?",
        [
            Section("What each reached", reached),
            Section("By more than chance?", _verdicts(found)),
            Section("Where they differ", [_positions(found)]),
            Section("How they learned", [_curves(found, metric)]),
        ],
        lead=found.answer(),
        footer=_how(found),
    )


def _scores(found: Comparison, metric: Metric) -> Picture:
    figure = figures.scores_by_seed(found.scores(), metric=metric.name, share=metric.share)
    lower = "; lower is better" if metric.lower_is_better else ""
    return Picture(
        figure,
        f"{figures.capital(metric.name)} on the test set, a point for each seed{lower}.",
    )


def _verdicts(found: Comparison) -> list[Part]:
    lines = found.verdicts()
    if not lines:
        return [Text("For a test both one direction and two have to be compared.")]
    parts: list[Part] = [Text(line) for line in lines]
    seeds = len(found.seeds)
    note = "McNemar's exact test on the answers that differ"
    note += f"; of {seeds} seeds the one with the middle p. " if seeds > 1 else ". "
    if "symbols" in found.tests():
        note = (
            "Of symbols, an exact permutation test: were both models equally good, either might "
            "have made the other's errors on a sequence. Of sequences, " + note
        )
    if TASKS[found.task].per_step:
        note += (
            "Steps of one sequence hang together, so that the test of sequences is the careful one."
        )
    return [*parts, Text(note.strip())]


def _positions(found: Comparison) -> Picture:
    names, accuracy = found.by_position()
    steps = TASKS[found.task].per_step
    of = "position" if steps else "length"
    figure = figures.accuracy_by_position(accuracy, positions=names, of=of)
    what = "steps by their position" if steps else "answers by the sequence's length"
    return Picture(figure, f"Accuracy of {what}, mean over seeds.")


def _curves(found: Comparison, metric: Metric) -> Picture:
    figure = figures.learning_curves(
        found.curves,
        found.losses,
        metric=f"{metric.name} on dev",
        lower_is_better=metric.lower_is_better,
        share=metric.share,
    )
    return Picture(
        figure,
        f"{figures.capital(metric.name)} on the dev set after each epoch, and the mean training "
        "loss in it: median and range of the seeds.",
    )


def _how(found: Comparison) -> str:
    seconds = sum(trial.train_seconds for trials in found.trials.values() for trial in trials)
    beside = f", {found.jobs} side by side" if found.jobs > 1 else ""
    models = sum(map(len, found.trials.values()))
    return footer(f"{models} models trained in {seconds:.0f} s{beside}")
