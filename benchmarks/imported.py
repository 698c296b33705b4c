"""Models that others trained and published, in their own code and as `birnn import` makes them.

    python benchmarks/imported.py [--only g2pm|sleepecg] [--inputs 100] [--rounds 7] [--threads 1]

Their packages are in requirements.txt, with their weights in them:

g2pM       Mandarin characters to pinyin (Park & Lee 2020): embedding, BiLSTM, ReLU, linear; NumPy.
           What it looks up beside the network, the readings of a character that has one and the
           marks of beginning and end, is done here around both.
SleepECG   sleep stages from heart rate features (Brunner & Hofer 2023): masking, batch
           normalisation, dense, two BiGRUs, softmax; Keras, on the backend that it chooses.

Each model answers the same inputs both ways. Whether all answers are the same, the largest
difference of scores, and the speed of both in turns, on as many threads, are printed.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pickle
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZipFile

THREADS = sys.argv[sys.argv.index("--threads") + 1] if "--threads" in sys.argv else "1"
# Before any library begins to count them.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), THREADS)

import numpy as np  # noqa: E402
import safetensors.numpy  # noqa: E402

import birnn  # noqa: E402
from birnn.studies.turns import Contestant, machine, take_turns  # noqa: E402

# Keras without a GPU goes through a night step by step, some milliseconds for each.
LONGEST_NIGHT = 120
TIMED_NIGHTS = 10


class Found(NamedTuple):
    """A model in both ways.

    Args:
        name: Its name.
        inputs: How many there are.
        steps: Steps of all that is timed.
        theirs: Answer and scores (T, L) of an input, by its own code.
        ours: The same by birnn.
        timed: Ways of running it, by name.
    """

    name: str
    inputs: int
    steps: int
    theirs: Callable[[int], tuple[Any, Any]]
    ours: Callable[[int], tuple[Any, Any]]
    timed: dict[str, Callable[[], Any]]


def g2pm(count: int, place: Path) -> Iterator[Found]:
    """g2pM and its import; sentences are drawn from its dictionary, some unknown to it."""
    code = importlib.import_module("g2pM.g2pM")

    folder = Path(code.__file__).parent
    # Its own pickles, which its own code reads likewise; birnn reads none.
    weights, items, labels = (
        pickle.loads((folder / f"{name}.pkl").read_bytes())
        for name in ("np_ckpt", "char2idx", "class2idx")
    )
    arrays = {name: np.ascontiguousarray(array) for name, array in weights.items()}
    safetensors.numpy.save_file(arrays, place / "g2pm.safetensors")
    model = birnn.import_model(
        place / "g2pm.safetensors",
        task="tagger",
        activation="relu",
        vocabulary=items,
        labels=labels,
    )
    own = code.G2pM()
    random = np.random.default_rng(1)
    pool = [*own.cedict] * 3 + ["?", "A", "b", "7", " ", "\N{SNOWMAN}"]
    texts = [
        "".join(random.choice(pool, size=length)) for length in random.integers(1, 60, size=count)
    ]
    marked = [[code.BOS_TOKEN, *text, code.EOS_TOKEN] for text in texts]

    def readings(text: str, tags: Sequence[str]) -> list[str]:
        """Pinyin of each character, of one that has several the network's."""
        known = [own.cedict.get(character, [character]) for character in text]
        return [tag if len(k) > 1 else k[0] for k, tag in zip(known, tags, strict=True)]

    def theirs(number: int) -> tuple[Any, Any]:
        ids = [own.char2idx.get(c, own.char2idx["<UNK>"]) for c in marked[number]]
        rows: list[Any] = []
        fc_layer, own.fc_layer = own.fc_layer, lambda x: rows.append(fc_layer(x)) or rows[0]
        own.predict(np.array([ids], np.int32), list(range(len(ids))))
        own.fc_layer = fc_layer
        return own(texts[number], char_split=True), rows[0]

    def ours(number: int) -> tuple[Any, Any]:
        tags = model.predict([marked[number]])[0]
        return readings(texts[number], tags[1:-1]), model.scores([marked[number]])[0]

    yield Found(
        "g2pM",
        len(texts),
        sum(map(len, texts)),
        theirs,
        ours,
        {
            "its own code": lambda: [own(text, char_split=True) for text in texts],
            "birnn, one by one": lambda: [
                readings(text, model.predict([given])[0][1:-1])
                for text, given in zip(texts, marked, strict=True)
            ],
            "birnn, all at once": lambda: [
                readings(text, tags[1:-1])
                for text, tags in zip(texts, model.predict(marked), strict=True)
            ],
        },
    )


def sleepecg(count: int, place: Path) -> Iterator[Found]:
    """The classifiers of SleepECG and their imports; features are drawn as its own are spread."""
    import sleepecg as package
    import torch

    torch.set_num_threads(int(THREADS))
    for archive in sorted((Path(package.__file__).parent / "classifiers").glob("*.zip")):
        yield _sleep_stager(archive, count, place)


def _sleep_stager(archive: Path, count: int, place: Path) -> Found:
    import torch
    from sleepecg import load_classifier
    from sleepecg.utils import _STAGE_NAMES

    classifier = load_classifier(archive.stem, "SleepECG")
    with ZipFile(archive) as held:
        (place / "classifier.keras").write_bytes(held.read("classifier.keras"))
    labels = ["UNDEFINED", *_STAGE_NAMES[classifier.stages_mode]]
    model = birnn.import_model(place / "classifier.keras", labels=labels)
    mean, scale = (model.bundle.tensors[f"inputs.{name}"] for name in ("mean", "scale"))
    random = np.random.default_rng(1)
    nights = []
    for length in random.integers(1, LONGEST_NIGHT, size=count):
        night = mean + scale * random.standard_normal((length, len(mean)))
        # Gaps, in which no beat was found: SleepECG gives them its mask value.
        night[random.random(length) < 0.03] = classifier.mask_value
        nights.append(night.astype(np.float32))
    real = [(night != classifier.mask_value).any(axis=1) for night in nights]

    def theirs(number: int) -> tuple[Any, Any]:
        found = classifier.model.predict(nights[number][None], verbose=0)[0]
        found = found[real[number]]
        return [labels[stage] for stage in found.argmax(-1)], found

    def ours(number: int) -> tuple[Any, Any]:
        night = nights[number][real[number]]
        return model.predict([night])[0], model.predict_proba([night])[0]

    def called() -> None:
        with torch.no_grad():
            for night in timed:
                classifier.model(night[None])

    timed = nights[:TIMED_NIGHTS]
    present = [night[there] for night, there in zip(timed, real, strict=False)]
    return Found(
        f"SleepECG {archive.stem}",
        len(nights),
        sum(map(len, present)),
        theirs,
        ours,
        {
            "its own code": lambda: [
                classifier.model.predict(night[None], verbose=0) for night in timed
            ],
            "Keras' call, no predict": called,
            "birnn, one by one": lambda: [model.predict_proba([x]) for x in present],
            "birnn, all at once": lambda: model.predict_proba(present),
        },
    )


def compared(found: Found) -> dict[str, Any]:
    """Whether all answers are the same, and how far scores are apart."""
    same, apart = 0, 0.0
    for number in range(found.inputs):
        (theirs, scores), (ours, own) = found.theirs(number), found.ours(number)
        same += theirs == ours
        if len(own):
            apart = max(apart, float(np.abs(scores - own).max()))
    return {"inputs": found.inputs, "same": same, "apart": apart}


def measured(found: Found, rounds: int) -> dict[str, float]:
    """Steps in a second of each way, by the median time over rounds in turns."""
    contestants = {name: Contestant(run) for name, run in found.timed.items()}
    for number in range(rounds):
        take_turns(list(contestants.values()), number)
    return {name: found.steps / each.seconds for name, each in contestants.items()}


def main() -> None:
    """Print all that was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    models = {"g2pm": g2pm, "sleepecg": sleepecg}
    parser.add_argument("--only", choices=models)
    parser.add_argument("--inputs", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    birnn.set_num_threads(arguments.threads)
    told: dict[str, Any] = {"machine": machine(), "threads": arguments.threads}
    with tempfile.TemporaryDirectory() as folder:
        for name, make in models.items():
            if arguments.only not in (None, name):
                continue
            for found in make(arguments.inputs, Path(folder)):
                told[found.name] = compared(found) | {"speed": measured(found, arguments.rounds)}
                if not arguments.json:
                    _print(found.name, told[found.name])
    if arguments.json:
        print(json.dumps(told))
    else:
        print(", ".join(told["machine"].values()), f"threads {arguments.threads}", sep=", ")
    results = [each for each in told.values() if isinstance(each, dict) and "same" in each]
    if any(each["same"] < each["inputs"] for each in results):
        raise SystemExit("some answers differ")


def _print(name: str, found: dict[str, Any]) -> None:
    print(f"{name}: {found['same']} of {found['inputs']} answers the same, ", end="")
    print(f"scores at most {found['apart']:.1e} apart")
    slowest = found["speed"]["its own code"]
    for way, speed in found["speed"].items():
        print(f"  {way:<24} {speed:>12,.0f} steps/s {speed / slowest:>7.1f}x")


if __name__ == "__main__":
    main()
