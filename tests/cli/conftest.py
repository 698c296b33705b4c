"""The command line as a user meets it, on small data that the tests write."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from birnn.cli.main import main

SOURCE = Path(__file__).resolve().parents[2] / "src"
PROGRAM = "from birnn.cli.main import run; run()"

LEXICON = {
    "the": "DET",
    "a": "DET",
    "dog": "NOUN",
    "cat": "NOUN",
    "barks": "VERB",
    "runs": "VERB",
    "green": "ADJ",
}
SPANS = {"NOUN": "B-ANIMAL", "VERB": "B-ACT", "ADJ": "I-ANIMAL"}

# Small enough that an epoch takes a blink.
SMALL = (
    *("--set", "encoder.hidden_size=4", "--set", "inputs.word_dim=4"),
    *("--set", "inputs.character_dim=3", "--set", "inputs.character_hidden=3"),
    *("--set", "inputs.surface_dim=3"),
    *("--set", "inputs.min_count=1"),
)


FLAGS = ("--quiet", "--json", "--resume", "--overwrite")


@dataclass(frozen=True)
class Told:
    """What a command said and how it ended."""

    status: int
    out: str
    err: str

    @property
    def objects(self) -> list[Any]:
        """The JSON objects of the answer, a line each."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def complaint(self) -> str:
        """The one line that a mistake gets, and nothing else."""
        assert self.out == ""
        return self.fault

    @property
    def fault(self) -> str:
        """The one line that a mistake gets; what stands before it may be answered."""
        assert self.status in (1, 2, 130, 143), self
        assert "Traceback" not in self.err
        lines = self.err.splitlines()
        assert [line.startswith("birnn: ") for line in lines] == [True], self.err
        return lines[0]


Call = Callable[..., Told]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run a command in this process."""

    def run(*arguments: object, stdin: bytes | None = None) -> Told:
        if stdin is not None:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Told(status, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def small() -> tuple[str, ...]:
    """Options that make a model small."""
    return SMALL


@pytest.fixture(scope="session")
def start() -> Callable[..., subprocess.Popen[bytes]]:
    """Start a command in a process of its own."""
    return _start


def _start(
    *arguments: object,
    program: str = PROGRAM,
    stdin: Any = subprocess.DEVNULL,
    stdout: Any = subprocess.PIPE,
    stderr: Any = subprocess.PIPE,
) -> subprocess.Popen[bytes]:
    # As many threads as here: one seed gives one model for one number of them.
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program, *map(str, arguments)],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        env=environment,
    )


def write_tags(path: Path, *, seed: int, sequences: int = 30, spans: bool = False) -> Path:
    """A tagged file; the tag of a word is that of the lexicon."""
    draw = random.Random(seed)
    lines = []
    for _ in range(sequences):
        for word in draw.choices(list(LEXICON), k=draw.randint(1, 8)):
            tag = SPANS.get(LEXICON[word], "O") if spans else LEXICON[word]
            if tag.startswith("I-") and (not lines or "ANIMAL" not in lines[-1]):
                tag = "O"
            lines.append(f"{word}\t{tag}")
        lines.append("")
    path.write_text("\n".join(lines) + "\n")
    return path


def write_texts(path: Path, *, seed: int, rows: int = 30) -> Path:
    """A table of texts and labels: a text is positive where it says good."""
    draw = random.Random(seed)
    lines = ["text,label"]
    for _ in range(rows):
        words = draw.choices(list(LEXICON), k=draw.randint(0, 6))
        label = draw.choice(("pos", "neg"))
        lines.append(f"{' '.join([*words, 'good' if label == 'pos' else 'bad'])},{label}")
    path.write_text("\n".join(lines) + "\n")
    return path


def write_label_sets(path: Path, *, seed: int, rows: int = 30) -> Path:
    """A table of texts and the parts of speech that their words have, if any."""
    draw = random.Random(seed)
    lines = ["text,labels"]
    for _ in range(rows):
        words = draw.choices(list(LEXICON), k=draw.randint(0, 6))
        kinds = sorted({LEXICON[word] for word in words} - {"ADJ"})
        lines.append(f"{' '.join(words)},{'|'.join(kinds)}")
    path.write_text("\n".join(lines) + "\n")
    return path


def write_values(path: Path, *, rows: int = 20) -> Path:
    """A table of texts and two numbers each."""
    lines = [
        f'{{"text": "{"dog " * (i % 4)}runs", "values": [{i % 4}, {-i % 3}]}}' for i in range(rows)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def write_series(path: Path, *, seed: int, channels: int = 2, rows: int = 16) -> Path:
    """Series of vectors; those of label up have larger values."""
    draw = random.Random(seed)
    lines = ["@classLabel true up down", "@data"]
    for row in range(rows):
        label = ("up", "down")[row % 2]
        length = draw.randint(1, 6)
        series = [
            ",".join(f"{draw.gauss(2.0 if label == 'up' else -2.0, 1):.3f}" for _ in range(length))
            for _ in range(channels)
        ]
        lines.append(":".join([*series, label]))
    path.write_text("\n".join(lines) + "\n")
    return path


def write_residues(path: Path, *, rows: int = 20) -> Path:
    """Three-line records of residues and their tags."""
    draw = random.Random(rows)
    lines = []
    for row in range(rows):
        residues = "".join(draw.choices("ACD", k=draw.randint(1, 9)))
        lines += [f">{row}", residues, residues.translate(str.maketrans("ACD", "HEC"))]
    path.write_text("\n".join(lines) + "\n")
    return path


MadeOnce = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def files(made_once: MadeOnce) -> Path:
    """A folder of data that is as it should be."""
    return made_once("files", write_files)


def write_files(folder: Path) -> None:
    folder.mkdir()
    for name, seed, count in (("train", 1, 30), ("dev", 2, 8), ("test", 3, 8)):
        write_tags(folder / f"{name}.tsv", seed=seed, sequences=count)
        write_tags(folder / f"{name}.iob2", seed=seed, sequences=count, spans=True)
        write_texts(folder / f"{name}.csv", seed=seed, rows=count)
        write_label_sets(folder / f"{name}-labels.csv", seed=seed, rows=count)
        write_series(folder / f"{name}.ts", seed=seed, rows=count)
        write_values(folder / f"{name}.jsonl", rows=count)
        write_residues(folder / f"{name}.3line", rows=count)


@pytest.fixture(scope="session")
def write() -> SimpleNamespace:
    """What writes data files."""
    return SimpleNamespace(tags=write_tags, texts=write_texts, series=write_series)


KINDS = {
    "tagger": ("tagger", ".tsv", ()),
    "chain": ("tagger", ".iob2", ("--set", "encoder.num_layers=2")),
    "residues": ("tagger", ".3line", ("--set", "encoder.cell=gru")),
    "classifier": ("classifier", ".csv", ()),
    "series": ("classifier", ".ts", ("--set", "encoder.cell=rnn_tanh")),
    "multilabel": (
        "multilabel",
        "-labels.csv",
        (
            *("--set", "head.pooling=attention", "--set", "head.attention_score=linear"),
            *("--set", "head.hidden=[4]", "--set", "training.metric=macro_f1"),
        ),
    ),
    "regressor": ("regressor", ".jsonl", ()),
    **{
        f"pooling {name}": (
            "classifier",
            ".csv",
            ("--set", f"head.pooling={name}", "--set", "head.attention_size=3"),
        )
        for name in ("last", "max", "mean", "last+max+mean", "attention")
    },
}


@pytest.fixture(scope="session")
def training(files: Path) -> Callable[..., list[str]]:
    """The command that trains a small model of a kind."""

    def command(kind: str, out: Path, *more: object) -> list[str]:
        return last_of_each([*_training(kind, files, out), *map(str, more)])

    return command


def last_of_each(words: list[str]) -> list[str]:
    """A call where an option that is given again takes the place of the one before."""
    call, options = [], {}
    rest = iter(words)
    for word in rest:
        if not word.startswith("--") or word in FLAGS:
            call.append(word)
            continue
        value = next(rest)
        options[word, value.partition("=")[0] if word == "--set" else ""] = (word, value)
    return [*call, *(word for pair in options.values() for word in pair)]


def _training(kind: str, files: Path, out: Path) -> list[str]:
    task, ending, settings = KINDS[kind]
    return [
        *("train", task, "--train", f"{files}/train{ending}", "--dev", f"{files}/dev{ending}"),
        *("--out", str(out), "--epochs", "1", "--quiet", *SMALL, *settings),
    ]


@pytest.fixture(scope="session")
def trained(files: Path, made_once: MadeOnce) -> Callable[[str], Path]:
    """Bundles by their kind, each trained once, when it is first asked for; not to be changed."""

    def train(kind: str, place: Path) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            assert main(_training(kind, files, place)) == 0

    return lambda kind: made_once(f"bundle {kind}", partial(train, kind))


@pytest.fixture
def spoilt(trained: Callable[[str], Path], tmp_path: Path) -> Path:
    """A tagger's bundle that may be spoilt."""
    return Path(shutil.copytree(trained("tagger"), tmp_path / "model"))
