"""`birnn train`: going on with a model; two at once, full disks, signals, closed streams."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from birnn.runtime import Predictor
from grids import sampled

ENDLESS = ("--epochs", 100_000, "--set", "training.patience=100000")


@pytest.fixture
def at_work(start: Any, training: Any, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A training without an end, past its first epoch, into ``tmp_path / "model"``."""
    command = training("tagger", tmp_path / "model", *ENDLESS)
    with start(*(word for word in command if word != "--quiet")) as process:
        while not process.stderr.readline().startswith(b"epoch 1/"):
            assert process.poll() is None
        yield process
        if process.poll() is None:
            process.kill()


@pytest.mark.slow  # test_workspace.py has the lock, test_resume.py the signal in this process
def test_a_second_training_into_one_place_is_refused_and_sigterm_ends_the_first_in_order(
    call: Any, training: Any, tmp_path: Path, at_work: subprocess.Popen[bytes]
) -> None:
    out = tmp_path / "model"
    for how in ((), ("--overwrite",), ("--resume",)):
        told = call(*training("tagger", out, *how))
        assert told.status == 1
        assert f"another training is at work in {out}.training" in told.complaint
    assert at_work.poll() is None
    at_work.send_signal(signal.SIGTERM)
    _, err = at_work.communicate(timeout=120)
    assert at_work.returncode == 143
    *_, last = err.decode().splitlines()
    assert last.startswith("birnn: terminated after ")
    assert last.endswith("--resume goes on")
    assert b"Traceback" not in err
    assert Predictor.load(out).predict([["the", "dog"]])
    # The lock went with the process, the state did not.
    told = call(*training("tagger", out, "--resume", "--epochs", 2))
    assert "training.epochs was 100000, now 2" in told.complaint


LIMITED = """
import resource, sys
limit = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
from birnn.cli.main import run
run()
"""


@pytest.mark.slow  # test_checkpoints.py fills a disk in this process
def test_a_disk_that_is_full_inside_a_checkpoint_is_one_line(
    call: Any, start: Any, training: Any, tmp_path: Path
) -> None:
    whole = training("tagger", tmp_path / "whole", "--epochs", 2)
    assert call(*whole).status == 0
    out = tmp_path / "model"
    with start(10_000, *training("tagger", out, "--epochs", 2), program=LIMITED) as process:
        _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    [line] = err.decode().splitlines()
    assert line.startswith(f"birnn: {out}.training/best.ckpt: cannot be written: File too large.")
    assert not out.exists()
    assert call(*training("tagger", out, "--epochs", 2)).status == 0
    name = "model.safetensors"
    assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.slow  # tests/training has progress that nobody can read in this process
@pytest.mark.parametrize("closed", [False, True])
def test_training_goes_on_where_nobody_reads_standard_error(
    training: Any, tmp_path: Path, closed: bool
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [word for word in training("tagger", tmp_path / "model") if word != "--quiet"]
    done = subprocess.run(
        [sys.executable, "-c", "from birnn.cli.main import run; run()", *command],
        stdout=subprocess.PIPE,
        stderr=writing,
        check=False,
        timeout=120,
        preexec_fn=(lambda: os.close(2)) if closed else None,
    )
    os.close(writing)
    assert done.returncode == 0
    assert b"model in" in done.stdout
    assert Predictor.load(tmp_path / "model").predict([["the", "dog"]])


# ---------------------------------------------------------------------- Ctrl-C while Python imports

IMPORTING = """
import os, signal, sys
place, number = sys.argv[1], int(sys.argv[2])
del sys.argv[1:3]
import builtins
importing = builtins.__import__

def pressed(name, *rest):
    if name == place or name.startswith(place + "."):
        builtins.__import__ = importing
        sys.meta_path.insert(0, Presser())
    return importing(name, *rest)

class Presser:
    # In the middle of the import, as Ctrl-C would be.
    def find_spec(self, name, path, target=None):
        sys.meta_path.remove(self)
        os.kill(os.getpid(), number)

from birnn.cli.main import run
builtins.__import__ = pressed
run()
"""


@pytest.mark.parametrize(
    ("place", "number", "said"),
    sampled(
        [
            (place, number, said)
            for place in ("typer", "birnn.cli.tree", "torch", "lightning")
            for number, said in ((signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated"))
        ],
        lambda case: case[:2] in (("typer", signal.SIGTERM), ("torch", signal.SIGINT)),
    ),
)
def test_a_signal_while_python_imports_is_one_line(
    start: Any, training: Any, tmp_path: Path, place: str, number: int, said: str
) -> None:
    command = training("tagger", tmp_path / "model")
    with start(place, int(number), *command, program=IMPORTING) as process:
        out, err = process.communicate(timeout=120)
    assert process.returncode == 128 + number
    assert (out, err) == (b"", f"birnn: {said}\n".encode())
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_ctrl_c_at_any_moment_of_the_start_is_one_line(
    start: Callable[..., subprocess.Popen[bytes]], training: Any, tmp_path: Path
) -> None:
    command = training("tagger", tmp_path / "model", *ENDLESS)
    program = "from birnn.cli.main import run; print('!', flush=True); run()"
    for step in range(16):
        with start(*command, program=program) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(0.2 * step)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=120)
        assert process.returncode == 130, err
        assert err.startswith(b"birnn: interrupted"), err
        assert err.count(b"\n") == 1, err


def test_a_model_is_trained_further(
    call: Any, trained: Any, training: Any, files: Path, tmp_path: Path
) -> None:
    first, new = trained("tagger"), tmp_path / "new.tsv"
    new.write_text((files / "train.tsv").read_text() + "neu\tNEW\n\n")
    out = tmp_path / "out"
    further = ["train", "--from", first, "--train", new, "--out", out, "--epochs", 1]
    told = call(*further, "--freeze", "encoder", "--json")
    assert told.status == 0
    assert told.objects[0]["model"] == str(out)
    assert f"labels that {first} did not know, added: NEW (1)" in told.err
    model = Predictor.load(out)
    assert model.labels == (*Predictor.load(first).labels, "NEW")
    assert model.metadata["start"]["frozen"] == ["encoder"]
    for changed, said in (
        (["--set", "encoder.hidden_size=5"], "encoder.hidden_size is 5"),
        (["--freeze", "head"], "encoder, inputs"),
    ):
        call_again = [*further[:-2], *changed, "--overwrite"]
        assert said in call(*call_again).complaint
    missing = ["train", "--from", tmp_path / "none", *further[3:]]
    assert "no such folder" in call(*missing, "--overwrite").complaint
    assert "a classifier cannot start" in call(*further, "classifier", "--overwrite").complaint
    same = ["train", "--from", out, "--train", new, "--out", out, "--overwrite"]
    assert "another --out" in call(*same).complaint
    assert "--from" in call(*further[:1], *further[3:], "--freeze", "inputs", "tagger").complaint
