"""Words masked in the Brown corpus: perplexity of one direction against two, and where time goes.

Splits the sentences of ``brown/raw.txt.gz`` by a fixed draw (a twentieth each for dev and test),
trains a filler in each way of reading with the same settings, and prints what each makes of the
same masked words of the test sentences as Markdown tables. Then the output layer is timed, forward
and backward, over all rows of a training batch and over the rows of its gaps.

    .venv/bin/python benchmarks/filler.py --data FOLDER --jobs 2
"""

from __future__ import annotations

import argparse
import gzip
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch

from birnn.cli.printing import print_tables
from birnn.data import Example
from birnn.nn.threads import own_threads
from birnn.report.parts import Table
from birnn.studies.compare import WAYS, compare
from birnn.training.recipe import Recipe

PARTS = 20  # one of so many sentences is for dev, one for test
ROUNDS = 9  # of a timing, whose median counts


def split(path: Path, sentences: int | None) -> tuple[list[Example], list[Example], list[Example]]:
    """Sentences for training, dev and test, in tokens as they stand in the file."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        every = [Example(tuple(line.split())) for line in file if line.strip()]
    order = np.random.default_rng(0).permutation(len(every)).tolist()
    held = len(every) // PARTS
    dev, test, train = order[:held], order[held : 2 * held], order[2 * held :]
    picked = ([every[i] for i in part] for part in (train[:sentences], dev, test))
    first, second, third = picked
    return first, second, third


def output_layer(width: int, words: int, sequences: int, steps: int, share: float) -> Table:
    """Milliseconds of the output layer of a batch, forward and backward, on one thread."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(width, words)
    rows = sequences * steps
    table = []
    for name, count in (("all rows", rows), ("rows of the gaps", round(share * rows))):
        x = torch.randn(count, width, requires_grad=True)
        right = torch.randint(words, (count,))
        taken = []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            torch.nn.functional.cross_entropy(layer(x), right).backward()
            taken.append(1000 * (time.perf_counter() - started))
        table.append([name, f"{count:,}", f"{statistics.median(taken):.1f}"])
    title = f"output layer, {width} x {words:,}, a batch of {sequences} sentences of {steps} words"
    return Table(["computed on", "rows", "ms forward and backward"], table, title)


def main() -> None:
    """Train, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sentences", type=int, help="for training; all that are left by default")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--hidden", type=int, default=128, help="units of each direction")
    parser.add_argument("--words", type=int, default=10_000, help="that gaps are filled with")
    parser.add_argument(
        "--punctuation", action="store_true", help="gaps in the place of punctuation, too"
    )
    parser.add_argument("--ways", nargs="+", default=["forward", "both"], choices=list(WAYS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--jobs", type=int, default=1, help="trainings side by side")
    parser.add_argument("--threads", type=int, default=1, help="threads of each")
    arguments = parser.parse_args()
    path = arguments.data / "brown" / "raw.txt.gz"
    if not path.is_file():
        parser.error(f"{path} is not here: name the folder of the data sets by --data")
    train, dev, test = split(path, arguments.sentences)
    settings = {
        "training.epochs": arguments.epochs,
        "training.batch_sequences": 64,
        "encoder.hidden_size": arguments.hidden,
        "inputs.word_dim": 128,
        "head.words": arguments.words,
        "head.punctuation": arguments.punctuation,
    }
    found = compare(
        "filler",
        train=train,
        dev=dev,
        test=test,
        recipe=Recipe.load("filler").with_settings(settings),
        ways=arguments.ways,
        seeds=arguments.seeds,
        jobs=arguments.jobs,
        threads=arguments.threads,
        tell=lambda line: print(line, file=sys.stderr, flush=True),
    )
    for trials in found.trials.values():
        asked, strange = (trials[0].scores[name] for name in ("gaps", "unknown_words"))
        print(f"{len(train):,} sentences; {asked:,} words asked for, {strange:,} of them no answer")
        break
    print_tables(found.tables(), as_markdown=True, titles=True)
    print("\n".join([*found.verdicts(), found.answer()]), end="\n\n")
    with own_threads(1):
        width = arguments.hidden * 2
        print_tables([output_layer(width, arguments.words, 64, 20, 0.15)], as_markdown=True)


if __name__ == "__main__":
    main()
