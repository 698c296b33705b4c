"""Linear-chain conditional random field on ragged emissions."""

# N rows of all sequences, B sequences, L labels

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from birnn.nn import chain_ops
from birnn.ragged import Ragged

FORBIDDEN = -1e4  # added to a forbidden score: no path survives it, and no inf - inf arises


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
        return chain_ops.negative_log_likelihood(
            emissions.values, emissions.lengths, labels_N, *self._scores()
        )

    @torch.no_grad()
    def marginals(self, emissions: Ragged[Tensor]) -> Tensor:
        """Probability of each label at each step given the whole sequence, (N, L)."""
        return chain_ops.marginals(emissions.values, emissions.lengths, *self._scores())

    @torch.no_grad()
    def decode(self, emissions: Ragged[Tensor]) -> Tensor:
        """The best allowed label sequence of each sequence (Viterbi), (N,)."""
        # A sum of -inf is -inf: here no emission, however large, buys what is forbidden.
        scores = self._scores(forbidden=-torch.inf)
        return chain_ops.best_path(emissions.values, emissions.lengths, *scores)

    def _scores(self, forbidden: float | None = None) -> list[Tensor]:
        """Transitions, start and end, with what is forbidden so far down."""
        pairs = (
            (self.transitions, self.penalty),
            (self.start, self.start_penalty),
            (self.end, self.end_penalty),
        )
        if forbidden is None:
            return [score + penalty for score, penalty in pairs]
        return [score.masked_fill(penalty < 0, forbidden) for score, penalty in pairs]
