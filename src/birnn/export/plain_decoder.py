"""An attention decoder in plain PyTorch, over padded batches: what `plain_torch.py` writes with.

This file needs torch alone, and nothing of birnn.
"""

# B sequences, S steps of a source, U symbols of a target, I steps in which all were written,
# K layers, H hidden units, W width of a row of the source, V symbols

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

BOUNDARY = 0  # begins every target as an input, and ends it as an answer
States = Sequence[tuple[Tensor, ...]]
"""Final states of each layer of the encoder: h, and c of an LSTM, (directions, B, H)."""


class Written(NamedTuple):
    """Targets that a model wrote.

    Args:
        targets: Numbers of the symbols, (B, I), 0 where a target ends and beyond.
        log_probabilities: Of each symbol and of the end, (B, I), 0 beyond.
        lengths: Symbols of each, (B,).
        ended: Whether the model ended it, (B,); if not, it was cut at the most allowed.
    """

    targets: Tensor
    log_probabilities: Tensor
    lengths: Tensor
    ended: Tensor


class PlainBridge(nn.ModuleDict):
    """From the encoder's final states to the decoder's first, layer by layer.

    Args:
        kind: concat, sum, mean, project or none.
        parts: Which part of the encoder's states each of the decoder's is made of.
        sources: The encoder's layer that each layer of the decoder begins with.
        widths: Units of all directions of these layers.
        hidden_size: Hidden units of the decoder.
    """

    def __init__(
        self,
        kind: str,
        parts: Mapping[str, int],
        sources: Sequence[int],
        widths: Sequence[int],
        hidden_size: int,
    ) -> None:
        super().__init__()
        self.kind, self.parts, self.sources, self.hidden_size = kind, parts, sources, hidden_size
        if kind == "project":
            for k, width in enumerate(widths):
                for part in parts:
                    self[f"{part}_l{k}"] = nn.Linear(width, hidden_size)

    def forward(self, states: States) -> tuple[Tensor, ...]:
        """Each part of the decoder's first states, (K, B, H)."""
        if self.kind == "none":
            h = states[0][0]
            shape = len(self.sources), h.shape[1], self.hidden_size
            return tuple(h.new_zeros(shape) for _ in self.parts)
        return tuple(
            torch.stack(
                [
                    self._bridged(f"{part}_l{k}", states[layer][source])
                    for k, layer in enumerate(self.sources)
                ]
            )
            for part, source in self.parts.items()
        )

    def _bridged(self, name: str, halves: Tensor) -> Tensor:
        """Of the final states of all directions, (directions, B, H), one state (B, H)."""
        if self.kind == "sum":
            return halves.sum(dim=0)
        if self.kind == "mean":
            return halves.mean(dim=0)
        beside = torch.cat(list(halves), dim=-1)
        return torch.tanh(self[name](beside)) if self.kind == "project" else beside


class PlainAttention(nn.Module):
    """Additive attention: ``vector . tanh(query h + key m + bias)``."""

    def __init__(self, query_size: int, memory_size: int, size: int) -> None:
        super().__init__()
        self.query = nn.Linear(query_size, size, bias=False)
        self.key = nn.Linear(memory_size, size)
        self.vector = nn.Linear(size, 1, bias=False)


class PlainDecoder(nn.Module):
    """Bridge, recurrent layers, attention, and a score for each symbol that may come next.

    Args:
        spec: The head's part of the model's description.
        layers: Class of its layers, and its settings beside sizes.
        encoder_cell: Cell of the encoder.
        encoder_size: Hidden units of each of its directions.
        directions: 1 or 2 for each of its layers.
        width: Width of its rows.
    """

    def __init__(
        self,
        spec: Mapping[str, Any],
        layers: tuple[Any, Mapping[str, Any]],
        encoder_cell: str,
        encoder_size: int,
        directions: Sequence[int],
        width: int,
    ) -> None:
        super().__init__()
        size, dim, hidden = spec["size"], spec["dim"], spec["hidden_size"]
        self.kind, self.feeds, self.tied = spec["attention"], spec["input_feeding"], spec["tied"]
        self.combined_size = dim if self.tied else hidden
        is_lstm, count, last = spec["cell"] == "lstm", spec["num_layers"], len(directions) - 1
        sources = [min(max(0, last + 1 - count) + k, last) for k in range(count)]
        self.bridge = PlainBridge(
            spec["bridge"],
            {"h": 0} | ({"c": int(encoder_cell == "lstm")} if is_lstm else {}),
            sources,
            [directions[layer] * encoder_size for layer in sources],
            hidden,
        )
        self.embedding = nn.Embedding(size, dim)
        layer_of, options = layers
        read = dim + (self.combined_size if self.feeds else 0)
        self.decoder = layer_of(read, hidden, num_layers=count, batch_first=True, **options)
        if self.kind == "additive":
            self.attention: nn.Module = PlainAttention(hidden, width, spec["attention_size"])
        elif self.kind == "general":
            self.attention = nn.Linear(hidden, width, bias=False)
        self.combine = nn.Linear(hidden + (0 if self.kind == "none" else width), self.combined_size)
        self.linear: nn.Module = nn.Linear(self.combined_size, size)
        if self.tied:
            self.linear = nn.ParameterDict({"bias": torch.zeros(size)})

    def forward(
        self,
        rows: Tensor,
        lengths: Tensor,
        states: States,
        targets: Tensor,
        target_lengths: Tensor,
    ) -> Tensor:
        """Scores of the symbol after each of given ones, (B, U + 1, V), 0 in padding.

        Args:
            rows: Rows of the sources, (B, S, W).
            lengths: Length of each source, (B,); 0 is legal.
            states: The encoder's final states.
            targets: Numbers of the symbols, (B, U).
            target_lengths: Symbols of each, (B,).
        """
        memory, state = self._begin(rows, lengths, states)
        beyond = torch.arange(targets.shape[1] + 1, device=lengths.device) > target_lengths[:, None]
        symbols = functional.pad(targets, (1, 0), value=BOUNDARY).masked_fill(beyond, BOUNDARY)
        scores, combined = [], rows.new_zeros(len(rows), self.combined_size)
        # Where nothing is fed back all steps go through the layers at once.
        for part in torch.split(symbols, 1 if self.feeds else symbols.shape[1], dim=1):
            part_scores, combined, state = self._step(part, combined, state, memory)
            scores.append(part_scores)
        return torch.cat(scores, dim=1).masked_fill(beyond[:, :, None], 0)

    @torch.no_grad()
    def write(self, rows: Tensor, lengths: Tensor, states: States, longest: Tensor) -> Written:
        """The best symbol at each step until each target ends.

        Args:
            rows: Rows of the sources, (B, S, W).
            lengths: Length of each source, (B,).
            states: The encoder's final states.
            longest: Most symbols of each target, (B,).
        """
        memory, state = self._begin(rows, lengths, states)
        combined = rows.new_zeros(len(rows), self.combined_size)
        symbol = torch.full_like(lengths, BOUNDARY)
        done = ended = torch.zeros_like(lengths, dtype=torch.bool)
        targets: list[Tensor] = []
        steps: list[Tensor] = []
        while not done.all() or not targets:
            scores, combined, state = self._step(symbol[:, None], combined, state, memory)
            best, symbol = torch.log_softmax(scores[:, 0].double(), dim=-1).max(dim=-1)
            ends = (symbol == BOUNDARY) & ~done
            stops = done | (~ends & (longest <= len(targets)))
            symbol = symbol.masked_fill(stops, BOUNDARY)
            targets.append(symbol)
            steps.append(best.masked_fill(stops, 0.0))
            ended, done = ended | ends, stops | ends
        found = torch.stack(targets, dim=1)
        return Written(found, torch.stack(steps, dim=1), (found != BOUNDARY).sum(dim=1), ended)

    def _begin(
        self, rows: Tensor, lengths: Tensor, states: States
    ) -> tuple[tuple[Tensor, Tensor, Tensor], Any]:
        """Rows, keys (B, S, A) and which rows are real (B, 1, S); the first state of the layers."""
        real = torch.arange(rows.shape[1], device=lengths.device) < lengths[:, None]
        keys = self.attention.key(rows) if self.kind == "additive" else rows  # type: ignore[operator]
        parts = self.bridge(states)
        state = parts if len(parts) == 2 else parts[0]
        return (rows, keys, real[:, None]), state

    def _step(
        self, symbols: Tensor, combined: Tensor, state: Any, memory: tuple[Tensor, Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, Any]:
        """Scores after symbols (B, U), what was combined for the last, and the state after it."""
        read = self.embedding(symbols)
        if self.feeds:
            read = torch.cat([read, combined[:, None]], dim=-1)
        h, state = self.decoder(read, state)
        beside = h if self.kind == "none" else torch.cat([self._context(h, *memory), h], dim=-1)
        found = torch.tanh(self.combine(beside))
        weight = self.embedding.weight if self.tied else self.linear.weight
        scores = functional.linear(found, weight, self.linear.bias)  # type: ignore[arg-type]
        return scores, found[:, -1], state

    def _context(self, h: Tensor, rows: Tensor, keys: Tensor, real: Tensor) -> Tensor:
        """A mean of the rows for each query (B, U, H), (B, U, W); 0 where a source has none."""
        if self.kind == "additive":
            own: Any = self.attention
            both = torch.tanh(own.query(h)[:, :, None] + keys[:, None])
            scores = own.vector(both).squeeze(-1)
        else:
            query = self.attention(h) if self.kind == "general" else h
            scores = query @ keys.transpose(1, 2)
        # Not -inf: of a source without a row all would be.
        scores = scores.masked_fill(~real, torch.finfo(scores.dtype).min)
        weights = torch.softmax(scores, dim=-1).masked_fill(~real, 0.0)
        return weights @ rows
