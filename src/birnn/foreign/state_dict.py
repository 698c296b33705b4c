"""A torch ``state_dict`` as a list of layers: what its names and shapes say, and what is told.

A state dict holds arrays and no layers. Recurrent layers are known by torch's names of their
parameters, the embedding by its name, linear layers by their shapes, in the only order in which
one reads what another gives. What stands between them it does not say: activations, pooling, the
task. These are taken from the caller, or guessed with a notice where there is a usual answer.
"""

# V items, D inputs, H hidden units, G gate rows (gates * H)

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from birnn.bundle.checks import shortlist
from birnn.bundle.conventions import convention
from birnn.errors import ConversionError, ShapeError, UsageError
from birnn.foreign.layers import (
    Activation,
    Array,
    Embedding,
    Layer,
    LinearLayer,
    Pool,
    PoolName,
    RecurrentLayer,
    Transitions,
)
from birnn.foreign.state_dict_order import MOST, gives, orders, placed, stacked_owners
from birnn.foreign.vocabulary import Beside
from birnn.reference.stack import GATES, CellName

RECURRENT = re.compile(r"(?P<owner>.*?)(?P<part>(weight|bias)_(ih|hh|hr))(_l(?P<layer>\d+))?"
                       r"(?P<reverse>_reverse)?")  # fmt: skip


@dataclass(slots=True)
class _Sorted:
    """The arrays of a state dict by the layers that they belong to."""

    recurrent: dict[str, dict[tuple[int, bool], dict[str, Array]]] = field(default_factory=dict)
    linear: dict[str, dict[str, Array]] = field(default_factory=dict)
    embedding: dict[str, Array] = field(default_factory=dict)
    chain: dict[str, Array] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)


def state_dict_layers(
    arrays: Mapping[str, Array], beside: Beside, notices: list[str]
) -> list[Layer]:
    """The layers of a model, from its ``state_dict``.

    Args:
        arrays: Arrays by their names.
        beside: What they do not say.
        notices: Receives what was guessed, a line each.

    Raises:
        ConversionError: Arrays that belong to no layer that birnn has, or layers that are no chain.
        ShapeError: Shapes that disagree.
        UsageError: What must be said is not.

    Example:
        >>> import numpy as np
        >>> zeros = {f"rnn.{name}": np.zeros(shape, np.float32) for name, shape in
        ...          {"weight_ih_l0": (6, 3), "weight_hh_l0": (6, 2)}.items()}
        >>> zeros |= {"out.weight": np.zeros((4, 2), np.float32)}
        >>> notices = []
        >>> for layer in state_dict_layers(zeros, Beside(task="tagger"), notices):
        ...     print(type(layer).__name__, layer.name)
        RecurrentLayer rnn
        LinearLayer out
        >>> notices
        ['rnn is a gru of 1 layer, one direction; above it out']
    """
    found = _sorted(arrays)
    if not found.recurrent:
        raise ConversionError(
            "the state dict has no recurrent layer: no name ends with weight_ih_l0, as those of "
            f"torch.nn.LSTM, GRU and RNN. It has {shortlist(list(arrays))}."
        )
    if found.left:
        raise ConversionError(
            f"the state dict has arrays that belong to no layer that birnn has: "
            f"{shortlist(found.left)}. Export the model to ONNX, which says what they are, or "
            "leave the layers out and train again."
        )
    stacks = {owner: list(_stack(found, owner, beside)) for owner in found.recurrent}
    owners = stacked_owners(stacks)
    recurrent = [layer for owner in owners for layer in stacks[owner]]
    per_step = _per_step(found, beside)
    parts: tuple[PoolName, ...] = () if per_step else _parts(beside)
    if parts == ("last",):
        top = recurrent[-1]
        recurrent[-1] = RecurrentLayer(top.name, top.cell, top.halves, final=True)
    for below, above in itertools.pairwise(recurrent):
        if above.input_size != gives(below):
            raise ShapeError(
                f"{above.name} reads rows of {above.input_size} values, and {below.name} below it "
                f"gives {gives(below)}. If they stand side by side, birnn has no counterpart."
            )
    width = gives(recurrent[-1]) * max(1, len(parts))
    _find_embedding(found, recurrent[0].input_size, width)
    embedding = list(_embedding(found.embedding))
    before, after = placed(found.linear, embedding, recurrent[0].input_size, width, notices)
    layers: list[Layer] = [*embedding, *_activated(before, beside, notices, last=True), *recurrent]
    if parts and parts != ("last",):
        layers.append(Pool("pooling", parts))
    layers += _activated(after, beside, notices, last=False)
    layers += _transitions(found.chain)
    notices.insert(0, _outline(owners, embedding, before, recurrent, after, beside))
    return layers


# ---------------------------------------------------------------------- sorting


def _sorted(arrays: Mapping[str, Array]) -> _Sorted:
    """Which array is what, by names alone."""
    found = _Sorted()
    for name, array in arrays.items():
        owner, _, last = name.rpartition(".")
        match = RECURRENT.fullmatch(name)
        if array.dtype.kind != "f":
            if array.size > 1:  # others count or switch
                found.left.append(f"{name} {array.shape} {array.dtype}")
        elif match is not None:
            key = (int(match["layer"] or 0), match["reverse"] is not None)
            halves = found.recurrent.setdefault(match["owner"].rstrip(".") or "encoder", {})
            halves.setdefault(key, {})[match["part"]] = array
        elif last in {"transitions", "start_transitions", "end_transitions"}:
            found.chain[last] = array
        elif (
            last == "weight"
            and array.ndim == 2
            and f"{owner}.bias" not in arrays
            and (re.search("emb|lookup", owner, re.IGNORECASE))
        ):
            found.embedding[owner] = array
        elif last in {"weight", "bias"} and array.ndim == (2 if last == "weight" else 1):
            found.linear.setdefault(owner, {})[last] = array
        else:
            found.left.append(f"{name} {array.shape}")
    for owner, held in list(found.linear.items()):
        if "weight" not in held:
            found.left.append(f"{owner}.bias {held['bias'].shape}")
    return found


def _stack(found: _Sorted, owner: str, beside: Beside) -> Iterator[RecurrentLayer]:
    """The layers of one torch module."""
    halves = found.recurrent[owner]
    count = 1 + max(layer for layer, _ in halves)
    both = any(reverse for _, reverse in halves)
    for layer in range(count):
        name = owner if count == 1 else f"{owner}, layer {layer}"
        arrays = []
        for reverse in (False, True)[: 1 + both]:
            own = halves.get((layer, reverse))
            if own is None:
                which = "reverse" if reverse else "forward"
                raise ConversionError(
                    f"{name}: the {which} direction is missing: there is no "
                    f"weight_ih_l{layer}{'_reverse' if reverse else ''}."
                )
            arrays.append(own)
        cell = _cell(name, arrays[0], beside)
        row = convention("torch", cell)
        back = tuple(row.back(half, where=name) for half in arrays)
        yield RecurrentLayer(name, cell, back)


def _cell(name: str, half: Mapping[str, Array], beside: Beside) -> CellName:
    """The cell whose gates the recurrent matrix has."""
    if "weight_hr" in half:
        raise ConversionError(f"{name}: it has a projection (proj_size), birnn's LSTM has none.")
    matrix = half.get("weight_hh")
    if matrix is None or matrix.ndim != 2 or not matrix.shape[1]:
        raise ShapeError(f"{name}: it has no matrix weight_hh (G, H).")
    rows, hidden = matrix.shape
    fitting = [cell for cell, gates in GATES.items() if gates * hidden == rows]
    if not fitting:
        raise ShapeError(f"{name}: weight_hh has shape {matrix.shape}, which no cell has.")
    if beside.cell is None:
        return fitting[0]
    if beside.cell not in fitting:
        raise ShapeError(
            f"{name}: the cell is said to be {beside.cell}, but {rows} rows of weight_hh for "
            f"{hidden} units are those of {' or '.join(fitting)}."
        )
    return beside.cell


def _find_embedding(found: _Sorted, into: int, width: int) -> None:
    """An embedding by its shape where none has a name that says so.

    Without it the linear layers are a chain, with it they are not; it has no bias.
    """
    layers = [LinearLayer(name, h["weight"], h["weight"][:, 0]) for name, h in found.linear.items()]
    if found.embedding or len(layers) > MOST or any(orders(layers, into, width)):
        return
    fitting = [
        layer.name
        for layer in layers
        if "bias" not in found.linear[layer.name] and layer.weight.shape[1] == into
        if any(orders([other for other in layers if other is not layer], into, width))
    ]
    if len(fitting) == 1:
        found.embedding[fitting[0]] = found.linear.pop(fitting[0])["weight"]


def _embedding(held: Mapping[str, Array]) -> Iterator[Embedding]:
    if len(held) > 1:
        raise ConversionError(
            f"the state dict has {len(held)} embeddings ({', '.join(held)}), birnn has one here."
        )
    for name, table in held.items():
        # torch's padding_idx is not in a state dict, but leaves a vector of zeros.
        yield Embedding(name, table, padded=not table[0].any())


def _transitions(chain: Mapping[str, Array]) -> Iterator[Transitions]:
    """The CRF as pytorch-crf names it, [from, to]."""
    if not chain:
        return
    if len(chain) < 3:
        raise ConversionError(
            f"the CRF has {', '.join(chain)} alone, needed are three arrays as pytorch-crf has "
            "them: transitions [from, to] of the labels, start_transitions and end_transitions. "
            "NCRF++ and Flair have START and STOP among their labels, and Flair's are [to, from]: "
            "take transitions from START and to STOP out of the array, and as scores leave them "
            "out of the linear layer."
        )
    yield Transitions(
        "CRF", chain["transitions"], chain["start_transitions"], chain["end_transitions"]
    )


# ---------------------------------------------------------------------- what is told


def _per_step(found: _Sorted, beside: Beside) -> bool:
    if beside.task is None and not found.chain:
        raise UsageError(
            "a state dict does not say what the model answers. Give the task: tagger (each step), "
            "classifier, multilabel or regressor (once for a sequence)."
        )
    return bool(found.chain) or beside.task == "tagger"


def _parts(beside: Beside) -> tuple[PoolName, ...]:
    if beside.pooling is None:
        raise UsageError(
            "a state dict does not say how a sequence becomes one row. Give the pooling: last, "
            "max, mean, or several of them as they are concatenated, last+max."
        )
    parts = tuple(beside.pooling.split("+"))
    known: tuple[PoolName, ...] = ("last", "max", "mean")
    wrong = [part for part in parts if part not in known]
    if wrong or len(set(parts)) < len(parts):
        raise UsageError(f"pooling is {beside.pooling!r}, it must be of last, max and mean")
    return tuple(name for part in parts for name in known if name == part)


def _activated(
    layers: Sequence[LinearLayer], beside: Beside, notices: list[str], *, last: bool
) -> Iterator[Layer]:
    """Linear layers with activations between them, and after the last where ``last``."""
    for number, layer in enumerate(layers):
        yield layer
        if number < len(layers) - 1 or last:
            if beside.activation is None:
                notices.append(
                    f"after {layer.name}: relu, as is usual; a state dict does not say it, "
                    "--activation does"
                )
            yield Activation(
                layer.name, "linear" if beside.activation == "none" else beside.activation or "relu"
            )


def _outline(
    owners: Sequence[str],
    embedding: Sequence[Embedding],
    before: Sequence[LinearLayer],
    recurrent: Sequence[RecurrentLayer],
    after: Sequence[LinearLayer],
    beside: Beside,
) -> str:
    """What was found, in one line."""
    count = len(recurrent)
    ways = "two directions" if len(recurrent[0].halves) == 2 else "one direction"
    cell = recurrent[0].cell
    guessed = " (the tanh is a guess)" if cell == "rnn_tanh" and beside.cell is None else ""
    owned = ", ".join(owners)
    names = [layer.name for layer in (*embedding, *before)]
    below = f"; below it {', '.join(names)}" if names else ""
    above = ", ".join(layer.name for layer in after)
    return (
        f"{owned} is a {cell}{guessed} of {count} layer{'s' * (count != 1)}, {ways}{below}; "
        f"above it {above}"
    )
