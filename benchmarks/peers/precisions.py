"""The forward pass of a bidirectional LSTM in float32, bfloat16 and int8, by whoever has them."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from birnn.engine.stack import PackedStack
from birnn.engine.threads import set_num_threads
from birnn.ragged import Ragged
from birnn.reference.low_precision import MATRICES, Precision
from birnn.studies.bench.cases import Problem, Work
from birnn.studies.bench.peers import (
    OURS,
    Implementation,
    Lower,
    Peer,
    torch_packed,
    torch_padded,
)
from peers import graphs

# ---------------------------------------------------------------------- birnn


def birnn(
    problem: Problem, work: Work, threads: int, *, precision: Precision = "float32"
) -> list[Implementation]:
    """`PackedStack` on the rows of the sequences, weights packed once: what a predictor runs."""
    assert work == "forward", "low precision is for inference"
    set_num_threads(threads)
    parameters: dict[str, Any] = dict(problem.parameters)
    if precision in MATRICES:
        of = MATRICES[precision].of
        # biases stay float32
        parameters |= {name: of(array) for name, array in parameters.items() if array.ndim == 2}
    stack = PackedStack(parameters, problem.case.stack)
    rows = Ragged.from_padded(problem.x, problem.lengths)
    return [Implementation(lambda: stack.run(rows), lambda found: found.output.to_padded())]


# ---------------------------------------------------------------------- torch


def _bf16(module: nn.Module) -> nn.Module:
    return module.bfloat16()


def _int8(module: nn.Module, engine: str) -> nn.Module:
    """By torch's dynamic quantisation, the weights packed by one of its engines.

    torchao, which torch names as the successor, quantises no recurrent layer.
    """
    before = torch.backends.quantized.engine
    torch.backends.quantized.engine = engine
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of deprecation; there is no other way for an LSTM
            holder = torch.ao.quantization.quantize_dynamic(nn.ModuleList([module]), {nn.LSTM})
    finally:
        torch.backends.quantized.engine = before
    quantised: nn.Module = holder[0]
    return quantised


# ---------------------------------------------------------------------- all of them


@dataclass(frozen=True, slots=True)
class Variant:
    """A library in a precision.

    Args:
        library: Its name in tables.
        precision: In which it computes.
        ways: Peers that run it, of which the fastest counts.
    """

    library: str
    precision: Precision
    ways: tuple[Peer, ...]

    @property
    def name(self) -> str:
        """Name in tables and results."""
        return f"{self.library} {self.precision}"


def _birnn_in(precision: Precision) -> Variant:
    run = functools.partial(birnn, precision=precision)
    return Variant(OURS, precision, (Peer(f"birnn-{precision}", "", run, ("numpy",)),))


def _torch_in(precision: Precision, lowers: Mapping[str, Lower | None]) -> Variant:
    """Packed and padded, for each way of lowering the layer's precision."""
    ways = [
        Peer(
            f"torch-{'padded' if leaks else 'packed'}-{precision}",
            f"{'padded' if leaks else 'packed'}{called}",
            functools.partial(torch_padded if leaks else torch_packed, lower=lower),
            ("torch",),
            leaks=leaks,
        )
        for called, lower in lowers.items()
        for leaks in (False, True)
    ]
    return Variant("torch", precision, tuple(ways))


def _graph_in(
    library: str, precision: Precision, run: Any, packages: tuple[str, ...], **settings: Any
) -> Variant:
    peer = Peer(packages[0], "", functools.partial(run, **settings), packages, trains=False)
    return Variant(library, precision, (peer,))


_RUNTIME, _OPENVINO = ("onnxruntime", "onnx"), ("openvino",)
_INT8 = {f", {engine}": functools.partial(_int8, engine=engine) for engine in ("x86", "onednn")}

VARIANTS = (
    _birnn_in("float32"),
    _birnn_in("bf16"),
    _birnn_in("int8"),
    _torch_in("float32", {"": None}),
    _torch_in("bf16", {"": _bf16}),
    _torch_in("int8", _INT8),
    _graph_in("ONNX Runtime", "float32", graphs.onnxruntime, _RUNTIME),
    _graph_in("ONNX Runtime", "int8", graphs.onnxruntime, _RUNTIME, int8=True),
    _graph_in("OpenVINO", "float32", graphs.openvino, _OPENVINO),
    _graph_in("OpenVINO", "bf16", graphs.openvino, _OPENVINO, hint="bf16"),
)
