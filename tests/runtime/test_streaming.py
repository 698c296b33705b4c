"""Answers step by step against `predict` on every prefix."""

# T steps, L labels

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from typing import Any, get_args

import numpy as np
import pytest

from birnn.bundle import (
    Bundle,
    Characters,
    Encoder,
    Label,
    Spec,
    Surface,
    Symbols,
    Tags,
    Values,
    Vectors,
    Words,
)
from birnn.errors import DataError, DirectionError, ShapeError, UsageError
from birnn.reference.stack import CellName
from birnn.runtime import Online, Predictor
from birnn.runtime.pooling import Attention, Reduction
from birnn.tasks import PoolingName
from birnn.tasks.multilabel import Labels

WORDS = Words(
    size=9,
    dim=5,
    characters=Characters(size=9, dim=3, hidden_size=4),
    surface=Surface(size=14, dim=2, prefixes=(1, 3), suffixes=(2, 4)),
)
SYMBOLS = Symbols(size=10, dim=4)
ONE = Encoder(hidden_size=4, bidirectional=False)


def specs() -> Iterator[Any]:
    for inputs in (WORDS, SYMBOLS, Vectors(size=3)):
        for head in (
            Tags(size=5),
            Tags(size=5, scheme="iob2"),
            Label(size=4),
            Labels(size=4),
            Values(size=2),
        ):
            name = f"{inputs.kind}-{head.kind}-{getattr(head, 'scheme', '')}"
            yield pytest.param(Spec(inputs=inputs, encoder=ONE, head=head), id=name)
    for cell in get_args(CellName):
        for pooling in get_args(PoolingName):
            encoder = Encoder(
                cell=cell, hidden_size=4, num_layers=3, residual=True, bidirectional=False
            )
            linear = "linear" if cell == "gru" else "additive"
            head = Label(size=3, pooling=pooling, attention_size=3, attention_score=linear)
            spec = Spec(inputs=SYMBOLS, encoder=encoder, head=head)
            yield pytest.param(spec, id=f"{cell}-{pooling}")


@pytest.mark.parametrize("spec", list(specs()))
def test_each_answer_is_that_of_predict_on_the_prefix(
    spec: Spec, make: Callable[..., Bundle], draw: Callable[..., Any]
) -> None:
    model = Predictor(make(spec))
    answering, weighing = model.online(), model.online()
    for sequence in draw(spec, [12, 1, 7]):
        answering.reset()
        weighing.reset()
        prefixes = [sequence[: t + 1] for t in range(len(sequence))]
        expected = model.predict(prefixes)
        if isinstance(spec.head, Values):
            found = [answering.step(given) for given in sequence]
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
            continue
        probabilities = list(model.predict_proba(prefixes))
        if isinstance(spec.head, Tags):
            expected = [tags[-1] for tags in expected]
            probabilities = [rows[-1] for rows in probabilities]
        assert [answering.step(given) for given in sequence] == expected
        for given, answer, row in zip(sequence, expected, probabilities, strict=True):
            found_answer, found_row = weighing.step_proba(given)
            assert found_answer == answer
            np.testing.assert_allclose(found_row, row, rtol=0, atol=1e-6)
        assert answering.steps == weighing.steps == len(sequence)


def test_a_tagger_says_once_what_predict_says_of_the_whole(
    make: Callable[..., Bundle], draw: Callable[..., Any]
) -> None:
    # with one direction a tag does not change when more comes
    spec = Spec(inputs=WORDS, encoder=ONE, head=Tags(size=5))
    model = Predictor(make(spec))
    for words, tags in zip(data := draw(spec, [9, 4]), model.predict(data), strict=True):
        session = model.online()
        assert [session.step(word) for word in words] == tags


def test_sessions_do_not_hear_each_other(
    make: Callable[..., Bundle], draw: Callable[..., Any]
) -> None:
    spec = Spec(inputs=SYMBOLS, encoder=ONE, head=Label(size=4, pooling="attention"))
    model = Predictor(make(spec))
    left, right = draw(spec, [8, 8])
    sessions = [model.online(), model.online()]
    together = [
        [session.step_proba(given)[1] for session, given in zip(sessions, pair, strict=True)]
        for pair in zip(left, right, strict=True)
    ]
    for number, sequence in enumerate((left, right)):
        alone = model.online()
        for given, pair in zip(sequence, together, strict=True):
            np.testing.assert_array_equal(alone.step_proba(given)[1], pair[number])


def test_scores_of_any_size_weigh_as_a_softmax_does() -> None:
    random = np.random.default_rng(0)
    rows = random.standard_normal((50, 3)).astype(np.float32)
    for spread in (1.0, 1e3, 1e6):
        scores = random.standard_normal(50).astype(np.float32) * spread
        coming = iter(scores)
        pool = Attention(lambda row: np.array([[next(coming)]])).stream()  # noqa: B023
        for t, row in enumerate(rows):
            found = pool(row[None], row[None])
            powers = np.exp(scores[: t + 1].astype(np.float64) - scores[: t + 1].max())
            expected = powers @ rows[: t + 1] / powers.sum()
            np.testing.assert_allclose(found[0], expected, rtol=1e-5, atol=1e-6)


def test_a_mean_over_millions_of_steps_does_not_stick() -> None:
    # as if 2**25 rows of 1 had come: a float32 sum would take no further one
    pool = Reduction(np.add, 0.0, mean=True).stream()
    pool.count, pool.total = 2**25, np.full((1, 1), 2.0**25)
    for _ in range(2**10):
        found = pool(np.full((1, 1), 2**15 + 1, np.float32), np.zeros((1, 1), np.float32))
    assert found[0, 0] == np.float32((2**25 + 2**10 * (2**15 + 1)) / (2**25 + 2**10))


def test_nothing_grows_with_the_sequence(make: Callable[..., Bundle]) -> None:
    head = Label(size=4, pooling="last+max+mean")
    session = Predictor(make(Spec(inputs=SYMBOLS, encoder=ONE, head=head))).online()

    sizes = set()
    for _ in range(50):
        session.step("a")
        sizes.add(len(pickle.dumps((session._pool, session._state))))
    assert len(sizes) == 1


# ---------------------------------------------------------------------- refusals


def test_two_directions_are_refused(make: Callable[..., Bundle]) -> None:
    for head, remedy in (
        (Label(size=3), "encoder.bidirectional=false."),
        (
            Tags(size=3, decoder="crf"),
            "encoder.bidirectional=false --set head.decoder=softmax.",
        ),
    ):
        spec = Spec(inputs=SYMBOLS, encoder=Encoder(hidden_size=3), head=head)
        with pytest.raises(DirectionError, match=r"backward half.*t\+1") as caught:
            Predictor(make(spec)).online()
        assert str(caught.value).endswith(f"Use a model trained with --set {remedy}")


def test_the_layers_of_two_directions_are_named(make: Callable[..., Bundle]) -> None:
    encoder = Encoder(hidden_size=3, directions=("forward", "both", "forward", "both"))
    spec = Spec(inputs=SYMBOLS, encoder=encoder, head=Label(size=3))
    with pytest.raises(DirectionError, match=r"this model has two in layers 1 and 3: the backward"):
        Predictor(make(spec)).online()


def test_a_crf_is_refused_for_its_own_reason(make: Callable[..., Bundle]) -> None:
    spec = Spec(inputs=SYMBOLS, encoder=ONE, head=Tags(size=3, decoder="crf"))
    with pytest.raises(UsageError, match=r"head\.decoder=softmax") as caught:
        Predictor(make(spec)).online()
    assert not isinstance(caught.value, DirectionError)


@pytest.mark.parametrize(
    ("inputs", "given", "error", "part"),
    [
        (SYMBOLS, "", DataError, "step 2: str '' is no token"),
        (SYMBOLS, 7, DataError, "step 2: int 7 is no token"),
        (SYMBOLS, ["a"], DataError, r"step 2: list \['a'\] is no token"),
        (Vectors(size=3), [1.0, 2.0], ShapeError, r"step 2 is shape \(2,\), the model reads 3"),
        (Vectors(size=3), "abc", ShapeError, "step 2 is str, the model reads 3 channels"),
        (Vectors(size=3), [1.0, np.nan, np.inf], DataError, "step 2, channel 1 is nan"),
        (Vectors(size=3), [1.0, 1.0, 1e300], DataError, "step 2, channel 2 is 1e.300, which"),
    ],
)
def test_what_is_no_step_is_named_and_the_session_goes_on(
    inputs: Any,
    given: Any,
    error: Any,
    part: str,
    make: Callable[..., Bundle],
    draw: Callable[..., Any],
) -> None:
    spec = Spec(inputs=inputs, encoder=ONE, head=Values(size=2, pooling="mean"))
    model = Predictor(make(spec))
    sequence = draw(spec, [3])[0]
    session = model.online()
    for step in sequence[:2]:
        session.step(step)
    with pytest.raises(error, match=part):
        session.step(given)
    assert repr(session) == "Online(regressor, step 2)"
    np.testing.assert_allclose(session.step(sequence[2]), model.predict([sequence])[0], rtol=1e-5)
    with pytest.raises(UsageError, match="no probabilities"):
        session.step_proba(sequence[0])


def test_one_channel_may_be_a_number(make: Callable[..., Bundle]) -> None:
    model = Predictor(make(Spec(inputs=Vectors(size=1), encoder=ONE, head=Label(size=3))))
    session = model.online()
    assert isinstance(session, Online)
    answers = [session.step(number) for number in (0.5, np.float32(-1.0), [2.0])]
    assert answers[-1] == model.predict([np.array([[0.5], [-1.0], [2.0]])])[0]
