"""The padded arrays of exported models: what the codec says of each sequence, padded by 0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from birnn.bundle import Bundle
from birnn.errors import DataError, LengthError, UsageError
from birnn.export.feeds import answers_of, fed, feeds, unpadded
from birnn.export.verify import random_batch, sample


def test_a_batch_is_what_each_sequence_is_alone(model: Callable[..., Bundle], name: str) -> None:
    bundle = model(name)
    batch = [*sample(bundle), *random_batch(bundle)]
    lengths = list(map(len, batch))
    assert {0, 1} < set(lengths)
    found = feeds(bundle, batch)
    assert found["lengths"].tolist() == lengths
    for number, sequence in enumerate(batch):
        alone = feeds(bundle, [sequence])
        assert set(alone) == set(found)
        for key in set(found) - {"lengths"}:
            one, row = alone[key][0], found[key][number]
            assert row.dtype == one.dtype in (np.int64, np.float32)
            inside = tuple(slice(0, size) for size in one.shape)
            np.testing.assert_array_equal(row[inside], one)
            # What is beyond is padding: there is nothing but zeros.
            row = row.copy()
            row[inside] = 0
            assert not row.any()


def test_a_batch_of_empty_sequences_has_a_step_of_padding(
    model: Callable[..., Bundle], name: str
) -> None:
    bundle = model(name)
    nothing: list[Any] = [()] if bundle.spec.inputs.holds == "tokens" else [np.zeros((0, 0))]
    for array in feeds(bundle, nothing).values():
        assert array.shape[0] == 1
        assert 0 not in array.shape
        assert not array.any()


def test_written_forms_are_spelt_out(model: Callable[..., Bundle]) -> None:
    bundle = model("lstm-iob2")
    found = feeds(bundle, [("The", "bank"), (), ("e\u0301tude",)])
    characters = bundle.vocabularies["characters"]
    spelt = found["characters"][0, 0][: found["character_lengths"][0, 0]]
    assert [characters[number] for number in spelt] == ["T", "h", "e"]
    # Looked up in NFC, as the runtime does: one letter with its accent, not two.
    assert found["character_lengths"].tolist() == [[3, 4], [0, 0], [5, 0]]
    assert found["words"][2, 0] == bundle.vocabularies["words"].index("\u00e9tude")


def test_scores_of_padding_are_left_out(model: Callable[..., Bundle]) -> None:
    scores = np.arange(12.0).reshape(2, 3, 2)
    found = unpadded(model("mixed"), scores, np.array([2, 0]))
    assert [rows.tolist() for rows in found] == [[[0, 1], [2, 3]], []]
    assert unpadded(model("far"), scores[:, 0], np.array([2, 0]))[1].tolist() == [6, 7]


def test_targets_and_their_bound_stand_beside_the_sources(model):
    bundle = model("c-from-h")
    given = feeds(bundle, ["ACG", ""], [["K", "S"], []])
    assert {name: array.tolist() for name, array in given.items()} == {
        "lengths": [3, 0],
        "symbols": [[1, 2, 3], [0, 0, 0]],
        "longest": [6, 5],  # 5 + 0.37 for each step
        "targets": [[2, 5], [0, 0]],
        "target_lengths": [2, 0],
    }
    with pytest.raises(LengthError, match="there are 2 sequences and 1 targets"):
        feeds(bundle, ["ACG", ""], [["K"]])
    with pytest.raises(DataError, match="'<s>' is no symbol that this model writes"):
        feeds(bundle, [""], [["K", "<s>"]])
    with pytest.raises(UsageError, match="a tagger writes no sequences"):
        feeds(model("mixed"), [""], [["K"]])


def test_of_a_filler_the_gaps_alone_are_answered_for(model):
    bundle = model("gaps")
    given, asked = fed(bundle, [["the", "___", "of", "[MASK]"], [], ["bank"]])
    assert asked.tolist() == [[False, True, False, True], [False] * 4, [False] * 4]
    scores = np.arange(3 * 4 * 5).reshape(3, 4, 5)
    found = unpadded(bundle, scores, given["lengths"], asked)
    assert [rows.tolist() for rows in found] == [scores[0, [1, 3]].tolist(), [], []]
    labels = bundle.vocabularies["labels"]
    answers = answers_of(bundle, scores.argmax(axis=2), given["lengths"], asked)
    assert answers == [[labels[4], labels[4]], [], []]
