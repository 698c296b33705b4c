"""The page of a comparison of merges."""

from __future__ import annotations

from pathlib import Path

from birnn import report
from birnn.report.parts import Section, Text
from birnn.studies.merges.comparison import MergeComparison
from birnn.studies.turns import footer


def write(path: Path | str, found: MergeComparison, *, name: str) -> Path:
    """Write the page of a comparison of merges.

    Args:
        path: Where.
        found: What was measured.
        name: Of the data.

    Raises:
        OutputError: The file cannot be written.
    """
    measured, opposed, vanishing = found.tables()
    return report.write(
        path,
        "Two halves, one row",
        [
            Section("What each merge reached", [measured]),
            Section(
                "Halves that cancel each other",
                [
                    Text(
                        "The backward half is made to say the opposite of the forward half. Side "
                        "by side both are there; their sum is 0, whatever was read."
                    ),
                    opposed,
                ],
            ),
            Section(
                "A half that vanishes",
                [
                    Text(
                        "The backward half is made smaller and smaller. A product vanishes with it "
                        "and so does the gradient that the forward half would learn from."
                    ),
                    vanishing,
                ],
            ),
        ],
        lead=f"Models that differ in how the two halves become one row, trained on {name} with the "
        "same settings; and two cases in which a merge loses what the halves knew.",
        footer=footer(f"{found.models} models trained and tested in {found.seconds:.0f} s"),
    )
