"""`BiRNN` against torch's own modules, the reference, and what its equations promise."""

# N rows of all sequences, B sequences, D inputs, H hidden units, W width out

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence

from birnn.errors import ConfigError, LengthError, ShapeError, UsageError
from birnn.nn import BiRNN, State
from birnn.ragged import Ragged
from birnn.reference import GATES, MERGE_WIDTH, Stack, StackState, run_saving
from birnn.reference import gradients as reference_gradients
from stacks import stacks

CELLS = sorted(GATES)
CLOSE = {"rtol": 1e-10, "atol": 1e-10}
MODULES = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}


def peer_of(encoder):
    """torch's own module with the same weights."""
    stack = encoder.stack
    options = {} if stack.cell in MODULES else {"nonlinearity": stack.cell.removeprefix("rnn_")}
    peer = MODULES.get(stack.cell, torch.nn.RNN)(
        stack.input_size,
        stack.hidden_size,
        stack.num_layers,
        bidirectional=stack.bidirectional,
        dtype=torch.float64,
        **options,
    )
    peer.load_state_dict(encoder.state_dict())
    return peer


def parts_of(state):
    return [part for part in (state.h, state.c) if part is not None]


# ---------------------------------------------------------------------- against torch


@pytest.mark.parametrize("cell", CELLS)
@settings(max_examples=8)
@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=5),
    layers=st.integers(1, 3),
    bidirectional=st.booleans(),
    seed=st.integers(0, 999),
)
def test_agrees_with_torch_forward_and_backward(
    draw, randomised, draw_states, cell, lengths, layers, bidirectional, seed
):
    encoder = BiRNN(cell, 3, 4, num_layers=layers, bidirectional=bidirectional)
    randomised(encoder, seed)
    peer = peer_of(encoder)
    batch = draw(lengths, 3, seed)
    initial = draw_states(encoder, len(lengths), seed)
    mine = batch.values.clone().requires_grad_()
    theirs = batch.values.clone().requires_grad_()
    starts = [[p.clone().requires_grad_() for p in parts_of(initial)] for _ in range(2)]

    found = encoder(Ragged(mine, batch.lengths), initial=State(*starts[0]))
    packed, last = peer(
        pack_sequence(Ragged(theirs, batch.lengths).to_list(), enforce_sorted=False),
        tuple(starts[1]) if len(starts[1]) == 2 else starts[1][0],
    )
    expected = Ragged.from_padded(pad_packed_sequence(packed, batch_first=True)[0], lengths)
    last = last if isinstance(last, tuple) else (last,)
    torch.testing.assert_close(found.output.values, expected.values, **CLOSE)
    for part, other in zip(parts_of(found.state), last, strict=True):
        torch.testing.assert_close(part, other, **CLOSE)

    # A loss that weighs every number differently, in rows and states alike.
    for output, state in ((found.output, parts_of(found.state)), (expected, last)):
        loss = sum((part * torch.arange(part.numel()).view_as(part).sin()).sum() for part in state)
        rows = output.values
        (loss + (rows * torch.arange(rows.numel()).view_as(rows).cos()).sum()).backward()
    torch.testing.assert_close(mine.grad, theirs.grad, **CLOSE)
    for start, other in zip(*starts, strict=True):
        torch.testing.assert_close(start.grad, other.grad, **CLOSE)
    for name, parameter in peer.named_parameters():
        torch.testing.assert_close(encoder.get_parameter(name).grad, parameter.grad, **CLOSE)


@pytest.mark.parametrize("cell", CELLS)
def test_parameters_have_torchs_names_and_the_names_of_the_stack(cell):
    encoder = BiRNN(cell, 3, 4, num_layers=2)
    shapes = {name: tuple(value.shape) for name, value in encoder.state_dict().items()}
    assert shapes == encoder.stack.shapes()
    assert {n: tuple(v.shape) for n, v in peer_of(encoder.double()).state_dict().items()} == shapes


@pytest.mark.parametrize("merge", sorted(MERGE_WIDTH))
@pytest.mark.parametrize("bidirectional", [True, False])
def test_state_dict_is_what_the_stack_says(merge, bidirectional):
    encoder = BiRNN("gru", 5, 3, num_layers=2, merge=merge, bidirectional=bidirectional)
    shapes = {name: tuple(value.shape) for name, value in encoder.state_dict().items()}
    assert shapes == encoder.stack.shapes()


# ---------------------------------------------------------------------- against the reference


@settings(max_examples=20)
@given(data=st.data(), lengths=st.lists(st.integers(0, 5), max_size=5), seed=st.integers(0, 999))
def test_agrees_with_the_reference_forward_and_backward(
    draw, randomised, draw_states, data, lengths, seed
):
    stack = data.draw(stacks())
    encoder = randomised(BiRNN.from_stack(stack), seed)
    batch = draw(lengths, stack.input_size, seed)
    rows = batch.values.clone().requires_grad_()
    start = [part.requires_grad_() for part in parts_of(draw_states(encoder, len(lengths), seed))]
    found = encoder(Ragged(rows, batch.lengths), initial=State(*start))

    numpy = {name: value.numpy() for name, value in encoder.state_dict().items()}
    initial = StackState(*(part.detach().numpy() for part in start))
    expected, saved = run_saving(batch.map(lambda v: v.numpy()), numpy, stack, initial)
    pairs = [
        (found.output.values, expected.output.values),
        (found.forward.values, expected.forward.values),
        (found.final, expected.final),
        *zip(parts_of(found.state), expected.state.parts, strict=True),
    ]
    assert (found.backward is None) == (expected.backward is None)
    if found.backward is not None:
        pairs.append((found.backward.values, expected.backward.values))
    for one, other in pairs:
        np.testing.assert_allclose(one.detach().numpy(), other, **CLOSE)

    random = np.random.default_rng(seed)
    d_output = random.standard_normal(expected.output.values.shape)
    d_final = random.standard_normal(expected.final.shape)
    d_state = StackState(*(random.standard_normal(p.shape) for p in expected.state.parts))
    loss = (found.output.values * torch.from_numpy(d_output)).sum()
    loss = loss + (found.final * torch.from_numpy(d_final)).sum()
    for part, d in zip(parts_of(found.state), d_state.parts, strict=True):
        loss = loss + (part * torch.from_numpy(d)).sum()
    loss.backward()
    d_x, d_parameters, d_initial = reference_gradients(saved, d_output, d_final, d_state)
    if rows.grad is not None:  # without a single row torch leaves none
        np.testing.assert_allclose(rows.grad.numpy(), d_x, **CLOSE)
    for part, d in zip(start, d_initial.parts, strict=True):
        np.testing.assert_allclose(part.grad.numpy(), d, **CLOSE)
    for name, d in d_parameters.items():
        grad = encoder.get_parameter(name).grad
        np.testing.assert_allclose(np.zeros_like(d) if grad is None else grad.numpy(), d, **CLOSE)


@pytest.mark.parametrize("cell", CELLS)
def test_gradients_are_central_differences(draw, randomised, draw_states, cell):
    encoder = randomised(BiRNN(cell, 2, 2, merge="project", residual=True))
    batch = draw([3, 0, 1], 2)
    names = list(encoder.stack.shapes())
    start = parts_of(draw_states(encoder, 3))

    def outputs(rows, *rest):
        parameters = dict(zip(names, rest[len(start) :], strict=True))
        found = torch.func.functional_call(
            encoder,
            parameters,
            (Ragged(rows, batch.lengths),),
            {"initial": State(*rest[: len(start)])},
        )
        return (found.output.values, found.final, *parts_of(found.state))

    values = [batch.values, *start, *(encoder.get_parameter(name).data for name in names)]
    assert torch.autograd.gradcheck(outputs, [v.clone().requires_grad_() for v in values])


# ---------------------------------------------------------------------- final states


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_final_states_stand_at_the_last_real_step_and_the_first(
    draw, randomised, cell, layers, bidirectional
):
    lengths = [3, 1, 6, 3]
    encoder = randomised(
        BiRNN(cell, 3, 4, num_layers=layers, bidirectional=bidirectional, merge="concat")
    )
    batch = draw(lengths, 3)
    found = encoder(batch)
    halves = [found.forward.values[batch.rows_at(-1)]]
    if bidirectional:
        halves.append(found.backward.values[batch.rows_at(0)])
    top = found.state.h[-len(halves) :]
    for half, state in zip(halves, top, strict=True):
        assert torch.equal(half, state)
    assert torch.equal(found.final, torch.cat(halves, dim=1))
    # The layer below: a stack of the layers up to it ends in the states that it has here.
    below = BiRNN(cell, 3, 4, num_layers=1, bidirectional=bidirectional).double()
    below.load_state_dict(
        {name: value for name, value in encoder.state_dict().items() if "_l0" in name}
    )
    for part, whole in zip(parts_of(below(batch).state), parts_of(found.state), strict=True):
        torch.testing.assert_close(part, whole[: len(halves)], **CLOSE)


@pytest.mark.parametrize("cell", CELLS)
def test_length_0_ends_in_its_initial_state(draw, randomised, draw_states, cell):
    encoder = randomised(BiRNN(cell, 3, 4, num_layers=2))
    initial = draw_states(encoder, 3)
    found = encoder(draw([0, 2, 0], 3), initial=initial)
    for part, start in zip(parts_of(found.state), parts_of(initial), strict=True):
        assert torch.equal(part[:, [0, 2]], start[:, [0, 2]])
    zeros = encoder(draw([0, 2, 0], 3))
    assert not zeros.state.h[:, [0, 2]].any()
    assert not zeros.final[[0, 2]].any()


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("lengths", [[], [0], [0, 0]])
def test_a_batch_without_rows_runs_and_trains(draw, cell, lengths):
    encoder = BiRNN(cell, 3, 4, num_layers=2, merge="project").double()
    found = encoder(draw(lengths, 3))
    assert found.output.values.shape == (0, 4)
    assert found.final.shape == (len(lengths), 4)
    (found.output.values.sum() + found.final.sum()).backward()
    for parameter in encoder.parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all()


def test_without_gradients_the_answers_are_the_same(draw, randomised):
    encoder = randomised(BiRNN("lstm", 3, 4, num_layers=2))
    batch = draw([3, 0, 5], 3)
    with torch.no_grad():
        quiet = encoder(batch)
    assert not quiet.output.values.requires_grad
    assert torch.equal(quiet.output.values, encoder(batch).output.values)


# ---------------------------------------------------------------------- memory, and NaN


@pytest.mark.parametrize("cell", CELLS)
def test_checkpoint_changes_memory_and_no_answer(draw, randomised, cell):
    batch = draw([3, 0, 5], 3)
    answers = []
    for checkpoint in (False, True):
        encoder = randomised(BiRNN(cell, 3, 4, num_layers=2, checkpoint=checkpoint))
        rows = batch.values.clone().requires_grad_()
        found = encoder(batch.with_values(rows))
        loss = found.output.values.sin().sum() + found.final.sum()
        grads = torch.autograd.grad(loss, [rows, *encoder.parameters()])
        answers.append([found.output.values, found.final, *grads])
    for one, other in zip(*answers, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-14)


def test_halves_are_views_of_a_concatenated_output(draw, native):
    found = BiRNN("lstm", 3, 4).double()(draw([3, 2], 3))
    where = found.output.values.untyped_storage().data_ptr()
    for half in (found.forward, found.backward):
        assert half.values.untyped_storage().data_ptr() == where
    assert torch.equal(
        torch.cat([found.forward.values, found.backward.values], dim=1), found.output.values
    )


@pytest.mark.parametrize("cell", CELLS)
def test_nan_stays_in_its_sequence(draw, randomised, cell):
    encoder = randomised(BiRNN(cell, 3, 4, num_layers=2))
    batch = draw([2, 3, 4], 3)
    spoilt = batch.with_values(batch.values.clone())
    spoilt.values[3] = float("nan")
    clean, found = encoder(batch), encoder(spoilt)
    rest = torch.tensor([0, 1, 5, 6, 7, 8])
    torch.testing.assert_close(found.output.values[rest], clean.output.values[rest], **CLOSE)
    torch.testing.assert_close(found.final[[0, 2]], clean.final[[0, 2]], **CLOSE)
    assert found.output.values[2:5].isnan().any(dim=1).all()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda e: e(torch.zeros(2, 3, 5)), ShapeError, r"rows are 3 wide, got \(5,\)"),
        (lambda e: e(torch.zeros(2, 3)), ShapeError, r"padded batch is \(B, T, D\), got shape"),
        (lambda e: e(torch.zeros(2, 3, 3), [3, 9]), LengthError, r"lengths\[1\] is 9, x has 3"),
        (
            lambda e: e(Ragged(torch.zeros(2, 3), np.array([2])), [2]),
            UsageError,
            "Ragged knows its lengths: leave lengths= out",
        ),
        (lambda e: e(Ragged(np.zeros((2, 3)), np.array([2]))), ShapeError, "torch.from_numpy"),
        (lambda e: e([[1.0]]), ShapeError, "expected Ragged, .* got list"),
        (
            lambda e: e(Ragged(torch.zeros(2, 1, 3), np.array([2]))),
            ShapeError,
            r"rows are 3 wide, got \(1, 3\)",
        ),
        (
            lambda e: e(torch.zeros(2, 3, 3), initial=State(torch.zeros(2, 2, 4))),
            ShapeError,
            "initial state of a lstm is h and c",
        ),
        (
            lambda e: e(
                torch.zeros(2, 3, 3), initial=State(torch.zeros(2, 2, 4), torch.zeros(2, 1, 4))
            ),
            ShapeError,
            r"initial c is \(2, 1, 4\), expected \(2, 2, 4\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call(BiRNN("lstm", 3, 4))


def test_a_gru_takes_h_alone():
    state = State(torch.zeros(2, 1, 4), torch.zeros(2, 1, 4))
    with pytest.raises(ShapeError, match="initial state of a gru is h alone"):
        BiRNN("gru", 3, 4)(torch.zeros(1, 2, 3), initial=state)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cell": "lstn"}, "did you mean lstm"),
        ({"merge": "add"}, "known: concat"),
        ({"hidden_size": 0}, "hidden_size is 0"),
        ({"dropout": 1.0}, "below 1, got 1.0"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        BiRNN(**({"cell": "lstm", "input_size": 3, "hidden_size": 4} | settings))


# ---------------------------------------------------------------------- the module


def test_from_stack_keeps_every_setting():
    stack = Stack("gru", 3, 5, num_layers=2, bidirectional=True, merge="mean", residual=True)
    encoder = BiRNN.from_stack(stack, dropout=0.25, checkpoint=True)
    assert encoder.stack == stack
    assert encoder.dropout.rate == 0.25
    assert encoder.checkpoint


def test_repr_says_the_settings():
    assert "(lstm, 3, 4, num_layers=2" not in repr(BiRNN("lstm", 3, 4))
    text = repr(BiRNN("lstm", 3, 4, num_layers=2, merge="sum", residual=True, dropout=0.5))
    assert "lstm, 3, 4, num_layers=2, merge=sum, residual=True\n" in text
    assert "rate=0.5" in text
    assert "num_layers=1, merge=concat, checkpoint=True\n" in repr(
        BiRNN("gru", 3, 4, checkpoint=True)
    )
    assert "bidirectional=False" in repr(BiRNN("gru", 3, 4, bidirectional=False))


@pytest.mark.parametrize("cell", CELLS)
def test_recurrent_weights_start_orthogonal_and_biases_at_0(cell):
    encoder = BiRNN(cell, 3, 6, num_layers=2)
    for name, value in encoder.named_parameters():
        if name.startswith("weight_hh"):
            for gate in value.detach().split(6):
                torch.testing.assert_close(gate @ gate.T, torch.eye(6), rtol=0, atol=1e-5)
        elif name.startswith("weight_ih"):
            # Glorot: uniform within sqrt(6 / (fan in + fan out)) of each gate's own block.
            bound = (6 / (value.shape[1] + 6)) ** 0.5
            assert 0.5 * bound < value.abs().max() <= bound
        elif cell == "lstm" and name.startswith("bias_ih"):
            assert value.tolist() == [0.0] * 6 + [1.0] * 6 + [0.0] * 12
        else:
            assert not value.any()


def test_forget_bias_can_be_set():
    encoder = BiRNN("lstm", 3, 2)
    encoder.reset_parameters(forget_bias=2.0)
    assert encoder.bias_ih_l0_reverse.tolist() == [0, 0, 2, 2, 0, 0, 0, 0]
    assert not encoder.bias_hh_l0_reverse.any()


def test_dropout_stands_between_layers_only(draw, randomised):
    batch = draw([4, 2], 3)
    for layers in (1, 2):
        encoder = randomised(BiRNN("gru", 3, 4, num_layers=layers, dropout=0.5))
        trained, again = encoder(batch), encoder(batch)
        assert torch.equal(trained.output.values, again.output.values) == (layers == 1)
        encoder.eval()
        assert torch.equal(encoder(batch).output.values, encoder(batch).output.values)
