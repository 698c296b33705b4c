"""Attention of query rows over the key rows of their own source, as operators of torch.

```
attend                      on the native engine or on torch's operations
birnn::attention            on the native engine; its gradient is the next one
birnn::attention_gradients  of queries, keys, values and vector
```

All take queries (N, A), keys (M, A), values (M, V), the query and key rows of each source (B,) and
the vector of the additive score (A,), or None for the dot product: see `birnn.engine.attention`.
"""

# N query rows, M key rows, B sources, P pairs of a query row and a key row of its source

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.library import custom_op

from birnn.engine import attention
from birnn.nn._engine import attention_on_torch
from birnn.nn._engine.chain_on_torch import gradients_with_graph
from birnn.nn._engine.ops import may_run_native
from birnn.nn._engine.private_torch import without_autocast
from birnn.nn.threads import layer_threads
from birnn.ragged import Lengths


def attend(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    query_lengths: Lengths,
    key_lengths: Lengths,
    vector: Tensor | None = None,
    *,
    weights: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Weighted means of the values of each query's own source.

    Args:
        queries: (N, A), grouped by source.
        keys: (M, A).
        values: (M, V).
        query_lengths: (B,).
        key_lengths: (B,).
        vector: Weights of the additive score, (A,); None for the dot product.
        weights: Whether the weights are asked for.

    Returns:
        Contexts (N, V), and weights (P,) or None.

    Example:
        >>> import numpy as np
        >>> rows = torch.tensor([[0.0], [2.0]])
        >>> attend(torch.zeros(1, 1), rows, rows, np.array([1]), np.array([2]))[0]
        tensor([[1.]])
    """
    each_P: Tensor
    if may_run_native(queries, queries.dtype):
        counts = torch.from_numpy(query_lengths), torch.from_numpy(key_lengths)
        # The number of weights hangs on the lengths: a graph has it only where it is asked for.
        keep = weights or not torch.compiler.is_compiling()
        contexts, each_P = _attention(queries, keys, values, *counts, vector, keep)
    else:
        contexts, each_P = attention_on_torch.attend(
            queries, keys, values, query_lengths, key_lengths, vector
        )
    return contexts, each_P if weights else None


# ---------------------------------------------------------------------- the operators


@custom_op("birnn::attention", mutates_args=(), device_types="cpu")
def _attention(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    query_lengths: Tensor,
    key_lengths: Tensor,
    vector: Tensor | None,
    keep: bool,
) -> tuple[Tensor, Tensor]:
    found = _run(queries, keys, values, query_lengths, key_lengths, vector, weights=keep)
    contexts, weights = found
    each_P = queries.new_empty(0) if weights is None else torch.from_numpy(weights)
    return torch.from_numpy(contexts), each_P


@custom_op("birnn::attention_gradients", mutates_args=(), device_types="cpu")
def _gradients(
    d_contexts: Tensor | None,
    d_weights: Tensor | None,
    weights: Tensor | None,
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    query_lengths: Tensor,
    key_lengths: Tensor,
    vector: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    arguments = (queries, keys, values, query_lengths, key_lengths)
    each_P = _run(*arguments, vector, weights=True).weights if weights is None else weights.numpy()
    assert each_P is not None
    found = attention.attend_gradient(
        *(part.detach().numpy() for part in arguments),
        vector=_array(vector),
        weights=each_P,
        d_contexts=_array(d_contexts),
        d_weights=_array(d_weights),
        threads=layer_threads(),
    )
    *d_rows, d_vector = found
    d_queries, d_keys, d_values = map(torch.from_numpy, d_rows)
    absent = queries.new_empty(0)
    return d_queries, d_keys, d_values, absent if d_vector is None else torch.from_numpy(d_vector)


def _run(*arguments: Tensor | None, weights: bool) -> attention.Attended:
    *parts, vector = map(_array, arguments)
    return attention.attend(*parts, vector=vector, weights=weights, threads=layer_threads())


def _array(tensor: Tensor | None) -> Any:
    return None if tensor is None else tensor.detach().numpy()


@_attention.register_fake
def _(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    query_lengths: Tensor,
    key_lengths: Tensor,
    vector: Tensor | None,
    keep: bool,
) -> tuple[Tensor, Tensor]:
    del keys, query_lengths, key_lengths, vector
    pairs: Any = torch.library.get_ctx().new_dynamic_size() if keep else 0
    return queries.new_empty(queries.shape[0], values.shape[1]), queries.new_empty(pairs)


@_gradients.register_fake
def _(
    d_contexts: Tensor | None,
    d_weights: Tensor | None,
    weights: Tensor | None,
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    query_lengths: Tensor,
    key_lengths: Tensor,
    vector: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    del d_contexts, d_weights, weights, query_lengths, key_lengths
    new = queries.new_empty
    d_vector = new(0) if vector is None else new(vector.shape)
    return new(queries.shape), new(keys.shape), new(values.shape), d_vector


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, keep = inputs
    ctx.save_for_backward(*tensors, output[1] if keep else None)
    ctx.set_materialize_grads(False)


def _differentiate(
    ctx: Any, d_contexts: Tensor | None, d_weights: Tensor | None
) -> tuple[Tensor | None, ...]:
    queries, keys, values, query_lengths, key_lengths, vector, weights = ctx.saved_tensors
    found: Sequence[Tensor | None]
    if torch.is_grad_enabled():
        # Gradients of these gradients may be asked for, and torch's operations have them.
        counts = query_lengths.numpy(), key_lengths.numpy()
        given = [(0, d_contexts), (1, d_weights)]

        def some(queries: Tensor, keys: Tensor, values: Tensor, *vector: Tensor) -> Any:
            both = attention_on_torch.attend(queries, keys, values, *counts, *vector or (None,))
            return [both[i] for i, d in given if d is not None]

        inputs = [part for part in (queries, keys, values, vector) if part is not None]
        with without_autocast(queries):
            found = gradients_with_graph(some, inputs, [d for _, d in given if d is not None])
    else:
        found = _gradients(d_contexts, d_weights, weights, *ctx.saved_tensors[:6])
    d_queries, d_keys, d_values, *d_vector = found
    return (
        d_queries,
        d_keys,
        d_values,
        None,
        None,
        d_vector[0] if vector is not None else None,
        None,
    )


_attention.register_autograd(_differentiate, setup_context=_keep)
