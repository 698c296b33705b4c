"""scikit-learn's own battery of checks.

These are the checks of scikit-learn's `parametrize_with_checks`, which gives pytest a generator, as
pytest 9 no longer likes. They know no ragged input: every X of theirs is an array (n, t), whose
rows are series of one channel. None is expected to fail. Every y of theirs has one label for a row,
where a tagger needs one for every step: `RowTagger` repeats it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator

from birnn.estimators import BiRNNClassifier, BiRNNRegressor, BiRNNTagger

NEEDS_ENVIRONMENT = "check_array_api_input"  # of SciPy, before a process imports it
# All other checks that train; these are one of each kind, and cost a second together.
FAST = {
    "check_classifiers_classes",
    "check_estimators_pickle",
    "check_fit_idempotent",
    "check_methods_sample_order_invariance",
    "check_n_features_in",
    "check_regressor_multioutput",
}
WITHOUT_TRAINING = {
    "check_classifiers_one_label",
    "check_classifiers_regression_target",
    "check_complex_data",
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_estimator_repr",
    "check_estimator_sparse_array",
    "check_estimators_empty_data_messages",
    "check_estimators_unfitted",
    "check_fit1d",
    "check_get_params_invariance",
    "check_mixin_order",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_requires_y_none",
    "check_set_params",
    "check_supervised_y_no_nan",
    "check_valid_tag_types",
}


class RowTagger(BiRNNTagger):
    """A tagger of arrays (n, t) whose y has one tag for all steps of a row."""

    def fit(self, X: Any, y: Any) -> RowTagger:
        return super().fit(X, every_step(X, y))

    def score(self, X: Any, y: Any) -> float:
        return super().score(X, every_step(X, y))


def every_step(X: Any, y: Any) -> Any:
    if y is None or np.ndim(X) != 2:
        return y
    return [[tag] * np.shape(X)[1] for tag in np.real(y).astype(int).tolist()]


TINY: dict[str, Any] = {
    "cell": "rnn_tanh",
    "hidden_size": 8,
    "epochs": 4,
    "learning_rate": 0.03,
    "settings": {"training.ema": 0.0, "dropout.inputs": 0.0, "dropout.output": 0.0},
}
NOISELESS = TINY["settings"] | {"dropout.noise": 0.0, "dropout.shift": 0.0}
ESTIMATORS = [
    BiRNNClassifier(**TINY | {"settings": NOISELESS}),
    BiRNNRegressor(**TINY),
    RowTagger(**TINY),
]


def name_of(check: Callable[..., None]) -> str:
    return getattr(check, "func", check).__name__


ALL = [
    pytest.param(*found, id=f"{type(each).__name__}-{number}-{name_of(found[1])}")
    for each in ESTIMATORS
    for number, found in enumerate(estimator_checks_generator(each))
]


def named(names: Collection[str]) -> list[Any]:
    return [each for each in ALL if name_of(each.values[1]) in names]


def test_the_names_of_the_selection_are_those_of_checks() -> None:
    assert {name_of(each.values[1]) for each in ALL} > FAST | WITHOUT_TRAINING


@pytest.mark.parametrize(("estimator", "check"), named(FAST | WITHOUT_TRAINING))
def test_a_selection_of_checks(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


@pytest.mark.slow
@pytest.mark.parametrize(("estimator", "check"), ALL)
def test_all_checks(estimator: Any, check: Callable[[Any], None]) -> None:
    if name_of(check) != NEEDS_ENVIRONMENT:  # which the next test runs
        check(estimator)


@pytest.mark.slow
def test_the_check_that_needs_an_environment() -> None:
    program = (
        "from test_checks import *\n"
        "for each in ESTIMATORS:\n"
        "    for estimator, check in estimator_checks_generator(each):\n"
        "        if name_of(check) == NEEDS_ENVIRONMENT:\n"
        "            check(estimator)\n"
        "            print(type(each).__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent,
        env=os.environ | {"SCIPY_ARRAY_API": "1"},
    )
    assert done.stdout.split() == [type(each).__name__ for each in ESTIMATORS]
