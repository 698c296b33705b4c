"""Linear-chain conditional random field on ragged emissions."""

# N rows of all sequences, B sequences, R sequences still running, L labels

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from birnn.nn.ops import Schedule
from birnn.ragged import Ragged

FORBIDDEN = -1e4  # added to a forbidden score: no path survives it, and no inf - inf arises
PAIRS = 2048  # neighbouring rows whose L x L joint probabilities are held at a time


class CRF(nn.Module):
    """Scores a whole sequence of labels: emissions, transitions, start and end.

    ``score(y) = start[y_0] + sum_t emission[t, y_t] + sum_t transitions[y_t-1, y_t] + end[y_T-1]``

    Args:
        size: Labels L.
        allowed: Which label may follow which, (L, L) bool [from, to]; all by default.
        allowed_start: Which labels may begin a sequence, (L,).
        allowed_end: Which labels may end one, (L,).

    Source:
        Lafferty et al. 2001, Conditional Random Fields; Sutton & McCallum 2012, section 4.1.

    Example:
        >>> import numpy as np
        >>> crf = CRF(2)
        >>> emissions = Ragged(torch.tensor([[5.0, 0.0], [0.0, 5.0]]), np.array([2]))
        >>> crf.decode(emissions).tolist()
        [0, 1]
    """

    penalty: Tensor
    start_penalty: Tensor
    end_penalty: Tensor

    def __init__(
        self, size: int, *, allowed: Any = None, allowed_start: Any = None, allowed_end: Any = None
    ) -> None:
        super().__init__()
        self.transitions = nn.Parameter(torch.zeros(size, size))
        self.start = nn.Parameter(torch.zeros(size))
        self.end = nn.Parameter(torch.zeros(size))
        for name, mask, shape in (
            ("penalty", allowed, (size, size)),
            ("start_penalty", allowed_start, (size,)),
            ("end_penalty", allowed_end, (size,)),
        ):
            allow = torch.ones(shape, dtype=torch.bool) if mask is None else torch.as_tensor(mask)
            penalty = torch.zeros(shape).masked_fill(~allow, FORBIDDEN)
            self.register_buffer(name, penalty, persistent=False)

    def negative_log_likelihood(self, emissions: Ragged[Tensor], labels_N: Tensor) -> Tensor:
        """``log Z - score(labels)`` of each sequence, (B,); 0 for a sequence of length 0.

        Args:
            emissions: Scores of the labels at each step, (N, L).
            labels_N: True label of each step, (N,).
        """
        transitions, start, end = self._scores()
        log_z_B: Tensor = _LogPartition.apply(  # type: ignore[no-untyped-call]
            emissions.values, transitions, start, end, emissions.lengths
        )
        sequence = torch.from_numpy(emissions.sequence_of_row).to(labels_N.device)
        rows_N = emissions.values.gather(1, labels_N.unsqueeze(1)).squeeze(1)
        if labels_N.numel() > 1:
            follows = (sequence[1:] == sequence[:-1]).to(rows_N)
            steps = transitions[labels_N[:-1], labels_N[1:]] * follows
            rows_N = rows_N + torch.cat([rows_N.new_zeros(1), steps])
        filled = torch.from_numpy(emissions.lengths > 0).to(labels_N.device)
        first = torch.from_numpy(emissions.offsets[:-1]).to(labels_N.device)[filled]
        last = torch.from_numpy(emissions.offsets[1:] - 1).to(labels_N.device)[filled]
        score_B = log_z_B.new_zeros(len(emissions)).index_add(0, sequence, rows_N)
        score_B = score_B.masked_scatter(
            filled, score_B[filled] + start[labels_N[first]] + end[labels_N[last]]
        )
        return log_z_B - score_B

    def marginals(self, emissions: Ragged[Tensor]) -> Tensor:
        """Probability of each label at each step given the whole sequence, (N, L)."""
        transitions, start, end = self._scores()
        with torch.no_grad():
            chain = _Chain(emissions.values, transitions, start, end, emissions.lengths)
            return chain.marginals()

    @torch.no_grad()
    def decode(self, emissions: Ragged[Tensor]) -> Tensor:
        """The best allowed label sequence of each sequence (Viterbi), (N,)."""
        # A sum of -inf is -inf: here no emission, however large, buys what is forbidden.
        transitions, start, end = self._scores(forbidden=-torch.inf)
        schedule = Schedule(emissions.lengths, emissions.values.device)
        order, inverse = schedule.forward
        rows = emissions.values.index_select(0, order)
        steps = _steps(schedule)
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

    def _scores(self, forbidden: float = FORBIDDEN) -> tuple[Tensor, Tensor, Tensor]:
        """Transitions, start and end, with what is forbidden so far down."""
        return (
            self.transitions + self.penalty.masked_fill(self.penalty < 0, forbidden),
            self.start + self.start_penalty.masked_fill(self.start_penalty < 0, forbidden),
            self.end + self.end_penalty.masked_fill(self.end_penalty < 0, forbidden),
        )


def _steps(schedule: Schedule) -> list[tuple[int, int]]:
    """First row and number of running sequences of each step, in step-major order."""
    return [
        (stretch.start + step * stretch.sequences, stretch.sequences)
        for stretch in schedule.stretches
        for step in range(stretch.steps)
    ]


class _Chain:
    """Forward and backward sums over all label sequences of a batch, step by step."""

    def __init__(
        self, emissions_NL: Tensor, transitions: Tensor, start: Tensor, end: Tensor, lengths: Any
    ) -> None:
        self.schedule = Schedule(lengths, emissions_NL.device)
        order, self._inverse = self.schedule.forward
        self._rows = emissions_NL.index_select(0, order)
        self._transitions, self._start, self._end = transitions, start, end
        self._steps = _steps(self.schedule)
        self._alpha = self._forward()

    def _forward(self) -> Tensor:
        """Log-sum of all label sequences up to each row that end there in each label, (N, L)."""
        alpha_NL = torch.empty_like(self._rows)
        before_RL = self._start
        for t, (begin, running) in enumerate(self._steps):
            if t > 0:
                before_RL = torch.logsumexp(before_RL[:running, :, None] + self._transitions, dim=1)
            before_RL = before_RL + self._rows[begin : begin + running]
            alpha_NL[begin : begin + running] = before_RL
        return alpha_NL

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
            self.schedule.by_length[index],
        )

    def log_partition(self) -> Tensor:
        """Log-sum over all label sequences, (B,)."""
        rows, sequences = self._last_rows()
        log_z_B = self._rows.new_zeros(self.schedule.lengths.shape[0])
        log_z_B[sequences] = torch.logsumexp(self._alpha[rows] + self._end, dim=1)
        return log_z_B

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
        scale_B = d_log_z_B.index_select(0, self.schedule.by_length)
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
            d_transitions += torch.einsum("p,pij->ij", scale_N[to_P], pair_PLL.exp())
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


class _LogPartition(torch.autograd.Function):
    """The log-partition with its gradient by the forward-backward algorithm.

    Written out because autograd through the loop would keep and revisit each of its steps.
    """

    @staticmethod
    def forward(
        ctx: Any, emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, lengths: Any
    ) -> Tensor:
        chain = _Chain(emissions, transitions, start, end, lengths)
        ctx.chain = chain
        return chain.log_partition()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_log_z_B: Tensor) -> tuple[Tensor | None, ...]:
        return (*ctx.chain.gradients(d_log_z_B), None)
