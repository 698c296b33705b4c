"""What a model of two directions could not have read: drawn from what depends on what."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.errors import ConfigError
from birnn.report import figures
from birnn.report.figures.causality import LEVELS
from birnn.report.figures.style import TOOLTIP


@given(data=st.data(), steps=st.integers(2, 9))
def test_a_state_exists_if_all_that_it_reads_is_written(data: Any, steps: int) -> None:
    now = data.draw(st.integers(1, steps - 1))
    (axes,) = figures.no_generation(steps=steps, now=now).axes
    boxes = [patch for patch in axes.patches if (patch.get_gid() or "").startswith(TOOLTIP)]
    assert len(boxes) == 3 * steps
    for level, height in LEVELS.items():
        row = [box for box in boxes if abs(box.get_y() + box.get_height() / 2 - height) < 0.1]
        exists = {
            round(box.get_x() + box.get_width() / 2): box.get_facecolor()[3] > 0 for box in row
        }
        written = set(range(1, now + 1))
        # read step by step, as a model would: forward from the start, backward from the end
        read: set[int] = set()
        order = range(steps, 0, -1) if level == "backward" else range(1, steps + 1)
        for step in order:
            read = {step} if level == "input" else read | {step}
            assert exists[step] == (read <= written)


@pytest.mark.parametrize("now", [0, 4])
def test_there_must_be_something_written_and_something_to_write(now: int) -> None:
    with pytest.raises(ConfigError, match=f"now is {now}, it must be from 1 to 3"):
        figures.no_generation(steps=4, now=now)
