"""Ragged batches: every door both ways, and everything that is refused."""

# N rows of all sequences, B sequences, T steps of the longest, D width of a row

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence, pad_packed_sequence

from birnn.errors import LengthError, ShapeError
from birnn.ragged import Ragged, host_lengths

LENGTHS = st.lists(st.integers(0, 6), max_size=6)
FILLED = st.lists(st.integers(1, 6), min_size=1, max_size=6)
SHAPES = st.sampled_from([(), (1,), (3,), (2, 3)])
KINDS = st.sampled_from(["numpy", "torch"])


def ragged(lengths, shape=(3,), kind="torch"):
    """A batch whose rows all differ."""
    count = sum(lengths) * int(np.prod(shape))
    values = np.arange(1.0, count + 1).reshape(sum(lengths), *shape)
    return Ragged(torch.from_numpy(values) if kind == "torch" else values, np.array(lengths))


def array(values):
    return values.detach().numpy() if isinstance(values, torch.Tensor) else values


def same(found, expected):
    """Equal in rows, lengths and kind of array."""
    assert type(found.values) is type(expected.values)
    assert found.lengths.tolist() == expected.lengths.tolist()
    assert found.lengths.dtype == np.int64
    np.testing.assert_array_equal(array(found.values), array(expected.values))


# ---------------------------------------------------------------------- the batch itself


@given(lengths=LENGTHS, shape=SHAPES, kind=KINDS)
def test_sequences_are_consecutive_rows(lengths, shape, kind):
    batch = ragged(lengths, shape, kind)
    stops = np.cumsum(lengths, dtype=np.int64)
    assert len(batch) == len(lengths)
    for sequence, stop, length in zip(batch, stops, lengths, strict=True):
        np.testing.assert_array_equal(array(sequence), array(batch.values)[stop - length : stop])


@given(lengths=LENGTHS)
def test_places_of_rows_count_through_each_sequence(lengths):
    batch = ragged(lengths)
    pairs = [(i, t) for i, length in enumerate(lengths) for t in range(length)]
    found = zip(batch.sequence_of_row.tolist(), batch.step_of_row.tolist(), strict=True)
    assert list(found) == pairs


@given(lengths=LENGTHS, kind=KINDS)
def test_reversed_turns_each_sequence_round(lengths, kind):
    batch = ragged(lengths, (2,), kind)
    for turned, sequence in zip(batch.reversed(), batch, strict=True):
        np.testing.assert_array_equal(array(turned), array(sequence)[::-1])
    same(batch.reversed().reversed(), batch)


@given(data=st.data(), lengths=st.lists(st.integers(0, 5), min_size=1, max_size=6), kind=KINDS)
def test_select_gives_the_named_sequences(data, lengths, kind):
    batch = ragged(lengths, (2,), kind)
    anywhere = st.integers(-len(lengths), len(lengths) - 1)
    order = data.draw(st.lists(anywhere, max_size=8))
    chosen = batch.select(order)
    expected = [array(sequence) for sequence in batch]
    assert len(chosen) == len(order)
    for sequence, i in zip(chosen, order, strict=True):
        np.testing.assert_array_equal(array(sequence), expected[i])


@pytest.mark.parametrize("order", [[True, False], [0.0], [[0]]])
def test_select_takes_numbers_of_sequences_only(order):
    # A mask read as numbers would be the wrong sequences in silence.
    with pytest.raises(ShapeError, match="vector of integers"):
        ragged([1, 2]).select(order)


@given(lengths=FILLED, kind=KINDS)
def test_rows_at_counts_from_either_end(lengths, kind):
    batch = ragged(lengths, (), kind)
    for step in range(-min(lengths), min(lengths)):
        expected = [float(sequence[step]) for sequence in batch]
        assert array(batch.values)[batch.rows_at(step)].tolist() == expected


@pytest.mark.parametrize(("step", "needed"), [(1, 2), (-2, 2), (0, 1), (-1, 1)])
def test_rows_at_names_the_sequence_that_is_too_short(step, needed):
    with pytest.raises(LengthError, match=f"sequence 1 has 0 steps, step {step} needs {needed}"):
        ragged([3, 0, 2]).rows_at(step)


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (np.zeros((2, 1)), LengthError, "lengths sum to 3, values has 2 rows"),
        (np.zeros(()), ShapeError, "got a scalar"),
    ],
)
def test_other_values_have_as_many_rows(values, error, message):
    batch = Ragged(np.zeros((3, 2)), np.array([2, 1]))
    other = batch.with_values(np.ones((3, 4, 5)))
    assert type(other) is Ragged
    assert other.lengths is batch.lengths
    assert other.values.shape == (3, 4, 5)
    with pytest.raises(error, match=message):
        batch.with_values(values)


def test_map_keeps_lengths():
    batch = ragged([2, 0, 1])
    same(batch.map(lambda values: values * 2), Ragged(batch.values * 2, batch.lengths))


@pytest.mark.parametrize(
    ("values", "lengths", "error", "message"),
    [
        (np.zeros((3, 1)), [2], LengthError, "lengths sum to 2, values has 3 rows"),
        (np.zeros((3, 1)), [4, -1], LengthError, r"lengths\[1\] is -1"),
        (np.zeros((3, 1)), [1.5, 1.5], ShapeError, "vector of integers"),
        (np.zeros((3, 1)), [[3]], ShapeError, "vector of integers"),
        (np.zeros((2, 1)), [True, True], ShapeError, "vector of integers"),
        (np.zeros(()), [1], ShapeError, "got a scalar"),
        (1.0, [1], ShapeError, "got a scalar"),
    ],
)
def test_a_batch_that_cannot_be_is_refused(values, lengths, error, message):
    with pytest.raises(error, match=message):
        Ragged(values, lengths)


@pytest.mark.parametrize(
    "lengths",
    [[2, 0, 1], (2, 0, 1), np.array([2, 0, 1], np.uint8), torch.tensor([2, 0, 1])],
    ids=["list", "tuple", "uint8", "torch"],
)
def test_lengths_come_in_any_integer_form(lengths):
    counts = host_lengths(lengths)
    assert counts.dtype == np.int64
    assert counts.tolist() == [2, 0, 1]


def test_no_lengths_at_all_is_the_empty_batch():
    assert len(Ragged(np.zeros((0, 3)), [])) == 0


# ---------------------------------------------------------------------- lists


@given(lengths=st.lists(st.integers(0, 5), min_size=1, max_size=5), shape=SHAPES, kind=KINDS)
def test_lists_go_out_and_come_back(lengths, shape, kind):
    batch = ragged(lengths, shape, kind)
    same(Ragged.from_list(batch.to_list()), batch)


def test_a_list_of_nothing_or_of_different_rows_is_refused():
    with pytest.raises(ShapeError, match="at least one sequence, got none"):
        Ragged.from_list([])
    with pytest.raises(ShapeError, match=r"rows of \[\(2,\), \(3,\)\]"):
        Ragged.from_list([np.zeros((1, 3)), np.zeros((4, 2))])


# ---------------------------------------------------------------------- padded


@given(
    lengths=LENGTHS,
    shape=SHAPES,
    kind=KINDS,
    batch_first=st.booleans(),
    more=st.none() | st.integers(0, 3),
)
def test_padded_goes_out_and_comes_back(lengths, shape, kind, batch_first, more):
    batch = ragged(lengths, shape, kind)
    steps = None if more is None else max(lengths, default=0) + more
    # NaN in the padding would show in every row that read it.
    padded = batch.to_padded(fill=float("nan"), steps=steps, batch_first=batch_first)
    by_batch = array(padded) if batch_first else array(padded).swapaxes(0, 1)
    assert by_batch.shape[:2] == (len(lengths), max(lengths, default=0) + (more or 0))
    for row, sequence in zip(by_batch, batch, strict=True):
        np.testing.assert_array_equal(row[: len(sequence)], array(sequence))
        assert np.isnan(row[len(sequence) :]).all()
    same(Ragged.from_padded(padded, lengths, batch_first=batch_first), batch)


@given(lengths=LENGTHS)
def test_both_kinds_of_array_pad_alike(lengths):
    padded = [ragged(lengths, (2,), kind).to_padded(fill=-1) for kind in ("numpy", "torch")]
    assert isinstance(padded[1], torch.Tensor)
    np.testing.assert_array_equal(padded[0], padded[1].numpy())


@given(batch=st.integers(0, 3), steps=st.integers(0, 4), kind=KINDS, batch_first=st.booleans())
def test_without_lengths_all_are_full(batch, steps, kind, batch_first):
    padded = np.arange(batch * steps * 2.0).reshape(
        (batch, steps, 2) if batch_first else (steps, batch, 2)
    )
    given_padded = torch.from_numpy(padded) if kind == "torch" else padded
    found = Ragged.from_padded(given_padded, batch_first=batch_first)
    assert found.lengths.tolist() == [steps] * batch
    rows = padded if batch_first else padded.swapaxes(0, 1)
    np.testing.assert_array_equal(array(found.values), rows.reshape(-1, 2))


@pytest.mark.parametrize("kind", ["numpy", "torch"])
@pytest.mark.parametrize(
    ("shape", "lengths", "error", "message"),
    [
        ((2, 3, 1), [3, 9], LengthError, r"lengths\[1\] is 9, x has 3 steps. Trim it to 3 or pad"),
        ((2, 3, 1), [3], ShapeError, "1 lengths for 2 sequences"),
        ((2, 3, 1), [3, -1], LengthError, r"lengths\[1\] is -1"),
        ((2, 3, 1), [3.0, 1.0], ShapeError, "vector of integers"),
        ((6,), [3, 3], ShapeError, r"is \(B, T, ...\), got shape \(6,\)"),
    ],
)
def test_padded_that_does_not_fit_its_lengths_is_refused(kind, shape, lengths, error, message):
    padded = torch.zeros(shape) if kind == "torch" else np.zeros(shape)
    with pytest.raises(error, match=message):
        Ragged.from_padded(padded, lengths)


def test_padding_to_fewer_steps_than_there_are_is_refused():
    with pytest.raises(LengthError, match="longest sequence has 3 steps, got steps=2"):
        ragged([1, 3]).to_padded(steps=2)


# ---------------------------------------------------------------------- packed


@given(lengths=FILLED, shape=SHAPES, enforce_sorted=st.booleans(), batch_first=st.booleans())
def test_packed_comes_in_in_the_order_of_the_batch(lengths, shape, enforce_sorted, batch_first):
    if enforce_sorted:
        lengths = sorted(lengths, reverse=True)
    batch = ragged(lengths, shape)
    packed = pack_padded_sequence(
        batch.to_padded(batch_first=batch_first),
        torch.tensor(lengths),
        batch_first=batch_first,
        enforce_sorted=enforce_sorted,
    )
    same(Ragged.from_packed(packed), batch)


@given(lengths=FILLED, shape=SHAPES)
def test_packed_goes_out_as_torch_packs(lengths, shape):
    batch = ragged(lengths, shape)
    padded, counts = pad_packed_sequence(batch.to_packed(), batch_first=True)
    assert counts.tolist() == lengths
    np.testing.assert_array_equal(padded.numpy(), batch.to_padded().numpy())
    expected = pack_sequence(batch.to_list(), enforce_sorted=False)
    assert torch.equal(batch.to_packed().batch_sizes, expected.batch_sizes)
    same(Ragged.from_packed(batch.to_packed()), batch)


@pytest.mark.parametrize("lengths", [[], [0], [2, 0, 1]])
def test_torch_cannot_pack_length_0(lengths):
    with pytest.raises(LengthError, match="cannot hold a sequence of length 0"):
        ragged(lengths).to_packed()


# ---------------------------------------------------------------------- jagged


@given(lengths=st.lists(st.integers(0, 5), min_size=1, max_size=5), shape=SHAPES)
def test_jagged_goes_out_and_comes_back(lengths, shape):
    batch = ragged(lengths, shape)
    nested = batch.to_jagged()
    assert nested.layout == torch.jagged
    for part, sequence in zip(nested.unbind(), batch, strict=True):
        np.testing.assert_array_equal(part.numpy(), sequence.numpy())
    same(Ragged.from_jagged(nested), batch)


@given(
    spans=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=5),
    before=st.integers(0, 2),
    after=st.integers(0, 2),
)
def test_jagged_with_holes_gives_only_what_is_there(spans, before, after):
    # Each span is so many rows and so many rows of hole behind them.
    offsets = before + np.cumsum([0] + [length + hole for length, hole in spans])
    lengths = [length for length, _ in spans]
    values = np.full((int(offsets[-1]) + after, 2), np.nan)
    batch = ragged(lengths, (2,))
    for start, sequence in zip(offsets, batch, strict=False):
        values[start : start + len(sequence)] = sequence.numpy()
    nested = torch.nested.nested_tensor_from_jagged(
        torch.from_numpy(values), torch.from_numpy(offsets), lengths=torch.tensor(lengths)
    )
    same(Ragged.from_jagged(nested), batch)


# ---------------------------------------------------------------------- gradients

DOORS = {
    "padded": lambda batch: Ragged.from_padded(batch.to_padded(steps=9), batch.lengths),
    "packed": lambda batch: Ragged.from_packed(batch.to_packed()),
    "jagged": lambda batch: Ragged.from_jagged(batch.to_jagged()),
    "list": lambda batch: Ragged.from_list(batch.to_list()),
    "reversed": lambda batch: batch.reversed().reversed(),
    "select": lambda batch: batch.select([2, 0, 1]).select([1, 2, 0]),
}


@pytest.mark.parametrize("door", sorted(DOORS))
def test_gradients_pass_through_a_door_and_back(door):
    rows = ragged([2, 4, 1]).values.requires_grad_()
    weights = torch.arange(21.0, dtype=torch.float64).reshape(7, 3)
    there = DOORS[door](Ragged(rows, np.array([2, 4, 1])))
    (there.values * weights).sum().backward()
    # There and back is the identity, and so is its derivative.
    assert torch.equal(rows.grad, weights)


@pytest.mark.parametrize("batch_first", [True, False])
def test_padding_has_no_gradient(batch_first):
    padded = torch.full((2, 3, 1) if batch_first else (3, 2, 1), float("nan"), requires_grad=True)
    batch = Ragged.from_padded(padded, [2, 0], batch_first=batch_first)
    batch.values.sum().backward()
    by_batch = padded.grad if batch_first else padded.grad.transpose(0, 1)
    assert by_batch.squeeze(-1).tolist() == [[1, 1, 0], [0, 0, 0]]


# ---------------------------------------------------------------------- nothing at all


@pytest.mark.parametrize("lengths", [[], [0], [0, 0]])
@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_a_batch_without_rows_passes_every_door_that_can_hold_it(lengths, kind):
    batch = ragged(lengths, (3,), kind)
    same(batch.reversed(), batch)
    same(batch.select(np.arange(len(lengths))), batch)
    padded = batch.to_padded()
    assert tuple(padded.shape) == (len(lengths), 0, 3)
    same(Ragged.from_padded(padded, lengths), batch)
    assert batch.offsets.tolist() == [0] * (len(lengths) + 1)
    if lengths:
        same(Ragged.from_list(batch.to_list()), batch)
        if kind == "torch":
            same(Ragged.from_jagged(batch.to_jagged()), batch)
