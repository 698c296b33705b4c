"""The bracket sequences against their definition, and the ceiling against enumeration."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.demos import brackets
from birnn.demos.brackets import CLOSE, INSIDE, OPEN, OTHERS, OUTSIDE, UNPAIRED
from birnn.errors import ConfigError


@given(count=st.integers(0, 60), seed=st.integers(0, 2**32 - 1), length=st.integers(2, 15))
def test_tags_follow_from_the_brackets(count: int, seed: int, length: int) -> None:
    examples = brackets.generate(count, seed, length=length)
    assert len(examples) == count
    for example in examples:
        text = "".join(example.inputs)
        assert len(text) == length
        assert set(text) <= {OPEN, CLOSE, *OTHERS}
        assert text.count(OPEN) <= 1
        assert text.count(CLOSE) <= 1
        tags = [
            INSIDE if OPEN in text[:place] and CLOSE in text[place + 1 :] else OUTSIDE
            for place in range(length)
        ]
        tags = [OUTSIDE if text[i] in (OPEN, CLOSE) else tag for i, tag in enumerate(tags)]
        assert example.target == tuple(tags)


def test_the_share_of_unpaired_brackets_is_exact() -> None:
    texts = ["".join(example.inputs) for example in brackets.generate(500, 0)]
    kinds = Counter((OPEN in text, CLOSE in text) for text in texts)
    missing = round(500 * UNPAIRED)
    assert kinds == {
        (True, False): missing,
        (False, True): missing,
        (True, True): 500 - 2 * missing,
    }
    assert all(text.index(OPEN) < text.index(CLOSE) for text in texts if {OPEN, CLOSE} <= set(text))


def test_places_of_the_brackets_are_uniform() -> None:
    texts = ["".join(example.inputs) for example in brackets.generate(9000, 1, length=5)]
    places = Counter((t.index(OPEN), t.index(CLOSE)) for t in texts if {OPEN, CLOSE} <= set(t))
    share = np.array(list(places.values())) / places.total()
    assert len(places) == 10
    # four standard errors of a share of one tenth
    assert np.abs(share - 0.1).max() < 4 * np.sqrt(0.09 / places.total())


@pytest.mark.parametrize("length", [2, 5, 10])
def test_ceiling_is_what_the_best_rule_on_what_was_read_reaches(length: int) -> None:
    # every arrangement of brackets with its probability; letters tell nothing
    sequences: list[tuple[float, str, list[bool]]] = []
    pairs = [(first, second) for first in range(length) for second in range(first + 1, length)]
    for first, second in pairs:
        for lacks, share in ((OPEN, UNPAIRED), (CLOSE, UNPAIRED), ("", 1 - 2 * UNPAIRED)):
            text = ["."] * length
            text[first] = "." if lacks == OPEN else OPEN
            text[second] = "." if lacks == CLOSE else CLOSE
            inside = [not lacks and first < place < second for place in range(length)]
            sequences.append((share / len(pairs), "".join(text), inside))
    best = np.zeros(length)
    for place in range(length):
        votes: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        for probability, joined, tags in sequences:
            votes[joined[: place + 1]][tags[place]] += probability
        best[place] = sum(max(vote) for vote in votes.values())
    np.testing.assert_allclose(brackets.ceiling_by_position(length), best, atol=1e-12)
    assert brackets.ceiling(length) == pytest.approx(best.mean())


def test_ceiling_is_near_the_98_percent_that_the_task_is_known_by() -> None:
    assert brackets.ceiling(10) == pytest.approx(0.98, abs=5e-4)


def test_seeds_repeat() -> None:
    assert brackets.generate(30, 5) == brackets.generate(30, 5)
    assert brackets.generate(30, 5) != brackets.generate(30, 6)


@pytest.mark.parametrize(
    ("arguments", "message"), [((-1, 0, 10), "count is -1"), ((1, 0, 1), "length is 1")]
)
def test_bad_calls_are_refused(arguments: tuple[int, int, int], message: str) -> None:
    count, seed, length = arguments
    with pytest.raises(ConfigError, match=message):
        brackets.generate(count, seed, length=length)
