"""From sequences to the input rows of the network."""

# N rows of all sequences, W width of a row, D channels, F distinct rows

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from birnn.bundle.io import Bundle
from birnn.data.numeric import narrow
from birnn.errors import DataError
from birnn.inputs import Vectors, Words
from birnn.inputs.encoding import Codec
from birnn.inputs.rows import SymbolRows, WordRows
from birnn.inputs.vocabulary import restored
from birnn.runtime.cache import WordVectorCache
from birnn.runtime.layers import Forms

Floats = npt.NDArray[np.float32]


class Rows(NamedTuple):
    """Input rows of sequences, first sequence first.

    Args:
        values: The rows (N, W); with ``table`` their numbers in it, (N,).
        table: Distinct rows (F, W): words, letters, residues come again and again.
    """

    values: npt.NDArray[Any]
    table: Floats | None


Read = Callable[[Sequence[Any]], Rows]


def rows_of(bundle: Bundle) -> Read:
    """The function from checked sequences to their rows.

    Args:
        bundle: The model.
    """
    inputs = bundle.spec.inputs
    if isinstance(inputs, Words):
        return _words(bundle, inputs)
    if isinstance(inputs, Vectors):
        return _vectors(bundle, inputs)
    return _symbols(bundle)


def _words(bundle: Bundle, inputs: Words) -> Read:
    codec = _codec(bundle)
    forms = Forms(inputs, bundle.tensors)

    def compute(new: list[str]) -> Floats:
        # As one sequence of distinct words: each of its rows is a form.
        encoded = codec.encode([tuple(new)]).inputs
        assert isinstance(encoded, WordRows)
        return forms(encoded.words, encoded.characters, encoded.traits)

    cache = WordVectorCache(compute, inputs.width)

    def rows(sequences: Sequence[Any]) -> Rows:
        known: dict[str, int] = {}
        form_of_row = [
            known.setdefault(token, len(known)) for sequence in sequences for token in sequence
        ]
        return Rows(np.array(form_of_row, np.int64), cache.rows(list(known)))

    return rows


def _symbols(bundle: Bundle) -> Read:
    codec = _codec(bundle)
    table = bundle.tensors["inputs.symbols.weight"]

    def rows(sequences: Sequence[Any]) -> Rows:
        encoded = codec.encode([tuple(sequence) for sequence in sequences]).inputs
        assert isinstance(encoded, SymbolRows)
        return Rows(encoded.symbols, table)

    return rows


def _vectors(bundle: Bundle, inputs: Vectors) -> Read:
    mean_D, scale_D = bundle.tensors["inputs.mean"], bundle.tensors["inputs.scale"]
    empty = np.zeros((0, inputs.size), np.float32)

    def rows(sequences: Sequence[Any]) -> Rows:
        values_ND = narrow(np.concatenate([empty, *sequences]), inputs.offset)
        with np.errstate(over="ignore"):
            rows_ND = (values_ND - mean_D) / scale_D
        if not np.isfinite(rows_ND).all():
            row, channel = (int(i) for i in np.argwhere(~np.isfinite(rows_ND))[0])
            raise DataError(
                f"channel {channel}: {values_ND[row, channel]} cannot be standardised by the "
                f"model's mean {mean_D[channel]} and scale {scale_D[channel]}: float32 ends "
                "before. Give values in the units that the model was trained on."
            )
        return Rows(rows_ND, None)

    return rows


def _codec(bundle: Bundle) -> Codec:
    return Codec(bundle.spec.inputs, restored(bundle.vocabularies))
