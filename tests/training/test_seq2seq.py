"""Training of pairs: learnt by heart, the same bits for a seed, resumed, and what is told."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from birnn.bundle import io
from birnn.data import Example
from birnn.engine import isa
from birnn.engine.threads import num_threads
from birnn.errors import ConfigError, DataError, DirectionError
from birnn.runtime import Predictor
from birnn.runtime.search import GREEDY
from birnn.training.fit import fit
from birnn.training.module import TrainingModule
from birnn.training.recipe import Recipe
from birnn.training.sets import Sets


def reversals(count, seed=0):
    """Targets that are their sources backwards; some of length 0."""
    random = np.random.default_rng(seed)
    found = {}
    while len(found) < count:
        source = tuple(map(str, random.choice(list("abcd"), size=random.integers(6))))
        found[source] = Example(source, source[::-1], f"f:{len(found)}")
    return list(found.values())


@pytest.fixture
def recipe(tiny):
    """``recipe(**settings)``: of a small model that learns by heart."""

    def of(**changes):
        settings = {
            "encoder__hidden_size": 24,
            "inputs__symbol_dim": 24,
            "head__dim": 24,
            "dropout__inputs": 0.0,
            "dropout__output": 0.0,
            "dropout__layers": 0.0,
            "dropout__targets": 0.0,
            "dropout__decoder": 0.0,
            "training__learning_rate": 0.01,
            "training__batch_tokens": 500,
            "training__batch_sequences": 20,
        }
        return tiny("seq2seq", **(settings | changes))

    return of


@pytest.mark.parametrize(
    "settings",
    [
        {},
        pytest.param(
            {"head__tied": True, "head__input_feeding": True, "head__attention": "dot"},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"encoder__cell": "gru", "head__bridge": "concat"},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_twenty_pairs_are_learnt_by_heart(recipe, settings):
    pairs = reversals(20)
    made = recipe(training__epochs=45, training__patience=45, head__attention_size=16, **settings)
    result = fit("seq2seq", Sets(pairs, pairs), made)
    scores = [row["dev_token_error_rate"] for row in result.history]
    assert scores[0] > 0.5
    assert min(scores) == 0.0
    # The lowest score is the best one.
    model = Predictor(result.bundle)
    answers = model.predict([pair.inputs for pair in pairs], search=GREEDY)
    assert [tuple(answer) for answer in answers] == [pair.target for pair in pairs]


def test_patience_and_the_kept_epoch_go_by_the_lowest_error_rate(recipe, monkeypatch, score_as):
    scored, validate = {}, TrainingModule.validation_step

    def look(self, batch, index):
        scored[self.current_epoch] = self.network.tensors()
        return validate(self, batch, index)

    monkeypatch.setattr(TrainingModule, "validation_step", look)
    score_as([0.5, 0.2, 0.4, 0.3, 0.1], monitor="token_error_rate")
    pairs = reversals(8)
    made = recipe(training__epochs=5, training__patience=2)
    result = fit("seq2seq", Sets(pairs, pairs), made)
    assert [row["dev_token_error_rate"] for row in result.history] == [0.5, 0.2, 0.4, 0.3]
    for name, tensor in result.bundle.tensors.items():
        np.testing.assert_array_equal(tensor, scored[1][name])


@pytest.fixture
def run(recipe, into, tmp_path):
    """``run("name", **settings)``: a run on a few pairs; its folder."""

    def start(name, *, resume=False, seed=1, **changes):
        settings = {
            "training__epochs": 3,
            "training__batch_sequences": 6,
            "training__ema": 0.9,
            "training__label_smoothing": 0.1,
            "dropout__targets": 0.2,
            "dropout__decoder": 0.2,
            "head__scheduled_sampling": 0.3,
        }
        made = recipe(**(settings | changes))
        pairs = reversals(24)
        into(tmp_path / name, "seq2seq", pairs[6:], pairs[:6], made, seed=seed, resume=resume)
        return tmp_path / name

    return start


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


def test_one_seed_gives_one_model_byte_for_byte(run):
    one, other = run("one"), run("other", seed=2)
    assert weights(one) == weights(run("again"))
    assert weights(one) != weights(other)
    assert io.load(one).mean_states.keys() >= {"rows", "last"}


@pytest.mark.skipif(isa.native_module() is None, reason="torch's layers see its threads")
def test_the_number_of_threads_cannot_be_seen_in_a_model(run):
    models = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        with num_threads(threads):
            models.append(
                weights(run(f"on-{threads}", encoder__hidden_size=80, training__epochs=1))
            )
    assert models[0] == models[1]


def test_a_resumed_run_is_the_run_that_was_not_killed(run, monkeypatch):
    class Killed(BaseException):
        pass

    step = TrainingModule.training_step

    def die(self, batch, index):
        if (self.current_epoch, index) == (2, 1):
            raise Killed
        return step(self, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "training_step", die)
        with pytest.raises(Killed):
            run("killed")
    assert weights(run("killed", resume=True)) == weights(run("whole"))


def test_what_is_told(recipe):
    train = [*reversals(12), Example(("a", "a"), ("b",) * 1000, "long:1")]
    dev = [Example(("a", "q"), ("d", "Z"), "dev:1"), Example(("b",), ("b",), "dev:2")]
    told = []
    result = fit("seq2seq", Sets(train, dev), recipe(training__epochs=1), tell=told.append)
    text = "\n".join(told)
    assert "1,000 at most (long:1)" in text
    assert "targets in dev that training never saw, counted as wrong: Z (1)" in text
    assert "symbols in dev that the model does not know, read as unknown: q (1)" in text
    assert result.bundle.metrics["dev"]["token_error_rate"] >= 1 / 3
    assert "1 of 13 targets are longer, and learnt whole" in text
    # What was learnt bounds every answer; one target does not make all of them a thousand long.
    head, lengths = result.bundle.spec.head, np.array([len(pair) for pair in train])
    longest = head.longest_answers(lengths)
    assert (longest[:-1] >= [len(pair.target) for pair in train[:-1]]).all()
    assert longest.max() < 50


def test_a_model_that_never_ends_is_cut(recipe):
    pairs = reversals(6)
    bundle = fit("seq2seq", Sets(pairs, pairs), recipe(training__epochs=1)).bundle
    bias = bundle.tensors["head.linear.bias"].copy()
    bias[0] = -1e4  # the end
    endless = Predictor(
        io.Bundle(
            bundle.spec,
            bundle.vocabularies,
            dict(bundle.tensors) | {"head.linear.bias": bias},
        )
    )
    sources = [pair.inputs for pair in pairs]
    lengths = bundle.spec.head.longest_answers(np.array(list(map(len, sources))))
    assert [len(a) for a in endless.predict(sources, search=GREEDY)] == lengths.tolist()


def test_what_does_not_fit_is_refused(recipe):
    pairs = reversals(6)
    cases = [
        ({"head__bridge": "concat", "head__hidden_size": 7}, "bridge is concat"),
        ({"head__bridge": "sum", "head__num_layers": 2}, "the decoder has 2 layers"),
        ({"head__bridge": "mean", "encoder__cell": "gru", "head__cell": "lstm"}, "memory cells"),
        ({"head__attention": "dot", "head__hidden_size": 7}, "dot attention"),
        ({"training__class_weights": "balanced"}, "a seq2seq has no classes"),
    ]
    for settings, message in cases:
        with pytest.raises(ConfigError, match=message):
            fit("seq2seq", Sets(pairs, pairs), recipe(**settings))
    with pytest.raises(DirectionError, match="a decoder needs one direction"):
        recipe(head__bidirectional=True)
    with pytest.raises(ConfigError, match="tied is a setting of a seq2seq"):
        Recipe.load("tagger").with_settings({"head.tied": True})
    empty = [Example(("a",), ()), Example(("b",), ())]
    with pytest.raises(DataError, match="all targets of the training data are empty"):
        fit("seq2seq", Sets(empty, empty), recipe())


def test_targets_are_printed_as_the_files_have_them(recipe, tmp_path, into):
    train = tmp_path / "x.tsv"
    train.write_text("".join(f"{'ab' * n}\t{'A B ' * n}C\n" for n in range(1, 12)))
    into(tmp_path / "m", "seq2seq", train, train, recipe(training__epochs=1))
    assert io.load(tmp_path / "m").spec.head.separator == " "


def test_sources_may_be_words_or_vectors(recipe):
    random = np.random.default_rng(0)
    for draw in (
        lambda steps: tuple(map(str, random.choice(["the", "river", "bank"], size=steps))),
        lambda steps: random.standard_normal((steps, 3)).astype(np.float32),
    ):
        pairs = [Example(draw(n % 4), ("x", "yy") * (n % 3)) for n in range(9)]
        made = recipe(training__epochs=1, encoder__num_layers=2)
        bundle = fit("seq2seq", Sets(pairs[:6], pairs[6:], pairs[6:]), made).bundle
        assert bundle.metrics["test"]["sequences"] == 3
        assert len(Predictor(bundle).predict([pair.inputs for pair in pairs])) == 9
