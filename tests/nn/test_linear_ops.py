"""Linear layers on the native engine: torch's answers and gradients, the same bits in any batch."""

# N rows, I inputs, O outputs

from __future__ import annotations

from unittest import mock

import pytest
import torch
from torch.nn import functional

from birnn.engine import isa
from birnn.nn._engine.linear_ops import linear

CLOSE = {"rtol": 1e-10, "atol": 1e-12}


def parts_of(rows=5, inputs=3, outputs=4, dtype=torch.float64):
    shapes = (rows, inputs), (outputs, inputs), (outputs,)
    return [torch.randn(shape, dtype=dtype).requires_grad_() for shape in shapes]


@pytest.mark.parametrize("engine", ["native", "torch"])
@pytest.mark.parametrize("rows", [0, 1, 5])
@pytest.mark.parametrize("biased", [True, False])
def test_agrees_with_torch_and_central_differences(on_engine, engine, rows, biased):
    parts = parts_of(rows)[: 2 + biased]
    with on_engine(engine):
        torch.testing.assert_close(linear(*parts), functional.linear(*parts), **CLOSE)
        with torch.no_grad():
            torch.testing.assert_close(linear(*parts), functional.linear(*parts), **CLOSE)
        assert torch.autograd.gradcheck(linear, parts)
        assert torch.autograd.gradgradcheck(linear, parts)


@pytest.mark.usefixtures("native")
def test_a_row_has_the_same_bits_and_gradient_in_any_batch():
    rows, weight, bias = parts_of(70, 300, 90, torch.float32)
    d = torch.randn(70, 90)
    whole = linear(rows, weight, bias)
    (d_rows,) = torch.autograd.grad(whole, rows, d)
    for some in (slice(0, 1), slice(13, 14), slice(3, 20), slice(40, 70)):
        own = rows[some].detach().requires_grad_()
        found = linear(own, weight, bias)
        assert torch.equal(found, whole[some])
        assert torch.equal(torch.autograd.grad(found, own, d[some])[0], d_rows[some])


@pytest.mark.usefixtures("native")
def test_the_native_engine_runs_it_and_a_graph_does_not():
    module, calls, parts = isa.selected_engine(), [], parts_of()
    product = module.linear

    def counted(*arguments):
        calls.append(1)
        return product(*arguments)

    with mock.patch.object(module, "linear", counted):
        linear(*parts).sum().backward()
        assert len(calls) == 2  # outputs, and the gradient of rows
        mapped = torch.func.vmap(linear, in_dims=(0, None, None))(parts[0][:, None], *parts[1:])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert linear(*(part.float() for part in parts)).dtype == torch.bfloat16
        assert len(calls) == 2
    torch.testing.assert_close(mapped[:, 0], functional.linear(*parts), **CLOSE)
