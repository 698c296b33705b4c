"""Tensors that the compiled module reads where they stand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from birnn.engine import isa
from birnn.engine.arrays import RowLayout
from birnn.engine.packed_weights import CELL_NUMBERS
from birnn.engine.recurrent import KEEP_NUMBERS
from birnn.nn._engine import native
from birnn.nn._engine.ops import run_layer
from birnn.nn._engine.tensor_layout import TensorLayout

SHAPES = {"x": (5, 3), "weight_ih": (16, 3), "weight_hh": (16, 4), "bias": (16,), "h": (1, 2, 4)}
LENGTHS = np.array([3, 2])

pytestmark = pytest.mark.usefixtures("native")


def draw(name, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed + len(name))
    return torch.randn(SHAPES[name], generator=generator, dtype=dtype)


def run(given):
    """Output and final states by the kernel itself, of tensors as they are."""
    output, h, c = torch.full((5, 4), 7.0), torch.empty(1, 2, 4), torch.empty(1, 2, 4)
    weights = [given["weight_ih"], given["weight_hh"], given["bias"], None]
    isa.native_module().layer_forward(
        CELL_NUMBERS["lstm"],
        given["x"],
        RowLayout.ragged(LENGTHS).plan,
        None,
        weights,
        None,
        given["h"],
        draw("h", 1),
        KEEP_NUMBERS["nothing"],
        given.get("output", output),
        h,
        c,
        None,
        1,
    )
    return torch.cat([output.flatten(), h.flatten(), c.flatten()])


def between(tensor):
    wide = torch.full((*tensor.shape[:-1], 2 * tensor.shape[-1]), torch.nan)
    wide[..., ::2] = tensor
    return wide[..., ::2]


def turned(tensor):
    return tensor.mT.contiguous().mT if tensor.dim() > 1 else between(tensor)


def unaligned(tensor):
    memory = bytearray(b"\0" + tensor.numpy().tobytes())
    moved = torch.frombuffer(memory, dtype=tensor.dtype, offset=1).view(tensor.shape)
    assert moved.data_ptr() % tensor.itemsize
    return moved


def behind(tensor):
    """The same numbers, not at the begin of their memory."""
    return torch.cat([torch.full_like(tensor, torch.nan), tensor])[len(tensor) :]


def parameter(tensor):
    return torch.nn.Parameter(tensor.clone())


def array(tensor):
    return tensor.numpy()


@pytest.mark.parametrize("move", [between, turned, unaligned, behind, parameter, array])
@pytest.mark.parametrize("name", SHAPES)
def test_where_a_tensor_stands_changes_nothing(name, move):
    plain = {name: draw(name) for name in SHAPES}
    assert run(plain).isfinite().all()
    assert torch.equal(run(plain | {name: move(plain[name])}), run(plain))


def test_one_row_for_all_is_read_as_often_as_it_stands_there():
    plain = {name: draw(name) for name in SHAPES}
    expanded = plain["x"][:1].expand(5, 3)
    assert torch.equal(run(plain | {"x": expanded}), run(plain | {"x": expanded.clone()}))


class NoTable:
    __dlpack_c_exchange_api__ = "no table"


class OtherCapsule(torch.Tensor):
    __dlpack_c_exchange_api__ = np.zeros(1).__array_struct__


def no_tensors():
    with FakeTensorMode():
        fake = torch.empty(5, 3)
    return {
        "meta": torch.empty(5, 3, device="meta"),
        "fake": fake,
        "sparse": torch.eye(5, 3).to_sparse(),
        "list": torch.zeros(5, 3).tolist(),
        "no table": NoTable(),
        "a class": torch.Tensor,
    }


@pytest.mark.parametrize("kind", no_tensors())
def test_what_has_no_numbers_here_is_refused(kind):
    plain = {name: draw(name) for name in SHAPES}
    with pytest.raises(TypeError, match="incompatible"):
        run(plain | {"x": no_tensors()[kind]})
    assert run(plain).isfinite().all()


@pytest.mark.parametrize("name", SHAPES)
def test_what_does_not_fit_is_named(name):
    plain = {name: draw(name) for name in SHAPES}
    for wrong in (plain[name][:-1], plain[name].double(), plain[name].to(torch.int32)):
        if wrong.shape == plain[name].shape or name != "h":
            with pytest.raises(ValueError, match=r"dtype|shape|rows|x is neither"):
                run(plain | {name: wrong})


@pytest.mark.parametrize("move", [between, turned, unaligned])
def test_what_is_written_has_to_stand_row_after_row(move):
    plain = {name: draw(name) for name in SHAPES}
    output = move(torch.full((5, 4), 7.0))
    with pytest.raises(TypeError, match="incompatible"):
        run(plain | {"output": output})
    assert (output == 7).all()


def test_a_table_of_another_kind_is_not_called():
    plain = {name: draw(name) for name in SHAPES}
    odd = plain["x"].as_subclass(OtherCapsule)
    assert torch.equal(run(plain | {"x": odd}), run(plain))  # by way of __dlpack__


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn_relu"])
@pytest.mark.parametrize("biases", [True, False])
def test_a_torch_without_the_table_gets_the_same_answers(monkeypatch, cell, biases):
    gates = {"lstm": 4, "gru": 3, "rnn_relu": 1}[cell]
    generator = torch.Generator().manual_seed(0)
    shapes = [(gates * 4, 3), (gates * 4, 4), *([(gates * 4,)] * 2 if biases else [])]
    weights = [
        [torch.randn(s, generator=generator, requires_grad=True) for s in shapes] for _ in range(2)
    ]
    rows = torch.randn(5, 3, generator=generator, requires_grad=True)
    initial = [torch.randn(2, 2, 4, generator=generator) for _ in range(2 if cell == "lstm" else 1)]

    def answers():
        output, final = run_layer(cell, rows, TensorLayout.ragged(LENGTHS), weights, initial)
        wanted = [rows, *weights[0], *weights[1]]
        return [output, *final, *torch.autograd.grad(output.square().sum(), wanted)]

    expected = answers()
    monkeypatch.setattr(native, "READS_TENSORS", False)
    assert all(map(torch.equal, answers(), expected))
