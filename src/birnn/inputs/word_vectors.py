"""Vectors of words: how they start before training, and rows of written forms at run time."""

# V known words, L labels, F distinct written forms, K features of a form, W width of an input row

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from birnn.data.numeric import Reals
from birnn.engine.stack import PackedStack, TableStack
from birnn.inputs.forms import Characters, Surface
from birnn.inputs.kind import Floats, Integers, Tensors
from birnn.inputs.vocabulary import Vocabulary
from birnn.ragged import Ragged
from birnn.reference.products import float_weights, rows_of

# Standard deviation of fresh word vectors: a rare word's vector, which is hardly ever updated,
# starts small, so that it adds little to a row.
WORD_SPREAD = 0.1
# Log-count ratios reach about 4: large compared with fresh vectors, but no larger.
RATIO_SCALE = 0.25


def with_pretrained(
    words: Vocabulary, vectors: Mapping[str, Reals], dim: int
) -> tuple[Vocabulary, Floats]:
    """The words of training, then those that only the vectors have; and the table of their vectors.

    Args:
        words: Words of training.
        vectors: Pretrained vectors.
        dim: Width of a vector.

    Returns:
        The vocabulary of both, and its table (V, dim): of words without a pretrained vector random
        numbers of the same spread.
    """
    counts = words.counts if words.counts is not None else np.ones(len(words), np.int64)
    more = [word for word in vectors if word not in words]
    joined = Vocabulary(
        (*words.items, *more), counts=np.concatenate([counts, np.ones(len(more), np.int64)])
    )
    known = np.stack(list(vectors.values()))
    spread = float(known.std()) or 1.0
    table = np.random.default_rng(0).normal(0.0, spread, (len(joined), dim)).astype(np.float32)
    for word, vector in vectors.items():
        table[joined.id(word)] = vector
    return joined, table


def with_class_ratios(
    held_VL: npt.NDArray[np.float64], held_V: npt.NDArray[np.float64], dim: int
) -> Floats:
    """Fresh vectors of words (V, dim) that start with the log-count ratio of each label.

    ``r[w, k] = log p(w | k) - log p(w | not k)``, over the share of the examples that hold
    the word, add-one smoothed: the features by which naive Bayes weighs words. They fill the first
    dimensions of the vectors, one for each label as far as there is room, and are trained further.

    Args:
        held_VL: How many examples of each label hold each word, (V, L); word 0 is unknown.
        held_V: How many examples hold each word, (V,).
        dim: Width of a vector.

    Source:
        Wang & Manning 2012, Baselines and Bigrams: Simple, Good Sentiment and Topic Classification,
        section 2.

    Example:
        >>> held = np.array([[9.0, 0.0], [1.0, 1.0], [3.0, 1.0]])
        >>> with_class_ratios(held, held.sum(axis=1), 1).shape
        (3, 1)
    """
    others_VL = held_V[:, None] - held_VL
    share_VL = (held_VL + 1) / (held_VL + 1).sum(axis=0)
    other_share_VL = (others_VL + 1) / (others_VL + 1).sum(axis=0)
    ratios_VL = np.log(share_VL / other_share_VL)
    ratios_VL[0] = 0.0  # unknown words are evidence for no label
    words, labels = held_VL.shape
    room = min(labels, dim)
    table = np.random.default_rng(0).normal(0.0, WORD_SPREAD, (words, dim))
    table[:, :room] = RATIO_SCALE * ratios_VL[:, :room]
    return table.astype(np.float32)


class WordVectors:
    """Input rows of words: word vector, characters and features side by side.

    Args:
        characters: Description of the network over characters, where there is one.
        surface: Description of the affix and shape features, where there are any.
        tensors: Tensors of the model.
    """

    def __init__(
        self, characters: Characters | None, surface: Surface | None, tensors: Tensors
    ) -> None:
        self._words = tensors["inputs.words.weight"]
        self._characters: TableStack | None = None
        if characters is not None:
            self._characters = TableStack(
                PackedStack.of(tensors, "inputs.characters.encoder", characters.stack),
                float_weights(tensors["inputs.characters.symbols.weight"]),
            )
        self._features = tensors["inputs.surface.weight"] if surface is not None else None

    @np.errstate(over="ignore", invalid="ignore", under="ignore")
    def __call__(
        self,
        words_F: Integers,
        characters: Ragged[Integers] | None,
        features_FK: Integers | None,
    ) -> Floats:
        """Rows of distinct forms, (F, W)."""
        parts = [rows_of(self._words, words_F)]
        if self._characters is not None and characters is not None:
            # The final states: each half after it has read the whole word.
            parts.append(self._characters.run(characters).final)
        if self._features is not None and features_FK is not None:
            parts.append(rows_of(self._features, features_FK).sum(axis=1))
        return np.concatenate(parts, axis=1)
