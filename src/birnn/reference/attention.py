"""Attention of a decoder's rows over the encoder's rows of their own source.

For one query row over the S key rows and value rows of its source

```
score_s  = query . key_s                        dot product
score_s  = vector . tanh(query + key_s)         additive
weight_s = exp(score_s) / sum_r exp(score_r)
context  = sum_s weight_s value_s
```

and the three kinds make queries and keys of a decoder's row h and an encoder's row m

```
dot       query = h                  key = m
general   query = weight h           key = m
additive  query = query.weight h     key = key.weight m + key.bias
```

The values are the encoder's rows. A source may have any number of query rows: all of a target, one
step, or the hypotheses of a beam. The sums run over the rows of the source and over nothing else,
so no weight falls on padding; a source without rows has the context zero. Everything is computed in
float64, one query row after another and by element-wise operations only, so a query's answer has
the same bits whatever other queries there are (in `attend`, which takes queries and keys).

Source: Bahdanau et al. 2015, Neural Machine Translation by Jointly Learning to Align and Translate,
appendix A.1.2 (additive); Luong et al. 2015, Effective Approaches to Attention-based Neural Machine
Translation, section 3.1 (dot, general).
"""

# N query rows, M encoder rows, B sources, S encoder rows of one source, P pairs of a query row and
# an encoder row of its source, H width of a decoder row, W of an encoder row, V of a value,
# A of a query and a key

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from birnn.errors import ConfigError, nearest
from birnn.ragged import Ragged
from birnn.reference.cells import Array
from birnn.reference.softmax import softmax

AttentionKind = Literal["additive", "dot", "general"]
Floats = npt.NDArray[np.float64]

KINDS: tuple[AttentionKind, ...] = ("additive", "dot", "general")


class Attended(NamedTuple):
    """What queries read.

    Args:
        contexts: Weighted mean of the values for each query row, (N, V); zeros without keys.
        weights: One for each key row of each query's source, query row after query row, (P,).
    """

    contexts: Floats
    weights: Floats


class AttendGradient(NamedTuple):
    """Gradient of `attend`.

    Args:
        queries: (N, A).
        keys: (M, A).
        values: (M, V).
        vector: (A,); None for the dot product.
    """

    queries: Array
    keys: Array
    values: Array
    vector: Array | None


class AttentionGradient(NamedTuple):
    """Gradient of `run`.

    Args:
        queries: With respect to the decoder's rows, (N, H).
        memory: With respect to the encoder's rows, (M, W).
        parameters: By the names of `shapes`.
    """

    queries: Floats
    memory: Floats
    parameters: dict[str, Floats]


def shapes(
    kind: str, query_size: int, memory_size: int, size: int | None = None
) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the parameters of a kind of attention.

    Args:
        kind: ``additive``, ``dot`` or ``general``.
        query_size: Width H of a decoder's row.
        memory_size: Width W of an encoder's row.
        size: Hidden units A of the additive kind; the others have none.

    Raises:
        ConfigError: A kind that does not exist, or sizes that do not fit it.

    Example:
        >>> shapes("general", 3, 4)
        {'weight': (4, 3)}
        >>> list(shapes("additive", 3, 4, 5))
        ['query.weight', 'key.weight', 'key.bias', 'vector']
    """
    if kind not in KINDS:
        raise ConfigError(f"a kind of attention is {kind!r}: {nearest(kind, KINDS)}")
    sizes = (query_size, memory_size) if size is None else (query_size, memory_size, size)
    if any(not isinstance(one, int) or isinstance(one, bool) or one < 1 for one in sizes):
        raise ConfigError(
            f"sizes of an attention are whole numbers from 1 on, got {', '.join(map(repr, sizes))}"
        )
    if (size is not None) != (kind == "additive"):
        wants = "needs a size: its hidden units" if kind == "additive" else "has no size, give none"
        raise ConfigError(f"{kind} attention {wants}, got {size}")
    if kind == "dot" and query_size != memory_size:
        raise ConfigError(
            f"dot attention multiplies rows of equal width, got queries {query_size} wide and "
            f"memory {memory_size} wide. Take general or additive, or make the widths equal"
        )
    if size is None:
        return {"weight": (memory_size, query_size)} if kind == "general" else {}
    return {
        "query.weight": (size, query_size),
        "key.weight": (size, memory_size),
        "key.bias": (size,),
        "vector": (size,),
    }


def attend(
    queries: Ragged[Array], keys: Ragged[Array], values_MV: Array, *, vector_A: Array | None = None
) -> Attended:
    """Weighted means of the values of each query's own source.

    Args:
        queries: Rows of all queries (N, A), grouped by source.
        keys: Key rows of the same sources, (M, A).
        values_MV: A value for each key row, (M, V).
        vector_A: Weights of the additive score, (A,); None for the dot product.

    Example:
        >>> queries = Ragged(np.zeros((2, 1)), np.array([1, 1]))
        >>> keys = Ragged(np.zeros((2, 1)), np.array([2, 0]))
        >>> attend(queries, keys, np.array([[1.0], [3.0]]))
        Attended(contexts=array([[2.], [0.]]), weights=array([0.5, 0.5]))
    """
    query_NA, key_MA, value_MV = (
        np.asarray(p, np.float64) for p in (queries.values, keys.values, values_MV)
    )
    vector = None if vector_A is None else np.asarray(vector_A, np.float64)
    contexts_NV = np.zeros((query_NA.shape[0], value_MV.shape[1]))
    weights_P = np.zeros(int(queries.lengths @ keys.lengths))
    with np.errstate(invalid="ignore", over="ignore"):
        for row, source, pairs in _queries(queries, keys):
            weights_P[pairs] = softmax(_scores(query_NA[row], key_MA[source], vector))
            contexts_NV[row] = (weights_P[pairs, None] * value_MV[source]).sum(axis=0)
    return Attended(contexts_NV, weights_P)


def attend_gradient(
    queries: Ragged[Array],
    keys: Ragged[Array],
    values_MV: Array,
    d_contexts_NV: Array,
    *,
    vector_A: Array | None = None,
    d_weights_P: Array | None = None,
) -> AttendGradient:
    """Gradient of `attend`, whose first arguments it takes.

    Args:
        queries: (N, A).
        keys: (M, A).
        values_MV: (M, V).
        d_contexts_NV: Gradient with respect to the contexts, (N, V).
        vector_A: (A,) or None.
        d_weights_P: Gradient with respect to the weights, (P,); None for zeros.

    Example:
        >>> queries = Ragged(np.zeros((1, 1)), np.array([1]))
        >>> keys = Ragged(np.array([[1.0], [0.0]]), np.array([2]))
        >>> attend_gradient(queries, keys, np.array([[1.0], [3.0]]), np.ones((1, 1))).queries
        array([[-0.5]])
    """
    query_NA, key_MA, value_MV, d_context_NV = (
        np.asarray(part, np.float64)
        for part in (queries.values, keys.values, values_MV, d_contexts_NV)
    )
    vector = None if vector_A is None else np.asarray(vector_A, np.float64)
    found = AttendGradient(
        np.zeros_like(query_NA),
        np.zeros_like(key_MA),
        np.zeros_like(value_MV),
        None if vector is None else np.zeros_like(vector),
    )
    with np.errstate(invalid="ignore", over="ignore"):
        for row, source, pairs in _queries(queries, keys):
            weight_S = softmax(_scores(query_NA[row], key_MA[source], vector))
            found.values[source] += weight_S[:, None] * d_context_NV[row]
            d_weight_S = (value_MV[source] * d_context_NV[row]).sum(axis=1)
            if d_weights_P is not None:
                d_weight_S = d_weight_S + d_weights_P[pairs]
            d_score_S = weight_S * (d_weight_S - (weight_S * d_weight_S).sum())
            if vector is None or found.vector is None:
                found.queries[row] = (d_score_S[:, None] * key_MA[source]).sum(axis=0)
                found.keys[source] += d_score_S[:, None] * query_NA[row]
                continue
            tanh_SA = np.tanh(query_NA[row] + key_MA[source])
            d_sum_SA = d_score_S[:, None] * vector * (1.0 - tanh_SA**2)
            found.queries[row] = d_sum_SA.sum(axis=0)
            found.keys[source] += d_sum_SA
            found.vector[...] += (d_score_S[:, None] * tanh_SA).sum(axis=0)
    return found


def run(
    kind: str, parameters: Mapping[str, Array], queries: Ragged[Array], memory: Ragged[Array]
) -> Attended:
    """Attention of a decoder's rows over an encoder's rows.

    Args:
        kind: ``additive``, ``dot`` or ``general``.
        parameters: By the names of `shapes`.
        queries: Decoder rows (N, H), grouped by source.
        memory: Encoder rows of the same sources, (M, W).

    Example:
        >>> rows = Ragged(np.array([[0.0], [9.0]]), np.array([2]))
        >>> run("general", {"weight": np.zeros((1, 1))}, rows, rows).contexts.tolist()
        [[4.5], [4.5]]
    """
    projected, keys, vector = _project(kind, parameters, queries, memory)
    return attend(projected, keys, memory.values, vector_A=vector)


def gradients(
    kind: str,
    parameters: Mapping[str, Array],
    queries: Ragged[Array],
    memory: Ragged[Array],
    d_contexts_NW: Array,
    *,
    d_weights_P: Array | None = None,
) -> AttentionGradient:
    """Gradient of `run`, whose first arguments it takes.

    Args:
        kind: ``additive``, ``dot`` or ``general``.
        parameters: By the names of `shapes`.
        queries: (N, H).
        memory: (M, W).
        d_contexts_NW: Gradient with respect to the contexts, (N, W).
        d_weights_P: Gradient with respect to the weights, (P,); None for zeros.

    Example:
        >>> rows = Ragged(np.array([[0.0], [9.0]]), np.array([2]))
        >>> found = gradients("general", {"weight": np.zeros((1, 1))}, rows, rows, np.ones((2, 1)))
        >>> found.parameters["weight"].tolist()
        [[182.25]]
    """
    projected, keys, vector = _project(kind, parameters, queries, memory)
    d_query_NA, d_key_MA, d_memory_MW, d_vector = attend_gradient(
        projected, keys, memory.values, d_contexts_NW, vector_A=vector, d_weights_P=d_weights_P
    )
    if kind == "additive":
        assert d_vector is not None
        weights = {
            "query.weight": d_query_NA.T @ queries.values,
            "key.weight": d_key_MA.T @ memory.values,
            "key.bias": d_key_MA.sum(axis=0),
            "vector": d_vector,
        }
        d_query_NH = d_query_NA @ parameters["query.weight"]
        d_memory_MW += d_key_MA @ parameters["key.weight"]
        return AttentionGradient(d_query_NH, d_memory_MW, weights)
    d_memory_MW += d_key_MA
    if kind == "dot":
        return AttentionGradient(d_query_NA, d_memory_MW, {})
    weight = {"weight": d_query_NA.T @ queries.values}
    return AttentionGradient(d_query_NA @ parameters["weight"], d_memory_MW, weight)


def _project(
    kind: str, parameters: Mapping[str, Array], queries: Ragged[Array], memory: Ragged[Array]
) -> tuple[Ragged[Array], Ragged[Array], Array | None]:
    """Queries, keys and the vector of the additive score."""
    if kind == "additive":
        query_NA = queries.values @ parameters["query.weight"].T
        key_MA = memory.values @ parameters["key.weight"].T + parameters["key.bias"]
        return queries.with_values(query_NA), memory.with_values(key_MA), parameters["vector"]
    if kind == "general":
        return queries.with_values(queries.values @ parameters["weight"].T), memory, None
    return queries, memory, None


def _queries(queries: Ragged[Array], keys: Ragged[Array]) -> Iterator[tuple[int, slice, slice]]:
    """Each query row whose source has keys, with the rows of that source, and its pairs."""
    first = 0
    edges = zip(
        itertools.pairwise(queries.offsets.tolist()),
        itertools.pairwise(keys.offsets.tolist()),
        strict=True,
    )
    for (begin, end), (start, stop) in edges:
        for row in range(begin, end if stop > start else begin):
            yield row, slice(start, stop), slice(first, first + stop - start)
            first += stop - start


def _scores(query_A: Floats, key_SA: Floats, vector_A: Floats | None) -> Floats:
    scores: Floats
    if vector_A is None:
        scores = (query_A * key_SA).sum(axis=1)
    else:
        scores = (vector_A * np.tanh(query_A + key_SA)).sum(axis=1)
    return scores
