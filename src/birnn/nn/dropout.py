"""Noise for sequences: one mask or shift for all steps of a sequence, words made unknown."""

# N rows of all sequences, B sequences, D width of a row

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from birnn.errors import ConfigError, ShapeError
from birnn.nn._engine.tensor_layout import INTEGERS
from birnn.nn.conversions import ragged_rows
from birnn.ragged import Ragged


def _range(ids: Tensor) -> tuple[int, int]:
    return (int(ids.min()), int(ids.max())) if ids.numel() else (0, 0)


def checked_rate(rate: Any) -> float:
    """A rate of dropout, from 0 up to but not including 1.

    Raises:
        ConfigError: Outside that range.
    """
    if not isinstance(rate, float | int | np.number) or not 0 <= rate < 1:
        raise ConfigError(f"a dropout rate is at least 0 and below 1, got {rate!r}")
    return float(rate)


def dropout_mask(shape: Sequence[int], rate: float, like: Tensor) -> Tensor:
    """Numbers that are 0 at the rate, else what keeps the expectation, as those of ``like``.

    Example:
        >>> sorted(set(dropout_mask((100,), 0.5, torch.zeros(0)).tolist()))
        [0.0, 2.0]
    """
    return like.new_empty(shape).bernoulli_(1 - rate).div_(1 - rate)


class VariationalDropout(nn.Module):
    """Dropout that drops the same units at every step of a sequence.

    Args:
        rate: Share of units dropped, in [0, 1).

    Source:
        Gal & Ghahramani 2016, A Theoretically Grounded Application of Dropout in Recurrent
        Neural Networks, section 4.

    Example:
        >>> batch = Ragged(torch.ones(5, 8), np.array([3, 2]))
        >>> dropped = VariationalDropout(0.5)(batch)
        >>> bool((dropped.values[0] == dropped.values[2]).all())
        True
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = checked_rate(rate)

    def forward(self, x: Ragged[Tensor]) -> Ragged[Tensor]:
        """Drop in training mode; otherwise the same rows."""
        x = ragged_rows(x, "VariationalDropout")
        if not self.drops:
            return x
        rows = torch.from_numpy(x.sequence_of_row).to(x.values.device)
        return x.with_values(x.values * self.mask(x.values, len(x)).index_select(0, rows))

    @property
    def drops(self) -> bool:
        """Whether anything is dropped now."""
        return self.training and self.rate > 0

    def mask(self, rows_ND: Tensor, sequences: int) -> Tensor:
        """What the rows of each sequence are to be multiplied by, (B, D): 0 where dropped."""
        return dropout_mask((sequences, rows_ND.shape[1]), self.rate, rows_ND)

    def extra_repr(self) -> str:
        """The rate."""
        return f"rate={self.rate}"


class DecoderMasks(NamedTuple):
    """Variational dropout of a decoder: what rows are multiplied by, a mask for each sequence.

    Args:
        embedding: Of the symbols' vectors, (B, D); None where nothing is dropped.
        between: Of what each layer but the first reads, (B, H); empty likewise.
        output: Of what is combined, (B, C); None likewise.
    """

    embedding: Tensor | None = None
    between: Sequence[Tensor] = ()
    output: Tensor | None = None

    def rows(self, which: Any) -> DecoderMasks:
        """The masks of some sequences, or of each row of a batch."""
        embedding, output = (None if m is None else m[which] for m in (self.embedding, self.output))
        return DecoderMasks(embedding, [mask[which] for mask in self.between], output)


def dropped(rows: Tensor, mask: Tensor | None) -> Tensor:
    """Rows times their masks; as they are without."""
    return rows if mask is None else rows * mask


class SequenceNoise(nn.Module):
    """Adds Gaussian noise in training: fresh at every step, and a shift shared by a sequence.

    A recurrent network averages noise that is fresh at every step away; a shift of a whole
    sequence, as another microphone or another day would make it, it has to learn to bear.

    Args:
        noise: Standard deviation of the noise of each step and channel.
        shift: Standard deviation of the shift of each sequence and channel.

    Raises:
        ConfigError: A negative deviation.
    """

    def __init__(self, *, noise: float = 0.0, shift: float = 0.0) -> None:
        super().__init__()
        if noise < 0 or shift < 0:
            raise ConfigError(f"noise {noise}, shift {shift}: a deviation is 0 or more")
        self.noise = noise
        self.shift = shift

    def forward(self, x: Ragged[Tensor]) -> Ragged[Tensor]:
        """Add noise in training mode; otherwise the same rows."""
        x = ragged_rows(x, "SequenceNoise")
        if not self.training or (self.noise == 0 and self.shift == 0):
            return x
        shift_BD = self.shift * torch.randn(
            len(x), x.values.shape[1], dtype=x.values.dtype, device=x.values.device
        )
        rows = torch.from_numpy(x.sequence_of_row).to(x.values.device)
        noise_ND = self.noise * torch.randn_like(x.values)
        return x.with_values(x.values + shift_BD.index_select(0, rows) + noise_ND)

    def extra_repr(self) -> str:
        """The deviations."""
        return f"noise={self.noise}, shift={self.shift}"


class WordDropout(nn.Module):
    """Makes words unknown in training, the rarer the likelier, so that spelling is learnt from.

    A word seen ``count`` times in training becomes unknown with probability
    ``strength / (strength + count)``; on top of that, any word with probability ``rate``.

    Args:
        counts: How often each word of the vocabulary stands in training, (V,); id 0 is unknown.
        strength: Pull towards unknown; 0 leaves the count out of it.
        rate: Probability for every word.

    Source:
        Kiperwasser & Goldberg 2016, Simple and Accurate Dependency Parsing Using Bidirectional
        LSTM Feature Representations, section 4 (strength 0.25).
    """

    probability: Tensor

    def __init__(self, counts: Any, *, strength: float = 0.0, rate: float = 0.0) -> None:
        super().__init__()
        checked_rate(rate)
        counts_V = np.maximum(np.asarray(counts, dtype=np.float64), 1.0)
        by_count_V = strength / (strength + counts_V)
        probability_V = torch.tensor(1 - (1 - by_count_V) * (1 - rate), dtype=torch.float32)
        self.register_buffer("probability", probability_V, persistent=False)

    def forward(self, ids_N: Tensor) -> Tensor:
        """Ids with some made 0 in training mode; otherwise the same ids.

        Raises:
            ShapeError: No whole numbers, or not those of words.
        """
        if not isinstance(ids_N, Tensor) or ids_N.dtype not in INTEGERS:
            found = getattr(ids_N, "dtype", type(ids_N).__name__)
            raise ShapeError(f"ids of words are a tensor of whole numbers, got {found}")
        if not self.training:
            return ids_N
        words, least, most = self.probability.shape[0], *_range(ids_N)
        if least < 0 or most >= words:
            raise ShapeError(
                f"ids are from {least} to {most}, for {words} words they are from 0 to {words - 1}"
            )
        # The same numbers whatever torch's default dtype is.
        drawn_N = torch.rand(ids_N.shape, dtype=self.probability.dtype, device=ids_N.device)
        drop_N = drawn_N < self.probability[ids_N]
        return ids_N.masked_fill(drop_N, 0)
