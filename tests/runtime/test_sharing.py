"""One model for all: from many threads, after interrupts, in other processes, as copies."""

from __future__ import annotations

import copy
import gc
import io
import pickle
import random
import shutil
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from birnn import errors
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
    load,
    save,
)
from birnn.engine import isa
from birnn.inputs.row_cache import RowCache
from birnn.runtime import Predictor, Search
from birnn.tasks import TargetSequence

WORDS = Words(
    size=30,
    dim=5,
    characters=Characters(size=9, dim=3, hidden_size=4),
    surface=Surface(size=14, dim=2, prefixes=(1, 3), suffixes=(2, 4)),
)
SPECS = {
    "words, chain": Spec(
        inputs=WORDS,
        encoder=Encoder(hidden_size=8, num_layers=2, merge="project"),
        head=Tags(size=5, decoder="crf", scheme="iob2"),
    ),
    "words, attention": Spec(
        inputs=WORDS,
        encoder=Encoder(cell="gru", hidden_size=8),
        head=Label(size=4, pooling="attention", attention_size=3),
    ),
    "symbols, steps": Spec(
        inputs=Symbols(size=10, dim=5), encoder=Encoder(hidden_size=8), head=Tags(size=4)
    ),
    "symbols, sequence": Spec(
        inputs=Symbols(size=10, dim=5),
        encoder=Encoder(hidden_size=8),
        head=TargetSequence(size=7, dim=4, hidden_size=8, longest=(2, 0.2), input_feeding=True),
    ),
    "vectors, values": Spec(
        inputs=Vectors(size=3),
        encoder=Encoder(cell="rnn_tanh", hidden_size=8, merge="sum"),
        head=Values(size=2),
    ),
}

Make = Callable[..., Bundle]


def questions(spec: Spec, seed: int, count: int = 12) -> list[Any]:
    """Sequences; of words many are new to the cache."""
    draw = np.random.default_rng(seed)
    lengths = draw.integers(0, 9, size=count)
    if spec.inputs.kind == "vectors":
        return [draw.standard_normal((t, 3)).astype(np.float32) for t in lengths]
    letters = list("abcdeABC01-é")
    if spec.inputs.kind == "symbols":
        return [[str(c) for c in draw.choice(letters, size=t)] for t in lengths]
    return [
        ["".join(draw.choice(letters, size=draw.integers(1, 4))) for _ in range(t)] for t in lengths
    ]


def told(model: Predictor, asked: list[Any]) -> list[Any]:
    """Answers and, where there are any, probabilities, to the bit."""
    if model.spec.head.searches:
        found = model.predict_nbest(asked[:5], search=Search(beam=2, nbest=2), attention=True)
        return [(each, each.attention.tobytes()) for nbest in found for each in nbest]
    answers = model.predict(asked)
    if model.spec.head.kind == "values":
        return answers
    return [*answers, *(np.asarray(part).tobytes() for part in model.predict_proba(asked))]


@pytest.fixture(params=SPECS)
def bundle(request: pytest.FixtureRequest, make: Make) -> Bundle:
    return make(SPECS[request.param])


# ------------------------------------------------------------------ kept rows


@pytest.mark.parametrize("memory", [0, 1 << 12, 1 << 27])
def test_answers_have_the_same_bits_whatever_was_asked_before(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, memory: int
) -> None:
    asked = [questions(bundle.spec, seed) for seed in range(3)]
    right = [told(Predictor(bundle), one) for one in asked]
    monkeypatch.setitem(RowCache.__init__.__kwdefaults__, "memory", memory)
    model = Predictor(bundle)
    for _ in range(2):
        assert [told(model, one) for one in asked] == right
    if not model.spec.head.searches:
        alone = [part for one in asked[0] for part in model.predict([one])]
        assert alone == Predictor(bundle).predict(asked[0])


def test_rows_are_kept_for_the_engine_that_reads_them(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, model = questions(bundle.spec, 0), Predictor(bundle)
    for name in (*isa.available(), *isa.available()[:1]):
        monkeypatch.setenv(isa.FORCE, name)
        assert told(model, asked) == told(Predictor(bundle), asked)


# ------------------------------------------------------------------ threads


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("memory", [1 << 12, 1 << 27])
def test_many_threads_get_the_answers_of_one(
    bundle: Bundle, hasty: None, monkeypatch: pytest.MonkeyPatch, memory: int, threads: int
) -> None:
    monkeypatch.setattr("birnn.engine.threads._threads", threads)
    monkeypatch.setitem(RowCache.__init__.__kwdefaults__, "memory", memory)
    asked = [questions(bundle.spec, seed) for seed in range(8)]
    right = [told(Predictor(bundle), one) for one in asked]
    # Fresh: the threads also meet where weights are packed first.
    model = Predictor(bundle)
    meeting = threading.Barrier(8)

    def ask(thread: int) -> list[int]:
        meeting.wait()
        order = random.Random(thread).sample(range(8), 8)
        return [which for which in order * 2 if told(model, asked[which]) != right[which]]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(8))) == [[]] * 8
    assert [told(model, one) for one in asked] == right


def test_sessions_of_one_model_run_side_by_side(make: Make, hasty: None) -> None:
    spec = Spec(
        inputs=WORDS,
        encoder=Encoder(hidden_size=8, bidirectional=False),
        head=Label(size=4, pooling="attention", attention_size=3),
    )
    model = Predictor(make(spec))
    asked = [[word for one in questions(spec, seed) for word in one] for seed in range(8)]

    def walk(words: list[str]) -> list[Any]:
        session = model.online()
        return [session.step(word) for word in words]

    right = [walk(words) for words in asked]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(walk, asked)) == right


# ------------------------------------------------------------------ interrupts


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no such timer")
def test_interrupts_at_random_leave_every_later_answer_right(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = SPECS["words, chain"]
    monkeypatch.setitem(RowCache.__init__.__kwdefaults__, "memory", 1 << 13)
    bundle = make(spec)
    asked = [questions(spec, seed) for seed in range(6)]
    right = [Predictor(bundle).predict(one) for one in asked]
    model = Predictor(bundle)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    draw, stopped = random.Random(0), 0
    # An interrupt inside somebody's callback of the garbage collector would be lost, and one inside
    # logging leaves its lock locked for the rest of the process.
    gc.disable()
    # Arguments have `log_notice` as their default, so that what it calls is replaced.
    silent = SimpleNamespace(getLogger=lambda name: SimpleNamespace(warning=lambda line: None))
    monkeypatch.setattr(errors, "logging", silent)
    former = signal.signal(signal.SIGALRM, interrupt)
    try:
        for trial in range(150):
            try:
                signal.setitimer(signal.ITIMER_REAL, draw.uniform(1e-5, 4e-3))
                for one in asked:
                    model.predict(one)
            except KeyboardInterrupt:
                stopped += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            which = trial % len(asked)
            assert model.predict(asked[which]) == right[which], trial
    finally:
        signal.signal(signal.SIGALRM, former)
        gc.enable()
    assert stopped > 30
    assert [model.predict(one) for one in asked] == right


# ------------------------------------------------------------------ copies


def test_a_pickled_model_answers_alike_without_its_folder(bundle: Bundle, tmp_path: Path) -> None:
    save(bundle, tmp_path / "model")
    model = Predictor.load(tmp_path / "model")
    asked = questions(bundle.spec, 1)
    right = told(model, asked)
    pickled = [pickle.dumps(model, protocol) for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)]
    shutil.rmtree(tmp_path / "model")
    copies = [*map(pickle.loads, pickled), copy.copy(model), copy.deepcopy(model)]
    # As joblib has it: arrays apart from the rest.
    buffers: list[pickle.PickleBuffer] = []
    stream = io.BytesIO()
    pickle.Pickler(stream, 5, buffer_callback=buffers.append).dump(model)
    copies.append(pickle.loads(stream.getvalue(), buffers=[b.raw().tobytes() for b in buffers]))
    for other in copies:
        assert told(other, asked) == right
        assert other.bundle.vocabularies == model.bundle.vocabularies
        assert not any(array.flags.writeable for array in other.bundle.tensors.values())


def test_the_pickle_of_a_model_that_answered_is_no_larger(make: Make) -> None:
    model = Predictor(make(SPECS["words, chain"]))
    before = len(pickle.dumps(model))
    model.predict(questions(model.spec, 1))
    assert len(pickle.dumps(model)) == before


def test_a_pool_of_processes_predicts(make: Make) -> None:
    model = Predictor(make(SPECS["words, chain"]))
    asked = [questions(model.spec, seed) for seed in range(3)]
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert list(pool.map(model.predict, asked)) == [model.predict(one) for one in asked]


# ------------------------------------------------------------------ read-only


def test_what_a_model_shares_is_read_only(bundle: Bundle, tmp_path: Path) -> None:
    random_state = np.random.default_rng(0)
    means = {
        name: random_state.standard_normal(shape).astype(np.float32)
        for name, shape in bundle.spec.mean_states().items()
    }
    given = {name: tensor.copy() for name, tensor in bundle.tensors.items()}
    whole = Bundle(bundle.spec, bundle.vocabularies, given, mean_states=means)
    save(whole, tmp_path / "model")
    for held in (Predictor(whole).bundle, Predictor.load(tmp_path / "model").bundle):
        for array in (*held.tensors.values(), *held.mean_states.values()):
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 0
        with pytest.raises(TypeError):
            held.tensors["head.linear.bias"] = np.zeros(1)  # type: ignore[index]
        with pytest.raises(TypeError):
            held.vocabularies["labels"] = ()  # type: ignore[index]
    # The caller's own arrays stay as they were.
    assert all(array.flags.writeable for array in given.values())
    loaded = load(tmp_path / "model").tensors
    for array in loaded.values():
        with pytest.raises(ValueError, match="cannot set WRITEABLE"):
            array.flags.writeable = True


def test_facts_are_copies(make: Make) -> None:
    model = Predictor(make(SPECS["symbols, steps"]))
    facts = {"nested": {"field": "upos"}}
    model = Predictor(Bundle(model.spec, model.bundle.vocabularies, model.bundle.tensors, facts))
    model.metadata["nested"]["field"] = "xpos"
    assert model.metadata == facts
