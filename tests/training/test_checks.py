"""Training data whose tags are the next token: refused with two directions, learnt with one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from birnn.bundle import Encoder
from birnn.data import Example
from birnn.errors import DirectionError
from birnn.runtime import Predictor
from birnn.training.checks import MIN_SHIFTED_STEPS, reject_shifted_targets
from birnn.training.fit import fit
from birnn.training.sets import Sets

SEQUENCES = st.lists(st.text("abc", max_size=12).map(tuple), max_size=12)


def ahead(sequences, last="."):
    return [Example(s, (*s[1:], last) if s else ()) for s in sequences]


def counting(count, length=12):
    """Sequences in which each symbol decides the next: a b c d e a b ..."""
    starts = np.random.default_rng(0).integers(5, size=count)
    return [tuple("abcde"[(start + t) % 5] for t in range(length)) for start in starts]


@given(SEQUENCES, st.sampled_from([".", "a"]))
@example([tuple("ab" * 10)], ".")
@example([tuple("ab" * 10), ("a", "b")], ".")
def test_refused_as_soon_as_it_can_be_no_accident(sequences, last):
    changes = sum(a != b for s in sequences for a, b in itertools.pairwise(s))
    if changes >= MIN_SHIFTED_STEPS:
        with pytest.raises(DirectionError, match=r"--set encoder\.bidirectional=false"):
            reject_shifted_targets(ahead(sequences, last), Encoder())
    else:
        reject_shifted_targets(ahead(sequences, last), Encoder())
    reject_shifted_targets(ahead(sequences, last), Encoder(bidirectional=False))


@given(SEQUENCES, st.data())
def test_one_other_tag_makes_it_another_task(sequences, data):
    examples = ahead([tuple("ab" * 30), *sequences])
    which = data.draw(st.sampled_from([i for i, e in enumerate(examples) if len(e) > 1]))
    step = data.draw(st.integers(0, len(examples[which]) - 2))
    tags = list(examples[which].target)
    tags[step] = "?"
    examples[which] = Example(examples[which].inputs, tuple(tags))
    reject_shifted_targets(examples, Encoder())


def test_tags_that_copy_their_own_step_are_left_alone():
    reject_shifted_targets([Example(tuple("a" * 50), tuple("a" * 50))], Encoder())
    reject_shifted_targets([Example(tuple("ab" * 30), tuple("ab" * 30))], Encoder())


def test_labels_and_vectors_are_left_alone():
    reject_shifted_targets([Example(tuple("ab" * 30), "b")], Encoder())
    reject_shifted_targets([Example(np.zeros((40, 2), np.float32), ("a",) * 40)], Encoder())


def test_a_run_is_refused_before_it_leaves_anything_and_one_direction_learns(tiny, into, tmp_path):
    # what follows a symbol is settled by it, so that one direction can know it all
    examples = [Example(s, (*s[1:], s[0])) for s in counting(40, length=11)]
    with pytest.raises(DirectionError, match="at all 400 steps that one follows"):
        into(tmp_path / "model", "tagger", examples, examples[:10], tiny())
    assert list(tmp_path.iterdir()) == []
    recipe = tiny(encoder__bidirectional=False, training__epochs=15, dropout__inputs=0.0)
    model = Predictor(fit("tagger", Sets(examples, examples[:10]), recipe).bundle)
    session = model.online()
    assert [session.step(symbol) for symbol in "abcdeab"] == list("bcdeabc")
