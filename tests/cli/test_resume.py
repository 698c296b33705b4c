"""Runs that were stopped: by Ctrl-C, by kill -9; and going on with them."""

from __future__ import annotations

import contextlib
import io
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from birnn.cli.main import main
from birnn.runtime import Predictor
from birnn.training.module import TrainingModule

EPOCHS = 3
WEIGHTS = "model.safetensors"

KILL = """
import os, signal, sys
from birnn.cli.main import main
from birnn.training.module import TrainingModule

step = TrainingModule.training_step

def dies(self, batch, batch_idx):
    if self.current_epoch == 2 and batch_idx == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, batch, batch_idx)

TrainingModule.training_step = dies
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="session")
def run(training: Any) -> Callable[..., list[str]]:
    """The command of a run of several epochs of several batches."""

    def command(out: Path, *more: object) -> list[str]:
        options = ("--epochs", EPOCHS, "--set", "training.batch_sequences=8", *more)
        return training("tagger", out, *options)  # type: ignore[no-any-return]

    return command


@pytest.fixture
def stop_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Have Ctrl-C pressed in an epoch, once or twice; -1: never again."""
    step = TrainingModule.training_step

    def prepare(epoch: int, times: int = 1) -> None:
        def pressed(self: TrainingModule, batch: Any, batch_idx: int) -> Any:
            if self.current_epoch == epoch and batch_idx == 1:
                for _ in range(times):
                    signal.raise_signal(signal.SIGINT)
            return step(self, batch, batch_idx)

        monkeypatch.setattr(TrainingModule, "training_step", pressed)

    return prepare


@pytest.fixture(scope="session")
def whole(run: Any, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Weights of the run that nothing stopped."""
    out = tmp_path_factory.mktemp("whole") / "model"
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(run(out)) == 0
    return (out / WEIGHTS).read_bytes()


def test_a_run_that_was_killed_ends_in_the_weights_of_one_that_was_not(
    call: Any, start: Any, run: Any, tmp_path: Path, whole: bytes
) -> None:
    out = tmp_path / "model"
    with start(*run(out), program=KILL) as process:
        _, err = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL, err
    assert not out.exists()
    told = call(*run(out, "--resume"))
    assert told.status == 0
    assert (out / WEIGHTS).read_bytes() == whole
    rows = (out / "training.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["epoch", "1", "2", "3"]
    assert not out.with_name("model.training").exists()


def test_ctrl_c_keeps_the_best_model_and_a_resume_goes_on(
    call: Any, run: Any, tmp_path: Path, stop_in: Any, whole: bytes
) -> None:
    out = tmp_path / "model"
    before = signal.getsignal(signal.SIGINT)
    stop_in(2)
    told = call(*run(out, "--json"))
    assert told.status == 130
    assert told.err.startswith("birnn: interrupted after 2 epochs: ")
    assert told.err.count("\n") == 1
    scores = json.loads(told.out)
    assert (scores["interrupted"], scores["epochs"]) == (True, 2)
    assert Predictor.load(out).metrics["dev"] == scores["dev"]
    assert signal.getsignal(signal.SIGINT) == before
    # The run is not lost by starting it without --resume.
    assert "--resume" in call(*run(out)).complaint
    stop_in(-1)
    assert call(*run(out, "--resume")).status == 0
    assert (out / WEIGHTS).read_bytes() == whole


def test_ctrl_c_before_the_first_epoch_leaves_nothing_in_the_way(
    call: Any, run: Any, tmp_path: Path, stop_in: Any, whole: bytes
) -> None:
    out = tmp_path / "model"
    stop_in(0)
    told = call(*run(out))
    assert told.status == 130
    assert "interrupted" in told.complaint
    assert not out.exists()
    told = call(*run(out, "--resume"))
    assert told.status == 2
    assert "nothing to resume" in told.complaint
    stop_in(-1)
    assert call(*run(out)).status == 0
    assert (out / WEIGHTS).read_bytes() == whole


def test_a_second_ctrl_c_ends_at_once(
    call: Any, run: Any, tmp_path: Path, stop_in: Any, whole: bytes
) -> None:
    out = tmp_path / "model"
    before = signal.getsignal(signal.SIGINT)
    stop_in(2, times=2)
    told = call(*run(out))
    assert (told.status, told.complaint) == (130, "birnn: interrupted")
    assert signal.getsignal(signal.SIGINT) == before
    assert not out.exists()
    stop_in(-1)
    assert call(*run(out, "--resume")).status == 0
    assert (out / WEIGHTS).read_bytes() == whole


def test_sigint_of_the_system(start: Any, run: Any, tmp_path: Path) -> None:
    out = tmp_path / "model"
    # The run has no end but ours.
    endless = run(out, "--epochs", 100_000, "--set", "training.patience=100000")
    command = [word for word in endless if word != "--quiet"]
    with start(*command) as process:
        while not process.stderr.readline().startswith(b"epoch 1/"):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    *_, last = err.decode().splitlines()
    assert last.startswith("birnn: interrupted after ")
    assert b"Traceback" not in err
    assert Predictor.load(out).predict([["the", "dog"]])


@pytest.fixture
def stopped(call: Any, run: Any, tmp_path: Path, stop_in: Any) -> Path:
    """Where a run was stopped in its second epoch."""
    stop_in(1)
    assert call(*run(tmp_path / "model")).status == 130
    stop_in(-1)
    return tmp_path / "model"


def test_only_the_same_run_is_gone_on_with(
    call: Any, run: Any, write: Any, tmp_path: Path, stopped: Path
) -> None:
    data = write.tags(tmp_path / "data.tsv", seed=99)
    state = stopped.with_name("model.training")
    before = {path.name: path.read_bytes() for path in state.iterdir()}
    for more, said in (
        (["--set", "encoder.hidden_size=5"], "encoder.hidden_size was 4, now 5"),
        (["--seed", 2], "seed was 1, now 2"),
        (["--epochs", 9], "training.epochs was 3, now 9"),
        (["--train", data], "training data was another"),
        (["--dev", data], "dev data was another"),
    ):
        told = call(*run(stopped, "--resume", *more))
        assert told.status == 2
        assert said in told.complaint
        assert "--overwrite" in told.complaint
    assert {path.name: path.read_bytes() for path in state.iterdir()} == before
    told = call(*run(stopped, "--resume", "--overwrite"))
    assert told.status == 2
    assert told.complaint
    # What is scored at the end alone may change.
    assert call(*run(stopped, "--resume", "--test", data)).status == 0


def test_nothing_to_resume(call: Any, training: Any, tmp_path: Path, spoilt: Path) -> None:
    fresh = call(*training("tagger", tmp_path / "new", "--resume"))
    assert fresh.status == 2
    assert "holds no finished epoch" in fresh.complaint
    finished = call(*training("tagger", spoilt, "--resume"))
    assert finished.status == 2
    assert "holds a finished run" in finished.complaint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


def test_a_run_whose_bundle_could_not_be_written_is_not_lost(
    call: Any, run: Any, tmp_path: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device", str(tmp_path / "model"))

    with monkeypatch.context() as patch:
        patch.setattr("birnn.training.fit.save", full)
        told = call(*run(tmp_path / "model"))
    assert told.status == 1
    assert "No space left" in told.complaint
    assert call(*run(tmp_path / "model", "--resume")).status == 0
    assert (tmp_path / "model" / WEIGHTS).read_bytes() == whole
