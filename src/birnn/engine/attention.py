"""The checked call into the engine that runs attention over the rows of each query's own source.

Arrays are float32 or float64, all of one dtype, and so are the answers. A query row's context and
weights have the same bits whatever other queries and sources stand beside it, on any number of
threads.
"""

# N query rows, M key rows, B sources, P pairs of a query row and a key row of its source,
# A width of a query and a key, V width of a value

from __future__ import annotations

import math
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from birnn.engine import isa
from birnn.engine.arrays import DTYPES, contiguous, pooled_empty
from birnn.engine.threads import WorkerThreads, worker_threads
from birnn.errors import LengthError, ShapeError
from birnn.ragged import Lengths, Ragged, host_lengths
from birnn.reference import attention as reference
from birnn.reference.attention import AttendGradient

Array = npt.NDArray[Any]


class Attended(NamedTuple):
    """What queries read.

    Args:
        contexts: Weighted mean of the values for each query row, (N, V); zeros without keys.
        weights: One for each key row of each query's source, query row after query row, (P,); None
            where they were not asked for.
    """

    contexts: Array
    weights: Array | None


class _Batch(NamedTuple):
    """Arrays that fit together, as the kernels take them."""

    queries: Array
    keys: Array
    values: Array
    vector: Array | None
    query_lengths: Lengths
    key_lengths: Lengths

    @property
    def pairs(self) -> int:
        """Pairs P of a query row and a key row of its source."""
        return int(self.query_lengths @ self.key_lengths)

    @property
    def kernel_arguments(self) -> tuple[Any, ...]:
        offsets = np.zeros((2, self.key_lengths.shape[0] + 1), np.int64)
        np.cumsum(self.query_lengths, out=offsets[0, 1:])
        np.cumsum(self.key_lengths, out=offsets[1, 1:])
        return *self[:4], offsets[0], offsets[1]

    @property
    def reference_arguments(self) -> tuple[Ragged[Array], Ragged[Array], Array]:
        queries = Ragged(self.queries, self.query_lengths)
        keys = Ragged(self.keys, self.key_lengths)
        return queries, keys, self.values


def attend(
    queries: Array,
    keys: Array,
    values: Array,
    query_lengths: npt.ArrayLike,
    key_lengths: npt.ArrayLike,
    *,
    vector: Array | None = None,
    weights: bool = False,
    threads: int | WorkerThreads | None = None,
) -> Attended:
    """Weighted means of the values of each query's own source; see `birnn.reference.attention`.

    The score of a query and a key is their dot product, or ``vector . tanh(query + key)``.

    Args:
        queries: Rows of all queries (N, A), source after source.
        keys: Key rows of the same sources, (M, A).
        values: A value for each key row, (M, V).
        query_lengths: Query rows of each source, (B,): all of a target, one step, a beam.
        key_lengths: Key rows of each source, (B,); 0 gives contexts of zeros.
        vector: Weights of the additive score, (A,); None for the dot product.
        weights: Whether the weights are asked for.
        threads: At most how many run; as many as are set where it is None.

    Raises:
        ShapeError: Shapes or dtypes that do not fit; all of them are named at once.
        LengthError: Lengths that are not those of the rows.

    Example:
        >>> keys, values = np.zeros((2, 1)), np.array([[1.0], [3.0]])
        >>> found = attend(np.zeros((2, 1)), keys, values, [1, 1], [2, 0], weights=True)
        >>> found.contexts.tolist(), found.weights.tolist()
        ([[2.0], [0.0]], [0.5, 0.5])
    """
    batch = _checked(queries, keys, values, query_lengths, key_lengths, vector)
    dtype = batch.queries.dtype
    native = isa.selected_engine()
    if native is None:
        found = reference.attend(*batch.reference_arguments, vector_A=batch.vector)
        contexts, each = (part.astype(dtype, copy=False) for part in found)
        return Attended(contexts, each if weights else None)
    contexts = _empty(native, (batch.queries.shape[0], batch.values.shape[1]), dtype)
    each_P = np.empty(batch.pairs, dtype) if weights else None
    try:
        native.attention_forward(
            *batch.kernel_arguments, contexts, each_P, *worker_threads(threads)
        )
    except MemoryError as error:
        raise _no_memory(batch) from error
    return Attended(contexts, each_P)


def attend_gradient(
    queries: Array,
    keys: Array,
    values: Array,
    query_lengths: npt.ArrayLike,
    key_lengths: npt.ArrayLike,
    *,
    weights: Array,
    d_contexts: Array | None,
    d_weights: Array | None = None,
    vector: Array | None = None,
    threads: int | WorkerThreads | None = None,
) -> AttendGradient:
    """Gradient of `attend`, whose first arguments it takes.

    Args:
        queries: (N, A).
        keys: (M, A).
        values: (M, V).
        query_lengths: (B,).
        key_lengths: (B,).
        weights: The weights that `attend` gave, (P,).
        d_contexts: Gradient with respect to the contexts, (N, V); None for zeros.
        d_weights: Gradient with respect to the weights, (P,); None for zeros.
        vector: (A,) or None.
        threads: At most how many run; as many as are set where it is None.

    Raises:
        ShapeError: Shapes or dtypes that do not fit; all of them are named at once.
        LengthError: Lengths that are not those of the rows.

    Example:
        >>> rows = np.array([[0.0], [2.0]])
        >>> lengths = {"query_lengths": [1], "key_lengths": [2]}
        >>> weights = attend(np.zeros((1, 1)), rows, rows, **lengths, weights=True).weights
        >>> attend_gradient(
        ...     np.zeros((1, 1)), rows, rows, **lengths, weights=weights, d_contexts=np.ones((1, 1))
        ... ).values.tolist()
        [[0.5], [0.5]]
    """
    batch = _checked(queries, keys, values, query_lengths, key_lengths, vector)
    dtype = batch.queries.dtype
    given = {
        "weights": (weights, (batch.pairs,)),
        "d_contexts": (d_contexts, (batch.queries.shape[0], batch.values.shape[1])),
        "d_weights": (d_weights, (batch.pairs,)),
    }
    faults = [
        f"{name} has shape {part.shape} of {part.dtype}, it must be {shape} of {dtype}"
        for name, (part, shape) in given.items()
        if part is not None and (part.shape != shape or part.dtype != dtype)
    ]
    if faults:
        raise ShapeError("; ".join(faults))
    native = isa.selected_engine()
    if native is None:
        if d_contexts is None:
            d_contexts = np.zeros(given["d_contexts"][1], dtype)
        wide = reference.attend_gradient(
            *batch.reference_arguments,
            d_contexts,
            vector_A=batch.vector,
            d_weights_P=d_weights,
        )
        return AttendGradient(
            wide.queries.astype(dtype),
            wide.keys.astype(dtype),
            wide.values.astype(dtype),
            None if wide.vector is None else wide.vector.astype(dtype),
        )
    found = AttendGradient(
        _empty(native, queries.shape, dtype),
        _empty(native, keys.shape, dtype),
        _empty(native, values.shape, dtype),
        None if vector is None else np.empty(vector.shape, dtype),
    )
    arguments = (
        part if part is None else contiguous(part) for part in (weights, d_contexts, d_weights)
    )
    try:
        native.attention_backward(
            *batch.kernel_arguments, *arguments, *found, *worker_threads(threads)
        )
    except MemoryError as error:
        raise _no_memory(batch) from error
    return found


def _checked(
    queries: Array,
    keys: Array,
    values: Array,
    query_lengths: npt.ArrayLike,
    key_lengths: npt.ArrayLike,
    vector: Array | None,
) -> _Batch:
    """The arguments, refused where they do not fit together."""
    parts = {"queries": queries, "keys": keys, "values": values}
    faults = [
        f"{name} are rows of one number or more, got shape {part.shape}"
        for name, part in parts.items()
        if part.ndim != 2 or part.shape[1] < 1
    ]
    if faults:
        raise ShapeError("; ".join(faults))
    dtype, width = queries.dtype, queries.shape[1]
    if dtype not in DTYPES:
        faults.append(f"queries are {dtype}. Make them float32 or float64")
    if vector is not None:
        parts["vector"] = vector
        if vector.shape != (width,):
            faults.append(
                f"vector has shape {vector.shape}, for queries {width} wide it is ({width},)"
            )
    faults += [
        f"{name} is {part.dtype}, the queries are {dtype}"
        for name, part in parts.items()
        if part.dtype != dtype
    ]
    if keys.shape[1] != width:
        faults.append(f"keys are {keys.shape[1]} wide, the queries {width}")
    if values.shape[0] != keys.shape[0]:
        faults.append(f"there are {values.shape[0]} values for {keys.shape[0]} keys")
    own = [host_lengths(lengths) for lengths in (query_lengths, key_lengths)]
    if own[0].shape != own[1].shape:
        faults.append(
            f"query_lengths are of {own[0].shape[0]} sources, key_lengths of {own[1].shape[0]}"
        )
    if faults:
        raise ShapeError("; ".join(faults))
    for name, rows, lengths in (("query", queries, own[0]), ("key", keys, own[1])):
        if int(lengths.sum()) != rows.shape[0]:
            raise LengthError(
                f"{name}_lengths sum to {int(lengths.sum())}, there are {rows.shape[0]} {name} rows"
            )
    arrays = (
        part if part is None else contiguous(part) for part in (queries, keys, values, vector)
    )
    return _Batch(*arrays, *own)  # type: ignore[arg-type]


def _empty(native: ModuleType, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    return pooled_empty(native, math.prod(shape), dtype).reshape(shape)


def _no_memory(batch: _Batch) -> MemoryError:
    longest = int(batch.key_lengths.max(initial=0))
    return MemoryError(
        f"no memory for attention over sources of up to {longest} rows. "
        "Cut the sources shorter, or run on fewer threads."
    )
