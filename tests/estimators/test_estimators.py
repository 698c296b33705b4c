"""Estimators on sequences: texts, tokens, symbols and series, ragged and of length 0."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import birnn
from birnn.bundle import quantised
from birnn.data import tokenise
from birnn.errors import DataError, Interrupted, TrainingError, UsageError
from birnn.estimators import BiRNNClassifier, BiRNNRegressor, BiRNNTagger
from birnn.estimators.sequences import held_out

TINY: dict[str, Any] = {"hidden_size": 4, "epochs": 2, "random_state": 3}
TEXTS = ["so good", "good fun here", "so bad", "bad taste", "good", "bad bad film"] * 4
STARS = np.array([10, 10, 9, 9, 10, 9] * 4)
SENTENCES = [["Ada", "went", "to", "New", "York"], ["Bob", "slept"], ["Rome", "is", "old"]] * 5
SPANS = [["B-P", "O", "O", "B-L", "I-L"], ["B-P", "O"], ["B-L", "O", "O"]] * 5


@pytest.fixture(scope="module")
def texts() -> BiRNNClassifier:
    return BiRNNClassifier(**TINY).fit(TEXTS, STARS)


@pytest.fixture(scope="module")
def spans() -> BiRNNTagger:
    return BiRNNTagger(**TINY | {"epochs": 12, "learning_rate": 0.03}).fit(SENTENCES, SPANS)


@pytest.fixture(scope="module")
def series() -> BiRNNRegressor:
    return BiRNNRegressor(**TINY).fit(*ragged_series())


def ragged_series() -> tuple[list[Any], Any]:
    rng = np.random.default_rng(1)
    rows = [rng.normal(size=(steps, 2)) for steps in (3, 1, 4, 1, 5, 0, 2, 6) * 2]
    return rows, np.array([each.sum() for each in rows])


# ---------------------------------------------------------------------- the model is birnn.train's


def test_the_model_is_that_of_training_with_the_same_sequences_held_out() -> None:
    estimator = BiRNNClassifier(
        **TINY, validation_fraction=0.25, settings={"dropout.inputs": 0.3}
    ).fit(TEXTS, STARS)
    dev = held_out([{str(star)} for star in STARS], 0.25, seed=3)
    pairs = list(zip(TEXTS, STARS.tolist(), strict=True))
    settings = {"encoder.hidden_size": 4, "training.epochs": 2, "dropout.inputs": 0.3}
    model = birnn.train(
        "classifier",
        train=[pair for number, pair in enumerate(pairs) if number not in dev],
        dev=[pairs[number] for number in dev],
        settings=settings,
        seed=3,
        quiet=True,
    )
    assert estimator.bundle_.spec == model.spec
    for name, tensor in model.bundle.tensors.items():
        np.testing.assert_array_equal(estimator.bundle_.tensors[name], tensor)
    assert len(estimator.history_) == 2


def test_nothing_is_told_and_no_file_is_left(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    # Of words that it does not know, in a text that has to be split.
    strange = ["Nobody, as far as one can see, has ever written any of these words: not one!", ""]
    BiRNNClassifier(**TINY).fit(TEXTS, STARS).predict(strange)
    assert caplog.messages == []
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_verbose_tells_on_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    BiRNNClassifier(**TINY, verbose=True).fit(TEXTS, STARS)
    out, err = capfd.readouterr()
    assert out == ""
    assert "classifier: 21 training and 3 dev examples" in err


def test_a_random_state_is_a_seed_or_where_one_is_drawn() -> None:
    states = [7, 7, np.random.RandomState(7), np.random.RandomState(7), np.random.RandomState(8)]
    models = [
        BiRNNClassifier(**TINY | {"random_state": state, "epochs": 1}).fit(TEXTS, STARS)
        for state in states
    ]
    one, same, drawn, drawn_too, other = (model.predict_proba(TEXTS) for model in models)
    np.testing.assert_array_equal(one, same)
    np.testing.assert_array_equal(drawn, drawn_too)
    assert not np.array_equal(drawn, other)
    assert models[0].bundle_.metadata["seed"] == 7


@given(
    labels=st.lists(st.sets(st.sampled_from("abcd"), max_size=3), min_size=1, max_size=12),
    share=st.floats(0, 0.95),
    seed=st.integers(0, 9),
)
def test_no_label_leaves_training(labels: list[set[str]], share: float, seed: int) -> None:
    held = held_out(labels, share, seed)
    kept = [each for number, each in enumerate(labels) if number not in held]
    assert set().union(*labels) == set().union(*kept)
    assert len(kept) >= 1
    assert len(held) <= np.ceil(share * len(labels))
    # Nor could another one be held out.
    if len(held) < min(np.ceil(share * len(labels)), len(labels) - 1):
        for each in kept:
            assert any(sum(label in other for other in kept) == 1 for label in each)


def test_where_none_can_be_spared_training_examples_choose_the_weights() -> None:
    model = BiRNNClassifier(**TINY | {"epochs": 1}).fit(["a b", "c d"], ["x", "y"])
    assert model.bundle_.metadata["train_examples"] == 2
    without = BiRNNClassifier(**TINY | {"epochs": 1}, validation_fraction=0).fit(TEXTS, STARS)
    assert without.bundle_.metadata["train_examples"] == len(TEXTS)


# ---------------------------------------------------------------------- answers


def test_a_classifier_answers_in_the_type_and_order_of_its_classes(texts: BiRNNClassifier) -> None:
    assert texts.classes_.tolist() == [9, 10]  # and not "10" before "9"
    labels = texts.predictor_.labels
    by_model = texts.predictor_.predict_proba(TEXTS)
    shares = texts.predict_proba(TEXTS)
    for column, star in enumerate(texts.classes_):
        np.testing.assert_array_equal(shares[:, column], by_model[:, labels.index(str(star))])
    assert texts.predict(TEXTS).tolist() == [int(x) for x in texts.predictor_.predict(TEXTS)]
    assert texts.score(TEXTS, STARS) == np.mean(texts.predict(TEXTS) == STARS)


@pytest.mark.parametrize(
    "as_given",
    [
        list,
        tuple,
        np.array,
        lambda given: np.array(given, dtype=object),
        pd.Series,
        lambda given: pd.DataFrame({"text": given}),
        lambda given: np.array(given, dtype=object)[:, None],
        lambda given: [tokenise(text) for text in given],
    ],
    ids=["list", "tuple", "array", "objects", "series", "frame", "column", "tokens"],
)
def test_texts_in_any_form_are_the_same_texts(texts: BiRNNClassifier, as_given: Any) -> None:
    given = ["so good", "bad", "good good"]
    np.testing.assert_array_equal(texts.predict_proba(as_given(given)), texts.predict_proba(given))


def test_length_0_and_no_sequence_at_all(
    texts: BiRNNClassifier, spans: BiRNNTagger, series: BiRNNRegressor
) -> None:
    assert texts.predict(["", "good"]).shape == (2,)
    assert texts.predict_proba([]).shape == (0, 2)
    assert [len(tags) for tags in spans.predict([[], ["Ada"]])] == [0, 1]
    assert spans.predict([]) == []
    assert series.predict([np.zeros((0, 2))]).shape == (1,)
    assert series.predict([]).shape == (0,)


def test_a_tagger_answers_and_is_scored_by_spans(spans: BiRNNTagger) -> None:
    assert spans.classes_.tolist() == ["B-L", "B-P", "I-L", "O"]
    answers = spans.predict(SENTENCES)
    assert answers == spans.predictor_.predict(SENTENCES)
    for rows, tags, sentence in zip(
        spans.predict_proba(SENTENCES), answers, SENTENCES, strict=True
    ):
        assert rows.shape == (len(sentence), 4)
        assert len(tags) == len(sentence)
        np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=1e-5)
    # A gold standard that differs from the answers in one sentence of spans.
    gold = [list(tags) for tags in answers]
    found = sum(map(span_count, gold))
    assert found > 0
    at = next(number for number, tags in enumerate(gold) if span_count(tags))
    lost = span_count(gold[at])
    gold[at] = ["O"] * len(gold[at])
    assert spans.score(SENTENCES, gold) == pytest.approx(2 * (found - lost) / (2 * found - lost))


def span_count(tags: list[str]) -> int:
    return sum(tag.startswith("B-") for tag in tags)


def test_a_tagger_of_numbers_is_scored_by_steps_and_keeps_the_type_of_its_tags() -> None:
    rng = np.random.default_rng(2)
    X = [rng.normal(size=(steps, 3)) for steps in (4, 2, 5, 3) * 3]
    y = [(each[:, 0] > 0).astype(np.int64) for each in X]
    model = BiRNNTagger(**TINY).fit(X, y)
    answers = model.predict(X)
    assert model.classes_.tolist() == [0, 1]
    assert {type(tag) for tags in answers for tag in tags} == {int}
    right = np.concatenate(answers) == np.concatenate(y)
    assert model.score(X, y) == pytest.approx(right.mean())


def test_strings_of_symbols() -> None:
    X, y = ["ACGT", "GGA", "TTACA", "C"] * 4, ["xyxx", "xxy", "xxyxy", "x"] * 4
    model = BiRNNTagger(**TINY, inputs="symbols").fit(X, y)
    assert model.bundle_.spec.inputs.kind == "symbols"
    assert [len(tags) for tags in model.predict(["ACG", ""])] == [3, 0]
    assert model.predict(["ACG"]) == model.predict([list("ACG")])


def test_numbers_are_tokens_where_symbols_are_asked_for() -> None:
    X, y = [[3, 1, 12], [1], [12, 12]] * 4, ["a", "b", "a"] * 4
    model = BiRNNClassifier(**TINY, inputs="symbols").fit(X, y)
    assert {"3", "1", "12"} <= set(model.bundle_.vocabularies["symbols"])
    regular = np.array([[1, 3], [12, 1]])
    np.testing.assert_array_equal(
        model.predict_proba(regular), model.predict_proba([["1", "3"], ["12", "1"]])
    )


def test_rows_of_an_array_are_series_of_one_channel() -> None:
    rng = np.random.default_rng(5)
    X = rng.normal(size=(20, 6))
    y = X[:, 0]
    flat = BiRNNRegressor(**TINY).fit(X, y)
    deep = BiRNNRegressor(**TINY).fit(X[:, :, None], y)
    listed = BiRNNRegressor(**TINY).fit([row[:, None] for row in X], y)
    np.testing.assert_array_equal(flat.predict(X), deep.predict(X[:, :, None]))
    np.testing.assert_array_equal(flat.predict(X), listed.predict(list(X)))
    assert flat.n_features_in_ == 6
    with pytest.raises(ValueError, match="expecting 6 features as input"):
        flat.predict(X[:, :4])
    # Lists of series may be of any lengths.
    assert flat.predict([row[:4] for row in X]).shape == (20,)
    for each in (deep, listed, flat.fit(list(X), y)):
        assert not hasattr(each, "n_features_in_")


def test_a_regressor_gives_values_in_the_shape_of_y(series: BiRNNRegressor) -> None:
    X, y = ragged_series()
    assert series.predict(X).shape == y.shape
    assert series.predict(X).dtype == np.float64
    np.testing.assert_array_equal(series.predict(X), np.ravel(series.predictor_.predict(X)))
    both = BiRNNRegressor(**TINY).fit(X, np.stack([y, -y], axis=1))
    assert both.predict(X).shape == (len(X), 2)
    column = BiRNNRegressor(**TINY).fit(X, y[:, None])
    np.testing.assert_array_equal(column.predict(X)[:, 0], series.predict(X))


# ---------------------------------------------------------------------- scikit-learn's tools


def test_a_grid_search_finds_what_cross_validation_does() -> None:
    folds = KFold(2)
    grid = GridSearchCV(
        BiRNNTagger(**TINY), {"hidden_size": [2, 3], "cell": ["gru"]}, cv=folds
    ).fit(SENTENCES, SPANS)
    for found, size in zip(grid.cv_results_["mean_test_score"], [2, 3], strict=True):
        alone = BiRNNTagger(**TINY | {"hidden_size": size}, cell="gru")
        assert found == cross_val_score(alone, SENTENCES, SPANS, cv=folds).mean()
    assert grid.best_estimator_.bundle_.spec.encoder.cell == "gru"


def test_stratified_folds_of_texts() -> None:
    scores = cross_val_score(BiRNNClassifier(**TINY | {"epochs": 1}), TEXTS, STARS, cv=2)
    assert np.isfinite(scores).all()


def test_pipelines_of_texts_and_of_frames() -> None:
    lower = FunctionTransformer(lambda given: [text.lower() for text in given])
    piped = make_pipeline(lower, BiRNNClassifier(**TINY)).fit([t.upper() for t in TEXTS], STARS)
    plain = BiRNNClassifier(**TINY).fit(TEXTS, STARS)
    np.testing.assert_array_equal(piped.predict_proba(TEXTS), plain.predict_proba(TEXTS))

    column = ColumnTransformer([("text", "passthrough", ["text"])])
    frame = pd.DataFrame({"id": range(len(TEXTS)), "text": TEXTS})
    chosen = make_pipeline(column, BiRNNClassifier(**TINY)).fit(frame, STARS)
    np.testing.assert_array_equal(chosen.predict_proba(frame), plain.predict_proba(TEXTS))

    numbers = pd.DataFrame(
        np.random.default_rng(4).normal(size=(16, 3)), columns=["t0", "t1", "t2"]
    )
    scaled = make_pipeline(StandardScaler(), BiRNNRegressor(**TINY)).set_output(transform="pandas")
    scaled.fit(numbers, numbers["t0"])
    assert scaled[-1].feature_names_in_.tolist() == ["t0", "t1", "t2"]
    with pytest.raises(ValueError, match="feature names"):
        scaled[-1].predict(numbers[["t1", "t0", "t2"]])


@pytest.mark.slow
def test_folds_in_other_processes_score_the_same() -> None:
    estimator = BiRNNClassifier(**TINY)
    one = cross_val_score(estimator, TEXTS, STARS, cv=2)
    np.testing.assert_array_equal(one, cross_val_score(estimator, TEXTS, STARS, cv=2, n_jobs=2))


def test_a_clone_has_the_parameters_and_no_model(texts: BiRNNClassifier) -> None:
    fresh = clone(texts)
    assert fresh.get_params() == texts.get_params()
    with pytest.raises(NotFittedError):
        fresh.predict(["good"])
    with pytest.raises(NotFittedError):
        _ = fresh.bundle_
    assert repr(fresh) == "BiRNNClassifier(epochs=2, hidden_size=4, random_state=3)"


def test_a_pickle_needs_no_folder_and_no_torch(texts: BiRNNClassifier, tmp_path: Path) -> None:
    path = tmp_path / "model.pickle"
    path.write_bytes(pickle.dumps(texts))
    program = (
        "import pickle, sys\n"
        "model = pickle.load(open(sys.argv[1], 'rb'))\n"
        "print(model.predict(['so good', 'bad']).tolist(), 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, path],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == f"{texts.predict(['so good', 'bad']).tolist()} False"


def test_saved_and_taken_from_a_bundle(
    texts: BiRNNClassifier, spans: BiRNNTagger, series: BiRNNRegressor, tmp_path: Path
) -> None:
    texts.save(tmp_path / "texts")
    again = BiRNNClassifier.from_bundle(tmp_path / "texts", epochs=1)
    assert again.classes_.tolist() == ["10", "9"]  # a bundle has labels in strings
    np.testing.assert_array_equal(again.predict_proba(TEXTS), texts.predict_proba(TEXTS)[:, ::-1])
    assert again.get_params()["epochs"] == 1
    assert birnn.load(tmp_path / "texts").predict(["good"]) == [str(texts.predict(["good"])[0])]
    of_memory = BiRNNTagger.from_bundle(spans.bundle_)
    assert of_memory.predict(SENTENCES) == spans.predict(SENTENCES)
    assert of_memory.score(SENTENCES, SPANS) == spans.score(SENTENCES, SPANS)
    X, _ = ragged_series()
    values = BiRNNRegressor.from_bundle(series.predictor_).predict(X)
    np.testing.assert_array_equal(values, series.predict(X))
    small = BiRNNTagger.from_bundle(quantised(spans.bundle_, "int8"))
    small.save(tmp_path / "small")
    assert small.predict(SENTENCES) == birnn.load(tmp_path / "small").predict(SENTENCES)
    assert birnn.load(tmp_path / "small").spec.precision == "int8"
    with pytest.raises(UsageError, match="BiRNNTagger is a tagger, the model is a classifier"):
        BiRNNTagger.from_bundle(texts.bundle_)


# ---------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        ("so good", ["x"], "X is a str. Give a list of texts"),
        ({"a": 1}, ["x"], "X is a dict"),
        ([], [], r"0 sample\(s\)"),
        (["a b", "c"], ["x"], "inconsistent numbers of samples"),
        (["a b", "c"], ["x", "x"], "y has 1 class, 'x'"),
        (["a b", "c"], None, "requires y to be passed"),
        (["a b", 3], ["x", "y"], "example 1"),
        ([[1.0, 2.0], [np.nan, 1.0]], ["x", "y"], "Input X contains NaN"),
        ([np.ones((2, 2)), np.ones((3, 1))], ["x", "y"], "vectors of 1 channels"),
        ([np.ones((2, 2)), np.full((3, 2), np.inf)], ["x", "y"], "inf"),
    ],
)
def test_what_is_wrong_with_data_is_a_value_error(X: Any, y: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BiRNNClassifier(**TINY).fit(X, y)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"cell": "lsmt"}, "encoder.cell"),
        ({"hidden_size": 0}, "encoder.hidden_size"),
        ({"settings": {"encoder.hiden": 3}}, "did you mean hidden_size"),
        ({"settings": [3]}, "settings is a list"),
        ({"settings": {"encoder.cell": "gru"}, "cell": "gru"}, "Set it once"),
        ({"validation_fraction": 1}, "validation_fraction is 1"),
        ({"random_state": -1}, "seed is -1"),
    ],
)
def test_what_is_wrong_with_parameters_is_said_by_fit(
    parameters: dict[str, Any], message: str
) -> None:
    model = BiRNNClassifier(**parameters)
    with pytest.raises(ValueError, match=message):
        model.fit(TEXTS, STARS)


@pytest.mark.parametrize("missing", [None, float("nan")])
@pytest.mark.parametrize("at", [0, 3])
@pytest.mark.parametrize("form", [list, pd.Series, lambda texts: pd.DataFrame({"t": texts}),
                                  lambda texts: np.array(texts, object)[:, None]])  # fmt: skip
def test_a_missing_text_is_named(form: Any, at: int, missing: Any) -> None:
    texts: list[Any] = [f"text {n}" for n in range(6)]
    model = BiRNNClassifier(**TINY).fit(texts, list("ababab"))
    texts[at] = missing
    said = rf"X\[{at}\] is (nan|None): a sequence is missing\. Fill it in"
    with pytest.raises(DataError, match=said):
        model.predict(form(texts))
    with pytest.raises(DataError, match=said):
        model.fit(form(texts), list("ababab"))


def test_a_table_of_texts_has_one_column() -> None:
    table = pd.DataFrame({"n": [1, 2], "text": ["so good", "so bad"]})
    with pytest.raises(DataError, match=r"2 columns, and 'text' holds texts.* X\[name\]"):
        BiRNNClassifier(**TINY).fit(table, [0, 1])


def test_tags_that_are_none_are_named() -> None:
    model = BiRNNTagger(**TINY)
    with pytest.raises(DataError, match=r"y\[1\] is 3, a list of tags is needed"):
        model.fit([["a"], ["b"]], [["x"], 3])
    with pytest.raises(DataError, match=r"y\[0\]\[0\] is nan, a string or an integer is needed"):
        model.fit([["a"], ["b"]], [[float("nan")], ["x"]])
    with pytest.raises(DataError, match="written alike"):
        model.fit([["a"], ["b"]], [[1], ["1"]])
    with pytest.raises(DataError, match="2 tags"):
        model.fit([["a"], ["b"]], [["x"], ["x", "y"]])


@pytest.mark.parametrize("error", [Interrupted.by(2), TrainingError("not finite")])
def test_what_stops_training(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt is none of the exceptions that a search over settings goes on after."""

    def fails(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("birnn.training.fit.fit", fails)
    expected = KeyboardInterrupt if isinstance(error, Interrupted) else TrainingError
    with pytest.raises(expected):
        GridSearchCV(BiRNNClassifier(), {"epochs": [1]}, cv=2, error_score="raise").fit(
            TEXTS, STARS
        )
