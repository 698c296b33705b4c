"""Estimators of scikit-learn, each around one training run in memory and the model that it gives.

Training needs the extra ``train``; a fitted estimator predicts without torch, as bundles do.
"""

# n sequences, t steps of a sequence, d channels of a step, L labels, k target values

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils.validation import check_is_fitted

from birnn.bundle.io import Bundle, BundleSource, as_bundle, save
from birnn.errors import DataError, Interrupted, UsageError, no_notice, print_notice
from birnn.estimators.sequences import held_out, sequences_of
from birnn.runtime import Predictor

if TYPE_CHECKING:
    from birnn.training.recipe import Recipe

Array = npt.NDArray[Any]

# The setting that each parameter of a constructor is; None there leaves it at its default, which
# depends on the task and on the kind of input.
SETTINGS = {
    "inputs": "inputs.kind",
    "cell": "encoder.cell",
    "hidden_size": "encoder.hidden_size",
    "num_layers": "encoder.num_layers",
    "bidirectional": "encoder.bidirectional",
    "pooling": "head.pooling",
    "decoder": "head.decoder",
    "scheme": "head.scheme",
    "epochs": "training.epochs",
    "batch_size": "training.batch_sequences",
    "learning_rate": "training.learning_rate",
}
LARGEST_SEED = 2**31 - 1


class Estimator(BaseEstimator):  # type: ignore[misc]
    """What the estimators share: training in memory, and the model at work."""

    task: ClassVar[str]

    # Those of the constructors, which scikit-learn reads by name.
    inputs: str
    validation_fraction: float
    random_state: Any
    settings: Mapping[str, Any] | None
    verbose: bool

    predictor_: Predictor
    history_: list[dict[str, float]]

    @classmethod
    def from_bundle(cls, model: BundleSource, **parameters: Any) -> Self:
        """A fitted estimator around a model that was trained elsewhere.

        Args:
            model: A bundle, its folder, or what `birnn.load` gave.
            parameters: Of the constructor, for a later ``fit``.

        Raises:
            UsageError: A model of another task.
            BundleError: A folder that holds no whole bundle.
        """
        bundle = as_bundle(model)
        if bundle.spec.task != cls.task:
            raise UsageError(f"{cls.__name__} is a {cls.task}, the model is a {bundle.spec.task}.")
        return cls(**parameters)._with_model(bundle, {})

    def save(self, folder: str | Path) -> None:
        """Write the fitted model as a bundle, which `birnn.load` and every command take.

        Args:
            folder: Where to write it; an existing bundle is replaced.

        Raises:
            OutputError: The folder exists and is no bundle, or cannot be written.
        """
        save(self.bundle_, folder)

    @property
    def bundle_(self) -> Bundle:
        """The fitted model as data."""
        check_is_fitted(self)
        return self.predictor_.bundle

    def _keep(self, parameters: Mapping[str, Any]) -> None:
        """Set each parameter of a constructor as an attribute, unchanged; nothing is looked at."""
        for name in parameters.keys() - {"self"}:
            setattr(self, name, parameters[name])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.string = True
        tags.input_tags.three_d_array = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "predictor_")

    def _sequences(self, X: Any, y: Any = None) -> list[Any]:
        """The sequences of an X: for a fit with a target for each, else for the fitted model."""
        if y is None:
            check_is_fitted(self)
        kind = self.predictor_.spec.inputs.kind if y is None else self.inputs
        tokens = kind in ("words", "symbols")
        sequences = sequences_of(X, self, tokens=tokens, reset=y is not None)
        check_consistent_length(sequences, y)
        return sequences

    def _fit(
        self,
        sequences: list[Any],
        targets: Sequence[Any],
        labels: Sequence[Collection[str]],
        names: Mapping[str, Any],
    ) -> Self:
        """Train on sequences and their targets.

        Args:
            sequences: What `_sequences` gave.
            targets: As `birnn.train` takes them in pairs.
            labels: The labels among each target, for `held_out`.
            names: The caller's value of each label.
        """
        from birnn.training.fit import check_seed, fit
        from birnn.training.sets import DataSources

        recipe, seed = self._recipe(), self._seed()
        check_seed(seed)
        share = self.validation_fraction
        if not 0 <= share < 1:
            raise UsageError(f"validation_fraction is {share!r}. Give one from 0 to less than 1.")
        dev = held_out(labels, share, seed)
        pairs = list(zip(sequences, targets, strict=True))
        kept = set(dev)
        rest = [pair for number, pair in enumerate(pairs) if number not in kept]
        tell = print_notice if self.verbose else no_notice
        # Where none can be spared, the examples of training choose the weights.
        sources = DataSources(rest, [pairs[number] for number in dev] or rest)
        sets = sources.read(self.task, seed=seed, kind=recipe.inputs.kind, tell=tell)
        try:
            result = fit(self.task, sets, recipe, seed=seed, tell=tell)
        except Interrupted as error:
            # No Exception: a search over settings would go on with the next.
            raise KeyboardInterrupt(str(error)) from None
        if isinstance(result.stopped, Interrupted):
            raise KeyboardInterrupt(str(result.stopped))
        if result.stopped is not None:
            raise result.stopped
        self.history_ = [dict(row) for row in result.history]
        return self._with_model(result.bundle, names)

    def _with_model(self, bundle: Bundle, names: Mapping[str, Any]) -> Self:
        """This estimator, fitted; ``names`` are the caller's values of labels."""
        del names
        self.predictor_ = Predictor(bundle)
        return self

    def _recipe(self) -> Recipe:
        """The settings of training, by this estimator's parameters."""
        from birnn.training.recipe import Recipe

        given = {full: getattr(self, name, None) for name, full in SETTINGS.items()}
        chosen = {full: value for full, value in given.items() if value is not None}
        further = {} if self.settings is None else self.settings
        if not isinstance(further, Mapping):
            raise UsageError(
                f"settings is a {type(further).__name__}. Give a dict: {{name: value}}."
            )
        if twice := sorted(chosen.keys() & further.keys() - {SETTINGS["inputs"]}):
            raise UsageError(f"{twice[0]} is in settings and a parameter of its own. Set it once.")
        return Recipe.load(self.task).with_settings({**chosen, **further})

    def _seed(self) -> int:
        if isinstance(self.random_state, int | np.integer):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(LARGEST_SEED))

    def _required(self, y: Any) -> Any:
        if y is None:
            name = type(self).__name__
            raise DataError(f"{name} requires y to be passed, but the target y is None.")
        return y


class Labelled(Estimator):
    """What estimators with labels share: the caller's values of them, sorted."""

    classes_: Array
    _order: Array
    _value_of: dict[str, Any]

    def _with_model(self, bundle: Bundle, names: Mapping[str, Any]) -> Self:
        super()._with_model(bundle, names)
        labels = self.predictor_.labels
        values = np.array([names.get(label, label) for label in labels])
        self._order = np.argsort(values, kind="stable")
        self.classes_ = values[self._order]
        self._value_of = dict(zip(labels, values.tolist(), strict=True))
        return self


def names_of(values: Sequence[Any]) -> dict[str, Any]:
    """The caller's value of each label, by the string that a model has for it.

    Raises:
        DataError: Fewer than two, or some that are written alike.
    """
    if len(values) < 2:
        raise DataError(
            f"y has {len(values)} class, {', '.join(map(repr, values))}: there is nothing to tell "
            "apart. Give two or more classes."
        )
    names = {str(value): value for value in values}
    if len(names) < len(values):
        raise DataError("y has labels that are written alike, such as 1 and '1'. Give strings.")
    return names
