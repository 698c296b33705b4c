"""What all generators share: streams of chance, held-out sequences, shares by group."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.demos.demo import (
    ALL,
    HELD_OUT,
    LATER,
    SO_FAR,
    in_split,
    limit_by_group,
    rng,
)
from birnn.errors import ConfigError


@given(symbols=st.text("ACGT"))
def test_a_sequence_belongs_to_one_split(symbols: str) -> None:
    assert in_split(symbols, "train") != in_split(symbols, "test")


def test_one_in_so_many_is_held_out() -> None:
    texts = [f"{number:05}" for number in range(20_000)]
    share = sum(in_split(text, "test") for text in texts) / len(texts)
    assert share == pytest.approx(1 / HELD_OUT, abs=4 * (0.16 / len(texts)) ** 0.5)


def test_streams_differ_by_seed_and_split_and_repeat() -> None:
    first = rng(1, 3, "train").random()
    assert rng(1, 3, "train").random() == first
    assert rng(1, 4, "train").random() != first
    assert rng(1, 3, "test").random() != first


def test_bad_calls_are_refused() -> None:
    with pytest.raises(ConfigError, match="count is -1"):
        rng(-1, 0, "train")
    with pytest.raises(ConfigError, match="split is 'dev': known: test, train"):
        rng(1, 0, "dev")  # type: ignore[arg-type]


@given(later=st.floats(0.01, 0.99), share=st.floats(0, 1, allow_subnormal=False))
def test_groups_make_up_the_whole(later: float, share: float) -> None:
    groups = limit_by_group(later, later * share)
    assert groups[LATER] == pytest.approx(share)
    together = later * groups[LATER] + (1 - later) * groups[SO_FAR]
    assert groups[ALL] == pytest.approx(together)
