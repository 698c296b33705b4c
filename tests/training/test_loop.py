"""The loop: where it stops, what it keeps, and that the process is left as it was."""

from __future__ import annotations

import io as io_
import random
import re
import sys

import numpy as np
import pytest
import torch

from birnn.bundle import io
from birnn.data import Example
from birnn.errors import ConfigError, TrainingError
from birnn.models import build
from birnn.nn import BiRNN
from birnn.training.loop import check_device, process_state_restored
from birnn.training.module import TrainingModule
from birnn.training.prepare import prepare


@pytest.fixture
def run(tiny, tags_ahead, into, tmp_path):
    """``run("name", **settings)``: a run on the toy problem; its folder."""

    def start(name="m", *, task="tagger", train=None, dev=None, quiet=True, **changes):
        train = tags_ahead(40) if train is None else train
        dev = tags_ahead(15, seed=9) if dev is None else dev
        into(tmp_path / name, task, train, dev, tiny(task, **changes), quiet=quiet)
        return tmp_path / name

    return start


def same(one, other):
    a, b = io.load(one).tensors, io.load(other).tensors
    return all(a[name].tobytes() == b[name].tobytes() for name in a)


# ---------------------------------------------------------------------- numbers that are none


@pytest.fixture
def spoilt_in(monkeypatch):
    """``spoilt_in(epoch, batch)``: there the weights are no numbers; the batches that were met."""
    step, met = TrainingModule.training_step, {}

    def prepare_step(epoch, index):
        def spoilt(self, batch, batch_idx):
            met[self.current_epoch, batch_idx] = batch
            if (self.current_epoch, batch_idx) == (epoch, index):
                with torch.no_grad():
                    self.network.head.linear.bias.fill_(float("nan"))
            return step(self, batch, batch_idx)

        monkeypatch.setattr(TrainingModule, "training_step", spoilt)
        return met

    return prepare_step


def test_the_first_loss_that_is_not_finite_ends_training_and_is_placed(run, spoilt_in, tags_ahead):
    train = [
        Example(example.inputs, example.target, where=f"train.tsv:{number}")
        for number, example in enumerate(tags_ahead(40))
    ]
    met = spoilt_in(1, 2)
    with pytest.raises(TrainingError) as caught:
        run(train=train, training__epochs=4)
    message = str(caught.value)
    placed = re.match(r"epoch 2, batch 3 \(from train\.tsv:(\d+) on\): the loss is nan\. ", message)
    assert placed, message
    assert "training.learning_rate (0.02)" in message
    assert max(met) == (1, 2)
    symbols = met[1, 2].inputs.symbols[: met[1, 2].lengths[0]]
    first = train[int(placed[1])].inputs
    # Symbols are numbered from 1, by how often they stand in training.
    assert len(set(zip(symbols.tolist(), first, strict=True))) == len(set(first))


def test_the_best_model_before_is_kept_and_the_place_is_free(run, spoilt_in, tmp_path):
    spoilt_in(2, 1)
    with pytest.raises(TrainingError, match=r"epoch 3, batch 2: .*m holds the best model of the 2"):
        run("m", training__epochs=4)
    kept = io.load(tmp_path / "m")
    assert kept.metadata["epochs"] == 2
    assert kept.metadata["failed"].startswith("epoch 3, batch 2: the loss is nan")
    assert (tmp_path / "m" / "training.csv").read_text().count("\n") == 3
    assert not (tmp_path / "m.training").exists()
    spoilt_in(-1, -1)
    assert io.load(run("whole", training__epochs=4)).metadata["failed"] is None


def test_without_an_epoch_before_there_is_nothing_to_keep(run, spoilt_in, tmp_path):
    spoilt_in(0, 1)
    with pytest.raises(TrainingError, match=r"epoch 1, batch 2: .* no model to keep"):
        run("m")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("task", ["tagger", "classifier", "regressor"])
@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_a_learning_rate_beyond_all_measure_is_told_in_time(run, task, ema, tmp_path):
    words = [tuple("abba"[: n % 4 + 1]) for n in range(40)]
    targets = {
        "tagger": lambda n: tuple("xy"[(n + i) % 2] for i in range(len(words[n]))),
        "classifier": lambda n: "xy"[n % 2],
        "regressor": lambda n: np.array([n], np.float32),
    }[task]
    examples = [Example(words[n], targets(n)) for n in range(40)]
    changes = {"training__learning_rate": 1e20, "training__ema": ema, "training__epochs": 6}
    with pytest.raises(TrainingError, match=r"epoch \d, batch \d.*|epoch \d: ") as caught:
        run("m", task=task, train=examples, dev=examples[:8], **changes)
    assert "training.learning_rate (1e+20)" in str(caught.value)
    if (tmp_path / "m").exists():
        assert "holds the best model" in str(caught.value)
        assert io.load(tmp_path / "m").metadata["failed"]


def test_a_batch_of_classes_that_weigh_nothing_teaches_nothing(run):
    examples = [Example(tuple("ab" * (n % 3 + 1)), "xy"[n % 2]) for n in range(24)]
    weights = {"training__class_weights": {"x": 0.0}, "training__batch_sequences": 1}
    folder = run("m", task="classifier", train=examples, dev=examples, **weights)
    # Only y was ever taught.
    assert io.load(folder).metrics["dev"]["per_label"]["y"]["recall"] == 1.0


def test_class_weights_that_are_all_0_are_refused(run):
    examples = [Example(("a",), "x"), Example(("b",), "y")] * 10
    with pytest.raises(ConfigError, match="every label weighs 0"):
        run(
            task="classifier",
            train=examples,
            dev=examples,
            training__class_weights={"x": 0.0, "y": 0.0},
        )


# ---------------------------------------------------------------------- the process


def states():
    return (
        torch.get_rng_state().numpy().tobytes(),
        str(np.random.get_state()),  # noqa: NPY002 - whoever uses it
        random.getstate(),
        torch.get_default_dtype(),
        torch.get_default_device(),
    )


def test_random_numbers_go_on_as_if_nothing_had_been_trained(run, spoilt_in):
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    random.seed(5)
    before = states()
    run("m")
    assert states() == before
    spoilt_in(1, 0)
    with pytest.raises(TrainingError):
        run("other")
    assert states() == before


def test_whatever_draws_meanwhile_is_taken_back():
    before = states()

    def work():
        torch.rand(3)
        np.random.rand(3)  # noqa: NPY002
        random.random()
        torch.set_default_dtype(torch.float64)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), process_state_restored("cpu"):
        work()
    assert states() == before


@pytest.fixture
def another_default():
    """``another_default(dtype, device)``: torch's defaults, until the test ends."""
    dtype, device = torch.get_default_dtype(), torch.get_default_device()

    def change(name, place="cpu"):
        torch.set_default_dtype(name)
        if place != "cpu":
            torch.set_default_device(place)

    yield change
    torch.set_default_dtype(dtype)
    torch.set_default_device(device if device.type != "cpu" else None)


KINDS = {
    "words": ("tagger", {"inputs__kind": "words", "inputs__character_hidden": 3}),
    "chain": ("tagger", {"head__decoder": "crf", "dropout__inputs": 0.3}),
    "label": ("classifier", {"head__pooling": "attention", "training__label_smoothing": 0.1}),
    "values": ("regressor", {"dropout__noise": 0.3, "dropout__shift": 0.3}),
}


def examples_of(kind):
    generator = np.random.default_rng(0)
    if kind == "values":
        return [
            Example(generator.normal(size=(n % 4 + 1, 2)).astype("f4"), np.array([n], "f4"))
            for n in range(24)
        ]
    texts = [("ab", "c", "d")[: n % 3 + 1] for n in range(24)]
    if kind == "label":
        return [Example(text, "xy"[n % 2]) for n, text in enumerate(texts)]
    return [Example(text, ("x", "y", "x")[: len(text)]) for text in texts]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("dtype", "device"),
    [(torch.float64, "cpu"), (torch.float16, "cpu"), (torch.float32, "meta")],
)
def test_torchs_defaults_have_no_say_in_training(run, another_default, kind, dtype, device):
    task, settings = KINDS[kind]
    examples = examples_of(kind)
    whole = run("whole", task=task, train=examples, dev=examples, **settings)
    another_default(dtype, device)
    other = run("other", task=task, train=examples, dev=examples, **settings)
    assert (torch.get_default_dtype(), torch.get_default_device().type) == (dtype, device)
    another_default(torch.float32)
    torch.set_default_device(None)
    assert same(whole, other)


@pytest.mark.parametrize("kind", KINDS)
def test_a_built_model_is_float32_and_computes_alike_whatever_the_default(
    tiny, another_default, kind
):
    task, settings = KINDS[kind]
    examples = examples_of(kind)
    prepared = prepare(task, examples, examples, tiny(task, **settings))
    batch = prepared.train.batch(range(24))

    def trained():
        torch.manual_seed(1)
        network = build(
            prepared.spec, dropout=tiny(task, **settings).dropout, labels=prepared.labels
        )
        network.train()
        loss = network.loss(batch)
        loss.backward()
        return loss, [parameter.grad for parameter in network.parameters()]

    loss, gradients = trained()
    another_default(torch.float64)
    other, others = trained()
    assert other.dtype == torch.float32
    torch.testing.assert_close(other, loss, rtol=1e-5, atol=1e-6)
    for one, two in zip(gradients, others, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)


# ---------------------------------------------------------------------- settings of the loop


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn_tanh"])
def test_checkpoint_reaches_the_encoder_and_changes_no_weight(run, monkeypatch, cell):
    seen, init = [], BiRNN.__init__

    def noted(self, *args, **options):
        init(self, *args, **options)
        seen.append(self.checkpoint)

    monkeypatch.setattr(BiRNN, "__init__", noted)
    plain = run("plain", encoder__cell=cell, encoder__num_layers=2)
    assert not any(seen)
    kept = run("kept", encoder__cell=cell, encoder__num_layers=2, training__checkpoint=True)
    assert any(seen)
    assert same(plain, kept)


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:1"])
def test_a_device_that_is_not_there_is_refused_in_time(run, monkeypatch, device, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=f"training.device is {device}, this machine has no CUDA"):
        run(training__device=device)
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    if device == "cuda:1":
        with pytest.raises(ConfigError, match="this machine has cuda:0"):
            check_device(device)
    else:
        check_device(device)


@pytest.mark.parametrize(
    ("device", "options"),
    [
        ("auto", {"accelerator": "auto", "devices": 1}),
        ("cpu", {"accelerator": "cpu", "devices": 1}),
        ("cuda", {"accelerator": "cuda", "devices": [0]}),
        ("cuda:1", {"accelerator": "cuda", "devices": [1]}),
    ],
)
def test_the_device_reaches_lightning(run, monkeypatch, device, options):
    class Asked(Exception):
        pass

    def trainer(**given):
        assert {name: given[name] for name in options} == options
        raise Asked

    monkeypatch.setattr("birnn.training.fit.check_device", lambda device: None)
    monkeypatch.setattr("birnn.training.loop.lightning.Trainer", trainer)
    with pytest.raises(Asked):
        run(training__device=device)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_training_on_a_gpu(run):
    one, again = run("one", training__device="cuda"), run("again", training__device="cuda:0")
    assert io.load(one).metrics["dev"]["accuracy"] > 0.5
    assert io.load(again).metrics["dev"]["accuracy"] > 0.5


# ---------------------------------------------------------------------- what is printed


class Gone:
    """A standard error whose reader has gone."""

    encoding = "utf-8"

    def __init__(self, *, terminal):
        self.terminal = terminal

    def isatty(self):
        return self.terminal

    def write(self, text):
        raise BrokenPipeError(32, "Broken pipe")

    def flush(self):
        raise BrokenPipeError(32, "Broken pipe")


@pytest.mark.parametrize("stream", [Gone(terminal=False), Gone(terminal=True), None])
def test_progress_that_nobody_can_read_stops_nothing(run, monkeypatch, stream):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        told = run("told", quiet=False)
    assert same(told, run("quiet"))


class Terminal(io_.StringIO):
    """A terminal that keeps what is written."""

    def isatty(self):
        return True


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_the_bar_and_the_lines_count_epochs_alike_and_fit_the_terminal(run, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("birnn.training.callbacks.FRAMES", 10**9)
    terminal = Terminal()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        run(quiet=False, training__epochs=12)
    lines = [
        line.rstrip()
        for line in re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue()))
        if line.startswith("epoch")
    ]
    assert max(map(len, lines)) <= columns
    bars = [line for line in lines if "batches" in line]
    rows = [line for line in lines if "loss" in line]
    assert [int(re.match(r"epoch (\d+)/12  loss", row)[1]) for row in rows] == list(range(1, 13))
    numbers = [int(re.match(r"epoch (\d+)/12 ", bar)[1]) for bar in bars]
    assert set(numbers) == set(range(1, 13))
    # One bar: it never goes back, and ends with the last batch.
    done = [tuple(map(int, re.search(r"(\d+)/(\d+) batches", bar).groups())) for bar in bars]
    assert done == sorted(done)
    assert done[-1][0] == done[-1][1]
