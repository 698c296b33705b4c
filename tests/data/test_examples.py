from __future__ import annotations

import numpy as np
import pytest

from birnn.data.examples import Example


def test_examples_are_compared_by_what_they_hold():
    series = np.ones((2, 3), np.float32)
    assert Example(series, "x") == Example(series.copy(), "x")
    assert Example(series, "x") != Example(series + 1, "x")
    assert Example(series) != Example(("a", "b"))
    assert Example(("a",), series[0]) == Example(("a",), series[1])
    assert Example(("a",), "x", "f:1") != Example(("a",), "x", "f:2")
    assert Example(("a",)) != ("a",)


def test_examples_are_frozen_and_have_no_hash():
    example = Example(("a",))
    with pytest.raises(AttributeError):
        example.target = "x"
    with pytest.raises(TypeError):
        hash(example)
