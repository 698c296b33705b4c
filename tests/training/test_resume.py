"""A run that was killed and resumed ends in the very weights of the run that was not."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from birnn.bundle import io
from birnn.data import Example
from birnn.errors import UsageError
from birnn.training import fit as fitting
from birnn.training.callbacks import EpochLog
from birnn.training.module import TrainingModule
from birnn.training.recipe import Recipe
from birnn.training.workspace import AtomicCheckpoints


class Killed(BaseException):
    """Stands for a kill: nothing catches it, nothing tidies up."""


@pytest.fixture
def run(tiny, tags_ahead, into, tmp_path):
    """``run("name", **settings)``: a run on the toy problem; its folder."""

    def start(name, *, resume=False, seed=1, train=None, **changes):
        out, recipe = tmp_path / name, tiny(**({"training__epochs": 4} | changes))
        train = tags_ahead(40) if train is None else train
        into(out, "tagger", train, tags_ahead(15, seed=9), recipe, seed=seed, resume=resume)
        return out

    return start


def killed_in(owner, name, when):
    """A patch of a method that dies once ``when(self, *arguments)`` says so."""
    real = getattr(owner, name)

    def method(self, *args, **kwargs):
        if when(self, *args):
            raise Killed
        return real(self, *args, **kwargs)

    return owner, name, method


def log_of(folder):
    with (folder / "training.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        del row["tokens_per_second"]
    return rows


def assert_same_run(found, expected):
    one, other = io.load(found), io.load(expected)
    for name, tensor in other.tensors.items():
        assert one.tensors[name].tobytes() == tensor.tobytes(), name
    assert log_of(found) == log_of(expected)
    assert one.metadata["epochs"] == other.metadata["epochs"]
    assert not found.with_name(f"{found.name}.training").exists()


PLACES = {
    "in the middle of an epoch": lambda: killed_in(
        TrainingModule, "training_step", lambda self, batch, i: (self.current_epoch, i) == (2, 3)
    ),
    "in the middle of validation": lambda: killed_in(
        TrainingModule, "on_validation_epoch_end", lambda self: self.current_epoch == 1
    ),
    "before the log has the epoch": lambda: killed_in(
        EpochLog, "on_train_epoch_end", lambda self, trainer, module: trainer.current_epoch == 2
    ),
    # The log and the best weights already know an epoch that the last state does not.
    "before the last state is saved": lambda: killed_in(
        AtomicCheckpoints,
        "save_checkpoint",
        lambda self, state, path, *_: Path(path).stem == "last" and state["epoch"] == 2,
    ),
}


@pytest.mark.parametrize("ema", [0.0, 0.9])
@pytest.mark.parametrize("place", sorted(PLACES))
def test_a_resumed_run_is_the_run_that_was_not_killed(run, monkeypatch, place, ema):
    settings = {"training__ema": ema, "dropout__inputs": 0.3}
    with monkeypatch.context() as patch:
        patch.setattr(*PLACES[place]())
        with pytest.raises(Killed):
            run("killed", **settings)
    assert_same_run(run("killed", resume=True, **settings), run("whole", **settings))


def test_a_run_killed_after_its_last_epoch_only_writes_its_bundle(run, monkeypatch):
    def no_bundle(*args):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(fitting, "save", no_bundle)
        with pytest.raises(Killed):
            run("killed")
    with monkeypatch.context() as patch:
        patch.setattr(*killed_in(TrainingModule, "training_step", lambda *_: True))
        resumed = run("killed", resume=True)
    assert_same_run(resumed, run("whole"))


def test_a_run_that_had_stopped_early_does_not_go_on(run, monkeypatch, score_as):
    def no_bundle(*args):
        raise Killed

    score_as([0.9, 0.1, 0.1, 1.0])
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "save", no_bundle)
        with pytest.raises(Killed):
            run("killed", training__patience=2)
    resumed = run("killed", training__patience=2, resume=True)
    assert len(log_of(resumed)) == 3
    assert_same_run(resumed, run("whole", training__patience=2))


SCRIPT = """
import os, signal, sys
import birnn
from birnn.data import Example
from birnn.training.module import TrainingModule
step = TrainingModule.training_step
def killed(self, batch, index):
    if (self.current_epoch, index) == (1, 1):
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, batch, index)
TrainingModule.training_step = killed
examples = [Example(tuple("ab" * n), ("x", "y") * n) for n in range(1, 9)]
birnn.train(
    "tagger", train=examples, dev=examples, out=sys.argv[1], config=sys.argv[2], quiet=True
)
"""


def test_kill_9(into, tmp_path):
    config = tmp_path / "settings.toml"
    config.write_text(
        "[encoder]\nhidden_size = 3\n[inputs]\nsymbol_dim = 3\n"
        '[training]\nepochs = 3\nbatch_tokens = 20\ndevice = "cpu"\nema = 0.9\n'
    )
    killed = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "killed"), str(config)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()[-2000:]
    assert not (tmp_path / "killed").exists()
    examples = [Example(tuple("ab" * n), ("x", "y") * n) for n in range(1, 9)]
    recipe = Recipe.load("tagger", config=config)
    for name, resume in (("killed", True), ("whole", False)):
        into(tmp_path / name, "tagger", examples, examples, recipe, resume=resume)
    assert_same_run(tmp_path / "killed", tmp_path / "whole")


# ---------------------------------------------------------------------- what cannot be resumed


@pytest.fixture
def half_way(run, monkeypatch):
    """A run that was killed after two epochs; its settings."""
    with monkeypatch.context() as patch:
        patch.setattr(*PLACES["in the middle of an epoch"]())
        with pytest.raises(Killed):
            run("m")


@pytest.mark.usefixtures("half_way")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 2}, "seed was 1, now 2"),
        ({"encoder__hidden_size": 9}, "encoder.hidden_size was 8, now 9"),
        ({"train": [Example(("a",), ("x",)), Example(("b",), ("y",))]}, "the training data was"),
    ],
)
def test_another_run_is_not_the_one_to_go_on_with(run, changes, message):
    with pytest.raises(UsageError, match=message):
        run("m", resume=True, **changes)
    run("m", resume=True)  # and nothing of it was lost


@pytest.mark.usefixtures("half_way")
def test_a_run_of_another_version_is_called_so(run, monkeypatch):
    describe = fitting.describe

    def older(**given):
        told = describe(**given)
        told["settings"]["training.batch_rows"] = told["settings"].pop("training.batch_tokens")
        return told

    monkeypatch.setattr(fitting, "describe", older)
    with pytest.raises(UsageError, match=r"another version of birnn began it, .*batch_rows"):
        run("m", resume=True)


def test_nothing_to_resume(run):
    with pytest.raises(UsageError, match="nothing to resume"):
        run("m", resume=True)
    run("m", training__epochs=1)
    with pytest.raises(UsageError, match=r"nothing to resume: .* holds a finished run"):
        run("m", resume=True)
