"""From a batch's arrays to the rows that the encoder reads."""

# N rows of all sequences, F distinct written forms, W width of a row

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from birnn.bundle.spec import Characters, Symbols, Vectors, Words
from birnn.data import SymbolRows, VectorRows, WordRows
from birnn.models.regularisation import Dropout
from birnn.nn import BiRNN, VariationalDropout, WordDropout
from birnn.ragged import Ragged

# Standard deviations of fresh vectors. Words start small, so that a rare one, whose vector is
# hardly ever moved, speaks softly; characters are few and each is moved at every step.
WORD_SPREAD = 0.1
CHARACTER_SPREAD = 0.3
FREQUENT = 2  # a trait of a single written form would be that word by another name


def from_host(array: np.ndarray[Any, Any], like: Tensor) -> Tensor:
    """A NumPy array as a tensor on the device of ``like``."""
    return torch.from_numpy(array).to(like.device)


class CharacterNetwork(nn.Module):
    """A bidirectional LSTM over the characters of each written form, (F,) words to (F, W)."""

    def __init__(self, spec: Characters, dropout: Dropout) -> None:
        super().__init__()
        self.symbols = nn.Embedding(spec.size, spec.dim)
        self.dropout = VariationalDropout(dropout.characters)
        self.encoder = BiRNN.from_stack(spec.stack)
        nn.init.normal_(self.symbols.weight, std=CHARACTER_SPREAD)

    def forward(self, characters: Ragged[Any]) -> Tensor:
        """Final states of both halves: each has read the whole word."""
        ids = from_host(characters.values, self.symbols.weight)
        rows = characters.with_values(self.symbols(ids))
        final: Tensor = self.encoder(self.dropout(rows)).final
        return final


class WordInputs(nn.Module):
    """Word vectors, and beside them what each word's written form tells.

    The written form's network runs once for each distinct form of a batch, however often the
    form stands in it.

    Args:
        spec: What the rows are made of.
        dropout: Rates for training.
        counts: How often each word stands in training, (V,).
        trait_counts: How many written forms of training have each trait, a count for each row of
            the surface table; only traits of two forms or more are learnt.
    """

    frequent: Tensor | None

    def __init__(
        self, spec: Words, dropout: Dropout, counts: Any = None, trait_counts: Any = None
    ) -> None:
        super().__init__()
        self.words = nn.Embedding(spec.size, spec.dim)
        self.word_dropout = WordDropout(
            np.ones(spec.size) if counts is None else counts,
            strength=dropout.rare_words if counts is not None else 0.0,
            rate=dropout.words,
        )
        self.characters = CharacterNetwork(spec.characters, dropout) if spec.characters else None
        self.trait_dropout = dropout.traits
        self.surface = (
            nn.Embedding(spec.surface.traits * spec.surface.buckets, spec.surface.dim)
            if spec.surface
            else None
        )
        nn.init.normal_(self.words.weight, std=WORD_SPREAD)
        if self.surface is not None:
            # From zero, so that a trait training never met says nothing, not something random.
            nn.init.zeros_(self.surface.weight)
        frequent = None
        if trait_counts is not None:
            frequent = torch.as_tensor(np.asarray(trait_counts) >= FREQUENT, dtype=torch.float32)
        self.register_buffer("frequent", frequent, persistent=False)

    def forward(self, rows: WordRows) -> Tensor:
        """Rows of a batch, (N, W): word, characters, surface."""
        like = self.words.weight
        parts = [self.words(self.word_dropout(from_host(rows.words, like)))]
        forms = from_host(rows.forms, like)
        if self.characters is not None and rows.characters is not None:
            parts.append(self.characters(rows.characters).index_select(0, forms))
        if self.surface is not None and rows.traits is not None:
            traits_FKW = self.surface(from_host(rows.traits, like))
            if self.training and self.frequent is not None:
                # The others are never moved from zero, so that in evaluation there is no need.
                rows_FK = from_host(rows.traits, like)
                traits_FKW = traits_FKW * self.frequent[rows_FK].unsqueeze(2)
            if self.training and self.trait_dropout > 0:
                keep_FK1 = like.new_empty(*traits_FKW.shape[:2], 1).bernoulli_(
                    1 - self.trait_dropout
                )
                traits_FKW = traits_FKW * keep_FK1 / (1 - self.trait_dropout)
            parts.append(traits_FKW.sum(dim=1).index_select(0, forms))
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
    """Vectors, standardised by training's mean and scale; with noise in training if asked for."""

    mean: Tensor
    scale: Tensor

    def __init__(self, spec: Vectors, dropout: Dropout) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(spec.size))
        self.register_buffer("scale", torch.ones(spec.size))
        self.noise = dropout.noise

    def forward(self, rows: VectorRows) -> Tensor:
        """Rows of a batch, (N, W)."""
        x_NW = (from_host(rows.vectors, self.mean) - self.mean) / self.scale
        if self.training and self.noise > 0:
            x_NW = x_NW + self.noise * torch.randn_like(x_NW)
        return x_NW
