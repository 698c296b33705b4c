"""Merging the two halves of a layer to one row; each backward follows its forward."""

# N rows, H hidden units of each direction, W width of a merged row

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from birnn.reference.cells import Array
from birnn.reference.products import differentiable
from birnn.reference.products import product as matrix_product
from birnn.reference.stack import MERGE_WIDTH, MergeName


class Projection(NamedTuple):
    """Parameters of the merge ``project``, or their gradients.

    The weight is an array, or a matrix of low precision.
    """

    weight: Any  # (W, 2H)
    bias: Array  # (W,)


Backward = tuple[Array, Array, Projection | None]


@dataclass(frozen=True, slots=True)
class Merge:
    """A way to merge two halves (N, H) into one (N, W).

    Args:
        width: W as a multiple of H.
        forward: ``(forward_NH, backward_NH, projection) -> merged_NW``.
        backward: ``(d_merged_NW, forward_NH, backward_NH, projection)`` to the gradients of the
            halves and of the projection; only ``project`` has one.
    """

    width: int
    forward: Callable[[Array, Array, Projection | None], Array]
    backward: Callable[[Array, Array, Array, Projection | None], Backward]


def concat(forward_NH: Array, backward_NH: Array, _: Projection | None = None) -> Array:
    """Side by side: ``[f, b]``."""
    return np.concatenate([forward_NH, backward_NH], axis=1)


def concat_backward(
    d_NW: Array, forward_NH: Array, _backward_NH: Array, _: Projection | None = None
) -> Backward:
    """Backward of `concat`."""
    hidden = forward_NH.shape[1]
    return d_NW[:, :hidden], d_NW[:, hidden:], None


def add(forward_NH: Array, backward_NH: Array, _: Projection | None = None) -> Array:
    """``f + b``."""
    return np.add(forward_NH, backward_NH)


def add_backward(
    d_NW: Array, _forward_NH: Array, _backward_NH: Array, _: Projection | None = None
) -> Backward:
    """Backward of `add`."""
    return d_NW, d_NW, None


def mean(forward_NH: Array, backward_NH: Array, _: Projection | None = None) -> Array:
    """``(f + b) / 2``."""
    return np.multiply(np.add(forward_NH, backward_NH), 0.5)


def mean_backward(
    d_NW: Array, _forward_NH: Array, _backward_NH: Array, _: Projection | None = None
) -> Backward:
    """Backward of `mean`."""
    return 0.5 * d_NW, 0.5 * d_NW, None


def product(forward_NH: Array, backward_NH: Array, _: Projection | None = None) -> Array:
    """``f * b``, element by element."""
    return np.multiply(forward_NH, backward_NH)


def product_backward(
    d_NW: Array, forward_NH: Array, backward_NH: Array, _: Projection | None = None
) -> Backward:
    """Backward of `product`."""
    return d_NW * backward_NH, d_NW * forward_NH, None


def project(forward_NH: Array, backward_NH: Array, projection: Projection | None) -> Array:
    """``[f, b] @ weight.T + bias``."""
    assert projection is not None
    return matrix_product(concat(forward_NH, backward_NH), projection.weight, projection.bias)


def project_backward(
    d_NW: Array, forward_NH: Array, backward_NH: Array, projection: Projection | None
) -> Backward:
    """Backward of `project`."""
    assert projection is not None
    d_forward_NH, d_backward_NH, _ = concat_backward(
        d_NW @ differentiable(projection.weight), forward_NH, backward_NH
    )
    d_weight_W2H = d_NW.T @ concat(forward_NH, backward_NH)
    return d_forward_NH, d_backward_NH, Projection(d_weight_W2H, d_NW.sum(axis=0))


MERGES: dict[MergeName, Merge] = {
    "concat": Merge(MERGE_WIDTH["concat"], concat, concat_backward),
    "sum": Merge(MERGE_WIDTH["sum"], add, add_backward),
    "mean": Merge(MERGE_WIDTH["mean"], mean, mean_backward),
    "product": Merge(MERGE_WIDTH["product"], product, product_backward),
    "project": Merge(MERGE_WIDTH["project"], project, project_backward),
}
