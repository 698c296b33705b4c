"""In which order the layers of a ``state_dict`` stand: by what each reads and gives, and by names.

A file has its arrays in any order. Widths say which layer reads which; where they leave several
orders open, names decide that differ in a number, and no others.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from birnn.errors import ConversionError, ShapeError
from birnn.foreign.layers import Array, Embedding, LinearLayer, RecurrentLayer, linear_layer

MOST = 8  # layers of unlike names, of which all orders are tried
MOST_OWNERS = 100

T = TypeVar("T")


def gives(layer: RecurrentLayer) -> int:
    """Width of the rows that a layer gives."""
    return len(layer.halves) * layer.hidden_size


def _alike(name: str) -> str:
    """A name without its numbers: layers of one such name stand in the order of the numbers."""
    return re.sub(r"\d+", "#", name)


def stacked_owners(stacks: Mapping[str, Sequence[RecurrentLayer]]) -> list[str]:
    """The modules in the order in which one reads what another gives; files have them in any.

    Raises:
        ConversionError: Several orders fit, and names do not say which one it is.
    """

    def stacks_of(left: list[str], reads: int | None) -> Iterator[list[str]]:
        if not left:
            yield []
        tried = set()
        for owner in left:
            first, last = stacks[owner][0].input_size, gives(stacks[owner][-1])
            if reads in (None, first) and (_alike(owner), first, last) not in tried:
                tried.add((_alike(owner), first, last))
                for rest in stacks_of([other for other in left if other != owner], last):
                    yield [owner, *rest]

    owners = [owner for owner, _ in sorted_naturally(stacks)]
    if len(set(map(_alike, owners))) > MOST or len(owners) > MOST_OWNERS:
        raise ConversionError(f"the state dict has {len(owners)} recurrent modules, no stack.")
    found = list(itertools.islice(stacks_of(owners, None), 2))
    _refuse_several(found)
    return found[0] if found else owners


def _refuse_several(orders: Sequence[Sequence[str]]) -> None:
    """Refuse what shapes leave open and names do not say."""
    if len(orders) > 1:
        first, second = (", ".join(order) for order in orders[:2])
        raise ConversionError(
            f"a state dict does not say in which order its layers stand: {first} and {second} "
            "both fit. Rename them in the file, so that they differ in a number: layers.0, "
            "layers.1. If they stand side by side, birnn has no counterpart."
        )


def placed(
    held: Mapping[str, Mapping[str, Array]],
    embedding: Sequence[Embedding],
    into: int,
    width: int,
    notices: list[str],
) -> tuple[list[LinearLayer], list[LinearLayer]]:
    """The linear layers before and after the recurrent ones, by what each reads and gives."""
    layers = [linear_layer(name, h["weight"], h.get("bias")) for name, h in sorted_naturally(held)]
    for layer in layers:
        if layer.bias.shape != layer.weight.shape[:1]:
            raise ShapeError(
                f"{layer.name}: weight {layer.weight.shape} and bias {layer.bias.shape} disagree."
            )
    if len(layers) > MOST:
        raise ConversionError(
            f"the state dict has {len(layers)} linear layers, more than a head's."
        )
    # Right after the recurrent layers first: most models have nothing before them.
    fitting = [
        (before, after)
        for before, after in orders(layers, into, width)
        if not before or not embedding or _reads(before[0]) == embedding[0].table.shape[1]
    ]
    if not embedding or embedding[0].table.shape[1] == into:
        fitting.sort(key=lambda order: len(order[0]))
    else:
        fitting = [order for order in fitting if order[0]]
    if not fitting:
        shapes = ", ".join(f"{layer.name} {layer.weight.shape}" for layer in layers) or "none"
        twice = any(orders(layers, into, 2 * width))
        remedy = (
            "Is the reverse direction missing?"
            if twice
            else "Leave out of the file what the answer does not go through."
        )
        raise ShapeError(
            f"the linear layers are no chain: the recurrent layers read {into} values and give "
            f"{width}, and there are {shapes}. {remedy}"
        )
    before, after = fitting[0]
    rivals = [order for order in fitting if len(order[0]) == len(before)]
    _refuse_several([[layer.name for layer in (*b, *a)] for b, a in rivals])
    others = [order[0][0].name for order in fitting if len(order[0]) > len(before)]
    if others:
        notices.append(
            f"{others[0]} could as well stand below the recurrent layers, as far as shapes say. "
            "Export the model to ONNX if it does"
        )
    return before, after


def _reads(layer: LinearLayer) -> int:
    return int(layer.weight.shape[1])


def orders(
    layers: Sequence[LinearLayer], into: int, width: int
) -> Iterator[tuple[list[LinearLayer], list[LinearLayer]]]:
    """Every way of standing before and after the recurrent layers in which widths agree."""

    def chains(
        left: tuple[LinearLayer, ...], reads: int
    ) -> Iterator[tuple[list[LinearLayer], tuple[LinearLayer, ...]]]:
        yield [], left
        tried = set()
        for number, layer in enumerate(left):
            kind = (_alike(layer.name), layer.weight.shape)
            if _reads(layer) == reads and kind not in tried:
                tried.add(kind)
                rest = left[:number] + left[number + 1 :]
                for chain, others in chains(rest, len(layer.bias)):
                    yield [layer, *chain], others

    for after, others in chains(tuple(layers), width):
        if not after:
            continue
        if not others:
            yield [], after
        elif len(others) == 1 and len(others[0].bias) == into:
            yield list(others), after


def sorted_naturally(held: Mapping[str, T]) -> list[tuple[str, T]]:
    """By name, numbers in names by their size.

    Example:
        >>> [name for name, _ in sorted_naturally({"fc10": {}, "fc2": {}})]
        ['fc2', 'fc10']
    """

    def key(item: tuple[str, T]) -> list[tuple[int, str]]:
        pieces = re.split(r"(\d+)", item[0])
        return [(int(p), "") if p.isdecimal() else (0, p) for p in pieces]

    return sorted(held.items(), key=key)
