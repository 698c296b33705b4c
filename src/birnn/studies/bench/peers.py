"""Who is measured: birnn's layers, torch's own in the two ways they are used, and any others."""

# B sequences, T steps, D inputs, S directions, H hidden units

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

import birnn.nn
from birnn.errors import UsageError, nearest
from birnn.reference.stack import CellName
from birnn.studies.bench.cases import COMPARED, Array, Case, Problem, Work

OURS = "birnn"
TORCH = ("torch-packed", "torch-padded")

Lower = Callable[[nn.Module], nn.Module]

# Classes by their names, which are the same in birnn.nn and torch.nn.
CLASSES: dict[CellName, str] = {"lstm": "LSTM", "gru": "GRU", "rnn_tanh": "RNN", "rnn_relu": "RNN"}


@dataclass(frozen=True, slots=True, eq=False)
class Implementation:
    """One way in which a peer does the work.

    Args:
        call: Does the work once and returns when it is done; this is what is timed.
        answer: What ``call`` returned, as an array: the output (B, T, S * H) of the forward pass,
            the gradient of the input (B, T, D) of both passes. Not timed.
        called: What sets it apart from the peer's other implementations.
    """

    call: Callable[[], Any]
    answer: Callable[[Any], Array]
    called: str = ""


@dataclass(frozen=True, slots=True)
class Peer:
    """One who runs the layer.

    Args:
        name: Name on the command line.
        called: Name in tables.
        implement: From a problem, a work and a number of threads to its implementations; they get
            the same weights and rows.
        packages: What to install, by the names of the package index; the first one's version is
            told.
        modules: What has to be importable; ``packages`` where there are none.
        trains: Whether it has a backward pass.
        every_kind: Whether it also takes part where the layer is not the compared one.
        leaks: Whether its backward half reads padding, so that its answer is wrong there.
    """

    name: str
    called: str
    implement: Callable[[Problem, Work, int], list[Implementation]]
    packages: tuple[str, ...]
    modules: tuple[str, ...] = ()
    trains: bool = True
    every_kind: bool = False
    leaks: bool = False

    def installed(self) -> bool:
        """Whether all that it needs can be imported."""
        return all(find_spec(module) is not None for module in self.modules or self.packages)

    def version(self) -> str:
        """Version of its first package."""
        return metadata.version(self.packages[0])

    def how_to_install(self) -> str:
        """The command that installs it.

        Example:
            >>> PEERS["torch-packed"].how_to_install()
            'pip install torch'
        """
        return f"pip install {' '.join(self.packages)}"

    def does(self, case: Case, work: Work) -> bool:
        """Whether it takes part in a case."""
        return (self.trains or work == "forward") and (self.every_kind or case.kind == COMPARED)

    def compared(self, case: Case, work: Work) -> slice | None:
        """Columns of its answer that must agree with ours; None where none can.

        Example:
            >>> from birnn.studies.bench.cases import Shape
            >>> PEERS["torch-padded"].compared(Case(Shape(2, 3, 4, 5)), "forward")
            slice(0, 4, None)
            >>> PEERS["torch-padded"].compared(Case(Shape(2, 3, 4, 5)), "forward+backward")
        """
        if not (self.leaks and case.kind.ragged and case.kind.directions == 2):
            return slice(None)
        return slice(0, case.shape.hidden) if work == "forward" else None


def choose(names: Sequence[str], among: Mapping[str, Peer]) -> tuple[dict[str, Peer], list[Peer]]:
    """The peers to measure, birnn first, and those that would be but are not installed.

    Args:
        names: Names of peers; all where there are none.
        among: All that there are, by their names.

    Raises:
        UsageError: A name that is none, or one that was asked for and is not installed.

    Example:
        >>> list(choose(["torch-packed"], PEERS)[0])
        ['birnn', 'torch-packed']
    """
    for name in names:
        if name not in among:
            raise UsageError(f"no peer {name!r}: {nearest(name, among)}")
        if not among[name].installed():
            raise UsageError(
                f"{among[name].called} is not installed. {among[name].how_to_install()}"
            )
    wanted = [peer for name, peer in among.items() if not names or name == OURS or name in names]
    return (
        {peer.name: peer for peer in wanted if peer.installed()},
        [peer for peer in wanted if not peer.installed()],
    )


# ---------------------------------------------------------------------- birnn and torch


def _birnn(problem: Problem, work: Work, threads: int) -> list[Implementation]:
    """From the padded batch and its lengths to a padded batch: all of it is timed."""
    set_threads(threads)
    module = _layer(birnn.nn, problem)
    lengths = {"lengths": torch.from_numpy(problem.lengths)} if problem.case.kind.ragged else {}
    return [_on_padded(module, problem, work, **lengths)]


def torch_padded(
    problem: Problem, work: Work, threads: int, *, lower: Lower | None = None
) -> list[Implementation]:
    """Without lengths: what a user runs who gives up the backward half's answers for speed.

    Args:
        problem: The layer and what it reads.
        work: What is done.
        threads: On how many.
        lower: From the layer to the same in a lower precision, for the forward pass alone.
    """
    set_threads(threads)
    return [_on_padded(_torch_layer(problem, lower), problem, work)]


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
    module: nn.Module = getattr(home, CLASSES[case.kind.cell])(
        case.shape.inputs,
        case.shape.hidden,
        batch_first=True,
        bidirectional=case.kind.directions == 2,
        **options,
    )
    state = {key: torch.from_numpy(value) for key, value in problem.parameters.items()}
    module.load_state_dict(state)
    return module


def _torch_layer(problem: Problem, lower: Lower | None) -> nn.Module:
    module = _layer(nn, problem)
    return module if lower is None else lower(module)


def _rows_for(module: nn.Module, x: Array) -> Tensor:
    """The batch in the dtype of the module's parameters; int8 ones are none, and read float32."""
    dtype = next((parameter.dtype for parameter in module.parameters()), torch.float32)
    return torch.from_numpy(x).to(dtype)


def _on_padded(
    module: nn.Module, problem: Problem, work: Work, **lengths: Tensor
) -> Implementation:
    x = _rows_for(module, problem.x)

    def run(x: Tensor) -> Tensor:
        output: Tensor = module(x, **lengths)[0]
        return output

    if work == "forward":
        return Implementation(functools.partial(_inferring, run, x), _numpy)
    x.requires_grad_()
    d_output = torch.from_numpy(problem.d_output)
    wanted = (x, *module.parameters())

    def step() -> Tensor:
        return torch.autograd.grad(run(x), wanted, d_output)[0]

    return Implementation(step, _numpy)


def torch_packed(
    problem: Problem, work: Work, threads: int, *, lower: Lower | None = None
) -> list[Implementation]:
    """Packed sequences; packing and unpacking are not timed. Arguments as of `torch_padded`."""
    set_threads(threads)
    module = _torch_layer(problem, lower)
    lengths = torch.from_numpy(problem.lengths)
    steps = problem.x.shape[1]

    def packed(padded: Array) -> PackedSequence:
        tensor = _rows_for(module, padded)
        return pack_padded_sequence(tensor, lengths, batch_first=True, enforce_sorted=False)

    def unpacked(rows: Tensor) -> Array:
        together = x._replace(data=rows)
        return _numpy(pad_packed_sequence(together, batch_first=True, total_length=steps)[0])

    x = packed(problem.x)
    if work == "forward":

        def run(packed: PackedSequence) -> Tensor:
            output: Tensor = module(packed)[0].data
            return output

        return [Implementation(functools.partial(_inferring, run, x), unpacked)]
    rows = x.data.requires_grad_()
    d_rows = packed(problem.d_output).data
    wanted = (rows, *module.parameters())

    def step() -> Tensor:
        return torch.autograd.grad(module(x)[0].data, wanted, d_rows)[0]

    return [Implementation(step, unpacked)]


def _inferring(run: Callable[[Any], Tensor], x: Any) -> Tensor:
    with torch.inference_mode():
        return run(x)


def _numpy(tensor: Tensor) -> Array:
    array: Array = tensor.detach().float().numpy()
    return array


PEERS = {
    peer.name: peer
    for peer in (
        Peer(OURS, "birnn", _birnn, ("torch",), every_kind=True),
        Peer("torch-packed", "torch packed", torch_packed, ("torch",), every_kind=True),
        Peer("torch-padded", "torch padded", torch_padded, ("torch",), every_kind=True, leaks=True),
    )
}
