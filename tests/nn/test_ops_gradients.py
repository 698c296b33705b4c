"""Gradients of the operators: against torch, by central differences, of gradients, many at once."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_calls import CELLS, CLOSE, KEEPS, flat, gradients, outputs, parts, run_on_torch

from birnn.engine import isa
from birnn.engine.recurrent import KEEP_NUMBERS
from birnn.nn._engine.ops import run_layer
from birnn.nn._engine.segments import SegmentedBatch


@pytest.mark.parametrize("cell", CELLS)
@settings(max_examples=10)
@given(
    directions=st.integers(1, 2),
    bias=st.booleans(),
    keep=st.sampled_from(KEEPS),
    wanted=st.sets(st.sampled_from(["rows", "weights", "initial"]), min_size=1),
)
def test_gradients_are_those_of_torchs_operators(on_engine, cell, directions, bias, keep, wanted):
    rows, layout, weights, initial = parts(cell, directions=directions, bias=bias)
    groups = {"rows": [rows], "weights": [p for own in weights for p in own], "initial": initial}
    for name, group in groups.items():
        for part in group:
            part.requires_grad_(name in wanted)
    asked = [part for name in sorted(wanted) for part in groups[name]]
    found = {}
    for engine in ("native", "torch"):
        with on_engine(engine):
            answer = run_layer(cell, rows, layout, weights, initial, keep=keep)
            found[engine] = [*outputs(answer), *gradients(answer, asked)]
    for one, other in zip(found["native"], found["torch"], strict=True):
        torch.testing.assert_close(one, other, **CLOSE)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("keep", KEEPS)
def test_gradients_are_central_differences(native, cell, keep):
    rows, layout, weights, initial = parts(cell)
    each = len(weights[0])

    def run(x, *rest):
        own = [rest[:each], rest[each : 2 * each]]
        return outputs(run_layer(cell, x, layout, own, rest[2 * each :], keep=keep))

    assert torch.autograd.gradcheck(run, flat(rows, weights, initial))


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_gradients_of_gradients(native, cell):
    rows, layout, weights, initial = parts(cell, directions=1, steps=3)

    def run(x, *rest):
        return outputs(run_layer(cell, x, layout, [rest[:4]], rest[4:]))

    assert torch.autograd.gradgradcheck(run, flat(rows, weights, initial))


def test_a_gradient_does_not_pass_through_one_input_to_another(native):
    # weight_hh is made of weight_ih: its share must be counted once.
    rows, layout, [[w_ih, *_]], _ = parts("rnn_tanh", directions=1, bias=False, inputs=2)

    def loss(run):
        output, _ = run(rows, [[w_ih, w_ih.sin()]])
        (first,) = torch.autograd.grad(output.sin().sum(), w_ih, create_graph=True)
        return torch.autograd.grad(first.square().sum(), w_ih)[0]

    found = loss(lambda x, weights: run_layer("rnn_tanh", x, layout, weights))
    segments = SegmentedBatch.of(layout, rows.device)
    expected = loss(lambda x, own: run_on_torch("rnn_tanh", x, segments, own))
    torch.testing.assert_close(found, expected, **CLOSE)


@pytest.mark.parametrize("keep", KEEPS)
def test_the_graph_can_be_used_twice(native, keep):
    rows, layout, weights, initial = parts("lstm")
    answer = run_layer("lstm", rows, layout, weights, initial, keep=keep)
    wanted = flat(rows, weights, initial)
    first = gradients(answer, wanted, retain_graph=True)
    for one, other in zip(first, gradients(answer, wanted), strict=True):
        assert torch.equal(one, other)


def test_changed_weights_are_noticed(native):
    rows, layout, weights, initial = parts("lstm")
    answer = run_layer("lstm", rows, layout, weights, initial)
    with torch.no_grad():
        weights[0][1].add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        gradients(answer, [rows])


@pytest.mark.parametrize("cell", CELLS)
def test_many_gradients_at_a_time(native, cell):
    rows, layout, weights, initial = parts(cell)
    output, _ = run_layer(cell, rows, layout, weights, initial)
    wanted = flat(rows, weights, initial)
    d_outputs = torch.eye(output.numel(), dtype=torch.float64)[:5].view(5, *output.shape)
    together = torch.autograd.grad(
        output, wanted, d_outputs, is_grads_batched=True, retain_graph=True
    )
    for i in range(5):
        alone = torch.autograd.grad(output, wanted, d_outputs[i], retain_graph=True)
        for one, other in zip(together, alone, strict=True):
            torch.testing.assert_close(one[i], other, **CLOSE)


def test_what_no_loss_depends_on_gets_zeros(native):
    rows, layout, weights, initial = parts("lstm")
    _, (h, _) = run_layer("lstm", rows, layout, weights, initial)
    d_rows, d_c0 = torch.autograd.grad(h[:, 1].sum(), [rows, initial[1]])
    assert not d_rows.any()  # sequence 1 has no step
    assert not d_c0.any()


def test_gradients_are_computed_only_where_they_are_wanted(native, monkeypatch):
    asked = []
    backward = isa.native_module().layer_backward

    def noted(*arguments):
        d_x, d_weights = arguments[12:14]
        asked.append((d_x is not None, len(d_weights) > 0))
        return backward(*arguments)

    monkeypatch.setattr(isa.native_module(), "layer_backward", noted)
    rows, layout, weights, _ = parts("gru")
    run_layer("gru", rows.detach(), layout, weights)[0].sum().backward()
    assert rows.grad is None
    frozen = [[part.detach() for part in own] for own in weights]
    run_layer("gru", rows, layout, frozen)[0].sum().backward()
    assert asked == [(False, True), (True, False)]


def test_nothing_is_kept_where_no_gradient_is_wanted(native, monkeypatch):
    kept = []
    forward = isa.native_module().layer_forward

    def noted(*arguments):
        kept.append(arguments[8])
        return forward(*arguments)

    monkeypatch.setattr(isa.native_module(), "layer_forward", noted)
    rows, layout, weights, _ = parts("gru")
    run_layer("gru", rows, layout, weights)
    run_layer("gru", rows, layout, weights, keep="states")
    with torch.no_grad():
        run_layer("gru", rows, layout, weights)
    run_layer("gru", rows.detach(), layout, [[p.detach() for p in own] for own in weights])
    assert kept == [KEEP_NUMBERS[keep] for keep in ("gates", "states", "nothing", "nothing")]
