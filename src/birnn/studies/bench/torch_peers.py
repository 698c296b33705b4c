"""birnn's layers, and torch's own in the two ways they are used on ragged batches."""

# B sequences, T steps, S directions, H hidden units

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

import birnn.nn
from birnn.reference.stack import CellName
from birnn.studies.bench.cases import Array, Problem, Work
from birnn.studies.bench.peers import OURS, Way

# Classes by their names, which are the same here and there.
NAMES: dict[CellName, str] = {"lstm": "LSTM", "gru": "GRU", "rnn_tanh": "RNN", "rnn_relu": "RNN"}


def ways(name: str, problem: Problem, work: Work, threads: int) -> list[Way]:
    """Ways of birnn and torch.

    birnn reads the padded batch and its lengths and gives a padded batch, all of which is timed;
    packing and unpacking are not. torch padded has no lengths: it is what a user runs who gives
    up the backward half's answers for speed.
    """
    set_threads(threads)
    if name == OURS:
        module = _layer(birnn.nn, problem)
        lengths = {"lengths": torch.from_numpy(problem.lengths)} if problem.case.kind.ragged else {}
        run = functools.partial(_padded, module, **lengths)
        return [_way(module, run, problem, work)]
    module = _layer(nn, problem)
    if name == "torch-padded":
        return [_way(module, functools.partial(_padded, module), problem, work)]
    return [_packed_way(module, problem, work)]


def set_threads(threads: int) -> None:
    """Threads of torch, inside an operation and, where it can still be said, between operations.

    birnn's layers follow torch's setting.
    """
    torch.set_num_threads(threads)
    with suppress(RuntimeError):  # torch takes it once, before its first parallel work
        torch.set_num_interop_threads(1)


def _layer(home: Any, problem: Problem) -> nn.Module:
    """The class of the cell in ``home``, with the problem's weights."""
    case = problem.case
    options = {"nonlinearity": "relu"} if case.kind.cell == "rnn_relu" else {}
    module: nn.Module = getattr(home, NAMES[case.kind.cell])(
        case.shape.inputs,
        case.shape.hidden,
        batch_first=True,
        bidirectional=case.kind.directions == 2,
        **options,
    )
    state = {key: torch.from_numpy(value) for key, value in problem.parameters.items()}
    module.load_state_dict(state)
    return module


def _padded(module: nn.Module, x: Tensor, **lengths: Tensor) -> Tensor:
    output: Tensor = module(x, **lengths)[0]
    return output


def _way(module: nn.Module, run: Callable[[Tensor], Tensor], problem: Problem, work: Work) -> Way:
    x = torch.from_numpy(problem.x)
    if work == "forward":
        return Way(functools.partial(_inferring, run, x), _numpy)
    x.requires_grad_()
    d_output = torch.from_numpy(problem.d_output)
    wanted = (x, *module.parameters())

    def step() -> Tensor:
        return torch.autograd.grad(run(x), wanted, d_output)[0]

    return Way(step, _numpy)


def _packed_way(module: nn.Module, problem: Problem, work: Work) -> Way:
    lengths = torch.from_numpy(problem.lengths)
    steps = problem.x.shape[1]

    def packed(padded: Array) -> PackedSequence:
        tensor = torch.from_numpy(padded)
        return pack_padded_sequence(tensor, lengths, batch_first=True, enforce_sorted=False)

    def unpacked(rows: Tensor) -> Array:
        together = x._replace(data=rows)
        return _numpy(pad_packed_sequence(together, batch_first=True, total_length=steps)[0])

    x = packed(problem.x)
    if work == "forward":

        def run(packed: PackedSequence) -> Tensor:
            output: Tensor = module(packed)[0].data
            return output

        return Way(functools.partial(_inferring, run, x), unpacked)
    rows = x.data.requires_grad_()
    d_rows = packed(problem.d_output).data
    wanted = (rows, *module.parameters())

    def step() -> Tensor:
        return torch.autograd.grad(module(x)[0].data, wanted, d_rows)[0]

    return Way(step, unpacked)


def _inferring(run: Callable[[Any], Tensor], x: Any) -> Tensor:
    with torch.inference_mode():
        return run(x)


def _numpy(tensor: Tensor) -> Array:
    array: Array = tensor.detach().numpy()
    return array
