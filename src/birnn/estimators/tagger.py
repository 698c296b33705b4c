"""The tagger."""

# n sequences, t steps of a sequence, L labels

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.utils import check_consistent_length

from birnn.errors import DataError, no_notice
from birnn.estimators.base import Array, Labelled, names_of


class BiRNNTagger(Labelled):
    """A label for every step of each sequence.

    Args:
        inputs: As of `BiRNNClassifier`, and so are all that are not described here.
        cell: ``lstm``, ``gru``, ``rnn_tanh`` or ``rnn_relu``.
        hidden_size: Units of each direction.
        num_layers: Layers of the encoder.
        bidirectional: Whether it reads in two directions.
        decoder: ``softmax``, ``crf``, or ``auto``: a CRF where the tags mark spans.
        scheme: How tags mark spans: ``auto``, ``none``, ``iob1``, ``iob2``, ``iobes`` ...
        epochs: Rounds over the training data.
        batch_size: Sequences of a batch, at most.
        learning_rate: Of AdamW, at its highest.
        validation_fraction: Share of the sequences that decides which weights are kept; no tag
            leaves training for it.
        random_state: A seed, or what scikit-learn takes for one.
        settings: Further settings by their full name.
        verbose: Whether notices and epochs are told on standard error.

    Attributes:
        classes_: The tags, sorted, in the type of those in y.
        n_features_in_: Columns of X, where that was a two-dimensional array or table of numbers.
        predictor_: The model at work, a `birnn.runtime.Predictor`.
        bundle_: The model as data.
        history_: A row for each epoch.

    Example:
        >>> X, y = [["The", "bank"], ["A", "bank"]] * 5, [["DET", "NOUN"], ["DET", "NOUN"]] * 5
        >>> model = BiRNNTagger(hidden_size=4, epochs=1, random_state=1).fit(X, y)
        >>> [len(tags) for tags in model.predict([["The", "river", "bank"], []])]
        [3, 0]
    """

    task: ClassVar = "tagger"

    def __init__(
        self,
        *,
        inputs: str = "auto",
        cell: str | None = None,
        hidden_size: int | None = None,
        num_layers: int | None = None,
        bidirectional: bool | None = None,
        decoder: str | None = None,
        scheme: str | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        validation_fraction: float = 0.1,
        random_state: Any = None,
        settings: Mapping[str, Any] | None = None,
        verbose: bool = False,
    ) -> None:
        self._keep(locals())

    def fit(self, X: Any, y: Any) -> Self:
        """Train on sequences and their tags.

        Args:
            X: As for `BiRNNClassifier.fit`; texts are split at white space, or into characters
                where there are as many as tags.
            y: For each sequence a tag for every step: lists of strings, integers or truth values.

        Raises:
            MissingExtra: PyTorch or Lightning is not installed.
            ValueError: Data that cannot be learnt from, settings that do not exist or do not fit.
            TrainingError: A loss that is not finite.
        """
        tags = [_tags(each, number) for number, each in enumerate(self._required(y))]
        sequences = self._sequences(X, tags)
        names = names_of(sorted({tag for each in tags for tag in each}, key=str))
        labels = [list(map(str, each)) for each in tags]
        return self._fit(sequences, labels, labels, names)

    def predict(self, X: Any) -> list[list[Any]]:
        """For each sequence a tag for every step.

        Args:
            X: As for ``fit``.
        """
        sequences = self._sequences(X)
        answers = self.predictor_.predict(sequences, tell=no_notice)
        return [[self._value_of[tag] for tag in tags] for tags in answers]

    def predict_proba(self, X: Any) -> list[Array]:
        """For each sequence the probabilities of the tags at every step, (t, L).

        With a CRF they are its marginals, and the best tags of `predict` are best as a sequence.

        Args:
            X: As for ``fit``.
        """
        sequences = self._sequences(X)
        found = self.predictor_.predict_proba(sequences, tell=no_notice)
        return [rows[:, self._order] for rows in found]

    def score(self, X: Any, y: Any) -> float:
        """F1 of whole spans where the tags mark spans, else the accuracy over all steps.

        Args:
            X: As for ``fit``.
            y: The right tags.
        """
        sequences = self._sequences(X)
        gold = [list(map(str, _tags(each, number))) for number, each in enumerate(y)]
        check_consistent_length(sequences, gold)
        measure = self.bundle_.spec.head.selection
        pairs = zip(sequences, gold, strict=True)
        return float(self.predictor_.evaluate(pairs, tell=no_notice)[measure])


def _tags(given: Any, number: int) -> list[Any]:
    """The tags of one sequence, as Python has them."""
    if isinstance(given, str):
        return given.split() if any(map(str.isspace, given)) else list(given)
    given = given.tolist() if hasattr(given, "tolist") else given
    if not isinstance(given, Sequence):
        raise DataError(f"y[{number}] is {given!r}, a list of tags is needed, one for every step.")
    tags = [tag.item() if isinstance(tag, np.generic) else tag for tag in given]
    for step, tag in enumerate(tags):
        if not isinstance(tag, str | int) and not (isinstance(tag, float) and tag.is_integer()):
            raise DataError(f"y[{number}][{step}] is {tag!r}, a string or an integer is needed.")
    return tags
