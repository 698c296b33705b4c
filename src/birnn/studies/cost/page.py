"""The page of what directions cost."""

from __future__ import annotations

import platform
from pathlib import Path

from birnn import report
from birnn.report import figures
from birnn.report.parts import Part, Picture, Section
from birnn.studies.cost.report import CostReport


def write(path: Path | str, found: CostReport) -> Path:
    """Write the page of the costs.

    Args:
        path: Where.
        found: What was counted, and measured if it was.

    Raises:
        OutputError: The file cannot be written.
    """
    drawn: list[Part] = []
    for cell in found.cells:
        figure = figures.cost_bars(found.bars(cell))
        drawn.append(
            Picture(
                figure,
                f"{cell}: a layer of one direction, of two, and of two at half width.",
            )
        )
    return report.write(
        path,
        "What the second direction costs",
        [Section("Side by side", drawn), Section("All numbers", found.tables())],
        lead=f"Layers over {found.batch} sequences of {found.length} steps. Two directions at half "
        "width are as wide as one direction, with fewer parameters than it.",
        footer=f"{found.machine['processor']}, Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}",
    )
