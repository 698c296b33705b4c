"""Damaged data files, of every format: read or refused in one line; soon, and in little memory."""

from __future__ import annotations

import contextlib
import gzip
import importlib
import io
import json
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mutations import FEW, MANY, limits, mutations

from birnn.cli.main import main
from birnn.data import FORMATS, read
from birnn.errors import BirnnError
from birnn.tasks import TASKS

COUNTS = [FEW, pytest.param(MANY, marks=pytest.mark.fuzz)]
RUNS = [6, pytest.param(300, marks=pytest.mark.fuzz)]
TRAININGS = [1, pytest.param(40, marks=pytest.mark.fuzz)]

SMALL = (
    *(
        "--set",
        "encoder.hidden_size=3",
        "--set",
        "inputs.word_dim=3",
        "--set",
        "inputs.min_count=1",
    ),
    *("--set", "inputs.character_dim=2", "--set", "inputs.character_hidden=2"),
    *("--set", "inputs.surface_dim=2", "--set", "inputs.symbol_dim=3", "--epochs", "1"),
)


def archive(**arrays: Any) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def lines_of_json(*records: dict[str, Any]) -> bytes:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


UNIVERSAL = """\
# sent_id = 1
# text = Größe zählt
1\tGröße\tGröße\tNOUN\tNN\tNumber=Sing\t2\tnsubj\t_\t_
2\tzählt\tzählen\tVERB\tVVFIN\t_\t0\troot\t_\tSpaceAfter=No
3\t.\t.\tPUNCT\t$.\t_\t2\tpunct\t_\t_

# sent_id = 2
1-2\tdu\t_\t_\t_\t_\t_\t_\t_\t_
1\tde\tde\tADP\tIN\tA=b\t0\tcase\t_\t_
2\tle\tle\tDET\tDT\t_\t1\tdet\t_\t_
2.1\tvu\tvoir\tVERB\t_\t_\t_\t_\t0:root\t_

"""
NAMED = """\
-DOCSTART- -X- O

Anna NNP B-PER
Lee NNP I-PER
lives VBZ O
in IN O
Köln NNP B-LOC

"""
SERIES_TEXT = b"""\
@problemName x
@timeStamps false
@missing false
@univariate false
@dimensions 2
@classLabel true up down
@data
1,2.5,3:0,1,-7:up
-1,4:2,2:down
9:9:up
"""
TEXT = "Größe: Anna Lee \N{GRINNING FACE} lebt in Köln."


def docbin() -> bytes:
    """Two documents of spaCy, one with an entity."""
    tokens = pytest.importorskip("spacy.tokens")
    vocab = importlib.import_module("spacy").blank("xx").vocab
    doc = tokens.Doc(vocab, ["Anna", "Lee", "lebt", "."], [True, True, False, False])
    doc.ents = [tokens.Span(doc, 0, 2, "PER")]
    doc.cats = {"a": 1.0}
    return tokens.DocBin(docs=[doc, doc]).to_bytes()  # type: ignore[no-any-return]


SERIES = np.arange(24, dtype=float).reshape(12, 2) / 7

# by name of a case: the format, the task that it is trained for, its content
SAMPLES: dict[str, tuple[str, str, bytes]] = {
    "conllu": ("conllu", "tagger", (UNIVERSAL * 2).encode()),
    "conll": ("conll", "tagger", (NAMED * 3).encode()),
    "csv": ("csv", "classifier", 'text,label\n"so, so ""good""",pos\nschön,neg\n'.encode() * 1),
    "csv of values": ("csv", "regressor", b"text,a,b\ngood,1.5,2\nbad,-3e4,0\nso,0.25,1\n"),
    "tsv": ("tsv", "classifier", "label\ttext\npos\tsehr schön\nneg\tgo away\n".encode()),
    "csv of steps": (
        "csv",
        "classifier",
        b"id,time,x,y,label\n1,0,1.5,2,a\n1,1,2,3,a\n2,5,-1e2,2,b\n2,4,0,3,b\n3,0,1,1,a\n",
    ),
    "csv of rows of steps": (
        "csv",
        "regressor",
        b"id,t0,t1,t2,t3,y\nu,1,2,3.5,4,1\nv,2,1,,,2\nw,0,0,0,1e3,3\n",
    ),
    "series": ("series", "classifier", b"time,x,y\n0,1,2\n1,2,3\n2.5,1,7\n"),
    "jsonl": (
        "jsonl",
        "tagger",
        lines_of_json(
            {"tokens": ["Anna", "sings"], "tags": ["B-PER", "O"]},
            {"tokens": ["ja", "\N{GRINNING FACE}"], "tags": ["O", "O"]},
        ),
    ),
    "jsonl of texts": (
        "jsonl",
        "classifier",
        lines_of_json({"text": "so gut", "label": "pos"}, {"text": "weg", "label": 0}),
    ),
    "jsonl of vectors": (
        "jsonl",
        "regressor",
        lines_of_json(
            {"vectors": [[1.5, 2], [0, -3]], "values": [1, 2.5]},
            {"vectors": [[4, 5e-3]], "values": [0, -1]},
            {"vectors": [], "values": [0, 1]},
        ),
    ),
    "tsv of pairs": (
        "tsv",
        "seq2seq",
        "read\tR EH D\nread\tR IY D\nçà\tS AA\n\tX\nno\t\n".encode(),
    ),
    "jsonl of pairs": (
        "jsonl",
        "seq2seq",
        lines_of_json(
            {"source": "rôle", "target": "R OW L", "references": [["R", "AO", "L"]]},
            {"source": ["n", "o"], "target": ["N", "OW"]},
            {"source": "", "targets": ["", "X"]},
        ),
    ),
    "ts": (
        "ts",
        "classifier",
        SERIES_TEXT,
    ),
    "npz": (
        "npz",
        "classifier",
        archive(values=SERIES, lengths=[3, 0, 4, 5], labels=["up", "down", "up", "down"]),
    ),
    "npz of tags": ("npz", "tagger", archive(values=SERIES, lengths=[7, 5], tags=["a", "b"] * 6)),
    "npz of values": (
        "npz",
        "regressor",
        archive(values=SERIES, lengths=[3, 4, 5], targets=np.array([[0.5], [1], [2]])),
    ),
    "fasta": ("fasta", "tagger", b">p1 x\nMKVLA\nHHECC\n>p2\nGAV\nCCH\n>p3\nLLKM\nECHH\n"),
    "fasta of labels": ("fasta", "classifier", b">p1 in\nMKV\nLA\n>p2 out\nGG\n\n>p3 in\nAKL\n"),
    "3line": ("3line", "tagger", b">p1\nMKVLA\nHHECC\n>p2\nGAV\nCCH\n>p3\nLLKM\nECHH\n"),
    "doccano": (
        "doccano",
        "tagger",
        lines_of_json(
            {"id": 1, "text": TEXT, "label": [[7, 15, "PER"], [27, 31, "LOC"]]},
            {
                "text": TEXT,
                "entities": [{"label": "PER", "start_offset": 7, "end_offset": 11}],
                "relations": [{"from_id": 1}],
            },
        ),
    ),
    "doccano of labels": (
        "doccano",
        "classifier",
        lines_of_json({"text": "so gut", "label": ["pos"]}, {"text": "weg", "label": ["neg"]}),
    ),
    "prodigy": (
        "prodigy",
        "tagger",
        lines_of_json(
            {"text": TEXT, "spans": [{"start": 7, "end": 11, "label": "PER"}], "answer": "accept"},
            {
                "text": "Anna",
                "tokens": [{"text": "Anna", "start": 0, "end": 4, "id": 0}],
                "spans": [{"start": 0, "end": 4, "label": "PER"}],
            },
            {"text": "so", "spans": [], "answer": "reject"},
        ),
    ),
    "label-studio": (
        "label-studio",
        "tagger",
        json.dumps(
            [
                {
                    "id": number,
                    "data": {"text": TEXT},
                    "annotations": [
                        {
                            "result": [
                                {
                                    "type": "labels",
                                    "value": {"start": 7, "end": 11, "labels": ["PER"]},
                                }
                            ]
                        }
                    ],
                }
                for number in range(2)
            ],
            indent=1,
        ).encode(),
    ),
    "brat": ("brat", "tagger", "T1\tPER 7 15\tAnna Lee\nT2\tLOC 26 30\tKöln\n".encode()),
    "spacy": ("spacy", "tagger", docbin()),
    "fasttext": (
        "fasttext",
        "classifier",
        "__label__pos sehr schön\n__label__neg go away\n__label__pos so\n".encode(),
    ),
    "text": ("text", "classifier", "so good , really\n\nschön …\n".encode()),
}


# Texts with spans or labels become examples in one place, whatever the format: one of them is
# enough where models learn.
TRAINED = [
    name
    for name, (form, _, _) in SAMPLES.items()
    if form not in ("prodigy", "label-studio", "brat", "spacy", "fasttext", "series")
    and name not in ("doccano of labels", "csv of steps")
]


# ------------------------------------------------------------------ wounds of texts


def _lines(content: bytes) -> list[bytes]:
    return content.split(b"\n")


def _swap(draw: random.Random, parts: list[bytes]) -> list[bytes]:
    one, other = draw.randrange(len(parts)), draw.randrange(len(parts))
    parts[one], parts[other] = parts[other], parts[one]
    return parts


def swap_lines(draw: random.Random, content: bytes) -> bytes:
    return b"\n".join(_swap(draw, _lines(content)))


def swap_cells(draw: random.Random, content: bytes) -> bytes:
    lines = _lines(content)
    at = draw.randrange(len(lines))
    cell = draw.choice([b"\t", b",", b" ", b":"])
    lines[at] = cell.join(_swap(draw, lines[at].split(cell)))
    return b"\n".join(lines)


def drop_cell(draw: random.Random, content: bytes) -> bytes:
    lines = _lines(content)
    at = draw.randrange(len(lines))
    cell = draw.choice([b"\t", b",", b" ", b":"])
    cells = lines[at].split(cell)
    cells.pop(draw.randrange(len(cells)))
    lines[at] = cell.join(cells)
    return b"\n".join(lines)


def other_ends(draw: random.Random, content: bytes) -> bytes:
    return content.replace(
        b"\n", draw.choice([b"\r", b"\r\n", b"\n\n", b"\r\r\n", b"\x0b", b"\x85"])
    )


def other_delimiter(draw: random.Random, content: bytes) -> bytes:
    ends = [b"\t", b",", b" ", b";", b"|", b"  ", b"\xc2\xa0"]
    return content.replace(draw.choice(ends), draw.choice(ends))


def other_encoding(draw: random.Random, content: bytes) -> bytes:
    names = ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin1", "cp1252", "utf-7", "utf-8-sig"]
    return content.decode(errors="replace").encode(draw.choice(names), "replace")


def joined(draw: random.Random, content: bytes) -> bytes:
    return content + draw.choice(list(SAMPLES.values()))[2]


def long_line(draw: random.Random, content: bytes) -> bytes:
    lines = _lines(content)
    lines[draw.randrange(len(lines))] *= 5000
    return b"\n".join(lines)


TEXT_WOUNDS = (
    *(swap_lines, swap_cells, drop_cell, other_ends),
    *(other_delimiter, other_encoding, joined, long_line),
)


def damaged(name: str, count: int) -> Iterator[bytes]:
    """So many damaged copies of a sample: half by bytes, half by what a text is made of."""
    form, _, content = SAMPLES[name]
    draw = random.Random(name)
    for by_bytes in mutations(content, count, seed=len(content)):
        if form in ("npz", "spacy") or draw.random() < 0.5:
            yield by_bytes
        else:
            changed = draw.choice(TEXT_WOUNDS)(draw, content)
            # Lengthened twice, a file would have 450 MB, which those that are read whole take.
            yield draw.choice(TEXT_WOUNDS[:-1])(draw, changed) if draw.random() < 0.3 else changed


def ending(name: str) -> str:
    """The ending of a format's files; some formats are JSON lines, known by their keys."""
    form = FORMATS[SAMPLES[name][0]]
    return (*form.endings, "" if form.folder else ".jsonl")[0]


def put(path: Path, content: bytes) -> None:
    """Write a file, beside one of annotations the text that they are of; or a folder of tables."""
    if not path.suffix:
        for label in "ab":
            (path / label).mkdir(parents=True, exist_ok=True)
            (path / label / "1.csv").write_bytes(content)
        return
    path.write_bytes(content)
    if path.suffix == ".ann":
        path.with_suffix(".txt").write_text(TEXT)


# ------------------------------------------------------------------ tests


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: a disk takes longer to write than we to read."""
    memory = Path("/dev/shm")
    if not memory.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as name:
        yield Path(name)


@pytest.mark.parametrize("name", SAMPLES)
def test_the_samples_are_sound(name: str, tmp_path: Path) -> None:
    _, task, content = SAMPLES[name]
    path = tmp_path / f"a{ending(name)}"
    put(path, content)
    found = list(read(path, TASKS[task].target, labelled=ending(name) != ".txt"))
    assert len(found) > (0 if name == "brat" else 1)  # a file of BRAT is one text


def test_every_format_has_a_sample() -> None:
    assert {form for form, _, _ in SAMPLES.values()} == set(FORMATS)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", SAMPLES)
def test_damaged_files_are_read_or_refused(name: str, count: int, folder: Path) -> None:
    path = folder / f"a{ending(name)}"
    asked = [
        (target, labelled)
        for target in FORMATS[SAMPLES[name][0]].targets
        for labelled in (True, False)
    ]
    refused = 0
    for number, content in enumerate(damaged(name, count)):
        put(path, content)
        with limits(f"{name}, mutation {number}"):
            for target, labelled in asked:
                try:
                    for _ in read(path, target, labelled=labelled, labels="HEC", tell=_one_line):
                        pass
                except BirnnError as error:
                    _one_line(str(error))
                    refused += 1
    assert 0 < refused < count * len(asked)


def _one_line(message: str) -> None:
    assert 0 < len(message) < 1000
    assert "\n" not in message


@pytest.mark.parametrize("count", [20, pytest.param(2000, marks=pytest.mark.fuzz)])
@pytest.mark.parametrize("name", ["conll", "npz"])
def test_damaged_gzip_files_are_read_or_refused(name: str, count: int, folder: Path) -> None:
    path = folder / f"a{ending(name)}.gz"
    packed = gzip.compress(SAMPLES[name][2], mtime=0)
    for number, content in enumerate(mutations(packed, count, seed=5)):
        put(path, content)
        with limits(f"{name}.gz, mutation {number}"), contextlib.suppress(BirnnError):
            for _ in read(path, SAMPLES[name][1], tell=_one_line):
                pass


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A tiny model of each sample, trained once, when it is first asked for."""
    folder = tmp_path_factory.mktemp("bundles")

    def bundle(name: str) -> Path:
        # plain text is read by the model of the table
        name = "csv" if name == "text" else name
        place = folder / name.replace(" ", "-")
        if not place.exists():
            data = folder / f"{place.name}{ending(name)}"
            put(data, SAMPLES[name][2])
            status, told = run(
                *("train", SAMPLES[name][1], "--train", data, "--dev", data, "--out", place),
                *("--quiet", *SMALL),
            )
            assert status == 0, told
        return place

    return bundle


def run(*arguments: object) -> tuple[int, str]:
    """Status of a command, and what it told; a failure is told in one line."""
    out, told = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(told):
        status = main([str(argument) for argument in arguments])
    assert status in (0, 1, 2)
    assert "Traceback" not in told.getvalue()
    if status:
        assert told.getvalue().splitlines()[-1].startswith("birnn: ")
    return status, told.getvalue()


@pytest.mark.parametrize("count", RUNS)
@pytest.mark.parametrize("name", TRAINED)
def test_a_model_on_damaged_files(name: str, count: int, bundles: Any, tmp_path: Path) -> None:
    model = bundles(name)
    path = tmp_path / f"a{ending(name)}"
    for number, content in enumerate(damaged(name, count)):
        put(path, content)
        for command in ("evaluate", "predict"):
            with limits(f"{command} on {name}, mutation {number}"):
                run(command, model, path, "--json")


@pytest.mark.parametrize("count", TRAININGS)
@pytest.mark.parametrize("name", [name for name in TRAINED if name != "text"])
def test_training_on_damaged_files(name: str, count: int, tmp_path: Path) -> None:
    path = tmp_path / f"a{ending(name)}"
    whole = tmp_path / f"whole{ending(name)}"
    put(whole, SAMPLES[name][2])
    for number, content in enumerate(damaged(name, count)):
        put(path, content)
        out = tmp_path / f"model{number}"
        # The first training in a process imports torch, which takes longer than it may.
        with limits(f"train on {name}, mutation {number}", seconds=60):
            run("train", SAMPLES[name][1], "--train", path, "--dev", whole, "--out", out, *SMALL)
