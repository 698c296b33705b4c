"""The padded arrays that exported models take, and answers from the arrays that these give.

| inputs     | arrays                                                         |
|------------|----------------------------------------------------------------|
| all        | ``lengths`` (B,)                                               |
| words      | ``words`` (B, T)                                               |
| characters | ``characters`` (B, T, C) and their ``character_lengths`` (B, T) |
| affixes    | ``features`` (B, T, K)                                         |
| symbols    | ``symbols`` (B, T)                                             |
| vectors    | ``vectors`` (B, T, D), less the offset of the inputs           |

Of a model that writes sequences there is also ``longest`` (B,), the most symbols of each answer;
and where targets are given ``targets`` (B, U) with ``target_lengths`` (B,).

An ONNX graph takes words by their distinct forms, see `birnn.export.onnx.graph_feeds`.

Numbers are int64, vectors float32, padding is 0. T, C and U are at least 1, as some frameworks
refuse an axis of length 0.
"""

# N rows of all sequences, B sequences, T steps of the longest, C characters of the longest word,
# K features of a word, D channels, L labels or values, U symbols of the longest target,
# I steps in which all answers were written

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from birnn.bundle import Bundle
from birnn.errors import DataError, LengthError, UsageError
from birnn.inputs import restored
from birnn.inputs.kind import Steps
from birnn.inputs.symbols import SymbolRows
from birnn.inputs.vectors import VectorRows
from birnn.inputs.words import WordRows
from birnn.ragged import Ragged
from birnn.runtime.search import GREEDY, Hypothesis
from birnn.runtime.validation import validated
from birnn.tasks import TargetSequence

Array = npt.NDArray[Any]
Pad = Callable[[Array], Array]


def feeds(
    bundle: Bundle, sequences: Sequence[Any], targets: Sequence[Sequence[str]] | None = None
) -> dict[str, Array]:
    """The arrays of a batch.

    Args:
        bundle: The model.
        sequences: As for `birnn.runtime.Predictor.predict`.
        targets: Of a model that writes sequences the target of each, a list of symbols, where
            scores of these are wanted.

    Raises:
        DataError: A sequence that the model cannot read, or a symbol that it does not write.
        LengthError: Another number of targets.
        UsageError: Targets, and a model that writes no sequences.

    Example:
        >>> from birnn.bundle import Encoder, Spec, Symbols, Tags
        >>> spec = Spec(inputs=Symbols(size=3, dim=2), encoder=Encoder(), head=Tags(size=2))
        >>> bundle = Bundle(spec, {"symbols": ("<unk>", "A", "C"), "labels": ("x", "y")}, {})
        >>> {name: array.tolist() for name, array in feeds(bundle, ["CA", ""]).items()}
        {'lengths': [2, 0], 'symbols': [[2, 1], [0, 0]]}
    """
    return fed(bundle, sequences, targets).arrays


class Fed(NamedTuple):
    """A batch as exported models take it.

    Args:
        arrays: What `feeds` gives.
        asked: Which steps the head answers for, (B, T), where these are not all or none.
    """

    arrays: dict[str, Array]
    asked: Array | None


def fed(
    bundle: Bundle, sequences: Sequence[Any], targets: Sequence[Sequence[str]] | None = None
) -> Fed:
    """The arrays of a batch, and what of it is answered for; arguments as of `feeds`."""
    codec = bundle.spec.inputs.codec(restored(bundle.vocabularies))
    steps: list[Steps] = list(validated(bundle.spec, codec, sequences))
    rows: Any = codec.rows(steps)
    lengths = np.array([len(sequence) for sequence in steps], np.int64)

    def pad(values: Array) -> Array:
        """Rows (N, ...) as (B, T, ...)."""
        return _padded(Ragged(values, lengths))

    arrays = {"lengths": lengths, **_ARRAYS[bundle.spec.inputs.kind](rows, pad)}
    if isinstance(bundle.spec.head, TargetSequence):
        arrays["longest"] = bundle.spec.head.longest_answers(lengths)
    if targets is not None:
        arrays |= _of_targets(bundle, targets, len(lengths))
    return Fed(arrays, asked_steps(bundle, steps))


def asked_steps(bundle: Bundle, steps: Sequence[Steps]) -> Array | None:
    """Which steps of validated sequences the head answers for, (B, T); None: as `per_step` says."""
    asked = bundle.spec.head.asked(steps)
    if asked is None:
        return None
    return _padded(Ragged(asked, np.array(list(map(len, steps)), np.int64)))


def _of_targets(
    bundle: Bundle, targets: Sequence[Sequence[str]], sequences: int
) -> dict[str, Array]:
    if not bundle.spec.head.searches:
        raise UsageError(f"a {bundle.spec.task} writes no sequences: leave targets out")
    if len(targets) != sequences:
        raise LengthError(f"there are {sequences} sequences and {len(targets)} targets")
    numbers = {symbol: n for n, symbol in enumerate(bundle.vocabularies["targets"]) if n}
    if unknown := set(chain.from_iterable(targets)) - numbers.keys():
        raise DataError(f"targets: {min(unknown)!r} is no symbol that this model writes")
    values = np.array([numbers[symbol] for symbol in chain.from_iterable(targets)], np.int64)
    lengths = np.array(list(map(len, targets)), np.int64)
    return {"targets": _padded(Ragged(values, lengths)), "target_lengths": lengths}


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


def unpadded(
    bundle: Bundle, scores: Array, lengths: Array, asked: Array | None = None
) -> list[Array]:
    """The scores of each sequence, of what an exported model gives for a batch.

    Args:
        bundle: The model.
        scores: (B, T, L) of a model that answers for every step, else (B, L).
        lengths: Length of each sequence, (B,).
        asked: Which steps are answered for, (B, T); None: all.

    Returns:
        (T, L) of each sequence, without the steps that are not answered for; or (L,).
    """
    scores = np.asarray(scores)
    if not bundle.spec.head.per_step:
        return list(scores)
    own_BT = _answered(scores.shape[1], lengths, asked)
    return [rows[own_T] for rows, own_T in zip(scores, own_BT, strict=True)]


def _answered(steps: int, lengths: Array, asked: Array | None) -> Array:
    """Which of the padded steps are answered for, (B, T)."""
    if asked is not None:
        return asked[:, :steps]
    real: Array = np.arange(steps) < lengths[:, None]
    return real


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


def answers_of(
    bundle: Bundle, decoded: Array, lengths: Array, asked: Array | None = None
) -> list[Any]:
    """Answers in the form of `birnn.runtime.Predictor.predict`.

    Args:
        bundle: The model.
        decoded: Numbers of labels, (B, T) of a model that answers for every step, else (B,); which
            labels are given, (B, L); or values (B, K).
        lengths: Length of each sequence, (B,).
        asked: Which steps are answered for, (B, T); None: all.
    """
    head = bundle.spec.head.scored("an exported file")
    if head.per_step:
        own_BT = _answered(decoded.shape[1], lengths, asked)
        decoded, lengths = decoded[own_BT], own_BT.sum(axis=1)
    return head.answers_of(decoded, lengths, bundle.vocabularies.get("labels", ()))


WRITTEN = ("targets", "log_probabilities", "target_lengths", "ended")
"""Names of the arrays that are given for targets, in the order of `targets_of`."""


def targets_of(
    bundle: Bundle, targets: Array, log_probabilities: Array, lengths: Array, ended: Array
) -> list[Hypothesis]:
    """The targets that an exported model wrote, in the form of `Predictor.predict_nbest`.

    Args:
        bundle: The model.
        targets: Numbers of the symbols, (B, I), 0 where a target ends and beyond.
        log_probabilities: Of each symbol and of the end, (B, I).
        lengths: Symbols of each, (B,).
        ended: Whether the model ended it, (B,); if not, it was cut.
    """
    symbols, found = bundle.vocabularies["targets"], []
    for row, steps, length, own in zip(targets, log_probabilities, lengths, ended, strict=True):
        each = np.asarray(steps[: length + bool(own)], np.float64)
        total = float(each.sum())
        written = tuple(symbols[number] for number in row[:length].tolist())
        score = float(GREEDY.normalised(total, len(written)))
        found.append(Hypothesis(written, score, total, tuple(each.tolist()), bool(own)))
    return found
