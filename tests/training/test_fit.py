"""Whole runs: what they learn, what they keep, what they leave."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys

import lightning
import numpy as np
import pytest
import torch

import birnn
from birnn.bundle import io
from birnn.data import Example
from birnn.engine import isa
from birnn.engine.threads import num_threads
from birnn.errors import DataError, Interrupted, OutputError, UsageError
from birnn.training.averaging import AveragedWeights
from birnn.training.fit import fit
from birnn.training.module import TrainingModule
from birnn.training.sets import DataSources, Sets


def tensors(folder):
    return io.load(folder).tensors


def log_of(folder):
    with (folder / "training.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def same(one, other):
    return all(one[name].tobytes() == other[name].tobytes() for name in one)


@pytest.fixture
def run(tiny, tags_ahead, into, tmp_path):
    """``run("name", **settings)``: a run on the toy problem; its folder."""

    def start(name, *, seed=1, resume=False, overwrite=False, **changes):
        how = {"seed": seed, "resume": resume, "overwrite": overwrite}
        out, dev = tmp_path / name, tags_ahead(15, seed=9)
        into(out, "tagger", tags_ahead(40), dev, tiny(**changes), **how)
        return out

    return start


# ---------------------------------------------------------------------- learning


@pytest.mark.parametrize(("symbols", "told"), [("aaaaaaaaaa", True), ("aaaaaaabaa", False)])
def test_one_answer_to_everything_is_told(symbols, told, tiny):
    # Every tenth tag is rare. Where its symbol is like all others, the usual tag is the best bet.
    draw = np.random.default_rng(0)
    examples = []
    for _ in range(60):
        shift = int(draw.integers(10))
        tags = np.roll([*["usual"] * 7, "rare", *["usual"] * 2], shift)
        examples.append(
            Example(tuple(np.roll(list(symbols), shift).tolist()), tuple(tags.tolist()))
        )
    heard: list[str] = []
    sets = Sets(examples[10:], examples[:10])
    result = fit("tagger", sets, tiny(training__epochs=15), tell=heard.append)
    answers = {tag for row in result.bundle.metrics["dev"]["confusion"].values() for tag in row}
    assert answers == ({"usual"} if told else {"usual", "rare"})
    assert any("every answer on dev is 'usual'" in line for line in heard) == told


def test_two_directions_learn_what_one_cannot(tiny, tags_ahead):
    train, dev = tags_ahead(150), tags_ahead(60, seed=9)
    scores = {}
    for both in (True, False):
        recipe = tiny(encoder__bidirectional=both, training__epochs=8)
        scores[both] = fit("tagger", Sets(train, dev), recipe).bundle.metrics["dev"]["accuracy"]
    assert scores[True] > 0.95
    # The next symbol is a coin: without it, guessing is right in about half of the cases.
    assert scores[False] < 0.8


def test_layers_of_their_own_directions_learn_and_stay(tiny, tags_ahead):
    changes = {
        "encoder__directions": "both,forward",
        "encoder__num_layers": 2,
        "encoder__merge": "project",
        "encoder__merge_size": 5,
        "training__epochs": 8,
    }
    bundle = fit("tagger", Sets(tags_ahead(150), tags_ahead(60, seed=9)), tiny(**changes)).bundle
    assert bundle.metrics["dev"]["accuracy"] > 0.95
    assert bundle.spec.stack.directions == ("both", "forward")
    assert bundle.spec.stack.layer_output_size(0) == 5
    assert bundle.mean_states["rows"].shape[0] == 1


def test_dense_layers_before_and_after_the_encoder_learn(tiny):
    """Whether the first step's two channels agree in sign: nothing that is linear in them."""
    random = np.random.default_rng(0)
    rows = [random.choice([-1.0, 1.0], size=(3, 2)) for _ in range(160)]
    examples = [Example(x, "same" if x[0, 0] == x[0, 1] else "not") for x in rows]
    recipe = tiny(
        "classifier",
        training__epochs=25,
        dropout__noise=0.0,
        dropout__shift=0.0,
        inputs__dense_size=8,
        head__hidden=(6,),
        head__activation="tanh",
    )
    bundle = fit("classifier", Sets(examples[:120], examples[120:]), recipe).bundle
    assert bundle.spec.inputs.dense.size == 8
    assert bundle.spec.head.hidden == (6,)
    answers = birnn.runtime.Predictor(bundle).predict([example.inputs for example in examples])
    right = [answer == e.target for answer, e in zip(answers, examples, strict=True)]
    assert np.mean(right) > 0.95


def test_a_classifier_learns(tiny):
    random = np.random.default_rng(0)
    texts = [tuple(str(s) for s in random.choice(list("abc"), size=6)) for _ in range(120)]
    examples = [Example(text, "rising" if text[0] < text[-1] else "not") for text in texts]
    recipe = tiny("classifier", training__epochs=15, dropout__words=0.0)
    result = fit("classifier", Sets(examples[30:], examples[:30]), recipe)
    assert result.bundle.metrics["dev"]["accuracy"] > 0.9


def test_a_regressor_learns_in_the_units_of_its_targets(tiny):
    random = np.random.default_rng(0)
    series = [random.normal(3, 2, (random.integers(2, 7), 1)).astype("f4") for _ in range(120)]
    examples = [Example(x, np.array([1000 + 50 * x.mean()], np.float32)) for x in series]
    recipe = tiny("regressor", training__epochs=15, head__pooling="mean")
    result = fit("regressor", Sets(examples[30:], examples[:30]), recipe)
    spread = np.std([example.target[0] for example in examples[:30]])
    assert result.bundle.metrics["dev"]["rmse"] < 0.3 * spread
    assert result.bundle.metrics["dev"]["r2"] > 0.9


# ---------------------------------------------------------------------- in memory


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_a_run_in_memory_gives_the_bundle_of_one_on_disk_and_writes_nothing(
    run, tiny, tags_ahead, monkeypatch, tmp_path, score_as, ema
):
    score_as([0.3, 0.8, 0.5, 0.8, 0.1])
    settings = {"training__epochs": 9, "training__patience": 3, "training__ema": ema}
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    sets = Sets(tags_ahead(40), tags_ahead(15, seed=9))
    result = fit("tagger", sets, tiny(**settings))
    assert not list((tmp_path / "here").iterdir())
    folder = run("m", **settings)
    kept, bundle = io.load(folder), result.bundle
    assert (kept.spec, kept.vocabularies, kept.metadata) == (
        bundle.spec,
        bundle.vocabularies,
        bundle.metadata,
    )
    assert same(kept.tensors, bundle.tensors)
    assert same(kept.mean_states, bundle.mean_states)
    assert kept.metrics["dev"]["accuracy"] == bundle.metrics["dev"]["accuracy"]
    assert [row["dev_accuracy"] for row in result.history] == [0.3, 0.8, 0.5, 0.8, 0.1]
    assert [str(row["loss"]) for row in result.history] == [
        str(float(row["loss"])) for row in log_of(folder)
    ]
    assert result.epochs == 5
    assert result.stopped is None


def test_train_without_a_folder_gives_a_model_in_memory(tags_ahead, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = {
        "train": tags_ahead(30),
        "dev": tags_ahead(9),
        "settings": {"training.epochs": 1, "encoder.hidden_size": 4},
        "quiet": True,
    }
    model = birnn.train("tagger", **options)
    assert not list(tmp_path.iterdir())
    saved = birnn.train("tagger", out="m", **options)
    assert same(model.bundle.tensors, saved.bundle.tensors)
    assert model.metadata == saved.metadata
    for name in ("resume", "overwrite"):
        with pytest.raises(UsageError, match="Give out"):
            birnn.train("tagger", **options, **{name: True})


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_in_memory_that_is_stopped_gives_the_best_model_and_says_what_stopped_it(
    tiny, tags_ahead, monkeypatch, number
):
    step = TrainingModule.training_step

    def stopped(self, batch, index):
        if self.current_epoch == 2:
            signal.raise_signal(number)
        return step(self, batch, index)

    monkeypatch.setattr(TrainingModule, "training_step", stopped)
    sets = Sets(tags_ahead(40), tags_ahead(15, seed=9))
    result = fit("tagger", sets, tiny(training__epochs=4))
    assert isinstance(result.stopped, Interrupted)
    assert result.stopped.exit_status == 128 + number
    assert (result.epochs, len(result.history)) == (2, 2)
    assert result.bundle.metadata["interrupted"] is True


# ---------------------------------------------------------------------- what is kept


def test_one_seed_gives_one_model_byte_for_byte(run):
    one, again, other = run("one"), run("again"), run("other", seed=2)
    file = "model.safetensors"
    assert (one / file).read_bytes() == (again / file).read_bytes()
    assert (one / file).read_bytes() != (other / file).read_bytes()


@pytest.mark.skipif(isa.native_module() is None, reason="torch's layers see its threads")
def test_the_number_of_threads_cannot_be_seen_in_a_model(run):
    # At this width torch's orthogonal matrices, which weights begin as, differ from 1 to 2 threads.
    models = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        with num_threads(threads):
            folder = run(f"on-{threads}", encoder__hidden_size=128, training__epochs=1)
        assert torch.get_num_threads() == threads
        models.append((folder / "model.safetensors").read_bytes())
    assert models[0] == models[1]


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_the_best_epoch_is_the_one_that_is_kept(run, monkeypatch, score_as, ema):
    scored, validate = {}, TrainingModule.validation_step

    def look(self, batch, index):
        scored[self.current_epoch] = self.network.tensors()
        return validate(self, batch, index)

    monkeypatch.setattr(TrainingModule, "validation_step", look)
    score_as([0.3, 0.8, 0.5, 0.8])
    folder = run("m", training__epochs=4, training__ema=ema)
    assert [float(row["dev_accuracy"]) for row in log_of(folder)] == [0.3, 0.8, 0.5, 0.8]
    best = tensors(folder)
    assert [epoch for epoch, weights in scored.items() if same(best, weights)] == [1]


def test_the_average_is_what_is_scored_and_kept(run, monkeypatch):
    trained, scored = [], []
    step_end, validate = AveragedWeights.on_train_batch_end, TrainingModule.validation_step

    def record(self, trainer, module, *args, **kwargs):
        step_end(self, trainer, module, *args, **kwargs)
        trained.append(module.network.tensors())

    def look(self, batch, index):
        scored.append(self.network.tensors())
        return validate(self, batch, index)

    monkeypatch.setattr(AveragedWeights, "on_train_batch_end", record)
    monkeypatch.setattr(TrainingModule, "validation_step", look)
    folder = run("m", training__epochs=1, training__ema=0.6)
    assert len(trained) > 3
    average = {name: value.astype(np.float64) for name, value in trained[0].items()}
    for count, weights in enumerate(trained[1:], start=1):
        decay = min(0.6, (1 + count) / (10 + count))
        average = {n: decay * average[n] + (1 - decay) * weights[n] for n in average}
    kept = tensors(folder)
    assert same(kept, scored[-1])
    assert not same(kept, trained[-1])
    for name, value in average.items():
        np.testing.assert_allclose(kept[name], value, atol=1e-6, err_msg=name)


def test_the_dev_score_of_the_log_is_that_of_the_bundle(run):
    folder = run("m", training__epochs=3, training__ema=0.9)
    best = max(float(row["dev_accuracy"]) for row in log_of(folder))
    assert io.load(folder).metrics["dev"]["accuracy"] == pytest.approx(best, abs=1e-5)


def test_training_stops_when_patience_is_at_its_end(run, score_as):
    score_as([0.5, 0.6, 0.6, 0.1, 0.9])
    folder = run("m", training__epochs=20, training__patience=2)
    assert [row["epoch"] for row in log_of(folder)] == ["1", "2", "3", "4"]
    assert io.load(folder).metadata["epochs"] == 4


def test_a_finished_run_leaves_a_bundle_and_its_log_alone(run):
    folder = run("m")
    assert {path.name for path in folder.parent.iterdir()} == {"m"}
    assert {path.name for path in folder.iterdir()} == {
        "birnn.json",
        "vocab.json",
        "model.safetensors",
        "background.safetensors",
        "README.md",
        "training.csv",
    }
    rows = log_of(folder)
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    for name in ("loss", "dev_accuracy", "tokens_per_second", "learning_rate"):
        assert all(float(row[name]) > 0 for row in rows)
    facts = io.load(folder).metadata
    assert facts["seed"] == 1
    assert facts["train_examples"] == 40
    assert facts["recipe"]["encoder"]["hidden_size"] == 8
    assert facts["interrupted"] is False


def test_training_leaves_the_warnings_and_loggers_as_they_were(run, recwarn):
    run("m", training__epochs=1)
    assert not recwarn.list


# ---------------------------------------------------------------------- notices


def test_without_a_dev_set_a_tenth_is_held_out_and_it_says_so(tiny, tags_ahead):
    lines = []
    sets = DataSources(tags_ahead(40)).read("tagger", seed=4, tell=lines.append)
    assert any("no dev file: 4 of the training examples, drawn with seed 4" in x for x in lines)
    facts = fit("tagger", sets, tiny(training__epochs=1)).bundle.metadata
    assert (facts["dev"], facts["train_examples"]) == ("held out from train", 36)


def test_labels_that_only_dev_or_test_has_count_as_wrong(tiny, tags_ahead):
    lines = []
    strange = [Example(("a", "b"), ("NEW", "NEW")), Example((), ())]
    sets = Sets(tags_ahead(30), [*tags_ahead(5, 9), *strange], strange)
    metrics = fit("tagger", sets, tiny(training__epochs=1), tell=lines.append).bundle.metrics
    for name in ("dev", "test"):
        assert any(f"labels in {name}" in line and "NEW (2)" in line for line in lines)
    assert metrics["test"]["accuracy"] == 0.0
    assert metrics["test"]["unknown_labels"] == {"NEW": 2}


def test_sequences_of_length_0_are_counted(tiny, tags_ahead):
    lines = []
    train = [Example((), ()), *tags_ahead(20), Example((), ())]
    empty = sum(len(example) == 0 for example in train)
    sets = DataSources(train, train).read("tagger", tell=lines.append)
    fit("tagger", sets, tiny(training__epochs=1), tell=lines.append)
    assert any(f"{2 * empty} examples of length 0 are kept" in line for line in lines)


# ---------------------------------------------------------------------- bad data, bad places


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_cannot_be_is_refused(run, seed):
    with pytest.raises(UsageError, match=f"seed is {seed}"):
        run("m", seed=seed)


def test_data_that_teaches_nothing_leaves_no_trace(tiny, into, tmp_path):
    bad = [Example(("a",), ("x",)), Example(("b",), ("x",))]
    for _ in range(2):  # and the second try is told of the data again, not of a run before
        with pytest.raises(DataError, match="single label"):
            into(tmp_path / "m", "tagger", bad, bad, tiny())
        assert not list(tmp_path.iterdir())
    with pytest.raises(DataError, match="no example in it"):
        into(tmp_path / "m", "tagger", [], None, tiny())


def test_a_bundle_is_replaced_only_when_asked_for(run):
    folder = run("m", training__epochs=1)
    before = (folder / "model.safetensors").read_bytes()
    with pytest.raises(OutputError, match="exists"):
        run("m", seed=2, training__epochs=1)
    assert (folder / "model.safetensors").read_bytes() == before
    run("m", seed=2, training__epochs=1, overwrite=True)
    assert (folder / "model.safetensors").read_bytes() != before


# ---------------------------------------------------------------------- Ctrl-C


def test_ctrl_c_keeps_the_best_model_so_far(run, monkeypatch):
    step = TrainingModule.training_step

    def interrupted(self, batch, index):
        if self.current_epoch == 2 and index == 1:
            signal.raise_signal(signal.SIGINT)
        return step(self, batch, index)

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(TrainingModule, "training_step", interrupted)
    folder = run("m", training__epochs=4)
    assert signal.getsignal(signal.SIGINT) is before
    assert io.load(folder).metadata["interrupted"] is True
    monkeypatch.setattr(TrainingModule, "training_step", step)
    # What was interrupted goes on to the very end of the run that was not.
    assert same(
        tensors(run("m", training__epochs=4, resume=True)),
        tensors(run("whole", training__epochs=4)),
    )


def test_ctrl_c_before_the_first_epoch_is_over_leaves_nothing_to_keep(run, monkeypatch, tmp_path):
    def interrupted(self, batch, index):
        signal.raise_signal(signal.SIGINT)
        return self.network.loss(batch)

    monkeypatch.setattr(TrainingModule, "training_step", interrupted)
    with pytest.raises(Interrupted, match="no model to keep"):
        run("m")
    assert not (tmp_path / "m").exists()
    monkeypatch.undo()
    run("m", training__epochs=1)  # and the place is free


def test_lightning_is_what_runs_the_loop(run, monkeypatch):
    # The clip that the recipe asks for is the clip that the loop has.
    seen = {}
    real = lightning.Trainer

    def trainer(**options):
        seen.update(options)
        return real(**options)

    monkeypatch.setattr("birnn.training.loop.lightning.Trainer", trainer)
    run("m", training__epochs=1, training__clip=0.25)
    assert seen["gradient_clip_val"] == 0.25
    assert seen["max_epochs"] == 1


@pytest.mark.slow
def test_the_first_training_of_a_process_leaves_pythons_random_numbers(tmp_path):
    # A process of its own: what draws from them is an import.
    program = """
import random, sys
import birnn
from birnn.data import Example
random.seed(4)
before = random.getstate()
data = [Example(("a", "b"), ("X", "Y")), Example(("b",), ("Y",))] * 4
small = {"training.epochs": 1, "encoder.hidden_size": 2}
birnn.train("tagger", train=data, out=sys.argv[1], quiet=True, settings=small)
assert random.getstate() == before
"""
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "m")], check=True, timeout=120)


def test_settings_given_as_arguments_are_sent_to_settings(tmp_path):
    with pytest.raises(UsageError, match=r"settings=\{'training.epochs': 3\}"):
        birnn.train("tagger", train="nowhere.tsv", out=tmp_path / "m", epochs=3)
