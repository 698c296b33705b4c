"""The attention matrix: every weight is a cell, every bar the sum of its column."""

from __future__ import annotations

import numpy as np
import pytest

from birnn.errors import DataError, ShapeError
from birnn.report import figures
from birnn.report.figures import alt_text
from birnn.report.figures.style import TOOLTIP


def test_every_weight_is_a_cell_and_coverage_the_sum_of_its_column() -> None:
    weights = np.random.default_rng(0).dirichlet(np.ones(4), 3)
    figure = figures.attention_matrix("abca", ["X", "Y", "</s>"], weights, overlooked=[2])
    matrix, _, coverage = figure.axes
    cells = {
        (round(p.get_y() + 0.47), round(p.get_x() + 0.47)): p for p in matrix.patches if p.get_gid()
    }
    assert set(cells) == {(step, symbol) for step in range(3) for symbol in range(4)}
    for at, cell in cells.items():
        assert cell.get_alpha() == pytest.approx(weights[at])
        assert cell.get_gid().endswith(f": {100 * weights[at]:.1f} %")
    assert cells[1, 3].get_gid().startswith(f"{TOOLTIP}Y (2) from 'a' (4)")
    heights = [bar.get_height() for bar in coverage.patches]
    np.testing.assert_allclose(heights, weights.sum(axis=0))
    assert sum(heights) == pytest.approx(3)  # each step gives one in all
    [marks] = coverage.lines
    assert marks.get_xdata().tolist() == [2]
    assert alt_text(figure).endswith("Never looked at: 'c' (3).")


def test_symbols_that_do_not_fit_are_numbers() -> None:
    for symbols, steps, written in [(25, 60, True), (26, 61, False)]:
        weights = np.full((steps, symbols), 1 / symbols)
        figure = figures.attention_matrix(["ab"] * symbols, ["cd"] * steps, weights)
        matrix, _, coverage = figure.axes
        for axis, name in ((matrix.yaxis, "cd"), (coverage.xaxis, "ab")):
            named = {label.get_text() for label in axis.get_ticklabels()}
            assert (named == {name}) is written
        assert "Never" not in alt_text(figure)
        assert figure.get_figheight() < 12


def test_what_is_no_attention_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"weights are \(1, 2\), expected \(1, 1\)"):
        figures.attention_matrix("a", "b", [[0.5, 0.5]])
    for source, target in (("", "b"), ("a", "")):
        with pytest.raises(DataError, match="nothing to draw"):
            figures.attention_matrix(source, target, np.zeros((len(target), len(source))))
