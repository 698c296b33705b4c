"""Whole models in int8 and bfloat16: each kind of input and answer, alone and beside others.

The arithmetic is tested with the reference and the kernels; here it is that every part reads its
tensors in that precision.
"""

from __future__ import annotations

import numpy as np
import pytest

from birnn.bundle import (
    Characters,
    Encoder,
    Label,
    Labels,
    Spec,
    Surface,
    Symbols,
    Tags,
    TargetSequence,
    Values,
    Vectors,
    Words,
    dequantised,
    quantised,
)
from birnn.engine import isa
from birnn.inputs import Dense
from birnn.runtime import Predictor
from birnn.tasks import Gaps
from grids import sampled

LENGTHS = [3, 0, 7, 1, 1, 12, 0, 5]
WORDS = Words(
    size=9,
    dim=5,
    characters=Characters(size=9, dim=3, hidden_size=4),
    surface=Surface(size=14, dim=2, prefixes=(1, 3), suffixes=(2, 4)),
)
SYMBOLS = Symbols(size=10, dim=5)
STACK = Encoder(hidden_size=4, num_layers=2, merge="project", residual=True)
ONE_WAY = Encoder(cell="gru", hidden_size=5, bidirectional=False)
MODELS = {
    "tags": Spec(inputs=WORDS, encoder=STACK, head=Tags(size=5, decoder="crf")),
    "tags, one direction": Spec(inputs=SYMBOLS, encoder=ONE_WAY, head=Tags(size=5)),
    "label": Spec(inputs=SYMBOLS, encoder=STACK, head=Label(size=4, hidden=(6,))),
    "labels": Spec(inputs=WORDS, encoder=STACK, head=Labels(size=4, pooling="attention")),
    "values": Spec(inputs=Vectors(size=3, dense=Dense(size=5)), encoder=STACK, head=Values(size=2)),
    "gaps": Spec(inputs=WORDS, encoder=STACK, head=Gaps(size=3)),
    "sequence": Spec(
        inputs=SYMBOLS,
        encoder=STACK,
        head=TargetSequence(size=5, dim=4, hidden_size=6, tied=True),
    ),
    "sequence, fed": Spec(
        inputs=SYMBOLS,
        encoder=STACK,
        head=TargetSequence(
            size=5, dim=4, hidden_size=6, bridge="project", attention="additive", input_feeding=True
        ),
    ),
}
LOW = ("int8", "bf16")


def answers(model, given):
    """Answers, and the numbers behind them where there are any."""
    found = [model.predict(given)]
    if model.spec.head.kind not in ("values", "sequence"):
        found.append(model.predict_proba(given))
    return found


def drawn(name, draw):
    """Sequences for a model; of one that fills gaps every third word is one."""
    given = draw(MODELS[name], LENGTHS)
    if name == "gaps":
        given = [["___" if t % 3 == 0 else word for t, word in enumerate(s)] for s in given]
    return given


def same(one, other):
    for found, expected in zip(one, other, strict=True):
        if isinstance(found, np.ndarray) and found.dtype.kind == "f":
            np.testing.assert_array_equal(found, expected)
        elif isinstance(found, np.ndarray) or found == []:
            same(list(found), list(expected))
        elif isinstance(found, list) and isinstance(found[0], (list, np.ndarray)):
            same(found, expected)
        else:
            assert found == expected


@pytest.mark.parametrize("precision", LOW)
@pytest.mark.parametrize("name", MODELS)
def test_answers_are_the_same_alone_and_beside_others(name, precision, make, draw):
    if isa.active(precision).name == isa.REFERENCE:
        pytest.skip("NumPy's own products are not the same in any batch")
    bundle = quantised(make(MODELS[name]), precision)
    model, given = Predictor(bundle), drawn(name, draw)
    together = answers(model, given)
    for number in (2, 1, 5):
        alone = answers(Predictor(bundle), [given[number]])
        same(alone, [[each[number]] for each in together])


# Weights are the same numbers, rows are rounded: to 8 bits of mantissa, or to 127 levels. Of a few
# layers of a few units nothing is left of that but what the next rows are rounded by.
@pytest.mark.parametrize("engine", sampled(["", isa.REFERENCE], [""]))
@pytest.mark.parametrize("precision", LOW)
@pytest.mark.parametrize("name", [name for name in MODELS if "sequence" not in name])
def test_scores_are_near_those_of_the_same_weights_in_float32(
    name, precision, engine, make, draw, monkeypatch
):
    monkeypatch.setenv(isa.FORCE, engine)
    small = quantised(make(MODELS[name]), precision)
    given = drawn(name, draw)
    found, expected = (
        answers(Predictor(bundle), given)[-1] for bundle in (small, dequantised(small))
    )
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=0.1)
    assert any((np.asarray(a) != b).any() for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("engine", ["", isa.REFERENCE])
@pytest.mark.parametrize("precision", LOW)
@pytest.mark.parametrize("name", ["sequence", "sequence, fed"])
def test_sequences_are_written_on_every_engine(name, precision, engine, make, draw, monkeypatch):
    monkeypatch.setenv(isa.FORCE, engine)
    small = quantised(make(MODELS[name]), precision)
    given = draw(small.spec, LENGTHS)
    scored, plain = Predictor(small), Predictor(dequantised(small))
    targets = plain.predict(given)
    for one, other in zip(
        scored.score_targets(given, targets), plain.score_targets(given, targets), strict=True
    ):
        np.testing.assert_allclose(one.log_probability, other.log_probability, rtol=0.1, atol=0.2)


@pytest.mark.parametrize("precision", LOW)
def test_streaming_answers_as_the_whole_does(precision, make, draw):
    bundle = quantised(make(MODELS["tags, one direction"]), precision)
    model = Predictor(bundle)
    (given,) = draw(bundle.spec, [6])
    session = model.online()
    assert [session.step(token) for token in given] == model.predict([given])[0]
