"""Pooling and attention: from the rows of each sequence to one vector for it; real rows only."""

# N rows of all sequences, B sequences, W width of a row, A hidden units of the attention

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from birnn.errors import ConfigError, ShapeError, nearest
from birnn.nn._engine.private_torch import autocasts
from birnn.nn.conversions import ragged_rows
from birnn.ragged import Ragged

Pooling = Callable[[Ragged[Tensor], Tensor], Tensor]


def last(x: Ragged[Tensor], final_BW: Tensor) -> Tensor:
    """The encoder's merged final states: each half after it has read the whole sequence.

    Not the last row: there the backward half has read a single step.
    """
    return final_BW


def maximum(x: Ragged[Tensor], final_BW: Tensor) -> Tensor:
    """Largest value of each unit over the steps, (B, W); zeros for a sequence of length 0."""
    lowest = x.values.new_full((len(x), x.values.shape[1]), -torch.inf)
    top_BW = lowest.scatter_reduce(
        0, _sequence(x).unsqueeze(1).expand_as(x.values), x.values, "amax"
    )
    empty_B = torch.from_numpy(x.lengths == 0).to(x.values.device)
    return top_BW.masked_fill(empty_B.unsqueeze(1), 0.0)


def mean(x: Ragged[Tensor], final_BW: Tensor) -> Tensor:
    """Mean of each unit over the steps, (B, W); zeros for a sequence of length 0."""
    total_BW = _sums(x)
    counts_B = torch.from_numpy(x.lengths).to(x.values).clamp(min=1)
    return total_BW / counts_B.unsqueeze(1)


POOLINGS: dict[str, Pooling] = {"last": last, "max": maximum, "mean": mean}


def pool(name: str, x: Ragged[Tensor], final_BW: Tensor) -> Tensor:
    """Pool as ``name`` says; parts joined by ``+`` stand side by side.

    Args:
        name: ``last``, ``max``, ``mean`` or several of them joined by ``+``.
        x: Rows of the encoder, (N, W).
        final_BW: Merged final states of the encoder, (B, W).

    Returns:
        (B, parts * W).

    Raises:
        ConfigError: A part that does not exist.
        ShapeError: No ragged rows of floating-point numbers, or no final state for each sequence.

    Example:
        >>> import numpy as np
        >>> x = Ragged(torch.tensor([[1.0], [3.0], [5.0]]), np.array([2, 1]))
        >>> pool("max+mean", x, torch.zeros(2, 1)).tolist()
        [[3.0, 2.0], [5.0, 5.0]]
    """
    x, parts = ragged_rows(x, "pool"), name.split("+")
    for part in parts:
        if part not in POOLINGS:
            raise ConfigError(f"pooling has a part {part!r}: {nearest(part, POOLINGS)}")
    if "last" in parts and (not isinstance(final_BW, Tensor) or final_BW.shape[:-1] != (len(x),)):
        found = getattr(final_BW, "shape", type(final_BW).__name__)
        raise ShapeError(f"final states are (B, W), here of {len(x)} sequences, got {found}")
    return torch.cat([POOLINGS[part](x, final_BW) for part in parts], dim=1)


def segment_softmax(scores_N: Tensor, batch: Ragged[Tensor]) -> Tensor:
    """Softmax of the rows' scores within each sequence; (N,) to (N,).

    Example:
        >>> import numpy as np
        >>> batch = Ragged(torch.zeros(3, 1), np.array([2, 1]))
        >>> segment_softmax(torch.zeros(3), batch).tolist()
        [0.5, 0.5, 1.0]
    """
    sequence = _sequence(batch)
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
        x = _rows_like(x, self.weight, self.in_features)
        return segment_softmax(super().forward(x.values).tanh() @ self.query, x)

    def forward(self, x: Ragged[Tensor]) -> Tensor:  # type: ignore[override]
        """Weighted mean of each sequence's rows, (B, W); zeros for a sequence of length 0.

        Raises:
            ShapeError: As `weights`.
        """
        return _weighted(x, self.weights(x))


class LinearAttention(nn.Module):
    """Weighs the steps of a sequence by one learned weight for each unit of a row: q . x.

    Args:
        input_size: Width W of a row.

    Raises:
        ConfigError: A size below 1.

    Source:
        Zhou et al. 2016, Attention-Based Bidirectional Long Short-Term Memory Networks for Relation
        Classification, section 3.3, equations 9 to 11 without the tanh.

    Example:
        >>> import numpy as np
        >>> attention = LinearAttention(1)
        >>> _ = torch.nn.init.zeros_(attention.query)
        >>> x = Ragged(torch.tensor([[1.0], [3.0], [5.0]]), np.array([2, 1]))
        >>> attention(x).tolist()
        [[2.0], [5.0]]
    """

    def __init__(self, input_size: int) -> None:
        super().__init__()
        if input_size < 1:
            raise ConfigError(f"input_size is {input_size}, it is 1 or more")
        self.query = nn.Parameter(torch.empty(input_size))
        nn.init.uniform_(self.query, -(input_size**-0.5), input_size**-0.5)

    def weights(self, x: Ragged[Tensor]) -> Tensor:
        """As `AdditiveAttention.weights`."""
        x = _rows_like(x, self.query, len(self.query))
        return segment_softmax(x.values @ self.query, x)

    def forward(self, x: Ragged[Tensor]) -> Tensor:
        """As `AdditiveAttention.forward`."""
        return _weighted(x, self.weights(x))


def _rows_like(x: Ragged[Tensor], like: Tensor, width: int) -> Ragged[Tensor]:
    """Rows that attention of this width and dtype can weigh."""
    x = ragged_rows(x, "attention")
    rows = x.values
    if rows.shape[1] != width or not (rows.dtype == like.dtype or autocasts(rows)):
        raise ShapeError(
            f"attention is over rows {width} wide of {like.dtype}, got rows "
            f"{rows.shape[1]} wide of {rows.dtype}"
        )
    return x


def _weighted(x: Ragged[Tensor], weights_N: Tensor) -> Tensor:
    """Weighted sum of each sequence's rows, (B, W)."""
    return _sums(x.with_values(x.values * weights_N.unsqueeze(1)))


def _sums(x: Ragged[Tensor]) -> Tensor:
    """Sum of each unit over the steps, (B, W)."""
    return x.values.new_zeros(len(x), x.values.shape[1]).index_add(0, _sequence(x), x.values)


def _sequence(x: Ragged[Tensor]) -> Tensor:
    return torch.from_numpy(x.sequence_of_row).to(x.values.device)
