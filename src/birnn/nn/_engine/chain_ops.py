"""The linear chain of a CRF as operators of torch.

```
negative_log_likelihood            on the native engine or on torch's operations
birnn::chain_likelihood            on the native engine; its gradient is the next one
birnn::chain_likelihood_gradients  the gradient of a weighted sum of them
marginals, best_path               as the first; they have no gradient
```

All take the emissions of the rows, (N, L), float32 or float64 for the native engine; the length
of each sequence, (B,); and the scores of the chain: transitions [from, to] (L, L), start (L,), end
(L,). The native engine computes in float64 and answers in the dtype of what it was given.
"""

# N rows of all sequences, B sequences, L labels

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.library import custom_op

from birnn.engine import crf
from birnn.errors import ShapeError
from birnn.nn._engine import chain_on_torch as chain
from birnn.nn._engine.ops import may_run_native
from birnn.nn._engine.private_torch import transforms_active, without_autocast
from birnn.nn._engine.tensor_layout import INTEGERS
from birnn.nn.threads import layer_threads
from birnn.ragged import Lengths, Ragged
from birnn.reference.crf import Chain, score


def negative_log_likelihood(
    emissions: Tensor,
    lengths: Lengths,
    labels: Tensor,
    transitions: Tensor,
    start: Tensor,
    end: Tensor,
) -> Tensor:
    """``log Z - score(labels)`` of each sequence, (B,).

    Raises:
        ShapeError: Labels of another number or kind, or that there are not.

    Example:
        >>> scores = torch.zeros(2, 2), torch.zeros(2), torch.zeros(2)
        >>> labels = torch.tensor([0])
        >>> negative_log_likelihood(torch.zeros(1, 2), np.array([1]), labels, *scores).exp()
        tensor([2.])
    """
    if may_run_native(emissions, emissions.dtype):
        counts = torch.from_numpy(lengths)
        found: Tensor = _likelihood(emissions, counts, labels, transitions, start, end)
        return found
    log_z_B: Tensor
    if transforms_active():
        # Transforms of torch.func and forward mode look into torch's own operators, not into ours.
        log_z_B = chain.StepChain(emissions, lengths, transitions, start, end).log_partition()
    else:
        check_labels(labels, *emissions.shape)
        log_z_B = chain.LogPartition.apply(  # type: ignore[no-untyped-call]
            emissions, lengths, transitions, start, end
        )
    return log_z_B - chain.score(emissions, lengths, labels, transitions, start, end)


def marginals(
    emissions: Tensor, lengths: Lengths, transitions: Tensor, start: Tensor, end: Tensor
) -> Tensor:
    """Probability of each label at each row, (N, L)."""
    if not may_run_native(emissions, emissions.dtype):
        return chain.StepChain(emissions, lengths, transitions, start, end).marginals()
    arguments = _kernel_arguments(emissions, torch.from_numpy(lengths), transitions, start, end)
    found = crf.marginals(*arguments, threads=layer_threads())
    return torch.from_numpy(found).to(emissions.dtype)


def best_path(
    emissions: Tensor, lengths: Lengths, transitions: Tensor, start: Tensor, end: Tensor
) -> Tensor:
    """The label sequence of the highest score of each sequence, (N,).

    Example:
        >>> zeros = torch.zeros(2)
        >>> best_path(torch.eye(2), np.array([2]), torch.zeros(2, 2), zeros, zeros).tolist()
        [0, 1]
    """
    if not may_run_native(emissions, emissions.dtype):
        return chain.best_path(emissions, lengths, transitions, start, end)
    arguments = _kernel_arguments(emissions, torch.from_numpy(lengths), transitions, start, end)
    return torch.from_numpy(crf.viterbi(*arguments, threads=layer_threads()).tags.values)


# ---------------------------------------------------------------------- the operators


@custom_op("birnn::chain_likelihood", mutates_args=(), device_types="cpu")
def _likelihood(
    emissions: Tensor,
    lengths: Tensor,
    labels: Tensor,
    transitions: Tensor,
    start: Tensor,
    end: Tensor,
) -> Tensor:
    rows, scores = _kernel_arguments(emissions, lengths, transitions, start, end)
    log_z_B = crf.log_partition(rows, scores, threads=layer_threads())
    check_labels(labels, *emissions.shape)
    return torch.from_numpy(log_z_B - score(rows, labels.numpy(), scores)).to(emissions.dtype)


@custom_op("birnn::chain_likelihood_gradients", mutates_args=(), device_types="cpu")
def _likelihood_gradients(
    weights: Tensor,
    emissions: Tensor,
    lengths: Tensor,
    labels: Tensor,
    transitions: Tensor,
    start: Tensor,
    end: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    rows, scores = _kernel_arguments(emissions, lengths, transitions, start, end)
    check_labels(labels, *emissions.shape)
    weights_B, tags_N = weights.numpy().astype(np.float64), labels.numpy()
    found = crf.log_partition_gradient(rows, scores, weights_B, threads=layer_threads())
    _subtract_label_counts(found, rows, tags_N, weights_B)
    d_emissions, d_transitions, d_start, d_end = map(torch.from_numpy, found)
    return (
        d_emissions.to(emissions.dtype),
        d_transitions.to(transitions.dtype),
        d_start.to(start.dtype),
        d_end.to(end.dtype),
    )


def _subtract_label_counts(
    found: crf.ExpectedCounts, rows: Ragged[Any], tags_N: Any, weights_B: Any
) -> None:
    """Subtract what the labels themselves count, weighted."""
    labels, count = rows.values.shape[1], tags_N.shape[0]
    filled = np.flatnonzero(rows.lengths)
    first, last = rows.offsets[filled], rows.offsets[filled + 1] - 1
    weights_N = np.repeat(weights_B, rows.lengths)
    found.emissions[np.arange(count), tags_N] -= weights_N
    to = np.flatnonzero(rows.step_of_row)
    pairs = tags_N[to - 1] * labels + tags_N[to]
    used = np.bincount(pairs, weights_N[to], minlength=labels * labels)
    found.transitions[...] -= used.reshape(labels, labels)
    found.start[...] -= np.bincount(tags_N[first], weights_N[first], minlength=labels)
    found.end[...] -= np.bincount(tags_N[last], weights_N[last], minlength=labels)


def _kernel_arguments(
    emissions: Tensor, lengths: Tensor, *scores: Tensor
) -> tuple[Ragged[Any], Chain]:
    """The arguments of the kernels."""
    arrays = (np.asarray(part.detach().numpy(), np.float64) for part in scores)
    return Ragged(emissions.detach().numpy(), lengths.numpy()), Chain(*arrays)


def check_labels(labels: Tensor, rows: int, size: int | None = None) -> None:
    """Refuse labels that are not one for each row, and one of so many labels.

    Args:
        labels: What was given.
        rows: Number of rows N.
        size: Number of labels L; None looks at no values.

    Raises:
        ShapeError: Labels that do not fit.

    Example:
        >>> check_labels(torch.tensor([0, 2]), 2, 2)
        Traceback (most recent call last):
        ...
        birnn.errors.ShapeError: labels are from 0 to 2, for 2 labels they are from 0 to 1
    """
    if labels.shape != (rows,) or labels.dtype not in INTEGERS:
        raise ShapeError(
            f"labels are whole numbers, one for each of {rows} rows, got shape "
            f"{tuple(labels.shape)} of {labels.dtype}"
        )
    if size is None or rows == 0 or torch.compiler.is_compiling():
        return
    least, most = int(labels.min()), int(labels.max())
    if not 0 <= least <= most < size:
        raise ShapeError(
            f"labels are from {least} to {most}, for {size} labels they are from 0 to {size - 1}"
        )


@_likelihood.register_fake
def _(emissions: Tensor, lengths: Tensor, labels: Tensor, *scores: Tensor) -> Tensor:
    del labels, scores
    return emissions.new_empty(lengths.shape[0])


@_likelihood_gradients.register_fake
def _(
    weights: Tensor, emissions: Tensor, lengths: Tensor, labels: Tensor, *scores: Tensor
) -> tuple[Tensor, ...]:
    del weights, lengths, labels
    return tuple(part.new_empty(part.shape) for part in (emissions, *scores))


def _keep(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    del output
    ctx.save_for_backward(*inputs)


def _differentiate(ctx: Any, weights_B: Tensor) -> tuple[Tensor | None, ...]:
    found: Sequence[Tensor | None]
    if torch.is_grad_enabled():
        # Gradients of these gradients may be asked for, and torch's operations have them.
        emissions, lengths, labels, *scores = ctx.saved_tensors
        counts = lengths.numpy()

        def likelihood(rows: Tensor, *scores: Tensor) -> Tensor:
            log_z_B = chain.StepChain(rows, counts, *scores).log_partition()
            return log_z_B - chain.score(rows, counts, labels, *scores)

        with without_autocast(emissions):
            inputs = (emissions, *scores)
            found = chain.gradients_with_graph(likelihood, inputs, weights_B)
    else:
        # The sums are computed once more, which takes less than keeping them.
        found = _likelihood_gradients(weights_B, *ctx.saved_tensors)
    d_emissions, *d_scores = found
    return d_emissions, None, None, *d_scores


_likelihood.register_autograd(_differentiate, setup_context=_keep)
