"""Rows that int8 takes much from, held against their definition."""

from __future__ import annotations

import statistics

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from birnn.reference.outliers import OUTLIER, outliers

NUMBERS = st.sampled_from([0.0, -0.0, 1e-30, 0.5, -1.0, 3.0, 40.0, 60.0, -250.0, 1e30])


@given(arrays(np.float32, array_shapes(min_dims=2, max_dims=2, min_side=0), elements=NUMBERS))
def test_outliers_are_rows_far_above_their_median(weights):
    ratios = []
    for row in np.abs(weights).astype(np.float64).tolist():
        others = [number for number in row if number]
        ratios.append(max(others) / statistics.median_high(others) if others else 0.0)
    beyond = [ratio for ratio in ratios if ratio > OUTLIER]
    found = outliers("w", weights)
    assert (found is None) == (not beyond)
    if found is not None:
        assert (found.rows, found.of) == (len(beyond), len(ratios))
        assert found.worst == max(ratios)
        assert found.notice.startswith(f"w: {len(beyond)} row")
