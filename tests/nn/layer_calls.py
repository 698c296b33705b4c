"""Layers called on small random batches, and what comes out of them in one list."""

# B sequences, T steps, D inputs, H hidden units, G gate rows

from __future__ import annotations

import torch

from birnn.nn._engine import segments
from birnn.nn._engine.call import Call
from birnn.nn._engine.tensor_layout import TensorLayout
from birnn.reference import GATES

CELLS = sorted(GATES)
KEEPS = ["gates", "states", "everything"]
CLOSE = {"rtol": 1e-10, "atol": 1e-10}
LENGTHS = torch.tensor([3, 0, 2])


def parts(
    cell, *, directions=2, bias=True, steps=4, inputs=3, hidden=2, dtype=torch.float64, seed=0
):
    """Rows of a padded batch, its layout, weights and initial states, all wanting gradients."""
    draw = torch.Generator().manual_seed(seed)

    def random(*shape):
        values = torch.rand(shape, generator=draw, dtype=torch.float64) * 1.6 - 0.8
        return values.to(dtype).requires_grad_()

    gates = GATES[cell] * hidden
    shapes = [(gates, inputs), (gates, hidden), *([(gates,)] * 2 if bias else [])]
    weights = [[random(*shape) for shape in shapes] for _ in range(directions)]
    initial = [random(directions, 3, hidden) for _ in range(2 if cell == "lstm" else 1)]
    return random(3 * steps, inputs), TensorLayout.padded(3, steps, LENGTHS), weights, initial


def flat(rows, weights, initial):
    return [rows, *(part for own in weights for part in own), *initial]


def outputs(answer):
    output, final = answer
    return [output, *final]


def gradients(answer, wanted, **options):
    loss = sum((p * torch.arange(1, p.numel() + 1).view_as(p).sin()).sum() for p in outputs(answer))
    return torch.autograd.grad(loss, wanted, **options)


def operator_call(cell, **options):
    """Arguments of ``birnn::recurrent``."""
    rows, layout, weights, initial = parts(cell, **options)
    own = [part for one in weights for part in one]
    return cell, rows, *layout.parts, own, initial, len(weights), "gates"


def run_on_torch(cell, rows, batch, weights):
    """Output and final states by torch's kernels on the segments of a batch, from zeros."""
    own, layout = [part for one in weights for part in one], (None, None, None)
    return segments.run(Call(cell, rows, *layout, own, [], len(weights), "gates"), batch)
