"""Recurrent layers in int8 or bfloat16, for inference: weights packed once, and when they change.

The module keeps its float32 parameters. Beside them stands a `LowPrecision`, which makes of them
what the kernels read when a layer first runs, and again where a parameter is another tensor, has
other memory, or has been changed in place, and after each step of an optimiser.
"""

# B sequences, D inputs, H hidden units

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from birnn.engine import isa, recurrent
from birnn.engine.layer_checks import DirectionWeights
from birnn.engine.packed_weights import PackedWeights, pack
from birnn.errors import ShapeError, UsageError
from birnn.nn._engine.call import WeightTensors
from birnn.nn._engine.private_torch import needs_dispatcher, transforms_active
from birnn.nn._engine.tensor_layout import TensorLayout
from birnn.nn.threads import layer_threads
from birnn.reference.low_precision import MATRICES, Precision
from birnn.reference.stack import CellName

P = ParamSpec("P")
R = TypeVar("R")
REMEDY = "birnn.decelerate(model) gives the layers back as they were"
NO_GRAPH = (
    f"recurrent layers of low precision are in no graph and under no transform of torch. {REMEDY}"
)


@dataclass(frozen=True, slots=True, eq=False)
class LowPrecisionLayer:
    """A layer's weights in low precision, packed for the kernels.

    Args:
        low: What it was made by.
        tensors: The parameters that they were made of, direction by direction.
        state: What these were then: see `_state`.
        memory: Tensors that share the parameters' memory, which therefore stays theirs: a
            parameter with memory at the same address has the same memory.
        packed: What was made.
    """

    low: LowPrecision
    tensors: Sequence[Tensor]
    state: Any
    memory: Sequence[Tensor]
    packed: PackedWeights

    def __len__(self) -> int:
        """How many directions it has."""
        return len(self.packed.data)

    def is_of(self, tensors: Sequence[Tensor]) -> bool:
        """Whether it is still what would be made of these parameters, for the engine in use."""
        if self.packed.engine != isa.active(self.low.precision).name:
            return False
        same = all(one is other for one, other in zip(tensors, self.tensors, strict=True))
        return same and _state(tensors) == self.state


LayerWeights = Sequence[WeightTensors] | LowPrecisionLayer
"""The weights of a layer: parameters of each direction, or what was made of them."""


class LowPrecision:
    """In which precision a module runs, and its weights in that precision.

    It is copied and pickled as the precision alone: the copy makes its own.

    Args:
        precision: ``bf16`` or ``int8``.
        name: Of the module in its model, for messages.
    """

    def __init__(self, precision: Precision, name: str = "") -> None:
        self.precision = precision
        self.name = name
        self._layers: dict[int, LowPrecisionLayer] = {}

    def __reduce__(self) -> Any:
        return LowPrecision, (self.precision, self.name)

    def layer(self, at: int, cell: CellName, weights: Sequence[WeightTensors]) -> LowPrecisionLayer:
        """A layer's weights in this precision, made anew if they have changed.

        Args:
            at: Which layer.
            cell: Which cell.
            weights: Parameters of each direction.

        Raises:
            ShapeError: NaN or infinity among them.
            UsageError: They are not of float32 on the CPU.
            EngineError: There is no compiled engine.
        """
        tensors = [part for own in weights for part in own]
        found = self._layers.get(at)
        if found is None or not found.is_of(tensors):
            found = self._made(at, cell, weights, tensors)
            self._layers[at] = found
        return found

    def _made(
        self, at: int, cell: CellName, weights: Sequence[WeightTensors], tensors: Sequence[Tensor]
    ) -> LowPrecisionLayer:
        isa.require_native(self.precision)
        _count_steps()
        state, memory = _state(tensors), [part.detach() for part in tensors]
        parts = [[self._array(part) for part in own] for own in weights]
        ends = (f"_l{at}", f"_l{at}_reverse")
        low = [self._direction(own, end) for own, end in zip(parts, ends, strict=False)]
        return LowPrecisionLayer(self, tensors, state, memory, pack(cell, low))

    def _array(self, part: Tensor) -> Any:
        if not is_float32_on_host(part):
            raise UsageError(
                f"{self.runs_in}, which is made of weights of float32 on the CPU, got "
                f"{part.dtype} on {part.device}. {REMEDY}."
            )
        return np.ascontiguousarray(part.detach().numpy())

    def _direction(self, parts: Sequence[Any], end: str) -> DirectionWeights:
        matrix, found = MATRICES[self.precision], list(parts)
        for at, name in enumerate(("weight_ih", "weight_hh")):
            try:
                found[at] = matrix.of(parts[at])
            except ShapeError as error:
                where = f"{self.name}.{name}{end}".lstrip(".")
                raise ShapeError(f"{where} cannot be {self.precision}: {error}") from error
        w_ih, w_hh, b_ih, b_hh = (*found, None, None)[:4]
        return w_ih, w_hh, b_ih, b_hh

    @property
    def runs_in(self) -> str:
        """Beginning of a message: which module runs in which precision."""
        return f"the layer {self.name!r} runs in {self.precision}".replace(" ''", "")

    def refusal(self, rows: Any) -> str:
        """What to say of rows that low precision does not read."""
        found = (
            f"{rows.dtype} on {rows.device}" if isinstance(rows, Tensor) else type(rows).__name__
        )
        return f"{self.runs_in}, on rows of float32 on the CPU, got {found}. {REMEDY}."


def _outside_of_graphs(function: Callable[P, R]) -> Callable[P, R]:
    """A function that dynamo runs between graphs; where there is to be but one, it says why not."""
    disable: Any = torch.compiler.disable
    explains = "reason" in inspect.signature(disable).parameters  # from torch 2.7 on
    outside: Callable[P, R] = disable(function, **({"reason": NO_GRAPH} if explains else {}))
    return outside


def in_precision(
    module: nn.Module, cell: CellName, layers: Sequence[Sequence[WeightTensors]]
) -> Sequence[LayerWeights]:
    """The weights of a module's layers as they are to run: parameters, or of low precision.

    Args:
        module: The module, whose ``_low_precision`` says which.
        cell: Which cell.
        layers: Parameters of each direction of each layer.

    Raises:
        UsageError: In low precision, in training or in a graph.
        ShapeError: NaN or infinity among the weights.
        EngineError: There is no compiled engine.
    """
    low: LowPrecision | None = module._low_precision  # type: ignore[assignment]
    return layers if low is None else _made_for(module, low, cell, layers)


@_outside_of_graphs
def _made_for(
    module: nn.Module, low: LowPrecision, cell: CellName, layers: Sequence[Sequence[WeightTensors]]
) -> list[LowPrecisionLayer]:
    parameters = tuple(part for own in layers for one in own for part in one)
    refuse_graphs(parameters)
    if module.training and torch.is_grad_enabled() and any(p.requires_grad for p in parameters):
        raise UsageError(
            f"{low.runs_in}, which is for inference. Call model.eval() first; to train, {REMEDY}."
        )
    return [low.layer(at, cell, weights) for at, weights in enumerate(layers)]


@_outside_of_graphs
def run_low_precision(
    layer: LowPrecisionLayer, rows: Tensor, layout: TensorLayout, initial: Sequence[Tensor]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run a layer; arguments and answer are those of `birnn.nn._engine.ops.run_layer`.

    Raises:
        UsageError: In a graph or under a transform of torch; rows of another dtype or device.
    """
    given = (rows, *initial)
    refuse_graphs(given)
    if not all(map(is_float32_on_host, given)):
        raise UsageError(layer.low.refusal(rows))
    host = layout.row_layout(rows.shape[:-1].numel())

    def forward() -> tuple[Tensor, ...]:
        x_RD, *states = (part.detach().contiguous() for part in given)
        found = recurrent.forward_packed(
            layer.packed,
            x_RD.view(-1, rows.shape[-1]).numpy(),
            host,
            tuple(part.numpy() for part in states) or None,
            threads=layer_threads(),
        )
        output = torch.from_numpy(found.output).view(*rows.shape[:-1], found.output.shape[1])
        return output, *map(torch.from_numpy, found.final)

    tensors = (*given, *layer.tensors)
    if torch.is_grad_enabled() and any(part.requires_grad for part in tensors):
        output, *final = _WithoutGradients.apply(layer, forward, *tensors)  # type: ignore[no-untyped-call]
    else:
        output, *final = forward()
    return output, tuple(final)


def refuse_graphs(tensors: tuple[Tensor, ...]) -> None:
    """Refuse tracers, modes and transforms, which could not see into a layer of low precision.

    Raises:
        UsageError: One of them is at work.
    """
    if needs_dispatcher(tensors) or transforms_active():
        raise UsageError(f"{NO_GRAPH}.")


class _WithoutGradients(torch.autograd.Function):
    """A layer whose backward pass is refused.

    Its answer requires gradients as any layer's with such parameters: without, a loss would have
    gradients that leave the layer out, and nobody would know.
    """

    @staticmethod
    def forward(
        ctx: Any, layer: LowPrecisionLayer, run: Callable[[], tuple[Tensor, ...]], *_: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.layer = layer
        return run()

    @staticmethod
    def backward(ctx: Any, *_: Any) -> Any:
        raise UsageError(f"{ctx.layer.low.runs_in}, which has no gradients. {REMEDY}.")


def precision_repr(module: nn.Module) -> str:
    """What a module's ``extra_repr`` says of its precision: nothing where it is its parameters'."""
    low = module._low_precision
    return f", precision={low.precision}" if isinstance(low, LowPrecision) else ""


def is_float32_on_host(tensor: Tensor) -> bool:
    """Whether low precision is made of such weights, and reads such rows."""
    return tensor.dtype is torch.float32 and tensor.is_cpu


def _state(tensors: Sequence[Tensor]) -> list[Any]:
    """What changes where a tensor's numbers do: its address, and how often it was changed.

    A change through ``data``, which torch does not count, leaves it as it is, but for one by an
    optimiser: then all have changed. Tensors made in inference mode count nothing: NaN, so that
    nothing is kept for them.
    """
    return [_steps] + [
        (part.data_ptr(), float("nan") if part.is_inference() else part._version)
        for part in tensors
    ]


# Steps that optimisers took. Torch's fused ones and many others' change weights uncounted.
_steps = 0


@functools.cache
def _count_steps() -> None:
    """See to it that steps are counted, from the first layer of low precision on."""

    def count(*_: Any) -> None:
        global _steps
        _steps += 1

    register_optimizer_step_post_hook(count)
