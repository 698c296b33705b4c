"""The page of models that differ in one setting."""

from __future__ import annotations

from pathlib import Path

from birnn import report
from birnn.report import figures
from birnn.report.parts import Picture, Section, Text
from birnn.studies.turns import footer
from birnn.studies.variants.comparison import VariantComparison


def write(path: Path | str, found: VariantComparison, *, name: str) -> Path:
    """Write the page of a comparison of variants.

    Args:
        path: Where.
        found: What was measured.
        name: Of the data.

    Raises:
        OutputError: The file cannot be written.
    """
    measured, *_ = found.tables()
    verdicts = [Text(line) for line in found.verdicts()]
    return report.write(
        path,
        f"Every {found.varied} on one task",
        [
            Section(f"What each {found.varied} reached", [*_accuracy(found), measured, *verdicts]),
            *(
                Section(case.name.capitalize(), [Text(case.about), case.table])
                for case in found.cases
            ),
        ],
        lead=f"Models that differ in their {found.varied} alone, trained on {name} with the same "
        "settings and asked for the same sequences.",
        footer=footer(f"{found.models} models trained and tested in {found.seconds:.0f} s"),
    )


def _accuracy(found: VariantComparison) -> list[Picture]:
    """The medians as bars, where they are accuracies."""
    if any(comparison.metric != "accuracy" for comparison in found.of.values()):
        return []
    figure = figures.accuracy_by_group(found.by_way(), groups=found.varied)
    seeds = len(found.seeds)
    over = f", median of {seeds} seeds" if seeds > 1 else ""
    return [Picture(figure, f"Accuracy on the test set by {found.varied}{over}.")]
