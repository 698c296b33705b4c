"""The architecture of a model, drawn from its spec to its real layers and widths."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from birnn.bundle.spec import Spec
from birnn.reference.stack import CELL_TITLES
from birnn.report.figures import HALVES, blueprint
from birnn.report.figures.blueprint import Box, Stage

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DRAWN = 4  # layers; of a higher stack the first two and the last
MERGED = {
    "concat": "halves side by side",
    "sum": "sum of the halves",
    "mean": "mean of the halves",
    "product": "product of the halves",
    "project": "halves, projected",
}


def architecture(spec: Spec) -> Figure:
    """A model from its inputs, at the bottom, to its answers; all widths to one scale.

    Args:
        spec: The model, of one direction or two, any inputs, any head.

    Example:
        >>> from birnn.bundle.spec import Encoder, Spec
        >>> from birnn.inputs import Symbols
        >>> from birnn.tasks import Tags
        >>> spec = Spec(inputs=Symbols(size=5, dim=8), encoder=Encoder(cell="gru", hidden_size=16),
        ...             head=Tags(size=3))
        >>> from birnn.report.figures import alt_text
        >>> alt_text(architecture(spec)).split(". ")[2]
        'Layer 1, GRU, 16 units each way: forward half 16, backward half 16; 2,496 parameters'
    """
    return blueprint(list(stages(spec)), title=spec.task, parameters=spec.parameter_count())


def stages(spec: Spec) -> Iterator[Stage]:
    """The rows of the drawing from the inputs up; their parameters sum to those of the model."""
    for row in spec.inputs.stages():
        count = _count(spec, *(f"inputs.{name}" for name in row.tensors))
        yield Stage(row.name, count, [Box(*part) for part in row.parts])
    stack = spec.stack
    yield from _layers(spec)
    half = "both" if stack.directions_of(-1) == 2 else "forward"
    for stage in spec.head.stages(stack):
        boxes = [Box(*box, half) if stage.encoder else Box(*box) for box in stage.boxes]
        yield Stage(stage.name, _count(spec, *(f"head.{name}" for name in stage.tensors)), boxes)


def _layers(spec: Spec) -> Iterator[Stage]:
    stack = spec.stack
    cell, hidden = CELL_TITLES[stack.cell], stack.hidden_size
    shown = set(range(stack.num_layers))
    if stack.num_layers > DRAWN:
        shown = {0, 1, stack.num_layers - 1}
    for layer in range(stack.num_layers):
        halves = ("forward", "backward")[: stack.directions_of(layer)]
        ways = f"{hidden} units" + (" each way" if len(halves) == 2 else ", left to right")
        width = stack.layer_output_size(layer)
        kernels = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        names = [f"encoder.{k}_l{layer}{end}" for k in kernels for end in ("", "_reverse")]
        tensors = spec.tensors()
        count = sum(math.prod(tensors[name]) for name in names if name in tensors)
        added = " + the layer's input" if stack.adds_input(layer) else ""
        if layer not in shown:
            if layer == 2:
                hidden_layers = range(2, stack.num_layers - 1)
                like = "like the one below"
                if stack.directions is not None:
                    both = sum(stack.directions_of(at) == 2 for at in hidden_layers)
                    like = f"{both} of two directions, {len(hidden_layers) - both} of one"
                top = hidden_layers[-1]
                half = "both" if stack.directions_of(top) == 2 else "forward"
                yield Stage(
                    f"layers 3 to {stack.num_layers - 1}, {like}",
                    _hidden(spec, hidden_layers),
                    [Box(stack.layer_output_size(top), "output", half)],
                )
            continue
        yield Stage(
            f"layer {layer + 1}, {cell}, {ways}" + (added if len(halves) == 1 else ""),
            count,
            [Box(hidden, HALVES[half], half, reads=True) for half in halves],
        )
        if len(halves) == 2:
            boxes = [Box(hidden, half, half) for half in halves]
            if stack.merge != "concat":
                boxes = [Box(width, "both", "both")]
            name = f"{MERGED[stack.merge]}, {width} wide{added}"
            yield Stage(name, _count(spec, f"encoder.merge_l{layer}."), boxes)


def _hidden(spec: Spec, layers: Sequence[int]) -> int:
    ends = tuple(f"_l{layer}{end}" for layer in layers for end in ("", "_reverse"))
    merges = tuple(f"encoder.merge_l{layer}." for layer in layers)
    return sum(
        math.prod(shape)
        for name, shape in spec.tensors().items()
        if name.startswith("encoder.") and (name.endswith(ends) or name.startswith(merges))
    )


def _count(spec: Spec, *prefixes: str) -> int:
    """Parameters in the tensors whose names start so."""
    return sum(
        math.prod(shape) for name, shape in spec.tensors().items() if name.startswith(prefixes)
    )
