"""Runs that were stopped: by Ctrl-C, by kill -9; and going on with them."""

from __future__ import annotations

import contextlib
import io
import json
import random
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from birnn.cli.main import main
from birnn.runtime import Predictor
from birnn.training.module import TrainingModule
from grids import sampled

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

STARTED = """
import sys
import birnn.training.fit
from birnn.cli.main import main
print("started", flush=True)
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
def stop_in(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have Ctrl-C pressed in an epoch, once or twice; -1: never again."""
    step = TrainingModule.training_step

    def prepare(epoch: int, times: int = 1, number: int = signal.SIGINT) -> None:
        def pressed(self: TrainingModule, batch: Any, batch_idx: int) -> Any:
            if self.current_epoch == epoch and batch_idx == 1:
                for _ in range(times):
                    signal.raise_signal(number)
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


@pytest.mark.slow  # tests/training kills one without a command line
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


@pytest.mark.parametrize(
    ("number", "status", "said"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_a_signal_keeps_the_best_model_and_a_resume_goes_on(
    call: Any,
    run: Any,
    tmp_path: Path,
    stop_in: Any,
    whole: bytes,
    number: int,
    status: int,
    said: str,
) -> None:
    out = tmp_path / "model"
    before = signal.getsignal(number)
    stop_in(2, number=number)
    told = call(*run(out, "--json"))
    assert told.status == status
    assert told.err.startswith(f"birnn: {said} after 2 epochs: ")
    assert told.err.count("\n") == 1
    scores = json.loads(told.out)
    assert (scores["interrupted"], scores["epochs"]) == (True, 2)
    assert Predictor.load(out).metrics["dev"] == scores["dev"]
    assert signal.getsignal(number) == before
    # The run is not lost by starting it without --resume.
    assert "--resume" in call(*run(out)).complaint
    stop_in(-1)
    assert call(*run(out, "--resume")).status == 0
    assert (out / WEIGHTS).read_bytes() == whole


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_before_the_first_epoch_leaves_nothing_in_the_way(
    call: Any, run: Any, tmp_path: Path, stop_in: Any, whole: bytes, number: int, status: int
) -> None:
    out = tmp_path / "model"
    stop_in(0, number=number)
    told = call(*run(out))
    assert told.status == status
    assert "before the first epoch was scored" in told.complaint
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


@pytest.mark.slow  # test_train.py sends such a signal, and the test above both in this process
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
    call: Any, run: Any, write: Any, files: Path, tmp_path: Path, stopped: Path
) -> None:
    data = write.tags(tmp_path / "data.tsv", seed=99)
    state = stopped.with_name("model.training")
    before = {path.name: path.read_bytes() for path in state.iterdir()}
    for more, said in (
        (["--set", "encoder.hidden_size=5"], "encoder.hidden_size was 4, now 5"),
        (["--seed", 2], "seed was 1, now 2"),
        (["--epochs", 9], "training.epochs was 3, now 9"),
        (["--train", data], f"the training data was another (it was {files}/train.tsv)"),
        (["--dev", data], f"the dev data was another (it was {files}/dev.tsv)"),
    ):
        told = call(*run(stopped, "--resume", *more))
        assert told.status == 2
        assert said in told.complaint
        assert "vectors" not in told.complaint
        assert "--overwrite" in told.complaint
    assert {path.name: path.read_bytes() for path in state.iterdir()} == before
    told = call(*run(stopped, "--resume", "--overwrite"))
    assert told.status == 2
    assert told.complaint
    # What is scored at the end alone may change.
    assert call(*run(stopped, "--resume", "--test", data)).status == 0


def test_a_file_that_has_changed_is_named(
    call: Any, training: Any, write: Any, tmp_path: Path, stop_in: Any
) -> None:
    data, dev = write.texts(tmp_path / "a.csv", seed=1), write.texts(tmp_path / "b.csv", seed=2)
    vectors = tmp_path / "words.vec"
    vectors.write_text("dog 1 2\ncat 3 4\n")
    # Class ratios and pretrained vectors start from the data: neither is to blame for it.
    out = tmp_path / "model"
    how = ("--train", data, "--dev", dev, "--epochs", EPOCHS, "--vectors", vectors)
    command = training("classifier", out, *how, "--set", "training.batch_sequences=8")
    stop_in(1)
    assert call(*command).status == 130
    stop_in(-1)
    for path, change, said in (
        (data, lambda: write.texts(data, seed=3), "the training data was another"),
        (dev, lambda: write.texts(dev, seed=4), "the dev data was another"),
        (
            vectors,
            lambda: vectors.write_text("dog 1 2\ncat 3 5\n"),
            "the pretrained vectors were others",
        ),
    ):
        before = path.read_bytes()
        change()
        told = call(*command, "--resume")
        assert told.status == 2
        assert f"{said} ({path} has changed)" in told.complaint
        assert told.complaint.count("has changed") == 1
        path.write_bytes(before)
    assert call(*command, "--resume").status == 0


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


# ---------------------------------------------------------------------- damaged states


def flipped(content: bytes, draw: random.Random) -> bytes:
    place = draw.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << draw.randrange(8)]) + content[place + 1 :]


def zeroed(content: bytes, draw: random.Random) -> bytes:
    place = draw.randrange(len(content))
    size = min(512, len(content) - place)
    return content[:place] + bytes(size) + content[place + size :]


def cut(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randrange(len(content))]


def foreign(content: bytes, draw: random.Random) -> bytes:
    return draw.choice([b"", b"{}", b"epoch,loss\n1,x\n", draw.randbytes(300)])


@pytest.mark.parametrize("damage", sampled([flipped, zeroed, cut, foreign, None], [flipped, None]))
@pytest.mark.parametrize("name", ["last.ckpt", "best.ckpt", "run.json", "training.csv"])
def test_a_damaged_state_is_refused_or_ends_in_the_same_weights(
    call: Any, run: Any, tmp_path: Path, stopped: Path, whole: bytes, name: str, damage: Any
) -> None:
    state, kept = stopped.with_name("model.training"), tmp_path / "kept"
    shutil.copytree(state, kept)
    shutil.rmtree(stopped)
    draw = random.Random(f"{name} {damage and damage.__name__}")
    for _ in range(3 if damage else 1):
        shutil.rmtree(state, ignore_errors=True)
        shutil.copytree(kept, state)
        shutil.rmtree(stopped, ignore_errors=True)
        path = state / name
        before = path.read_bytes()
        if damage is None:
            path.unlink()
        else:
            path.write_bytes(damage(before, draw))
        told = call(*run(stopped, "--resume"))
        if told.status == 0:
            # The log is written again from the state.
            assert name == "training.csv" or path.read_bytes() == before
            assert (stopped / WEIGHTS).read_bytes() == whole
            rows = (stopped / "training.csv").read_text().splitlines()
            assert [row.split(",")[0] for row in rows] == ["epoch", "1", "2", "3"]
            continue
        assert name in told.complaint
        assert "start anew" in told.complaint.lower()
        assert not stopped.exists()
    # What is said to help does.
    if damage is None:
        assert call(*run(stopped, "--overwrite")).status == 0
        assert (stopped / WEIGHTS).read_bytes() == whole


# ---------------------------------------------------------------------- kills at any moment


@pytest.mark.slow
def test_runs_killed_at_any_moment_end_in_the_weights_of_one_that_was_not(
    call: Any, start: Any, run: Any, tmp_path: Path, whole: bytes
) -> None:
    """Each run is killed again and again, at moments that are drawn, until it is done."""
    draw, kills = random.Random(133), 0
    for number in range(5):
        out = tmp_path / f"model{number}"
        more: tuple[str, ...] = ()
        while kills < 12:
            with start(*run(out, *more), program=STARTED) as process:
                process.stdout.readline()
                try:
                    process.wait(timeout=draw.uniform(0.0, 1.0))
                    killed = False
                except subprocess.TimeoutExpired:
                    process.kill()
                    killed = True
                err = process.stderr.read().decode()
                process.wait()
            if not killed:
                assert process.returncode == 0, err
                break
            kills += 1
            # A kill never leaves half a bundle, nor a state that nothing helps against.
            assert not out.exists() or Predictor.load(out)
            state = out.with_name(f"{out.name}.training")
            more = ("--resume",) if (state / "last.ckpt").exists() else ()
            if out.exists() and not state.exists():
                break  # killed after its end
        else:
            assert call(*run(out, *more)).status == 0
        assert (out / WEIGHTS).read_bytes() == whole
        assert not out.with_name(f"{out.name}.training").exists()
    assert kills >= 6, kills
