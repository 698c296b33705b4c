"""The padded arrays that exported models take, and answers from the arrays that these give.

| inputs     | arrays                                                         |
|------------|----------------------------------------------------------------|
| all        | ``lengths`` (B,)                                               |
| words      | ``words`` (B, T)                                               |
| characters | ``characters`` (B, T, C) and their ``character_lengths`` (B, T) |
| affixes    | ``features`` (B, T, K)                                         |
| symbols    | ``symbols`` (B, T)                                             |
| vectors    | ``vectors`` (B, T, D), less the offset of the inputs           |

An ONNX graph takes words by their distinct forms, see `birnn.export.onnx.graph_feeds`.

Numbers are int64, vectors float32, padding is 0. T and C are at least 1, as some frameworks refuse
an axis of length 0.
"""

# N rows of all sequences, B sequences, T steps of the longest, C characters of the longest word,
# K features of a word, D channels, L labels or values

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from birnn.bundle import Bundle
from birnn.inputs import restored
from birnn.inputs.kind import Steps
from birnn.inputs.symbols import SymbolRows
from birnn.inputs.vectors import VectorRows
from birnn.inputs.words import WordRows
from birnn.ragged import Ragged
from birnn.runtime.validation import validated

Array = npt.NDArray[Any]
Pad = Callable[[Array], Array]


def feeds(bundle: Bundle, sequences: Sequence[Any]) -> dict[str, Array]:
    """The arrays of a batch.

    Args:
        bundle: The model.
        sequences: As for `birnn.runtime.Predictor.predict`.

    Raises:
        DataError: A sequence that the model cannot read.

    Example:
        >>> from birnn.bundle import Encoder, Spec, Symbols, Tags
        >>> spec = Spec(inputs=Symbols(size=3, dim=2), encoder=Encoder(), head=Tags(size=2))
        >>> bundle = Bundle(spec, {"symbols": ("<unk>", "A", "C"), "labels": ("x", "y")}, {})
        >>> {name: array.tolist() for name, array in feeds(bundle, ["CA", ""]).items()}
        {'lengths': [2, 0], 'symbols': [[2, 1], [0, 0]]}
    """
    codec = bundle.spec.inputs.codec(restored(bundle.vocabularies))
    steps: list[Steps] = list(validated(bundle.spec, codec, sequences))
    rows: Any = codec.rows(steps)
    lengths = np.array([len(sequence) for sequence in steps], np.int64)

    def pad(values: Array) -> Array:
        """Rows (N, ...) as (B, T, ...)."""
        return _padded(Ragged(values, lengths))

    return {"lengths": lengths, **_ARRAYS[bundle.spec.inputs.kind](rows, pad)}


def _padded(rows: Ragged[Array]) -> Array:
    return rows.to_padded(steps=max(1, int(rows.lengths.max(initial=0))))


def _of_words(rows: WordRows, pad: Pad) -> dict[str, Array]:
    arrays = {"words": pad(rows.words)}
    if rows.characters is not None:
        arrays["characters"] = pad(_padded(rows.characters)[rows.forms])
        arrays["character_lengths"] = pad(rows.characters.lengths[rows.forms])
    if rows.features is not None:
        arrays["features"] = pad(rows.features[rows.forms])
    return arrays


def _of_symbols(rows: SymbolRows, pad: Pad) -> dict[str, Array]:
    return {"symbols": pad(rows.symbols)}


def _of_vectors(rows: VectorRows, pad: Pad) -> dict[str, Array]:
    return {"vectors": pad(rows.vectors)}


_ARRAYS: dict[str, Callable[[Any, Pad], dict[str, Array]]] = {
    "words": _of_words,
    "symbols": _of_symbols,
    "vectors": _of_vectors,
}


def unpadded(bundle: Bundle, scores: Array, lengths: Array) -> list[Array]:
    """The scores of each sequence, of what an exported model gives for a batch.

    Args:
        bundle: The model.
        scores: (B, T, L) of a model that answers for every step, else (B, L).
        lengths: Length of each sequence, (B,).

    Returns:
        (T, L) of each sequence, or (L,).
    """
    scores = np.asarray(scores)
    if not bundle.spec.head.per_step:
        return list(scores)
    return [rows[:length] for rows, length in zip(scores, lengths.tolist(), strict=True)]


def with_offset(bundle: Bundle, values: Any) -> Array:
    """Values in the units of a regressor's targets, of what a Keras model or JAX program gives.

    A regressor has an offset only where its targets are so far from zero that float32 would lose
    what tells them apart. Keras and JAX compute in float32, so they leave it out, and it is added
    here, in float64. An ONNX graph and the plain model of torch add it themselves.

    Args:
        bundle: The model.
        values: What the exported model gives; of other heads, and without an offset, they stay as
            they are.

    Example:
        >>> from birnn.bundle import Encoder, Spec, Values, Vectors
        >>> head = Values(size=1, offset=(1e9,))
        >>> bundle = Bundle(Spec(inputs=Vectors(size=1), encoder=Encoder(), head=head), {}, {})
        >>> with_offset(bundle, np.array([[0.25]], np.float32)).tolist()
        [[1000000000.25]]
    """
    held = np.asarray(values)
    offset = getattr(bundle.spec.head, "offset", ())
    return held.astype(np.float64) + np.array(offset) if offset else held


def answers_of(bundle: Bundle, decoded: Array, lengths: Array) -> list[Any]:
    """Answers in the form of `birnn.runtime.Predictor.predict`.

    Args:
        bundle: The model.
        decoded: Numbers of labels, (B, T) of a model that answers for every step, else (B,); or
            values (B, K).
        lengths: Length of each sequence, (B,).
    """
    head = bundle.spec.head.scored("an exported file")
    if head.per_step:
        decoded = decoded[np.arange(decoded.shape[1]) < lengths[:, None]]
    return head.answers_of(decoded, lengths, bundle.vocabularies.get("labels", ()))
