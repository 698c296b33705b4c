"""From a batch's arrays to the rows that the encoder reads, and their dropout."""

# N rows of all sequences, F distinct written forms, W width of a row

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

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
from birnn.inputs.word_vectors import WORD_SPREAD
from birnn.nn import BiRNN, SequenceNoise, VariationalDropout, WordDropout
from birnn.nn.dropout import dropout_mask
from birnn.ragged import Ragged
from birnn.reference.activations import ActivationName
from birnn.schema import Frozen

# Standard deviation of initial vectors of characters and symbols: they are few, and each is updated
# at every step, so they need not start small as word vectors do.
CHARACTER_SPREAD = 0.3


ACTIVATIONS: dict[ActivationName, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "tanh": torch.tanh,
    "gelu": functional.gelu,
}


class Dropout(Frozen):
    """Rates of dropout and noise: settings of training, no part of a model."""

    words: float = Field(default=0.0, ge=0, lt=1, description="chance that any word is unknown")
    rare_words: float = Field(
        default=0.0, ge=0, description="pull a: a word seen n times is unknown with a / (a + n)"
    )
    traits: float = Field(
        default=0.0, ge=0, lt=1, description="of affix and shape features of a word"
    )
    spelling: float = Field(
        default=0.0, ge=0, lt=1, description="chance that a character is unknown"
    )
    characters: float = Field(default=0.0, ge=0, lt=1, description="of character vectors")
    inputs: float = Field(default=0.0, ge=0, lt=1, description="of the encoder's input rows")
    layers: float = Field(
        default=0.0, ge=0, lt=1, description="between layers of the encoder, and of a decoder"
    )
    output: float = Field(default=0.0, ge=0, lt=1, description="of the encoder's output rows")
    targets: float = Field(
        default=0.0, ge=0, lt=1, description="of the vectors of target symbols that a decoder reads"
    )
    decoder: float = Field(
        default=0.0, ge=0, lt=1, description="of a decoder's rows before the scores of symbols"
    )
    noise: float = Field(
        default=0.0, ge=0, description="standard deviation of noise added to standardised vectors"
    )
    shift: float = Field(
        default=0.0,
        ge=0,
        description="standard deviation of a shift of all steps of a sequence, one for each "
        "channel, added to standardised vectors",
    )


def from_host(array: np.ndarray[Any, Any], like: Tensor) -> Tensor:
    """A NumPy array as a tensor on the device of ``like``."""
    return torch.from_numpy(array).to(like.device)


class InputModule(nn.Module, ABC):
    """A kind of input in torch: from a batch's arrays to rows, (N, W).

    The encoder reads these rows with noise, in training, and through the dense layer, if there is
    one: ``dense(noise(rows))``. Explanations begin at the rows, which have a column for each
    channel.
    """

    noise: nn.Module
    """Noise that is added to the rows in training."""
    dense: nn.Module
    """A layer between the rows and the encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.noise = nn.Identity()
        self.dense = nn.Identity()

    @abstractmethod
    def baseline(self) -> Tensor:
        """The baseline row of attributions, (W,)."""


class ActivatedLinear(nn.Linear):
    """A linear layer and an activation; the functions are those of `birnn.reference.activations`.

    Example:
        >>> ActivatedLinear(3, 2, "relu")(torch.ones(4, 3)).shape
        torch.Size([4, 2])
    """

    def __init__(self, inputs: int, outputs: int, activation: ActivationName) -> None:
        super().__init__(inputs, outputs)
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (R, O) of rows (R, I)."""
        return self.activation(super().forward(x))


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


class FeatureTable(nn.Embedding):
    """The sum of the vectors of a form's affix and shape features, (F, K) numbers to (F, W).

    An unknown feature adds nothing: the vector of number 0 is and stays zero.

    Args:
        spec: Known features and width.
        dropout: Rate at which features are dropped in training.
    """

    def __init__(self, spec: Surface, dropout: float) -> None:
        super().__init__(spec.size, spec.dim, padding_idx=0)
        self.dropout = dropout

    def reset_parameters(self) -> None:
        """Small initial vectors, as words have."""
        nn.init.normal_(self.weight, std=WORD_SPREAD)
        nn.init.zeros_(self.weight.data[0])

    def forward(self, features_FK: Tensor) -> Tensor:
        """Vectors of the forms."""
        vectors_FKW = super().forward(features_FK)
        if self.training and self.dropout > 0:
            vectors_FKW = vectors_FKW * dropout_mask(
                (*features_FK.shape, 1), self.dropout, vectors_FKW
            )
        return vectors_FKW.sum(dim=1)


class WordInputs(InputModule):
    """Word vectors, concatenated with vectors of characters, affixes and shapes.

    The latter are computed once for each distinct written form of a batch.

    Args:
        spec: Description of the inputs.
        dropout: Rates for training.
        counts: Count of each word in training, (V,).
    """

    def __init__(self, spec: Words, dropout: Dropout, counts: Any = None) -> None:
        super().__init__()
        self.spec = spec
        self.words = nn.Embedding(spec.size, spec.dim)
        nn.init.normal_(self.words.weight, std=WORD_SPREAD)
        self.word_dropout = WordDropout(
            np.ones(spec.size) if counts is None else counts,
            strength=dropout.rare_words if counts is not None else 0.0,
            rate=dropout.words,
        )
        self.characters = CharacterNetwork(spec.characters, dropout) if spec.characters else None
        self.surface = FeatureTable(spec.surface, dropout.traits) if spec.surface else None

    def forward(self, rows: WordRows) -> Tensor:
        """Rows of a batch, (N, W): word, characters, surface."""
        like = self.words.weight
        parts = [self.words(self.word_dropout(from_host(rows.words, like)))]
        forms = from_host(rows.forms, like)
        if self.characters is not None and rows.characters is not None:
            parts.append(self.characters(rows.characters).index_select(0, forms))
        if self.surface is not None and rows.features is not None:
            parts.append(self.surface(from_host(rows.features, like)).index_select(0, forms))
        return torch.cat(parts, dim=1)

    def baseline(self) -> Tensor:
        """A word that is not known, has no letters and none of the features, (W,)."""
        zero, surface = np.zeros(1, np.int64), self.spec.surface
        rows = WordRows(
            words=zero,
            forms=zero,
            written=np.array([""], dtype=object),
            characters=Ragged(zero[:0], zero),
            features=None if surface is None else np.zeros((1, surface.features), np.int64),
        )
        row: Tensor = self(rows)[0]
        return row


class SymbolInputs(InputModule):
    """A vector for each symbol."""

    def __init__(self, spec: Symbols, dropout: Dropout, counts: Any = None) -> None:
        del dropout, counts
        super().__init__()
        self.symbols = nn.Embedding(spec.size, spec.dim)
        nn.init.normal_(self.symbols.weight, std=CHARACTER_SPREAD)

    def forward(self, rows: SymbolRows) -> Tensor:
        """Rows of a batch, (N, W)."""
        vectors: Tensor = self.symbols(from_host(rows.symbols, self.symbols.weight))
        return vectors

    def baseline(self) -> Tensor:
        """The unknown symbol, (W,)."""
        return self.symbols.weight[0].clone()


class VectorInputs(InputModule):
    """Vectors less their offset, standardised by training's mean and scale."""

    mean: Tensor
    scale: Tensor

    def __init__(self, spec: Vectors, dropout: Dropout, counts: Any = None) -> None:
        del counts
        super().__init__()
        self.noise = SequenceNoise(noise=dropout.noise, shift=dropout.shift)
        self.register_buffer("mean", torch.zeros(spec.size))
        self.register_buffer("scale", torch.ones(spec.size))
        if spec.dense is not None:
            self.dense = ActivatedLinear(spec.size, spec.dense.size, spec.dense.activation)

    def forward(self, rows: VectorRows) -> Tensor:
        """Rows of a batch, (N, W)."""
        return (from_host(rows.vectors, self.mean) - self.mean) / self.scale

    def baseline(self) -> Tensor:
        """A step whose channels all have their mean, (W,)."""
        return torch.zeros_like(self.mean)


# By the kind of the description.
INPUTS: dict[str, Callable[[Any, Dropout, Any], InputModule]] = {
    "words": WordInputs,
    "symbols": SymbolInputs,
    "vectors": VectorInputs,
}
