"""From a batch's arrays to the rows that the encoder reads."""

# N rows of all sequences, F distinct written forms, W width of a row

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from birnn.inputs import (
    Characters,
    Surface,
    SymbolRows,
    Symbols,
    VectorRows,
    Vectors,
    WordRows,
    Words,
)
from birnn.models.regularisation import Dropout
from birnn.nn import BiRNN, VariationalDropout, WordDropout
from birnn.nn.dropout import kept
from birnn.ragged import Ragged

# Standard deviations of fresh vectors. Words start small, so that a rare one, whose vector is
# hardly ever moved, speaks softly; characters are few and each is moved at every step.
WORD_SPREAD = 0.1
CHARACTER_SPREAD = 0.3


def from_host(array: np.ndarray[Any, Any], like: Tensor) -> Tensor:
    """A NumPy array as a tensor on the device of ``like``."""
    return torch.from_numpy(array).to(like.device)


class CharacterNetwork(nn.Module):
    """A bidirectional LSTM over the characters of each written form, (F,) words to (F, W)."""

    def __init__(self, spec: Characters, dropout: Dropout) -> None:
        super().__init__()
        self.symbols = nn.Embedding(spec.size, spec.dim)
        self.unknown = WordDropout(np.ones(spec.size), rate=dropout.spelling)
        self.dropout = VariationalDropout(dropout.characters)
        self.encoder = BiRNN.from_stack(spec.stack)
        nn.init.normal_(self.symbols.weight, std=CHARACTER_SPREAD)

    def forward(self, characters: Ragged[Any]) -> Tensor:
        """Final states of both halves: each has read the whole word."""
        ids = from_host(characters.values, self.symbols.weight)
        rows = characters.with_values(self.symbols(self.unknown(ids)))
        final: Tensor = self.encoder(self.dropout(rows)).final
        return final


class TraitTable(nn.Embedding):
    """The sum of the vectors of a written form's traits, (F, K) numbers to (F, W).

    A trait that training never met adds nothing: the vector of number 0 is and stays zero.

    Args:
        spec: Known traits and width.
        dropout: Rate at which traits are dropped in training.
    """

    def __init__(self, spec: Surface, dropout: float) -> None:
        super().__init__(spec.size, spec.dim, padding_idx=0)
        self.dropout = dropout

    def reset_parameters(self) -> None:
        """Small vectors, as words have."""
        nn.init.normal_(self.weight, std=WORD_SPREAD)
        nn.init.zeros_(self.weight.data[0])

    def forward(self, traits_FK: Tensor) -> Tensor:
        """Vectors of the forms."""
        vectors_FKW = super().forward(traits_FK)
        if self.training and self.dropout > 0:
            vectors_FKW = vectors_FKW * kept((*traits_FK.shape, 1), self.dropout, vectors_FKW)
        return vectors_FKW.sum(dim=1)


class WordInputs(nn.Module):
    """Word vectors, and beside them what each word's written form tells.

    The written form's network runs once for each distinct form of a batch, however often the
    form stands in it.

    Args:
        spec: What the rows are made of.
        dropout: Rates for training.
        counts: How often each word stands in training, (V,).
    """

    def __init__(self, spec: Words, dropout: Dropout, counts: Any = None) -> None:
        super().__init__()
        self.words = nn.Embedding(spec.size, spec.dim)
        nn.init.normal_(self.words.weight, std=WORD_SPREAD)
        self.word_dropout = WordDropout(
            np.ones(spec.size) if counts is None else counts,
            strength=dropout.rare_words if counts is not None else 0.0,
            rate=dropout.words,
        )
        self.characters = CharacterNetwork(spec.characters, dropout) if spec.characters else None
        self.surface = TraitTable(spec.surface, dropout.traits) if spec.surface else None

    def forward(self, rows: WordRows) -> Tensor:
        """Rows of a batch, (N, W): word, characters, surface."""
        like = self.words.weight
        parts = [self.words(self.word_dropout(from_host(rows.words, like)))]
        forms = from_host(rows.forms, like)
        if self.characters is not None and rows.characters is not None:
            parts.append(self.characters(rows.characters).index_select(0, forms))
        if self.surface is not None and rows.traits is not None:
            parts.append(self.surface(from_host(rows.traits, like)).index_select(0, forms))
        return torch.cat(parts, dim=1)


class SymbolInputs(nn.Module):
    """A vector for each symbol."""

    def __init__(self, spec: Symbols) -> None:
        super().__init__()
        self.symbols = nn.Embedding(spec.size, spec.dim)
        nn.init.normal_(self.symbols.weight, std=CHARACTER_SPREAD)

    def forward(self, rows: SymbolRows) -> Tensor:
        """Rows of a batch, (N, W)."""
        vectors: Tensor = self.symbols(from_host(rows.symbols, self.symbols.weight))
        return vectors


class VectorInputs(nn.Module):
    """Vectors less their offset, standardised by training's mean and scale."""

    mean: Tensor
    scale: Tensor

    def __init__(self, spec: Vectors) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(spec.size))
        self.register_buffer("scale", torch.ones(spec.size))

    def forward(self, rows: VectorRows) -> Tensor:
        """Rows of a batch, (N, W)."""
        return (from_host(rows.vectors, self.mean) - self.mean) / self.scale
