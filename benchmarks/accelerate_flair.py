"""`birnn.accelerate` on a model that birnn did not write: Flair's SequenceTagger on WNUT17.

Trains it with torch's layers and with birnn's in turns, from one seed on the same batches, and
predicts the test set with both, and with birnn's in bfloat16 and int8. Prints tokens in a second,
how far the losses are apart, and the F1 of each; fails where one prediction in float32 differs.

    .venv-bench/bin/python benchmarks/accelerate_flair.py --data FOLDER
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable
from pathlib import Path

import torch

import birnn
import flair_tagger
from birnn.cli.printing import markdown
from birnn.reference.low_precision import PRECISIONS, Precision
from turns import take


def main() -> None:
    """Train, predict, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--rounds", type=int, default=3, help="epochs of training of each")
    parser.add_argument("--epochs", type=int, default=5, help="of the tagger that predicts")
    parser.add_argument("--predict-rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sentences", type=int, default=None, help="of each file, for a try")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    corpus = flair_tagger.read(arguments.data / "wnut17", arguments.sentences)
    losses: dict[str, list[float]] = {}

    def training(name: str, fast: bool) -> float:
        tagger = flair_tagger.build(corpus)
        if fast:
            assert birnn.accelerate(tagger).swapped
        speed, watch = flair_tagger.train(tagger, corpus)
        losses[name] = watch.losses
        return speed

    trained = take(
        {"torch": lambda: training("torch", False), "birnn": lambda: training("birnn", True)},
        arguments.rounds,
        work="training",
    )
    tagger = flair_tagger.build(corpus)
    birnn.accelerate(tagger)
    flair_tagger.train(tagger, corpus, epochs=arguments.epochs)
    sentences = list(corpus.test)
    told: dict[str, list[list[tuple[str, str]]]] = {}

    def predicting(name: str, precision: Precision | None) -> float:
        swapped = birnn.decelerate(tagger)
        if precision is not None:
            swapped = birnn.accelerate(tagger, precision)
        if name not in told:
            print(f"{name}: {swapped}", file=sys.stderr)
        speed = flair_tagger.predict(tagger, sentences)
        told[name] = flair_tagger.answers(sentences)
        return speed

    runs: dict[str, Callable[[], float]] = {"torch": lambda: predicting("torch", None)}
    for precision in PRECISIONS:
        name = "birnn" if precision == "float32" else precision
        runs[name] = functools.partial(predicting, name, precision)
    predicted = take(runs, arguments.predict_rounds, work="prediction")
    rows = [
        (work, f"{speeds['torch']:,.0f}", f"{speeds[name]:,.0f}", f"{gain(speeds, name):.2f}x")
        for work, speeds, name in (
            ("training", trained, "birnn"),
            ("prediction", predicted, "birnn"),
            *((f"prediction, {name}", predicted, name) for name in PRECISIONS[1:]),
        )
    ]
    print(markdown(("Flair's SequenceTagger", "torch, tokens/s", "accelerated", "gain"), rows))
    pairs = list(zip(losses["torch"], losses["birnn"], strict=True))
    apart = max(abs(one - other) / abs(one) for one, other in pairs)
    print(f"\nLosses of {len(pairs)} batches are at most {apart:.1e} apart, as a share.\n")
    found = {name: differing(told["torch"], answers) for name, answers in told.items()}
    gold = flair_tagger.gold(sentences)
    print(
        markdown(
            ("layers", "F1", f"of {len(sentences)} sentences labelled otherwise"),
            [(name, f"{100 * f1(gold, told[name]):.2f}", str(found[name])) for name in told],
        )
    )
    sys.exit(1 if found["birnn"] else 0)


def gain(speeds: dict[str, float], name: str) -> float:
    """How many times as fast birnn is."""
    return speeds[name] / speeds["torch"]


Answers = list[list[tuple[str, str]]]


def differing(one: Answers, other: Answers) -> int:
    """In how many sentences two taggers differ."""
    return sum(mine != yours for mine, yours in zip(one, other, strict=True))


def f1(gold: Answers, answers: Answers) -> float:
    """F1 of spans, all labels together."""
    right = sum(len(set(mine) & set(yours)) for mine, yours in zip(gold, answers, strict=True))
    return 2 * right / max(1, sum(map(len, gold)) + sum(map(len, answers)))


if __name__ == "__main__":
    main()
