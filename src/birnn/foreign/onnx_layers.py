"""An ONNX graph as a list of layers: one chain of operators from the input to the scores.

Rows are followed through the graph with what each of their axes is, so that a transposition or a
reshape is understood and not trusted: a reshape that would mix steps, sequences or halves is
refused.
"""

# T steps, B sequences, D inputs, S directions, H hidden units

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from birnn.bundle.conventions import matching
from birnn.errors import ConversionError, ShapeError
from birnn.foreign.layers import (
    Activation,
    Layer,
    Normalisation,
    Pool,
    RecurrentLayer,
    faults_named,
    linear_layer,
    wide,
)
from birnn.foreign.onnx_graph import (
    POOLS,
    RECURRENT,
    SAME,
    SIDE,
    Graph,
    Operator,
    check_order,
    pruned,
)
from birnn.foreign.onnx_walk import OUTPUT, Readers, Walk, keeps_fractions

FUNCTIONS = {
    "Relu": "relu",
    "Tanh": "tanh",
    "Sigmoid": "sigmoid",
    "Softmax": "softmax",
    "LogSoftmax": "softmax",
    "Gelu": "gelu",
}


def onnx_layers(graph: Graph) -> list[Layer]:
    """The layers of a graph, in the order in which data passes through them.

    Raises:
        ConversionError: An operator that has no counterpart, or operators that are no chain.
        FormatError: Operators that read what nothing gives.
        ShapeError: Shapes that disagree.
    """
    with faults_named("the graph is damaged, or has operators with inputs or attributes of others"):
        check_order(graph)
        return list(Walk(pruned(graph), READERS).layers())


def _same(walk: Walk, node: Operator) -> Iterator[Layer]:
    if node.kind == "Cast" and not keeps_fractions(node):
        raise ConversionError(f"{node}: it makes whole numbers of the rows, birnn's layers do not.")
    training = walk.array(node, 2) if node.kind == "Dropout" else None
    if training is not None and training.any():
        raise ConversionError(
            f"{node}: it drops values when the model predicts too (training_mode). Export the "
            "model in evaluation mode."
        )
    walk.name = node.outputs[0]
    yield from ()


def _function(walk: Walk, node: Operator) -> Iterator[Layer]:
    function = FUNCTIONS[node.kind]
    if function == "softmax" and node.attributes.get("axis", -1) not in (-1, len(walk.axes) - 1):
        raise ConversionError(f"{node}: its axis is {node.attributes['axis']}, not that of labels.")
    if function == "gelu" and node.attributes.get("approximate", "none") not in ("none", b"none"):
        raise ConversionError(f"{node}: birnn's GELU is exact, this one is approximated.")
    walk.name = node.outputs[0]
    yield Activation(str(node), function)


def _transpose(walk: Walk, node: Operator) -> Iterator[Layer]:
    order = node.attributes.get("perm", list(range(len(walk.axes)))[::-1])
    walk.name, walk.axes = node.outputs[0], tuple(walk.axes[axis] for axis in order)
    yield from ()


def _squeeze(walk: Walk, node: Operator) -> Iterator[Layer]:
    """The axis of directions, where there is one direction."""
    axes = node.attributes.get("axes")
    if axes is None:
        given = walk.array(node, 1)
        axes = [] if given is None else given.tolist()
    if [walk.axes[axis] for axis in axes] != ["1"]:
        raise ConversionError(f"{node}: it drops axes {axes}, which are not those of a direction.")
    walk.name = node.outputs[0]
    walk.axes = tuple(axis for axis in walk.axes if axis != "1")
    yield from ()


def _reshape(walk: Walk, node: Operator) -> Iterator[Layer]:
    """The two halves of each row side by side: the axes of directions and units become one.

    Other axes must be copied (0), since from sizes alone it cannot be seen which axis is which.
    """
    given = walk.array(node, 1)
    shape = [] if given is None else given.reshape(-1).tolist()
    if len(shape) == len(walk.axes) - 1 and walk.axes[-2:] in (("S", "W"), ("1", "W")):
        known, axes = not any(shape[:-1]), (*walk.axes[:-2], "W")
    else:
        known, axes = len(shape) == len(walk.axes) and shape.count(0) >= len(shape) - 1, walk.axes
    if node.attributes.get("allowzero"):
        raise ConversionError(f"{node}: with allowzero=1 its zeros are sizes and keep no axis.")
    if not known:
        raise ConversionError(
            f"{node}: it reshapes axes {', '.join(walk.axes)} to {shape}, which may mix what birnn "
            "keeps apart (S: halves, T: steps, B: sequences, W: values of a row)."
        )
    walk.name, walk.axes = node.outputs[0], axes
    yield from ()


def _matmul(walk: Walk, node: Operator) -> Iterator[Layer]:
    matrix = walk.array(node, 1)
    if matrix is None or matrix.ndim != 2 or walk.axes[-1] != "W":
        raise ConversionError(f"{node}: it is no product of rows and a constant matrix.")
    walk.name = node.outputs[0]
    bias = None
    after = walk.readers.get(walk.name, [])
    if len(after) == 1 and after[0].kind == "Add":
        bias = walk.other(after[0])
        if bias.shape != matrix.shape[1:]:
            raise ShapeError(f"{after[0]}: {bias.shape} is no bias of a matrix {matrix.shape}.")
        walk.name = after[0].outputs[0]
    yield linear_layer(str(node), matrix.T, bias)


def _gemm(walk: Walk, node: Operator) -> Iterator[Layer]:
    matrix, bias = walk.array(node, 1), walk.array(node, 2)
    own = node.attributes
    if matrix is None or matrix.ndim != 2 or own.get("transA"):
        raise ConversionError(f"{node}: it is no product of rows and a constant matrix.")
    weight = (matrix if own.get("transB") else matrix.T) * own.get("alpha", 1.0)
    if bias is not None:
        bias = np.broadcast_to(bias, (len(weight),)) * own.get("beta", 1.0)
    walk.name = node.outputs[0]
    yield linear_layer(str(node), weight, bias)


def _normalisation(walk: Walk, node: Operator) -> Iterator[Layer]:
    arrays = [walk.array(node, number) for number in range(1, 5)]
    if any(each is None or each.ndim != 1 for each in arrays) or walk.axes[1] != "W":
        raise ConversionError(f"{node}: it does not normalise the values of rows (axis 1).")
    gamma, beta, mean, variance = (wide(each) for each in arrays if each is not None)
    deviation = np.sqrt(variance + node.attributes.get("epsilon", 1e-5))
    if node.attributes.get("training_mode") or not node.attributes.get("spatial", 1):
        raise ConversionError(
            f"{node}: its mean and variance are those of what it reads (training_mode), or of each "
            "step. Export the model in evaluation mode."
        )
    walk.name = node.outputs[0]
    yield Normalisation(str(node), mean, deviation, gamma, beta)


def _gather(walk: Walk, node: Operator) -> Iterator[Layer]:
    """The final state of the one direction, or the last of its rows, which is the same."""
    index, axis = walk.array(node, 1), walk.axes[node.attributes.get("axis", 0)]
    if (
        index is None
        or index.size != 1
        or axis not in ("1", "T")
        or (axis == "1" and int(index) not in (0, -1))
    ):
        raise ConversionError(f"{node}: it takes a part of the rows that birnn's models do not.")
    if axis == "T":
        if "S" in walk.axes or int(index) != -1 or walk.both:
            raise ConversionError(
                f"{node}: it takes the rows of one step. The last row of two directions is no "
                "final state: there the backward half has read one step. Export a model that "
                "reads the final states."
            )
        yield Pool(str(node), ("last",))
    walk.name = node.outputs[0]
    walk.axes = tuple(each for each in walk.axes if each != axis)


def _pool(walk: Walk, node: Operator) -> Iterator[Layer]:
    part = walk.pooling(node)
    walk.name = node.outputs[0]
    walk.axes = ("B", "W")
    yield Pool(str(node), (part,))


def _recurrent(walk: Walk, node: Operator) -> Iterator[Layer]:
    """A recurrent layer; which of its outputs is read decides what it gives."""
    first = ("B", "T", "W") if node.attributes.get("layout") else ("T", "B", "W")
    if any(was not in (axis, "?") for was, axis in zip(walk.axes, first, strict=True)):
        raise ConversionError(
            f"{node}: it reads axes {', '.join(walk.axes)}, needed are {', '.join(first)}."
        )
    _check_lengths(walk, node)
    settings = dict(node.attributes) | {"peepholes": len(node.inputs) > 7 and bool(node.inputs[7])}
    direction = settings.pop("direction", "forward")
    if direction == "reverse":
        raise ConversionError(
            f"{node}: it reads backwards alone, birnn's layers read forwards or both ways."
        )
    both = direction == "bidirectional"
    for name in filter(None, node.inputs[5:7]):
        _check_zero(walk, node, name)
    if node.kind == "GRU":
        settings.setdefault("linear_before_reset", 0)
    activations = settings.pop("activations", None)
    if activations is not None:
        half = len(activations) // (2 if both else 1)
        names = tuple(str(a.decode() if isinstance(a, bytes) else a) for a in activations)
        if both and names[:half] != names[half:]:
            raise ConversionError(f"{node}: its two directions have other activations.")
        settings["activations"] = names[:half]
    row = matching("onnx", node.kind, settings, where=str(node))
    arrays = {"W": walk.array(node, 1), "R": walk.array(node, 2), "B": walk.array(node, 3)}
    held = {name: array for name, array in arrays.items() if array is not None}
    count = 2 if both else 1
    if any(len(array) != count for array in held.values()):
        raise ConversionError(
            f"{node}: the reverse direction is missing: its arrays are of "
            f"{', '.join(str(len(a)) for a in held.values())} directions, it has {count}."
        )
    halves = tuple(
        row.back({name: array[number] for name, array in held.items()}, where=str(node))
        for number in range(count)
    )
    read = [name for name in node.outputs[:2] if name and _read(walk, name)]
    if len(read) != 1:
        raise ConversionError(
            f"{node}: its rows and its final states are read both, birnn's models are chains."
            if read
            else f"{node}: nothing reads its rows or final states."
        )
    final = read[0] == (node.outputs[1] if len(node.outputs) > 1 else None)
    axes = OUTPUT["Y_h" if final else "Y"]
    if node.attributes.get("layout"):
        axes = ("B", "S", "W") if final else ("B", "T", "S", "W")
    walk.name, walk.both = read[0], both
    walk.axes = tuple("1" if axis == "S" and not both else axis for axis in axes)
    yield RecurrentLayer(str(node), row.cell, halves, final=final)  # type: ignore[arg-type]


def _read(walk: Walk, name: str) -> bool:
    return name in walk.graph.outputs or any(n.kind not in SIDE for n in walk.readers.get(name, ()))


def _check_lengths(walk: Walk, node: Operator) -> None:
    """Refuse lengths that are not given with the sequences: the layer would read a part of them."""
    name = node.inputs[4] if len(node.inputs) > 4 else ""
    while name in walk.makers and walk.makers[name].kind in SAME:
        name = walk.makers[name].inputs[0]
    if name and (name not in walk.graph.inputs or name in walk.constants):
        raise ConversionError(
            f"{node}: its sequence_lens {name} is computed or a constant. Export the model with "
            "lengths as an input, or without: birnn reads each sequence to its end."
        )


def _check_zero(walk: Walk, node: Operator, name: str) -> None:
    """Refuse initial states that are not zero: constants, or zeros of some shape."""
    pending = [name]
    while pending:
        at = pending.pop()
        maker = walk.makers.get(at)
        if at in walk.constants:
            if np.any(walk.constants[at]):
                raise ConversionError(
                    f"{node}: its initial state is not zero, birnn's models begin at zero."
                )
        elif maker is not None and maker.kind == "ConstantOfShape":
            if np.any(maker.attributes.get("value", 0)):
                raise ConversionError(f"{node}: its initial state is not zero.")
        elif maker is not None and maker.kind in {"Expand", "Slice", "Gather", "Transpose", *SAME}:
            pending.append(maker.inputs[0])
        elif maker is not None and maker.kind in {"Concat", "Split"}:
            pending += maker.inputs if maker.kind == "Concat" else maker.inputs[:1]
        else:
            raise ConversionError(
                f"{node}: its initial state {name} is computed from {at}, birnn's models begin at "
                "zero."
            )


READERS: Readers = {
    **dict.fromkeys(SAME, _same),
    **dict.fromkeys(FUNCTIONS, _function),
    **dict.fromkeys(RECURRENT, _recurrent),
    **dict.fromkeys(POOLS, _pool),
    "Transpose": _transpose,
    "Squeeze": _squeeze,
    "Gather": _gather,
    "Reshape": _reshape,
    "MatMul": _matmul,
    "Gemm": _gemm,
    "BatchNormalization": _normalisation,
}
"""Of each operator, how it is read."""
