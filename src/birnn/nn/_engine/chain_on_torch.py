"""The linear chain on torch's operations, step by step, all sequences that still run at once.

For the devices and dtypes that the native engine does not run. Forward and backward sums stay
logarithms; the gradient is written out, because autograd through the loop would keep and revisit
each of its steps. It does where gradients of the gradient are asked for.
"""

# N rows of all sequences, B sequences, R sequences still running, L labels, P pairs of rows

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from birnn.nn._engine.private_torch import without_autocast
from birnn.nn._engine.segments import SegmentedBatch

PAIRS = 2048  # neighbouring rows whose L x L joint probabilities are held at a time


def _steps(batch: SegmentedBatch) -> list[tuple[int, int]]:
    """First row and number of running sequences of each step, in step-major order."""
    return [
        (segment.start + step * segment.sequences, segment.sequences)
        for segment in batch.segments
        for step in range(segment.steps)
    ]


class StepChain:
    """Forward and backward sums over all label sequences of a batch, step by step."""

    def __init__(
        self, emissions_NL: Tensor, lengths: Any, transitions: Tensor, start: Tensor, end: Tensor
    ) -> None:
        self.batch = SegmentedBatch(lengths, emissions_NL.device)
        order, self._inverse = self.batch.forward
        self._rows = emissions_NL.index_select(0, order)
        self._transitions, self._start, self._end = transitions, start, end
        self._steps = _steps(self.batch)
        self._alpha = self._forward()

    def _forward(self) -> Tensor:
        """Log-sum of all label sequences up to each row that end there in each label, (N, L)."""
        alphas = [self._rows[:0]]
        before_RL = self._start
        for t, (begin, running) in enumerate(self._steps):
            if t > 0:
                before_RL = torch.logsumexp(before_RL[:running, :, None] + self._transitions, dim=1)
            before_RL = before_RL + self._rows[begin : begin + running]
            alphas.append(before_RL)
        return torch.cat(alphas)

    def _last_rows(self) -> tuple[Tensor, Tensor]:
        """Step-major row at which each non-empty sequence ends, and which sequence that is."""
        rows: list[int] = []
        sequences: list[int] = []
        ended = 0
        count = self._steps[0][1] if self._steps else 0
        for begin, running in reversed(self._steps):
            rows += range(begin + ended, begin + running)
            sequences += range(ended, running)
            ended = running
        assert ended == count
        device = self._rows.device
        index = torch.tensor(sequences, dtype=torch.int64, device=device)
        return (
            torch.tensor(rows, dtype=torch.int64, device=device),
            self.batch.by_length[index],
        )

    def log_partition(self) -> Tensor:
        """Log-sum over all label sequences, (B,)."""
        rows, sequences = self._last_rows()
        log_z_B = self._rows.new_zeros(self.batch.lengths.shape[0])
        return log_z_B.index_copy(0, sequences, torch.logsumexp(self._alpha[rows] + self._end, 1))

    def _backward(self) -> Tensor:
        """Log-sum of all continuations after each row, given each label there, (N, L)."""
        beta_NL = torch.empty_like(self._rows)
        after_RL = self._rows.new_zeros(0, self._rows.shape[1])
        for t in range(len(self._steps) - 1, -1, -1):
            begin, running = self._steps[t]
            ending = self._end.expand(running - after_RL.shape[0], -1)
            after_RL = torch.cat([after_RL, ending])
            beta_NL[begin : begin + running] = after_RL
            ahead_RL = after_RL + self._rows[begin : begin + running]
            after_RL = torch.logsumexp(self._transitions + ahead_RL[:, None, :], dim=2)
        return beta_NL

    def marginals(self) -> Tensor:
        """Probability of each label at each row, (N, L), in the rows' order."""
        together = self._alpha + self._backward()
        return together.softmax(dim=1).index_select(0, self._inverse)

    def gradients(self, d_log_z_B: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Gradients of the log-partitions: expected emissions, transitions, start and end.

        ``d log Z / d score = P(the label sequence uses that score)``.
        """
        beta_NL = self._backward()
        scale_B = d_log_z_B.index_select(0, self.batch.by_length)
        together = self._alpha + beta_NL
        log_z_N = torch.logsumexp(together, dim=1, keepdim=True)
        scale_N = torch.cat([scale_B[:running] for _, running in self._steps] or [scale_B[:0]])
        d_rows_NL = (together - log_z_N).exp() * scale_N.unsqueeze(1)
        first = self._steps[0][1] if self._steps else 0
        d_start = d_rows_NL[:first].sum(dim=0)
        last, _ = self._last_rows()
        d_end = d_rows_NL[last].sum(dim=0)
        ahead_NL = self._rows + beta_NL - log_z_N
        d_transitions = torch.zeros_like(self._transitions)
        for to_P, from_P in zip(*(torch.split(rows, PAIRS) for rows in self._pairs()), strict=True):
            pair_PLL = self._alpha[from_P, :, None] + self._transitions + ahead_NL[to_P, None, :]
            shares = scale_N[to_P] @ pair_PLL.exp().flatten(1)
            d_transitions = d_transitions + shares.view_as(d_transitions)
        return d_rows_NL.index_select(0, self._inverse), d_transitions, d_start, d_end

    def _pairs(self) -> tuple[Tensor, Tensor]:
        """Each row that has a row before it in its sequence, and that row."""
        to_rows, from_rows = [], []
        for (before, _), (begin, running) in zip(self._steps, self._steps[1:], strict=False):
            to_rows.append(torch.arange(begin, begin + running))
            from_rows.append(torch.arange(before, before + running))
        empty = [torch.zeros(0, dtype=torch.int64)]
        device = self._rows.device
        return torch.cat(to_rows or empty).to(device), torch.cat(from_rows or empty).to(device)


class LogPartition(torch.autograd.Function):
    """The log-partition with its gradient by the forward-backward algorithm."""

    @staticmethod
    def forward(
        ctx: Any, emissions: Tensor, lengths: Any, transitions: Tensor, start: Tensor, end: Tensor
    ) -> Tensor:
        chain = StepChain(emissions, lengths, transitions, start, end)
        ctx.chain, ctx.lengths = chain, lengths
        ctx.save_for_backward(emissions, transitions, start, end)
        return chain.log_partition()

    @staticmethod
    def backward(ctx: Any, d_log_z_B: Tensor) -> tuple[Tensor | None, ...]:
        with without_autocast(d_log_z_B):
            if torch.is_grad_enabled():

                def log_partition(emissions: Tensor, *scores: Tensor) -> Tensor:
                    return StepChain(emissions, ctx.lengths, *scores).log_partition()

                found = gradients_with_graph(log_partition, ctx.saved_tensors, d_log_z_B)
            else:
                found = ctx.chain.gradients(d_log_z_B)
        d_emissions, *d_scores = found
        return d_emissions, None, *d_scores


def gradients_with_graph(
    function: Callable[..., Tensor | Sequence[Tensor]],
    inputs: Sequence[Tensor],
    d_output: Tensor | Sequence[Tensor],
) -> Sequence[Tensor | None]:
    """Gradients that have gradients themselves: by autograd through all that ``function`` does.

    Args:
        function: Of the inputs, differentiable by torch.
        inputs: Where the gradients are taken.
        d_output: Gradient with respect to what the function gives.

    Returns:
        One for each of the inputs, None where it requires none.

    Example:
        >>> x = torch.tensor([3.0], requires_grad=True)
        >>> (once,) = gradients_with_graph(lambda x: x**3, [x], torch.ones(1))
        >>> once.item(), torch.autograd.grad(once, x)[0].item()
        (27.0, 18.0)
    """
    with torch.enable_grad():
        # Views, so that none passes through one input to another that it was made of.
        views = [part.view_as(part) for part in inputs]
        wanted = [part for part in views if part.requires_grad]
        found = iter(
            torch.autograd.grad(
                function(*views), wanted, d_output, create_graph=True, materialize_grads=True
            )
        )
    return [next(found) if part.requires_grad else None for part in views]


def best_path(
    emissions_NL: Tensor, lengths: Any, transitions: Tensor, start: Tensor, end: Tensor
) -> Tensor:
    """The label sequence of the highest score of each sequence (Viterbi), (N,)."""
    batch = SegmentedBatch(lengths, emissions_NL.device)
    order, inverse = batch.forward
    rows = emissions_NL.index_select(0, order)
    steps = _steps(batch)
    pointers: list[Tensor] = []
    scores: list[Tensor] = []
    for t, (begin, running) in enumerate(steps):
        emission_RL = rows[begin : begin + running]
        if t == 0:
            scores.append(start + emission_RL)
            continue
        best_RL, from_RL = (scores[-1][:running, :, None] + transitions).max(dim=1)
        scores.append(best_RL + emission_RL)
        pointers.append(from_RL)
    labels = torch.empty(rows.shape[0], dtype=torch.int64, device=rows.device)
    label_R = rows.new_zeros(0, dtype=torch.int64)
    for t in range(len(steps) - 1, -1, -1):
        begin, running = steps[t]
        ending = (scores[t][label_R.shape[0] :] + end).argmax(dim=1)
        if label_R.shape[0]:
            label_R = pointers[t].gather(1, label_R.unsqueeze(1)).squeeze(1)
        label_R = torch.cat([label_R, ending])
        labels[begin : begin + running] = label_R
    return labels.index_select(0, inverse)


def score(
    emissions_NL: Tensor,
    lengths: Any,
    labels_N: Tensor,
    transitions: Tensor,
    start: Tensor,
    end: Tensor,
) -> Tensor:
    """Score of given labels, (B,)."""
    device = emissions_NL.device
    stops = np.cumsum(lengths)
    filled = np.flatnonzero(lengths)
    first, last = (stops - lengths)[filled], stops[filled] - 1
    to = np.delete(np.arange(labels_N.shape[0]), first)
    # Each term of the scores, and the sequence that it is of.
    sequence_N = np.repeat(np.arange(lengths.shape[0]), lengths)
    of = np.concatenate([sequence_N, sequence_N[to], filled, filled])
    places = (torch.from_numpy(part).to(device) for part in (first, last, to, of))
    first_B, last_B, to_P, of_terms = places
    pairs_P = labels_N[to_P - 1] * transitions.shape[1] + labels_N[to_P]
    terms = [
        emissions_NL.gather(1, labels_N.unsqueeze(1)).squeeze(1),
        transitions.flatten().index_select(0, pairs_P),
        start.index_select(0, labels_N[first_B]),
        end.index_select(0, labels_N[last_B]),
    ]
    score_B = emissions_NL.new_zeros(lengths.shape[0])
    return score_B.index_add(0, of_terms, torch.cat(terms))
