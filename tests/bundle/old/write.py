"""Writes the bundles of this folder and what the code that wrote them answered.

    python tests/bundle/old/write.py NAME ...                        train bundles
    python tests/bundle/old/write.py --answers ENGINE,... NAME ...   what it answers with them

For another commit than the one that is installed, put its ``src`` first on ``PYTHONPATH``.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import birnn
from birnn.cli.main import main

HERE = Path(__file__).resolve().parent
LEXICON = {
    "the": "DET", "a": "DET", "dog": "NOUN", "Café": "NOUN", "barks": "VERB", "runs": "VERB",
    "green": "ADJ", "1984": "NUM",
}  # fmt: skip
SMALL = (
    *("encoder.hidden_size=5", "inputs.word_dim=4", "inputs.character_dim=3"),
    *("inputs.character_hidden=3", "inputs.surface_dim=3", "inputs.min_count=1"),
    *("inputs.symbol_dim=4", "inputs.prefixes=[1,2]", "inputs.suffixes=[1,2]"),
    *(
        "head.attention_size=3",
        "training.learning_rate=0.02",
        "training.batch_rows=40",
        "training.patience=40",
        "dropout.inputs=0.1",
        "dropout.output=0.1",
    ),
)
# Task, ending of the data files, settings, and a sequence to explain.
CASES: dict[str, tuple[str, str, tuple[str, ...], str]] = {
    "tagger-crf": (
        "tagger",
        ".iob2",
        ("encoder.num_layers=2", "dropout.layers=0", "dropout.words=0", "dropout.rare_words=0"),
        "the dog barks",
    ),
    "tagger-symbols": ("tagger", ".3line", ("encoder.cell=gru",), "ACDDA"),
    "tagger-one-direction": ("tagger", ".tsv", ("encoder.bidirectional=false",), "the dog runs"),
    "classifier-attention": ("classifier", ".csv", ("head.pooling=attention",), "the good dog"),
    "classifier-vectors": ("classifier", ".ts", ("encoder.merge=sum",), "test.ts"),
    "regressor": ("regressor", ".jsonl", ("encoder.cell=rnn_tanh",), "dog dog runs"),
    "tagger-symbols-first-day": ("tagger", ".3line", (), "ACDDA"),
}


def data(ending: str, seed: int, count: int) -> str:
    """A labelled file."""
    draw = random.Random(seed)
    lines = []
    if ending == ".csv":
        lines.append("text,label")
    if ending == ".ts":
        lines += ["@classLabel true up down", "@data"]
    for row in range(count):
        words = draw.choices(list(LEXICON), k=draw.randint(1, 7))
        if ending == ".tsv":
            lines += [f"{word}\t{LEXICON[word]}" for word in words] + [""]
        elif ending == ".iob2":
            spans = {"NOUN": "B-ANIMAL", "VERB": "B-ACT"}
            lines += [f"{word}\t{spans.get(LEXICON[word], 'O')}" for word in words] + [""]
        elif ending == ".3line":
            residues = "".join(draw.choices("ACD", k=draw.randint(1, 9)))
            lines += [f">{row}", residues, residues.translate(str.maketrans("ACD", "HEC"))]
        elif ending == ".csv":
            label = draw.choice(("pos", "neg"))
            lines.append(f"{' '.join(words)} {'good' if label == 'pos' else 'bad'},{label}")
        elif ending == ".ts":
            # Far from zero, where float32 does not tell neighbours apart: an offset is learnt.
            up = row % 2
            length = draw.randint(2, 6)
            channels = [
                ",".join(f"{1.7e9 + draw.gauss(3.0 * up, 1):.3f}" for _ in range(length)),
                ",".join(f"{draw.gauss(-2.0 * up, 1):.3f}" for _ in range(length)),
            ]
            lines.append(":".join([*channels, ("up", "down")[up]]))
        else:
            text = f"{'dog ' * (row % 4)}runs"
            lines.append(json.dumps({"text": text, "values": [1.7e9 + row % 4, -(row % 3)]}))
    return "\n".join(lines) + "\n"


def train(name: str) -> None:
    """The bundle of a case, and beside it the labelled file that its answers are about."""
    task, ending, settings, _ = CASES[name]
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / f"test{ending}").write_text(data(ending, 5, 6), "utf-8")
    with tempfile.TemporaryDirectory() as place:
        files = []
        for option, seed, count in (("train", 1, 24), ("dev", 2, 8)):
            path = Path(place, option + ending)
            path.write_text(data(ending, seed, count), "utf-8")
            files += [f"--{option}", str(path)]
        chosen = [word for setting in (*SMALL, *settings) for word in ("--set", setting)]
        out = Path(place, "bundle")
        status = main(["train", task, *files, "--out", str(out), "--epochs", "40", *chosen])
        assert status == 0, name
        (folder / "bundle").mkdir()
        for file in out.iterdir():
            if file.suffix in (".json", ".safetensors"):
                shutil.copy(file, folder / "bundle")


def said(*arguments: str) -> Any:
    """The JSON object that a command answers with."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main([*arguments, "--json"]) == 0, arguments
    return json.loads(out.getvalue())


def in_hex(numbers: Any) -> list[str]:
    """The type of the numbers of an answer, and their bytes."""
    array = np.asarray(numbers)
    return [array.dtype.str, array.tobytes().hex()]


def answers(folder: Path, sequences: list[Any]) -> dict[str, Any]:
    """What the engine in use answers: by sequence, and the scores of the labelled file."""
    task, ending, _, _ = CASES[folder.name]
    model = birnn.load(folder / "bundle")
    found: dict[str, Any] = {}
    predicted = model.predict(sequences)
    if task == "regressor":
        found["values"] = [in_hex(each) for each in predicted]
    else:
        found["labels"] = [list(each) if task == "tagger" else each for each in predicted]
        found["probabilities"] = [in_hex(each) for each in model.predict_proba(sequences)]
    scores = model.evaluate(folder / f"test{ending}")
    timed = ("seconds", "tokens_per_second")
    return found | {"scores": {name: scores[name] for name in scores if name not in timed}}


def record(name: str, engines: list[str]) -> None:
    """What this birnn answers on some engines, and what it explains unless that is there."""
    folder = HERE / name
    _, ending, _, sequence = CASES[name]
    path = folder / "answers.json"
    if path.exists():
        known = json.loads(path.read_text())
    else:
        examples = birnn.load(folder / "bundle").read(folder / f"test{ending}")
        sequences = [np.asarray(example.inputs).tolist() for example in examples]
        asked = str(folder / sequence) if sequence.startswith("test.") else sequence
        explained = said("explain", str(folder / "bundle"), asked)
        known = {"sequences": sequences, "asked": sequence, "explain": explained, "engines": {}}
    for engine in engines:
        os.environ["BIRNN_ISA"] = engine
        known["engines"][engine] = answers(folder, known["sequences"])
    path.write_text(json.dumps(known) + "\n")


if __name__ == "__main__":
    if sys.argv[1] == "--answers":
        for given in sys.argv[3:]:
            record(given, sys.argv[2].split(","))
    else:
        for given in sys.argv[1:]:
            train(given)
