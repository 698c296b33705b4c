"""Models of what comes next: they forecast series and generate symbols, with one direction.

```
y_t = W h_t + b        h_t has read rows 0..t, y_t is about row t+1
```

Row t's answer is row t+1, so an encoder with two directions is refused where it is handed in: in
training its backward half would read the answer, in use it would have nothing to read.
"""

# N rows of all sequences, M of them with a next one, B sequences, D channels, V symbols,
# W width of the encoder's output

from __future__ import annotations

import numbers
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from birnn.errors import ConfigError, DirectionError, ShapeError, UsageError
from birnn.nn._engine.tensor_layout import INTEGERS
from birnn.nn.birnn import BiRNN
from birnn.nn.conversions import as_ragged, ragged_symbols
from birnn.ragged import Ragged


class Forecaster(nn.Module):
    """The next row of a series of vectors.

    The encoder reads rows in standard units, ``(x - mean) / scale``, computed in float64;
    `set_units` takes both from training data. Answers are in the units of the data. A batch is
    `Ragged` rows (N, D); padded (B, T, D) with ``lengths`` (B,); ``PackedSequence``; or jagged.

    Args:
        encoder: With one direction; its ``input_size`` is the number of channels D.

    Raises:
        DirectionError: The encoder has two directions.

    Example:
        >>> series = torch.arange(20.0).reshape(2, 10, 1)
        >>> model = Forecaster(BiRNN("gru", 1, 4, bidirectional=False))
        >>> model.set_units(series)
        >>> model.loss(series).backward()
        >>> tuple(model.forecast(series, steps=3).shape)
        (2, 3, 1)
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, encoder: BiRNN) -> None:
        super().__init__()
        self.encoder = _one_direction(encoder, "next-step forecasting")
        channels = encoder.stack.input_size
        self.linear = nn.Linear(encoder.stack.output_size, channels)
        # In float64, as what they are taken off and multiplied with: at 1700000000, float32 knows
        # every 128th number.
        self.register_buffer("mean", torch.zeros(channels, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(channels, dtype=torch.float64))

    def set_units(self, x: Any, lengths: Any = None) -> None:
        """Take mean and standard deviation of each channel from data."""
        rows_ND = self._rows(x, lengths).values
        if rows_ND.shape[0] == 0:
            raise ShapeError("units come from at least one row, got none")
        scale_D, mean_D = torch.std_mean(rows_ND.double(), dim=0, correction=0)
        self.mean.copy_(mean_D)
        # A constant channel is only centred.
        self.scale.copy_(torch.where(scale_D > 0, scale_D, 1.0))

    def forward(self, x: Any, lengths: Any = None) -> Ragged[Tensor]:
        """What each row says of the next: rows (N, D) in the units of the data."""
        batch = self._rows(x, lengths)
        read: Ragged[Tensor] = self.encoder(self._in_standard_units(batch)).output
        return read.map(lambda rows: self._in_data_units(self.linear(rows), batch))

    def loss(self, x: Any, lengths: Any = None) -> Tensor:
        """Mean squared error of each row's successor in standard units; 0 where there is none."""
        batch = self._in_standard_units(self._rows(x, lengths))
        found_ND = self.linear(self.encoder(batch).output.values)
        rows_M = _rows_with_successor(batch)
        errors_MD = found_ND[rows_M] - batch.values[rows_M + 1]
        loss: Tensor = errors_MD.square().sum() / max(1, errors_MD.numel())
        return loss

    @torch.no_grad()
    def forecast(self, x: Any, steps: int, lengths: Any = None) -> Tensor:
        """The rows to come; each is read as if it had come.

        Args:
            x: What has come: `Ragged` rows (N, D), or padded (B, T, D) with ``lengths``.
            steps: How many rows to forecast.
            lengths: Length of each sequence, (B,), at least 1; ``None``: all are full.

        Returns:
            (B, steps, D), in the units of the data.

        Raises:
            LengthError: A sequence without a row.
            UsageError: No step to forecast, or the model is in training mode with dropout.
        """
        _check_steps(self.encoder, steps)
        rows = self._rows(x, lengths)
        batch = self._in_standard_units(rows)
        out = self.encoder(batch)
        next_BD = self.linear(out.output.values[batch.rows_at(-1)])
        forecast, state = [next_BD], out.state
        for _ in range(steps - 1):
            row_BW, state = self.encoder.step(next_BD, state)
            next_BD = self.linear(row_BW)
            forecast.append(next_BD)
        return self._in_data_units(torch.stack(forecast, dim=1), rows)

    def _rows(self, x: Any, lengths: Any) -> Ragged[Tensor]:
        batch = as_ragged(x, lengths, what="series").batch
        rows, channels = batch.values, self.encoder.stack.input_size
        if rows.ndim != 2 or rows.shape[1] != channels:
            raise ShapeError(f"rows are {channels} wide, got {tuple(rows.shape[1:])}")
        if rows.dtype in INTEGERS:
            return batch.map(Tensor.double)
        if not rows.is_floating_point():
            raise ShapeError(f"rows are numbers, got {rows.dtype}")
        return batch

    def _in_standard_units(self, batch: Ragged[Tensor]) -> Ragged[Tensor]:
        dtype = self.linear.weight.dtype
        return batch.map(lambda rows: ((rows - self.mean) / self.scale).to(dtype))

    def _in_data_units(self, rows: Tensor, batch: Ragged[Tensor]) -> Tensor:
        wide = torch.promote_types(batch.values.dtype, self.linear.weight.dtype)
        return (rows.double() * self.scale + self.mean).to(wide)


class LanguageModel(nn.Module):
    """The next symbol of a sequence, of letters, residues or words by their numbers.

    A batch is `Ragged` numbers (N,); padded (B, T) with ``lengths`` (B,); ``PackedSequence``; or
    jagged.

    Args:
        encoder: With one direction; its ``input_size`` is the width of a symbol's vector.
        symbols: Number V of symbols.

    Raises:
        ConfigError: Fewer than one symbol.
        DirectionError: The encoder has two directions.

    Example:
        >>> model = LanguageModel(BiRNN("gru", 8, 16, bidirectional=False), symbols=5)
        >>> import numpy as np
        >>> prompts = Ragged(torch.tensor([0, 1, 2, 4]), np.array([3, 1]))
        >>> model.loss(prompts).backward()
        >>> tuple(model.generate(prompts, steps=6, seed=1).shape)
        (2, 6)
    """

    def __init__(self, encoder: BiRNN, symbols: int) -> None:
        super().__init__()
        if not _is(numbers.Integral, symbols) or symbols < 1:
            raise ConfigError(f"symbols is {symbols!r}, it must be a whole number from 1 on")
        self.encoder = _one_direction(encoder, "autoregressive generation")
        self.embedding = nn.Embedding(symbols, encoder.stack.input_size)
        self.linear = nn.Linear(encoder.stack.output_size, symbols)

    def forward(self, x: Any, lengths: Any = None) -> Ragged[Tensor]:
        """Scores of the symbols that may follow each row, (N, V)."""
        read: Ragged[Tensor] = self.encoder(self._symbols(x, lengths).map(self.embedding)).output
        return read.map(self.linear)

    def loss(self, x: Any, lengths: Any = None) -> Tensor:
        """Mean cross-entropy of each row's successor, in nats; 0 where there is none."""
        batch = self._symbols(x, lengths)
        rows_M = _rows_with_successor(batch)
        scores_MV = self(batch).values[rows_M]
        entropies = functional.cross_entropy(scores_MV, batch.values[rows_M + 1], reduction="sum")
        return entropies / max(1, len(rows_M))

    @torch.no_grad()
    def generate(
        self,
        prompt: Any,
        steps: int,
        *,
        temperature: float = 1.0,
        seed: int | None = None,
        lengths: Any = None,
    ) -> Tensor:
        """Symbols that go on from the prompts; each is drawn, then read as if it had come.

        Args:
            prompt: `Ragged` of symbols' numbers (N,), or padded (B, T) with ``lengths``.
            steps: How many symbols to generate.
            temperature: What the scores are divided by before softmax; 0 takes the best symbol.
            seed: Of the draw; ``None``: torch's own state.
            lengths: Length of each prompt, (B,), at least 1; ``None``: all are full.

        Returns:
            Numbers of the symbols, (B, steps).

        Raises:
            LengthError: A prompt without a symbol.
            UsageError: A negative temperature, no step to generate, or the model is in training
                mode with dropout.
        """
        _check_steps(self.encoder, steps)
        if not _is(numbers.Real, temperature) or not temperature >= 0:
            raise UsageError(f"temperature is {temperature!r}, it must be 0 or more")
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        batch = self._symbols(prompt, lengths)
        out = self.encoder(batch.map(self.embedding))
        row_BW, state = out.output.values[batch.rows_at(-1)], out.state
        drawn_B = _draw(self.linear(row_BW), temperature, generator)
        generated = [drawn_B]
        for _ in range(steps - 1):
            row_BW, state = self.encoder.step(self.embedding(drawn_B), state)
            drawn_B = _draw(self.linear(row_BW), temperature, generator)
            generated.append(drawn_B)
        return torch.stack(generated, dim=1)

    def _symbols(self, x: Any, lengths: Any) -> Ragged[Tensor]:
        batch = as_ragged(x, lengths, what="symbols").batch
        return ragged_symbols(batch, self.embedding.num_embeddings, what="symbols")


def _is(kind: type, value: Any) -> bool:
    """Whether an argument is of a kind, whatever its annotation says."""
    return isinstance(value, kind)


def _one_direction(encoder: BiRNN, asked: str) -> BiRNN:
    if not isinstance(encoder, BiRNN):
        raise UsageError(
            f"the encoder is a {type(encoder).__name__}. Give a BiRNN(..., bidirectional=False)."
        )
    if encoder.stack.bidirectional:
        raise DirectionError.of(
            asked,
            unread="are the answer in training and do not exist yet in use",
            instead="BiRNN(..., bidirectional=False)",
            layers=encoder.stack.mixed_layers,
        )
    return encoder


def _check_steps(encoder: BiRNN, steps: int) -> None:
    if not _is(numbers.Integral, steps) or steps < 1:
        raise UsageError(f"steps is {steps!r}, it must be a whole number from 1 on")
    if encoder.dropout.drops:
        raise UsageError("the model is in training mode, with dropout. Call eval() first.")


def _rows_with_successor(batch: Ragged[Tensor]) -> Tensor:
    """Rows that have a next one in their sequence, (M,)."""
    left_N = batch.lengths[batch.sequence_of_row] - batch.step_of_row
    return torch.from_numpy((left_N > 1).nonzero()[0]).to(batch.values.device)


def _draw(scores_BV: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
    """A symbol for each sequence, (B,)."""
    if temperature == 0:
        return scores_BV.argmax(dim=1)
    # On the host, where one seed draws the same on every machine.
    shares_BV = (scores_BV.double().cpu() / temperature).softmax(dim=1)
    drawn_B1 = torch.multinomial(shares_BV, 1, generator=generator)
    return drawn_B1.squeeze(1).to(scores_BV.device)
