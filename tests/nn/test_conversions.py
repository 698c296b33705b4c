"""Layouts and conversions: where rows stand in each form of a batch."""

# R rows with padding, B sequences, T steps, W width of a row

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from layer_calls import run_on_torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.utils.rnn import pack_sequence

from birnn.errors import ShapeError
from birnn.nn._engine.segments import SegmentedBatch
from birnn.nn._engine.tensor_layout import TensorLayout, as_lengths
from birnn.nn.conversions import place
from birnn.ragged import Ragged

LENGTHS = st.lists(st.integers(0, 5), max_size=5)
STEPS = 6


def forms(batch):
    """The batch in each form that it can have."""
    some = {
        "ragged": (batch,),
        "padded": (batch.to_padded(steps=STEPS), batch.lengths.tolist()),
        "jagged": (batch.to_jagged(),),
    }
    if len(batch) and batch.lengths.min() > 0:
        some["packed"] = (pack_sequence(batch.to_list(), enforce_sorted=False),)
    return some


def numbered(lengths):
    """Rows that say their sequence and step."""
    counts = np.array(lengths, dtype=np.int64)
    empty = Ragged(np.zeros((int(counts.sum()), 2)), counts)
    values = np.stack([empty.sequence_of_row, empty.step_of_row], axis=1).astype(np.float64)
    return Ragged(torch.from_numpy(values), counts)


def rows_of(layout):
    """For each sequence, the rows of its steps."""
    lengths, starts, steps = (part.numpy() for part in layout.parts)
    return [starts[i] + steps[:length] for i, length in enumerate(lengths)]


@given(lengths=LENGTHS)
def test_every_step_is_found_in_every_form(lengths):
    batch = numbered(lengths)
    for form, arguments in forms(batch).items():
        placed = place(*arguments)
        assert all(part.dtype == torch.int64 for part in placed.layout.parts), form
        assert placed.layout.lengths.tolist() == lengths, form
        for i, rows in enumerate(rows_of(placed.layout)):
            expected = [[i, step] for step in range(lengths[i])]
            assert placed.rows[torch.from_numpy(rows)].tolist() == expected, form


@given(lengths=LENGTHS, seed=st.integers(0, 99))
def test_a_row_for_each_sequence_is_spread_over_its_steps(lengths, seed):
    batch = numbered(lengths)
    values_BW = torch.from_numpy(np.random.default_rng(seed).standard_normal((len(batch), 3)))
    for form, arguments in forms(batch).items():
        placed = place(*arguments)
        spread_RW = placed.spread(values_BW)
        assert spread_RW.shape[0] == placed.rows.shape[0], form
        for i, rows in enumerate(rows_of(placed.layout)):
            assert torch.equal(spread_RW[torch.from_numpy(rows)], values_BW[[i] * lengths[i]]), form


@given(lengths=LENGTHS)
def test_rows_leave_as_they_came(lengths):
    batch = numbered(lengths)
    for form, arguments in forms(batch).items():
        placed = place(*arguments)
        left = placed.restore(placed.clear(placed.rows))
        back = {
            "ragged": lambda x: x,
            "padded": lambda x: Ragged.from_padded(x, lengths),
            "jagged": Ragged.from_jagged,
            "packed": Ragged.from_packed,
        }[form](left)
        assert torch.equal(back.values, batch.values), form
        if form == "padded":
            for i, length in enumerate(lengths):
                assert not left[i, length:].any()


def test_clearing_takes_nan_out_of_the_padding():
    padded = torch.full((2, 3, 1), float("nan"))
    padded[0, :2] = 1
    placed = place(padded, [2, 0])
    assert placed.clear(placed.rows).view(2, 3).tolist() == [[1, 1, 0], [0, 0, 0]]


@given(lengths=LENGTHS, batch_first=st.booleans())
def test_padded_rows_with_either_axis_first(lengths, batch_first):
    batch = numbered(lengths)
    padded = batch.to_padded(steps=STEPS, batch_first=batch_first)
    layout = TensorLayout.padded(
        len(lengths), STEPS, torch.tensor(lengths, dtype=torch.int64), batch_first=batch_first
    )
    flat = padded.reshape(-1, 2)
    for i, rows in enumerate(rows_of(layout)):
        assert flat[torch.from_numpy(rows)].tolist() == [[i, step] for step in range(lengths[i])]


@pytest.mark.parametrize("ordered", [True, False])
def test_packed_sequences_keep_their_order(ordered):
    lengths = [4, 2, 1] if ordered else [1, 4, 2]
    batch = numbered(lengths)
    layout = TensorLayout.packed(pack_sequence(batch.to_list(), enforce_sorted=ordered))
    assert layout.lengths.tolist() == lengths
    assert layout.starts.tolist() == ([0, 1, 2] if ordered else [2, 0, 1])
    assert layout.steps.tolist() == [0, 3, 5, 6]


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@given(lengths=LENGTHS)
def test_torchs_engine_answers_alike_in_every_form(cell, lengths):
    draw = torch.Generator().manual_seed(0)
    gates = {"lstm": 4, "gru": 3}[cell]
    weights = [
        [torch.randn(*shape, generator=draw) for shape in ((gates * 2, 2), (gates * 2, 2))]
        for _ in range(2)
    ]
    batch = numbered(lengths).map(torch.Tensor.float)
    segments = SegmentedBatch(batch.lengths, batch.values.device)
    expected, final = run_on_torch(cell, batch.values, segments, weights)
    for arguments in forms(batch).values():
        placed = place(*arguments)
        segments = SegmentedBatch.of(placed.layout, placed.rows.device)
        assert SegmentedBatch.of(placed.layout, placed.rows.device) is segments  # made once
        output, ended = run_on_torch(cell, placed.rows, segments, weights)
        found = torch.cat(
            [output[torch.from_numpy(rows)] for rows in rows_of(placed.layout)] or [output]
        )
        assert torch.equal(found, expected)
        assert all(torch.equal(*parts) for parts in zip(ended, final, strict=True))
        rest = torch.ones(output.shape[0], dtype=torch.bool)
        for rows in rows_of(placed.layout):
            rest[torch.from_numpy(rows)] = False
        assert not output[rest].any()


def test_layouts_stay_on_the_cpu_and_plain():
    TensorLayout.padded(3, 71)  # made once for a shape, and never of tensors that do not last
    for around in (torch.device("meta"), torch.inference_mode(), FakeTensorMode()):
        for steps in (71, 72):
            with around:
                parts = TensorLayout.padded(3, steps, as_lengths([1, 2, 3], 3)).parts
                assert all(part.device.type == "cpu" for part in parts)
                parts = TensorLayout.padded(3, steps).parts
            if not isinstance(around, FakeTensorMode):
                assert parts[0].tolist() == [steps] * 3
                assert not any(part.is_inference() for part in parts)
    assert all(type(part) is torch.Tensor for part in TensorLayout.padded(3, 72).parts)


def test_lengths_of_any_kind():
    kinds = [[2, 0], (2, 0), np.array([2, 0], np.uint8), torch.tensor([2, 0], dtype=torch.int16)]
    for lengths in kinds:
        found = as_lengths(lengths, 2)
        assert found.dtype == torch.int64
        assert found.tolist() == [2, 0]
    assert as_lengths([], 0).shape == (0,)
    with pytest.raises(ShapeError, match="2 lengths for 3 sequences"):
        as_lengths([2, 0], 3)
