"""Models in int8 and bfloat16 at work: what float32 keeps to, they keep to."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from birnn.bundle import (
    Bundle,
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
    save,
)
from birnn.engine import isa
from birnn.errors import BundleError, UsageError
from birnn.inputs import Dense
from birnn.runtime import Predictor, decisions, trace_target
from birnn.tasks import Gaps
from grids import sampled

LOW = ("int8", "bf16")
LENGTHS = [3, 0, 7, 1, 1, 12, 0, 5]
ENCODER = Encoder(hidden_size=6)
WORDS = Words(
    size=9,
    dim=5,
    characters=Characters(size=9, dim=3, hidden_size=4),
    surface=Surface(size=14, dim=2, prefixes=(1, 3), suffixes=(2, 4)),
)
SPECS = {
    "tags": Spec(inputs=WORDS, encoder=ENCODER, head=Tags(size=5, decoder="crf")),
    "labels": Spec(inputs=WORDS, encoder=ENCODER, head=Labels(size=4)),
    "gaps": Spec(inputs=WORDS, encoder=ENCODER, head=Gaps(size=3)),
    "label": Spec(
        inputs=Symbols(size=10, dim=5),
        encoder=Encoder(cell="gru", hidden_size=6, num_layers=2, merge="project", residual=True),
        head=Label(size=3, hidden=(4,), pooling="attention", attention_size=3),
    ),
    "values": Spec(
        inputs=Vectors(size=3, dense=Dense(size=5)),
        encoder=Encoder(cell="rnn_tanh", hidden_size=6, merge="sum"),
        head=Values(size=2),
    ),
    "one direction": Spec(
        inputs=Symbols(size=10, dim=5),
        encoder=Encoder(hidden_size=6, bidirectional=False),
        head=Tags(size=5),
    ),
    "sequence": Spec(
        inputs=Symbols(size=10, dim=5),
        encoder=ENCODER,
        head=TargetSequence(
            size=6, dim=4, hidden_size=6, bridge="project", input_feeding=True, longest=(6, 1.0)
        ),
    ),
    "tied": Spec(
        inputs=Symbols(size=10, dim=5),
        encoder=Encoder(cell="gru", hidden_size=6),
        head=TargetSequence(
            size=6, dim=6, hidden_size=6, cell="gru", attention="additive", tied=True,
            longest=(6, 1.0),
        ),
    ),
}  # fmt: skip

Make = Callable[..., Bundle]
Draw = Callable[..., list[Any]]


@pytest.fixture(params=[(name, low) for name in SPECS for low in LOW], ids="-".join)
def small(request: pytest.FixtureRequest, make: Make) -> Bundle:
    """A bundle in low precision, with mean states."""
    name, precision = request.param
    spec = SPECS[name]
    random = np.random.default_rng(5)
    means = {
        mean: random.standard_normal(shape).astype(np.float32)
        for mean, shape in spec.mean_states().items()
    }
    return quantised(replace(make(spec), mean_states=means), precision)


def drawn(spec: Spec, draw: Draw, lengths: list[int]) -> list[Any]:
    """Sequences for a model; of one that fills gaps every third word is one."""
    given = draw(spec, lengths)
    if spec.head.kind != "gaps":
        return given
    return [["___" if t % 3 == 0 else word for t, word in enumerate(each)] for each in given]


def numbers(model: Predictor, given: list[Any]) -> list[Any]:
    """The scores of each sequence to the bit, or its best targets with theirs."""
    if model.spec.head.searches:
        return [
            [(one.symbols, one.score, one.log_probabilities) for one in nbest]
            for nbest in model.predict_nbest(given)
        ]
    return [scores.tolist() for scores in model.scores(given)]


def assert_same(found: Any, wanted: Any) -> None:
    """The same to the bit; on the reference, whose products are NumPy's, as near as these are."""
    if isinstance(wanted, list | tuple):
        for one, other in zip(found, wanted, strict=True):
            assert_same(one, other)
    elif isinstance(wanted, float) and isa.selected_engine() is None:
        assert found == pytest.approx(wanted, rel=1e-4, abs=1e-4)
    else:
        assert found == wanted


def test_in_memory_from_a_folder_and_unpickled(small: Bundle, draw: Draw, tmp_path: Path) -> None:
    given = drawn(small.spec, draw, LENGTHS)
    model = Predictor(small)
    save(small, tmp_path / "small")
    full = replace(dequantised(small), metadata={})
    save(full, tmp_path / "full")
    quiet: list[str] = []
    others = [
        Predictor.load(tmp_path / "small"),
        Predictor.load(tmp_path / "full", precision=small.spec.precision, tell=quiet.append),
        pickle.loads(pickle.dumps(model)),
    ]
    for other in others:
        assert numbers(other, given) == numbers(model, given)
        assert other.spec == model.spec
    assert repr(model).endswith(f" parameters, {small.spec.precision})")


def test_alone_and_in_a_batch_in_any_order(small: Bundle, draw: Draw) -> None:
    given, model = drawn(small.spec, draw, LENGTHS), Predictor(small)
    found = numbers(model, given)
    assert_same(numbers(model, given[::-1]), found[::-1])
    assert_same([numbers(model, [one])[0] for one in given], found)


@pytest.mark.parametrize("engine", sampled(["", isa.REFERENCE], [""]))
def test_scores_are_near_those_of_the_dequantised_weights(
    small: Bundle, engine: str, draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(isa.FORCE, engine)
    model, full = Predictor(small), Predictor(dequantised(small))
    given = drawn(small.spec, draw, LENGTHS)
    if small.spec.head.searches:
        targets = [list(nbest[0].symbols) for nbest in full.predict_nbest(given)]
        pairs = zip(*(each.score_targets(given, targets) for each in (model, full)), strict=True)
        for low, high in pairs:
            near = np.array(low.log_probabilities) - np.array(high.log_probabilities)
            assert np.abs(near).max(initial=0) < 0.2
        return
    found, wanted = (
        np.concatenate([scores.ravel() for scores in each.scores(given)]) for each in (model, full)
    )
    # The rows that layers read are rounded too: to a 254th of their largest number, or a 512th.
    assert 0 < np.linalg.norm(found - wanted) < 0.05 * np.linalg.norm(wanted)


def test_what_decided_is_told_without_torch(small: Bundle, draw: Draw) -> None:
    [one] = drawn(small.spec, draw, [4])
    model = Predictor(small)
    found = decisions(model, one)
    assert found.own_means is False
    told = found.whole if found.whole is not None else found.steps[0]
    assert told is not None
    assert np.isfinite([told.forward, told.backward, told.both]).all()
    near = decisions(Predictor(dequantised(small)), one)
    assert near.measure == found.measure
    if small.spec.head.searches:
        [[best, *_]] = model.predict_nbest([one])
        trace = trace_target(model, one)
        assert trace.target.symbols == best.symbols
        assert trace.target.score == pytest.approx(best.score, abs=1e-5)


def test_a_stream_answers_as_the_whole_sequence(make: Make, draw: Draw) -> None:
    for precision in LOW:
        model = Predictor(quantised(make(SPECS["one direction"]), precision))
        [one] = draw(model.spec, [9])
        session = model.online()
        assert [[session.step(symbol) for symbol in one]] == model.predict([one])


def test_an_outlier_in_a_row_stays_in_its_sequence(make: Make, draw: Draw) -> None:
    for precision in LOW:
        model = Predictor(quantised(make(SPECS["values"]), precision))
        given = draw(model.spec, [3, 4, 2])
        large = [given[0], given[1] * np.float32(1e30), given[2]]
        found, wanted = numbers(model, large), numbers(model, given)
        assert_same([found[0], found[2]], [wanted[0], wanted[2]])


def test_precisions_of_a_folder(make: Make, tmp_path: Path) -> None:
    save(make(SPECS["tags"]), tmp_path / "model")
    told: list[str] = []
    model = Predictor.load(tmp_path / "model", precision="bf16", tell=told.append)
    assert model.spec.precision == "bf16"
    [line] = told
    assert line == f"{tmp_path / 'model'}: in bf16, but float32 for the scores of the CRF"
    save(model.bundle, tmp_path / "small")
    with pytest.raises(BundleError, match="is in bf16, and int8 is asked for"):
        Predictor.load(tmp_path / "small", precision="int8")
    with pytest.raises(UsageError, match="no precision 'bf32'"):
        Predictor.load(tmp_path / "nowhere", precision="bf32")
    told.clear()
    full = Predictor.load(tmp_path / "small", precision="float32", tell=told.append)
    assert full.spec.precision == "float32"
    assert "dequantised" in told[0]
