"""The classifier and the regressor, which answer once for a sequence."""

# n sequences, t steps of a sequence, d channels of a step, L labels, k target values

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.preprocessing import LabelEncoder
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from birnn.errors import no_notice
from birnn.estimators.base import Array, Estimator, Labelled, names_of


class _Pooled(Estimator):
    """The constructor of both."""

    def __init__(
        self,
        *,
        inputs: str = "auto",
        cell: str | None = None,
        hidden_size: int | None = None,
        num_layers: int | None = None,
        bidirectional: bool | None = None,
        pooling: str | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        validation_fraction: float = 0.1,
        random_state: Any = None,
        settings: Mapping[str, Any] | None = None,
        verbose: bool = False,
    ) -> None:
        self._keep(locals())


class BiRNNClassifier(ClassifierMixin, Labelled, _Pooled):  # type: ignore[misc]
    """One label for each sequence.

    Args:
        inputs: ``words``, ``symbols`` (a text is a string of them), ``vectors``, or ``auto``:
            vectors where X holds numbers, symbols where all tokens are single characters.
        cell: ``lstm``, ``gru``, ``rnn_tanh`` or ``rnn_relu``.
        hidden_size: Units of each direction.
        num_layers: Layers of the encoder.
        bidirectional: Whether it reads in two directions.
        pooling: How the steps become one row: ``last``, ``max``, ``mean``, ``last+max+mean``,
            ``attention``.
        epochs: Rounds over the training data.
        batch_size: Sequences of a batch, at most.
        learning_rate: Of AdamW, at its highest.
        validation_fraction: Share of the sequences that is held out of ``fit`` and decides which
            weights are kept; no class leaves training for it. 0: those of training decide.
        random_state: A seed, which is that of `birnn.train`, or what scikit-learn takes for one.
        settings: Further settings by their full name: ``{"dropout.inputs": 0.1}``;
            ``birnn settings classifier`` lists them.
        verbose: Whether notices and epochs are told on standard error.

    Every parameter that is ``None`` is the default of the task for the kind of input.

    Attributes:
        classes_: The labels, sorted, in the type of y.
        n_features_in_: Columns of X, where that was a two-dimensional array or table of numbers.
        predictor_: The model at work, a `birnn.runtime.Predictor`.
        bundle_: The model as data.
        history_: A row for each epoch.

    Example:
        >>> texts = ["so good", "good fun", "so bad", "bad taste"] * 5
        >>> model = BiRNNClassifier(hidden_size=4, epochs=1, random_state=1)
        >>> model.fit(texts, [1, 1, 0, 0] * 5).classes_.tolist()
        [0, 1]
        >>> model.predict_proba(["good"]).shape
        (1, 2)
    """

    task: ClassVar = "classifier"

    def fit(self, X: Any, y: Any) -> Self:
        """Train on sequences and their labels.

        Args:
            X: A list of texts, of token lists, of strings of symbols or of arrays (t, d); an array
                (n, t, d), or an array or table (n, t), whose rows are series of one channel.
            y: A label for each: strings, integers or truth values, (n,).

        Raises:
            MissingExtra: PyTorch or Lightning is not installed.
            ValueError: Data that cannot be learnt from, settings that do not exist or do not fit.
            TrainingError: A loss that is not finite.
        """
        y = validate_data(self, y=self._required(y))
        check_classification_targets(y)
        sequences = self._sequences(X, y)
        encoder = LabelEncoder()
        numbers = encoder.fit_transform(y)
        names = names_of(encoder.classes_.tolist())
        labels = np.array(list(names), dtype=object)[numbers].tolist()
        return self._fit(sequences, labels, [(label,) for label in labels], names)

    def predict(self, X: Any) -> Array:
        """The likeliest label of each sequence, (n,).

        Args:
            X: As for ``fit``.
        """
        best = self.predict_proba(X).argmax(axis=1)
        labels: Array = self.classes_[best]
        return labels

    def predict_proba(self, X: Any) -> Array:
        """Probabilities of the labels in the order of ``classes_``, float32 (n, L).

        Args:
            X: As for ``fit``.
        """
        sequences = self._sequences(X)
        found: Array = self.predictor_.predict_proba(sequences, tell=no_notice)[:, self._order]
        return found


class BiRNNRegressor(RegressorMixin, _Pooled):  # type: ignore[misc]
    """One number, or several, for each sequence.

    Args:
        inputs: As of `BiRNNClassifier`, and so are all others.
        cell: ``lstm``, ``gru``, ``rnn_tanh`` or ``rnn_relu``.
        hidden_size: Units of each direction.
        num_layers: Layers of the encoder.
        bidirectional: Whether it reads in two directions.
        pooling: How the steps become one row.
        epochs: Rounds over the training data.
        batch_size: Sequences of a batch, at most.
        learning_rate: Of AdamW, at its highest.
        validation_fraction: Share of the sequences that decides which weights are kept.
        random_state: A seed, or what scikit-learn takes for one.
        settings: Further settings by their full name.
        verbose: Whether notices and epochs are told on standard error.

    Attributes:
        n_features_in_: Columns of X, where that was a two-dimensional array or table of numbers.
        predictor_: The model at work, a `birnn.runtime.Predictor`.
        bundle_: The model as data.
        history_: A row for each epoch.

    Example:
        >>> series = [np.full((steps, 1), steps) for steps in (2, 3, 4, 5)] * 5
        >>> model = BiRNNRegressor(hidden_size=4, epochs=1, random_state=1)
        >>> model.fit(series, [2.0, 3.0, 4.0, 5.0] * 5).predict(series[:2]).shape
        (2,)
    """

    task: ClassVar = "regressor"

    _rows: bool = False
    """Whether y was of two dimensions, as that of one value may be, too."""

    def fit(self, X: Any, y: Any) -> Self:
        """Train on sequences and their values.

        Args:
            X: As for `BiRNNClassifier.fit`.
            y: A number for each, (n,), or k numbers, (n, k).

        Raises:
            MissingExtra: PyTorch or Lightning is not installed.
            ValueError: Data that cannot be learnt from, settings that do not exist or do not fit.
            TrainingError: A loss that is not finite.
        """
        values = validate_data(self, y=self._required(y), multi_output=True, y_numeric=True)
        sequences = self._sequences(X, values)
        self._rows = values.ndim == 2
        return self._fit(sequences, list(values), [()] * len(values), {})

    def predict(self, X: Any) -> Array:
        """The values of each sequence, float64 (n,) or (n, k) as y had them.

        Args:
            X: As for ``fit``.
        """
        sequences = self._sequences(X)
        values = np.array(self.predictor_.predict(sequences, tell=no_notice), dtype=np.float64)
        values = values.reshape(len(sequences), self.bundle_.spec.head.size)
        return values if self._rows or values.shape[1] > 1 else values[:, 0]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
