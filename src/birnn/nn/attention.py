"""Additive attention over the steps of each sequence."""

# N rows of all sequences, B sequences, W width of a row, A hidden units of the attention

from __future__ import annotations

import torch
from torch import Tensor, nn

from birnn.errors import ConfigError, ShapeError
from birnn.nn._engine.private_torch import autocasts
from birnn.nn.conversions import ragged_rows
from birnn.ragged import Ragged


def segment_softmax(scores_N: Tensor, batch: Ragged[Tensor]) -> Tensor:
    """Softmax of the rows' scores within each sequence; (N,) to (N,).

    Example:
        >>> import numpy as np
        >>> batch = Ragged(torch.zeros(3, 1), np.array([2, 1]))
        >>> segment_softmax(torch.zeros(3), batch).tolist()
        [0.5, 0.5, 1.0]
    """
    sequence = torch.from_numpy(batch.sequence_of_row).to(scores_N.device)
    top_B = scores_N.new_full((len(batch),), -torch.inf)
    top_B = top_B.scatter_reduce(0, sequence, scores_N.detach(), "amax")
    weights_N = (scores_N - top_B[sequence]).exp()
    total_B = weights_N.new_zeros(len(batch)).index_add(0, sequence, weights_N)
    return weights_N / total_B[sequence]


class AdditiveAttention(nn.Linear):
    """Weighs the steps of a sequence by a learned query: q . tanh(W x + b).

    Args:
        input_size: Width W of a row.
        attention_size: Hidden units A.

    Raises:
        ConfigError: A size below 1.

    Source:
        Bahdanau et al. 2015, Neural Machine Translation by Jointly Learning to Align and
        Translate, appendix A.1.2; Yang et al. 2016, Hierarchical Attention Networks, eq. 5-7.
    """

    def __init__(self, input_size: int, attention_size: int) -> None:
        if min(input_size, attention_size) < 1:
            raise ConfigError(f"sizes are {input_size} and {attention_size}, they are 1 or more")
        super().__init__(input_size, attention_size)
        self.query = nn.Parameter(torch.empty(attention_size))
        nn.init.uniform_(self.query, -(attention_size**-0.5), attention_size**-0.5)

    def weights(self, x: Ragged[Tensor]) -> Tensor:
        """Weight of each row within its sequence, (N,); real rows only, so none is padding.

        Raises:
            ShapeError: No ragged rows, or rows of another width or dtype than the weights.
        """
        x = ragged_rows(x, "attention")
        rows, like = x.values, self.weight
        if rows.shape[1] != self.in_features or not (rows.dtype == like.dtype or autocasts(rows)):
            raise ShapeError(
                f"attention is over rows {self.in_features} wide of {like.dtype}, got rows "
                f"{rows.shape[1]} wide of {rows.dtype}"
            )
        scores_N = super().forward(x.values).tanh() @ self.query
        return segment_softmax(scores_N, x)

    def forward(self, x: Ragged[Tensor]) -> Tensor:  # type: ignore[override]
        """Weighted mean of each sequence's rows, (B, W); zeros for a sequence of length 0.

        Raises:
            ShapeError: As `weights`.
        """
        weights_N = self.weights(x)
        sequence = torch.from_numpy(x.sequence_of_row).to(x.values.device)
        weighted_NW = x.values * weights_N.unsqueeze(1)
        return weighted_NW.new_zeros(len(x), weighted_NW.shape[1]).index_add(
            0, sequence, weighted_NW
        )
