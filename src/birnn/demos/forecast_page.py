"""The page of the demo that two directions must refuse."""

from __future__ import annotations

import platform
from pathlib import Path

from birnn import report
from birnn.demos.forecast import ForecastResult
from birnn.report import figures
from birnn.report.parts import Picture, Section, Text


def write(path: Path | str, found: ForecastResult) -> Path:
    """Write the page of the forecasts.

    Args:
        path: Where.
        found: What was measured.

    Raises:
        OutputError: The file cannot be written.
    """
    refused = figures.no_generation()
    steps, channels = found.example.shape
    drawn = figures.series(found.example)
    first, *further = found.tables()
    return report.write(
        path,
        "Why two directions cannot forecast",
        [
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
                        refused,
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
                ],
            ),
        ],
        lead="Each value of a series is forecast from those before it. One direction learns to; "
        "for two the answer stands in the input.",
        footer=f"{2 * len(found.seeds)} models trained and tested in {found.seconds:.0f} s, "
        f"Python {platform.python_version()}, {platform.system()} {platform.machine()}",
    )
