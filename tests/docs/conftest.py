"""The files that the pages speak of, small, of embedded and of drawn data."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from pathlib import Path

import pytest

from birnn.data import Example
from birnn.demos import senses

SIZES = {"train": 90, "dev": 20, "test": 20}
NAMES = ("Ada Lovelace", "Grace Hopper", "Alan Turing", "Emmy Noether")
PLACES = ("London", "New York", "Manchester", "Erlangen")
TOPICS = {"fire": ("smoke", "flame"), "music": ("guitar", "song"), "water": ("river", "rain")}
GOOD, BAD = ("lovely", "sharp", "warm"), ("dull", "loud", "flat")


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train, dev and test files of each format; not to be changed."""
    folder = tmp_path_factory.mktemp("files")
    for number, (name, count) in enumerate(SIZES.items(), start=1):
        draw = random.Random(number)
        cases = [case.example for case in senses.generate(count, number)]
        _write(folder / f"{name}.conllu", map(_conllu, cases))
        _write(folder / f"{name}.iob2", (_names(draw) for _ in range(count)))
        _write(folder / f"{name}.tsv", (_pronounced(draw) for _ in range(count)))
        _write(folder / f"{name}.csv", ["text,label", *(_review(draw) for _ in range(count))])
        _write(
            folder / f"{name}-topics.csv", ["text,labels", *(_topics(draw) for _ in range(count))]
        )
        _write(folder / f"{name}.jsonl", (_rating(draw) for _ in range(count)))
        _write(folder / f"{name}.3line", (_protein(draw, n) for n in range(count)))
        _write(
            folder / f"{name}.ts",
            ["@classLabel true calm busy", "@data", *(_series(draw) for _ in range(count))],
        )
    return folder


def _write(path: Path, lines: Iterable[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _conllu(example: Example) -> str:
    assert isinstance(example.target, tuple)
    pairs = enumerate(zip(example.inputs, example.target, strict=True), start=1)
    rows = [f"{n}\t{token}\t_\t{tag}\t_\t_\t_\t_\t_\t_" for n, (token, tag) in pairs]
    return "\n".join([*rows, ""])


def _names(draw: random.Random) -> str:
    person, place = draw.choice(NAMES).split(), draw.choice(PLACES).split()
    words = [*person, "lived", "in", *place, "."]
    tags = [
        *(f"{'B' if n == 0 else 'I'}-PER" for n in range(len(person))),
        *("O", "O"),
        *(f"{'B' if n == 0 else 'I'}-LOC" for n in range(len(place))),
        "O",
    ]
    return "\n".join([*(f"{w}\t{t}" for w, t in zip(words, tags, strict=True)), ""])


def _review(draw: random.Random) -> str:
    label = draw.choice(("good", "bad"))
    word = draw.choice(GOOD if label == "good" else BAD)
    other = draw.choice(BAD if label == "good" else GOOD)
    return f"I expected it to be {other} but it was {word},{label}"


def _topics(draw: random.Random) -> str:
    topics = [topic for topic in TOPICS if draw.random() < 0.4]
    words = [f"the {draw.choice(TOPICS[topic])} was {draw.choice(BAD)}" for topic in topics]
    return f"{' and '.join(words) or 'it was late'},{'|'.join(topics)}"


def _rating(draw: random.Random) -> str:
    word = draw.choice((*GOOD, *BAD))
    return json.dumps({"text": f"it was {word}", "values": [5.0 if word in GOOD else 1.0]})


def _pronounced(draw: random.Random) -> str:
    """A word and its phonemes: c is soft before e and i, a final e is silent and changes a."""
    word = "".join(
        draw.choice("bcdst") + draw.choice("aei") for _ in range(draw.randint(1, 3))
    ) + draw.choice(("", "t", "te"))
    phonemes = []
    for letter, following in zip(word, [*word[1:], "", ""], strict=False):
        if letter == "c":
            phonemes.append("S" if following in ("e", "i") else "K")
        elif letter == "a":
            phonemes.append("EY1" if word.endswith("te") else "AE1")
        elif letter != "e" or following:
            phonemes.append({"e": "EH1", "i": "IH1"}.get(letter, letter.upper()))
    return f"{word}\t{' '.join(phonemes)}"


def _protein(draw: random.Random, number: int) -> str:
    residues = "".join(draw.choices("AGLKP", k=draw.randint(8, 20)))
    tags = residues.translate(str.maketrans("AGLKP", "HCHEC"))
    return f">protein-{number}\n{residues}\n{tags}"


def _series(draw: random.Random) -> str:
    label = draw.choice(("calm", "busy"))
    length, scale = draw.randint(5, 12), 0.3 if label == "calm" else 2.0
    channels = [",".join(f"{draw.gauss(0, scale):.3f}" for _ in range(length)) for _ in range(2)]
    return ":".join([*channels, label])
