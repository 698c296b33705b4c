"""Symbols of a small alphabet as inputs: letters, residues, bases."""

# N rows of all sequences, F known symbols, W width of a row

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, ClassVar, Literal, cast

import numpy as np
import numpy.typing as npt
from pydantic import Field

from birnn.data.alphabet import Alphabet
from birnn.data.conversion import described
from birnn.data.examples import Example
from birnn.errors import DataError
from birnn.inputs.kind import (
    Codec,
    Embed,
    Floats,
    InputSpec,
    InputStage,
    Integers,
    LearntInputs,
    Preparer,
    RowPart,
    Split,
    Steps,
    Tensors,
)
from birnn.inputs.row_cache import RowCache
from birnn.inputs.tokens import (
    MOST_TOKENS,
    distinct,
    mostly_unknown,
    token_of,
    tokens_in,
    tokens_of,
)
from birnn.inputs.vocabulary import Vocabularies, Vocabulary
from birnn.reference.products import rows_of
from birnn.schema import Frozen, Shape, Size


class SymbolSettings(Frozen):
    """Settings of symbols in training."""

    symbol_dim: Size = Field(default=64, description="width of a symbol's vector")


@dataclass(frozen=True, slots=True, eq=False)
class SymbolRows:
    """Encoded symbols: the number of each row's symbol, (N,)."""

    symbols: Integers

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.symbols)

    def take(self, rows: Integers) -> SymbolRows:
        """A selection of rows."""
        return SymbolRows(self.symbols[rows])


class Symbols(InputSpec):
    """Sequences of symbols from a small alphabet: letters, residues, bases."""

    unit: ClassVar[str] = "symbol"
    reads: ClassVar[str] = "sequences of symbols"
    alphabet: ClassVar[Alphabet | None] = Alphabet()

    kind: Literal["symbols"] = "symbols"
    size: Size = Field(description="known symbols, the unknown one included")
    dim: Size = Field(description="width of a symbol's vector")

    @property
    def width(self) -> int:
        """Width of a row as the encoder sees it."""
        return self.dim

    def tensors(self) -> dict[str, Shape]:
        """Names and shapes."""
        return {"symbols.weight": (self.size, self.dim)}

    def vocabularies(self) -> dict[str, int]:
        """Names and sizes of its vocabularies."""
        return {"symbols": self.size}

    def described_by(self) -> dict[str, Any]:
        """Settings of training that make symbols of this width."""
        return {"symbol_dim": self.dim}

    @classmethod
    def fits(cls, train: Sequence[Example]) -> bool:
        """Whether all tokens are single characters."""
        return all(
            isinstance(example.inputs, tuple) and all(len(token) == 1 for token in example.inputs)
            for example in train
        )

    @classmethod
    def learn(cls, train: Sequence[Example], settings: Any, notices: list[str]) -> LearntInputs:
        """The symbols that occur in training."""
        del notices
        items = cast("Iterable[str]", chain.from_iterable(example.inputs for example in train))
        symbols = Vocabulary.count(items, settings.min_count, settings.max_words)
        inputs = cls(size=len(symbols), dim=settings.symbol_dim)
        return LearntInputs(inputs, {"symbols": symbols})

    def codec(self, vocabularies: Vocabularies) -> SymbolCodec:
        """The codec that validates and encodes sequences."""
        return SymbolCodec(self, vocabularies)

    @property
    def example(self) -> str:
        """Sequences for a call of `predict`, as Python writes them."""
        return '["abc", ["a", "b", "c"]]'

    def outline(self) -> str:
        """The inputs in one line of the model card."""
        return f"symbols {self.size:,} × {self.dim}"

    def stages(self) -> list[InputStage]:
        """The inputs in the drawing of a model."""
        parts = [RowPart(self.dim, "symbol")]
        return [InputStage(f"symbols, {self.size:,} known", ("symbols.",), parts)]

    def limitation(self) -> str:
        """What of its inputs a model cannot judge."""
        return "All symbols it never saw look the same to it."


class SymbolCodec(Codec[Symbols]):
    """Validates strings and lists of symbols, and encodes them as numbers.

    Example:
        >>> codec = Symbols(size=4, dim=1).codec({"symbols": Vocabulary("MKV")})
        >>> codec.notices([tuple("mkvmkvmkvmkv")])
        ['lower-case symbols are read as capitals: the model knows no others']
        >>> codec.notices([tuple("ABCDEFGHIJKL")])
        ['the model knows 1 of the 12 symbols, and reads the others as one: is this its data?']
    """

    alphabet: Alphabet

    def __init__(self, inputs: Symbols, vocabularies: Vocabularies) -> None:
        super().__init__(inputs, vocabularies)
        self.alphabet = Alphabet(vocabularies["symbols"].items)

    def validated(self, given: Any, name: str, split: Split) -> Steps:
        """A string, or a list of symbols."""
        del split
        if isinstance(given, str):
            return self.alphabet.split(given)
        symbols = tokens_of(given, name, self.inputs)
        if len(symbols) == 1 and self.alphabet.is_string(symbols[0]):
            raise DataError(
                f"{name} is {described(given)}: one symbol, where the model reads single "
                "characters. Give the string itself, or a list of its symbols: "
                f"{self.inputs.wanted}"
            )
        return symbols

    def validated_step(self, given: Any, name: str) -> Steps:
        """One symbol."""
        return (token_of(given, name),)

    def rows(self, sequences: Sequence[Steps]) -> SymbolRows:
        """Numbers of the symbols, (N,)."""
        given, rows = distinct(sequences)
        return SymbolRows(self._ids(given)[rows])

    def embedding(self, tensors: Tensors, encoder: Preparer) -> Embed:
        """Numbers of the symbols of a call in a cache of their rows."""
        table = tensors["inputs.symbols.weight"]

        def compute(symbols: list[str]) -> Floats:
            return rows_of(table, self._ids(symbols))

        cache = RowCache(compute, encoder, self.inputs.width)
        return lambda sequences: cache.find(tokens_in(sequences))

    def unknown(self, sequence: Steps) -> npt.NDArray[np.bool_]:
        """Which symbols are read as the unknown one, (T,)."""
        unknown: npt.NDArray[np.bool_] = self._ids(sequence) == 0
        return unknown

    def notices(self, sequences: Iterable[Steps]) -> list[str]:
        """Notices of lower case read as capitals, and of many unknown symbols."""
        given = list(islice(cast("Iterable[str]", chain.from_iterable(sequences)), MOST_TOKENS))
        notices = []
        if self.alphabet.lower(given):
            notices.append("lower-case symbols are read as capitals: the model knows no others")
        symbols = self.alphabet.capitals(given)
        known = sum(map(self.alphabet.known.__contains__, symbols))
        return notices + mostly_unknown(known, len(given), "symbols")

    def _ids(self, symbols: Any) -> Integers:
        return self.vocabularies["symbols"].ids(self.alphabet.capitals(symbols))
