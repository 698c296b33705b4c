from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.errors import ShapeError
from birnn.metrics import ValueScorer


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=1))
def test_value_scores_follow_from_their_definition(pairs):
    scorer = ValueScorer()
    for gold, predicted in pairs:
        scorer.update([gold], [predicted])
    result = scorer.result()
    gold, predicted = np.array(pairs).T
    mse = np.mean((gold - predicted) ** 2)
    assert result["mse"] == pytest.approx(mse)
    assert result["rmse"] == pytest.approx(np.sqrt(mse))
    assert result["mae"] == pytest.approx(np.mean(np.abs(gold - predicted)))
    if np.var(gold) > 1e-9:
        assert result["r2"] == pytest.approx(1 - mse / np.var(gold))
    assert result["sequences"] == len(pairs)


def test_r2_is_the_mean_over_values_and_1_or_0_without_variation():
    scorer = ValueScorer()
    for gold, predicted in [((1, 5, 7), (1, 5, 7)), ((3, 5, 7), (1, 5, 8))]:
        scorer.update(gold, predicted)
    # 1 - 4 / 2, then a constant that was met, then one that was not
    assert scorer.result()["r2"] == pytest.approx((-1 + 1 + 0) / 3)


def test_results_are_plain_json():
    values = ValueScorer()
    assert json.loads(json.dumps(values.result(), allow_nan=False)) == values.result()
    values.update(np.float32([1, 2]), np.float32([1, 3]))
    assert json.loads(json.dumps(values.result(), allow_nan=False)) == values.result()


def test_vectors_of_different_sizes_are_refused():
    with pytest.raises(ShapeError, match="2 predicted values for 1"):
        ValueScorer().update([1.0], [1.0, 2.0])
