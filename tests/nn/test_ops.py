"""The operators and their found: engines, tracers, transforms, and what they cannot do."""

from __future__ import annotations

import itertools
import re

import pytest
import torch
from layer_calls import CELLS, CLOSE, KEEPS, flat, gradients, operator_call, outputs, parts
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad
from torch.utils import _pytree as pytree

from birnn.engine import isa
from birnn.engine.recurrent import saved_size
from birnn.errors import ConfigError, LengthError, ShapeError
from birnn.nn import BiRNN
from birnn.nn._engine.ops import run_layer
from birnn.nn._engine.tensor_layout import TensorLayout
from grids import sampled

# ---------------------------------------------------------------------- engines


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("cell", CELLS)
def test_other_dtypes_take_torchs_engine(cell, dtype):
    rows, layout, weights, initial = parts(cell, dtype=dtype)
    exact = run_layer(
        cell,
        rows.double(),
        layout,
        [[part.double() for part in own] for own in weights],
        [part.double() for part in initial],
    )
    for one, other in zip(
        outputs(run_layer(cell, rows, layout, weights, initial)), outputs(exact), strict=True
    ):
        assert one.dtype == dtype
        torch.testing.assert_close(one.double(), other, rtol=0, atol=0.03)


def test_threads_are_torchs(native, monkeypatch):
    seen = []
    for name in ("forward", "backward"):
        run = getattr(isa.native_module(), f"layer_{name}")

        def noted(*arguments, run=run):
            seen.append(arguments[-2:])
            return run(*arguments)

        monkeypatch.setattr(isa.native_module(), f"layer_{name}", noted)
    rows, layout, weights, _ = parts("lstm")
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        run_layer("lstm", rows, layout, weights)[0].sum().backward()
    finally:
        torch.set_num_threads(before)
    assert seen == [(3, True)] * 2


@pytest.mark.parametrize("engine", ["native", "torch"])
def test_lengths_that_the_rows_cannot_have_are_refused(on_engine, engine):
    rows, _, weights, _ = parts("lstm")
    with on_engine(engine):
        for lengths, message in (([3, 5, 1], r"lengths\[1\] is 5"), ([3, 1, -2], r"\[2\] is -2")):
            with pytest.raises(LengthError, match=message):
                run_layer("lstm", rows, TensorLayout.padded(3, 4, torch.tensor(lengths)), weights)


# ---------------------------------------------------------------------- the operators


@pytest.mark.parametrize(
    ("engine", "cell", "bias"),
    sampled(
        itertools.product(("native", "torch"), ("lstm", "gru"), (True, False)),
        [("native", "lstm", True), ("torch", "gru", False)],
    ),
)
def test_the_operators_are_what_torch_takes_them_for(on_engine, engine, cell, bias):
    call = operator_call(cell, bias=bias)
    with on_engine(engine):
        torch.library.opcheck(torch.ops.birnn.recurrent.default, call)
        *answer, saved = torch.ops.birnn.recurrent_keep(*call)
        plain = [part.detach() if isinstance(part, torch.Tensor) else part for part in call]
        for i in (5, 6):
            plain[i] = [part.detach() for part in call[i]]
        torch.library.opcheck(torch.ops.birnn.recurrent_keep.default, plain)
        d_outputs = [torch.ones_like(part) for part in answer]
        if cell != "lstm":
            d_outputs[2] = None
        for wants in ((True, True), (True, False), (False, True)):
            torch.library.opcheck(
                torch.ops.birnn.recurrent_backward.default,
                (*plain, answer[0].detach(), saved.detach(), *d_outputs, *wants),
            )


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("keep", KEEPS)
def test_what_is_kept_grows_by_the_row(native, cell, keep):
    # A graph knows how many rows there are, and nothing else.
    size = saved_size
    for wide in (False, True):
        each = size(cell, 1, 7, 2, keep, wide=wide)
        assert [size(cell, rows, 7, 2, keep, wide=wide) for rows in (0, 5, 64)] == [
            0,
            5 * each,
            64 * each,
        ]


@pytest.mark.parametrize("cell", CELLS)
def test_a_sign_that_torch_has_put_off_is_read(native, cell):
    """As in the imaginary part of a conjugate."""
    rows, layout, weights, initial = parts(cell)
    wanted = flat(rows, weights, initial)
    d_output = torch.randn_like(run_layer(cell, rows, layout, weights, initial)[0])

    def answers(rows, weights, initial, d_output):
        output, final = run_layer(cell, rows, layout, weights, initial)
        return [output, *final, *torch.autograd.grad(output, wanted, d_output)]

    def put_off(part):
        turned = torch._neg_view(-part)
        assert turned.is_neg()
        return turned

    expected = answers(rows, weights, initial, d_output)
    found = answers(
        put_off(rows),
        [[put_off(part) for part in own] for own in weights],
        [put_off(part) for part in initial],
        put_off(d_output),
    )
    assert all(map(torch.equal, found, expected))
    # The output's gradient alone, which does not turn the call away from the short way.
    found = answers(rows, weights, initial, put_off(d_output))
    assert all(map(torch.equal, found, expected))


@pytest.mark.parametrize("cell", CELLS)
def test_the_short_way_and_the_operators_agree_to_the_bit(native, cell):
    rows, layout, weights, initial = parts(cell)
    wanted = flat(rows, weights, initial)
    short = run_layer(cell, rows, layout, weights, initial)
    own = [part for one in weights for part in one]
    output, h, c = torch.ops.birnn.recurrent(cell, rows, *layout.parts, own, initial, 2, "gates")
    long = output, (h, c) if cell == "lstm" else (h,)
    pairs = zip(
        (*outputs(short), *gradients(short, wanted)),
        (*outputs(long), *gradients(long, wanted)),
        strict=True,
    )
    for one, other in pairs:
        assert torch.equal(one, other)


def test_a_layer_with_a_projection_runs_as_an_operator():
    rows, layout, _, _ = parts("lstm")
    lstm = torch.nn.LSTM(3, 4, proj_size=2, dtype=torch.float64)
    output, h, c = torch.ops.birnn.recurrent(
        "lstm", rows, *layout.parts, list(lstm.parameters()), [], 1, "gates"
    )
    expected, (h_expected, c_expected) = lstm(rows.view(3, 4, 3)[0, :3])
    torch.testing.assert_close(output.view(3, 4, 2)[0, :3], expected, **CLOSE)
    torch.testing.assert_close(h[:, 0], h_expected, **CLOSE)
    torch.testing.assert_close(c[:, 0], c_expected, **CLOSE)
    torch.library.opcheck(
        torch.ops.birnn.recurrent.default,
        ("lstm", rows, *layout.parts, list(lstm.parameters()), [], 1, "gates"),
    )


def changed(call, **parts):
    """The call with some of its arguments others."""
    names = ("cell", "x", "lengths", "starts", "steps", "weights", "initial", "directions", "keep")
    return tuple(parts.get(name, part) for name, part in zip(names, call, strict=True))


def other_weights(cell, **options):
    return operator_call(cell, **options)[5]


WRONG_CALLS = {
    "no cell": (lambda _: {"cell": "lstn"}, "did you mean lstm"),
    "weights of a plain cell": (lambda _: {"weights": other_weights("rnn_tanh")}, "got (2, 3)"),
    "weights of another cell": (lambda _: {"weights": other_weights("lstm")}, "got (8, 3)"),
    "rows of another width": (lambda c: {"x": c[1][:, :2]}, "rows 2 wide"),
    "one row": (lambda c: {"x": c[1][0]}, "on one or more axes"),
    "a weight too few": (lambda c: {"weights": c[5][:-1]}, "7 weights for 2 directions"),
    "one tensor each": (lambda c: {"weights": c[5][:2]}, "got 1 tensors"),
    "no weights": (lambda _: {"weights": []}, "got 0 tensors"),
    "three directions": (lambda _: {"directions": 3}, "8 weights for 3 directions"),
    "no direction": (lambda _: {"directions": 0}, "8 weights for 0 directions"),
    "a projection": (lambda c: {"weights": [*c[5][:3], *c[5][4:7]]}, "got 3 tensors"),
    "a weight of another dtype": (
        lambda c: {"weights": [c[5][0].float(), *c[5][1:]]},
        "a weight or state torch.float32",
    ),
    "states too many": (lambda c: {"initial": 2 * c[6]}, "are 1 of (directions, B, H)"),
    "states of a flat shape": (lambda c: {"initial": [c[6][0][0]]}, "[(3, 2)]"),
    "another thing to keep": (lambda _: {"keep": "gate"}, "did you mean gates"),
    "lengths that are no integers": (lambda c: {"lengths": c[2].double()}, "of torch.float64"),
    "starts on two axes": (lambda c: {"starts": c[3][None]}, "starts are a vector"),
}


@pytest.mark.parametrize("engine", ["native", "torch", "fake"])
@pytest.mark.parametrize("wrong", WRONG_CALLS)
def test_an_operator_called_wrongly_says_so_on_every_engine(on_engine, engine, wrong):
    # Torch's kernels read past the weights of a smaller cell.
    change, message = WRONG_CALLS[wrong]
    call = operator_call("gru")
    call = pytree.tree_map_only(torch.Tensor, torch.Tensor.detach, changed(call, **change(call)))
    place = FakeTensorMode() if engine == "fake" else on_engine(engine)
    with place as mode:
        if engine == "fake":
            call = pytree.tree_map_only(torch.Tensor, mode.from_tensor, call)
        for run in (torch.ops.birnn.recurrent, torch.ops.birnn.recurrent_keep):
            with pytest.raises((ShapeError, ConfigError), match=re.escape(message)):
                run(*call)
        gradients = (None, call[1].new_empty(0), None, None, None, True, True)
        with pytest.raises((ShapeError, ConfigError), match=re.escape(message)):
            torch.ops.birnn.recurrent_backward(*call, *gradients)


@pytest.mark.parametrize("engine", ["native", "torch"])
def test_states_of_another_batch_are_refused(on_engine, engine):
    call = operator_call("gru")
    with on_engine(engine), pytest.raises(ValueError, match=r"\(2, 2, 2\).*\(2, 3, 2\)"):
        torch.ops.birnn.recurrent(*changed(call, initial=[call[6][0][:, :2]]))


def test_fake_tensors_have_the_shapes_of_the_answers():
    rows, layout, weights, initial = parts("lstm")
    expected = run_layer("lstm", rows, layout, weights, initial)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fakes = [mode.from_tensor(part) for part in flat(rows, weights, initial)]
        found = run_layer("lstm", fakes[0], layout, [fakes[1:5], fakes[5:9]], fakes[9:])
    for one, other in zip(outputs(found), outputs(expected), strict=True):
        assert (one.shape, one.stride(), one.dtype) == (other.shape, other.stride(), other.dtype)


# ---------------------------------------------------------------------- transforms


@pytest.mark.parametrize("cell", CELLS)
def test_transforms_of_torch_func(cell):
    rows, layout, weights, initial = parts(cell)

    def loss(x):
        return run_layer(cell, x, layout, weights, initial)[0].sin().sum()

    found = torch.func.grad(loss)(rows.detach())
    torch.testing.assert_close(found, torch.autograd.grad(loss(rows), rows)[0], **CLOSE)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch's own use of it
@pytest.mark.parametrize("cell", ["gru", "rnn_tanh"])
def test_forward_mode(cell):
    rows, layout, weights, initial = parts(cell)
    x, tangent = rows.detach(), torch.linspace(-1, 1, rows.numel()).view_as(rows).double()

    def run(x):
        return run_layer(cell, x, layout, weights, initial)[0].sin().sum()

    slope = (torch.autograd.grad(run(rows), rows)[0] * tangent).sum()
    with forward_ad.dual_level():
        dual = forward_ad.unpack_dual(run(forward_ad.make_dual(x, tangent)))
    torch.testing.assert_close(dual.tangent, slope, **CLOSE)
    _, found = torch.func.jvp(run, (x,), (tangent,))
    torch.testing.assert_close(found, slope, **CLOSE)


@pytest.mark.parametrize("call", ["layer", "operator"])
def test_vmap_is_refused_with_a_remedy(call):
    rows, layout, weights, initial = parts("lstm")
    own = [part for one in weights for part in one]
    run = {
        "layer": lambda x: run_layer("lstm", x, layout, weights, initial)[0],
        "operator": lambda x: torch.ops.birnn.recurrent(
            "lstm", x, *layout.parts, own, initial, 2, "gates"
        )[0],
    }[call]
    with pytest.raises(RuntimeError, match=r"no rule for torch\.vmap. Make the mapped axis a part"):
        torch.vmap(run)(rows.detach().expand(2, -1, -1))


def test_vmap_over_something_else_runs():
    rows, layout, weights, _ = parts("gru")
    output = run_layer("gru", rows, layout, weights)[0]

    def scaled(factor):
        return run_layer("gru", rows, layout, weights)[0] * factor

    factors = torch.tensor([1.0, 2.0], dtype=torch.float64)
    found = torch.vmap(scaled)(factors)
    torch.testing.assert_close(found[1], 2 * output, **CLOSE)


# ---------------------------------------------------------------------- memory


def test_checkpoint_keeps_a_fifth_for_an_lstm(native):
    sizes = {}
    for checkpoint in (True, False):
        encoder = BiRNN("lstm", 8, 16, checkpoint=checkpoint)
        assert encoder.checkpoint is checkpoint
        answer = encoder(torch.randn(4, 50, 8))
        call = answer.state.h.grad_fn
        while type(call).__name__ != "_RecurrentBackward":
            call = call.next_functions[0][0]
        sizes[checkpoint] = call.saved_tensors[1].numel()
    assert sizes[True] * 5 == sizes[False]
