"""`birnn.accelerate` on a model that birnn did not write: Flair's SequenceTagger on WNUT17.

Trains it with torch's layers and with birnn's in turns, from one seed on the same batches, and
predicts the test set with both. Prints tokens in a second, and how far the losses are apart; fails
where one prediction differs.

    .venv-bench/bin/python benchmarks/accelerate_flair.py --data FOLDER
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

import birnn
import flair_tagger
from birnn.cli.printing import markdown
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

    def predicting(name: str, fast: bool) -> float:
        swapped = birnn.accelerate(tagger) if fast else birnn.decelerate(tagger)
        if name not in told:
            print(f"{name}: {swapped}", file=sys.stderr)
        speed = flair_tagger.predict(tagger, sentences)
        told[name] = flair_tagger.answers(sentences)
        return speed

    predicted = take(
        {"torch": lambda: predicting("torch", False), "birnn": lambda: predicting("birnn", True)},
        arguments.predict_rounds,
        work="prediction",
    )
    rows = [
        (work, *(f"{speeds[name]:,.0f}" for name in speeds), f"{gain(speeds):.2f}x")
        for work, speeds in (("training", trained), ("prediction", predicted))
    ]
    print(markdown(("Flair's SequenceTagger", "torch, tokens/s", "accelerated", "gain"), rows))
    pairs = list(zip(losses["torch"], losses["birnn"], strict=True))
    apart = max(abs(one - other) / abs(one) for one, other in pairs)
    print(f"\nLosses of {len(pairs)} batches are at most {apart:.1e} apart, as a share.")
    differing = sum(one != other for one, other in zip(told["torch"], told["birnn"], strict=True))
    spans = sum(map(len, told["torch"]))
    print(f"{differing} of {len(sentences)} sentences are labelled otherwise ({spans} spans).")
    sys.exit(1 if differing else 0)


def gain(speeds: dict[str, float]) -> float:
    """How many times as fast birnn is."""
    return speeds["birnn"] / speeds["torch"]


if __name__ == "__main__":
    main()
