"""`birnn.accelerate` on a model that birnn did not write: Stanza's part-of-speech tagger.

Its tagger (two highway BiLSTM layers of 200, a character LSTM of 400) without pretrained vectors,
so that nothing is downloaded, on UD English LinES; with its default heads, whose biaffine scorers
take most of the time, and with the lighter ones of its option ``--share_hid``. Trains some steps
with torch's layers and with birnn's in turns, from one seed on the same batches, and tags a part
of the test set with both. Prints words in a second, and how far the losses are apart; ends with
status 1 where one tag differs.

    .venv-bench/bin/python benchmarks/accelerate_stanza.py --data FOLDER
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from stanza.models import tagger as stanza_tagger
from stanza.models.common.utils import set_random_seed
from stanza.models.pos.data import Dataset
from stanza.models.pos.trainer import Trainer
from stanza.utils.conll import CoNLL

import birnn
from birnn.cli.printing import markdown
from turns import take

SEED = 1
HEADS = {"shared": ["--share_hid"], "biaffine": []}


@dataclass
class Tagger:
    """Stanza's tagger with some heads: its batches, and what training and tagging tell."""

    data: Path
    heads: str
    steps: int
    settings: dict[str, Any] = field(init=False)
    vocabulary: Any = field(init=False)
    batches: list[Any] = field(init=False)
    held: list[Any] = field(init=False)
    losses: dict[str, list[float]] = field(default_factory=dict)
    tags: dict[str, list[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        options = {
            "--mode": "train",
            "--lang": "en",
            "--shorthand": "en_lines",
            "--train_file": str(self.data / "train.conllu"),
            "--eval_file": str(self.data / "test.conllu"),
            "--save_dir": tempfile.gettempdir(),
        }
        words = [word for pair in options.items() for word in pair]
        words += ["--no_pretrain", "--cpu", *HEADS[self.heads]]
        self.settings = stanza_tagger.parse_args(words)
        self.settings["word_cutoff"] = 0  # every word has a vector, as none are pretrained
        set_random_seed(SEED)
        self.vocabulary, _, loader = stanza_tagger.load_training_data(self.settings, None)
        # Kept: the loader draws new ones, changed at random, each time it is asked.
        self.batches = [batch for batch, _ in zip(loader, range(self.steps), strict=False)]
        document = CoNLL.conll2doc(input_file=self.settings["eval_file"])
        test = Dataset(
            document,
            self.settings,
            None,
            vocab=self.vocabulary,
            evaluation=True,
            sort_during_eval=True,
        )
        self.held = list(test.to_loader(batch_size=self.settings["batch_size"]))[: self.steps]

    def fresh(self) -> Trainer:
        """Stanza's trainer with a model before its first step, the same each time."""
        set_random_seed(SEED)
        return Trainer(args=self.settings, vocab=self.vocabulary, pretrain=None, device="cpu")

    def train(self, name: str, *, fast: bool) -> float:
        """Train a new model on each batch once: words in a second."""
        trainer = self.fresh()
        if fast:
            assert birnn.accelerate(trainer.model).swapped
        speed, self.losses[name] = timed(self.batches, trainer.update)
        return speed

    def tag(self, name: str, trainer: Trainer, *, fast: bool) -> float:
        """Tag the held-out batches: words in a second."""
        told = (birnn.accelerate if fast else birnn.decelerate)(trainer.model)
        if name not in self.tags:
            print(f"{name}: {told}", file=sys.stderr)
        with torch.no_grad():
            speed, self.tags[name] = timed(self.held, trainer.predict)
        return speed

    def apart(self) -> float:
        """Largest difference between the two trainings' losses, as a share."""
        pairs = zip(self.losses["torch"], self.losses["birnn"], strict=True)
        return max(abs(one - other) / abs(one) for one, other in pairs)

    def words(self, name: str) -> list[Any]:
        """What each word was tagged as."""
        return [word for batch in self.tags[name] for sentence in batch for word in sentence]


def timed(batches: list[Any], work: Callable[[Any], Any]) -> tuple[float, list[Any]]:
    """Do the work on each batch; words in a second, and what it returned."""
    begun = time.perf_counter()
    told = [work(batch) for batch in batches]
    return sum(map(words_of, batches)) / (time.perf_counter() - begun), told


def words_of(batch: Any) -> int:
    """Words of a batch."""
    return sum(int(length) for length in batch.lens)


def main() -> None:
    """Train, tag, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--heads", nargs="+", choices=HEADS, default=list(HEADS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=6, help="batches of a round, at most")
    parser.add_argument("--passes", type=int, default=5, help="of training, before prediction")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    logging.getLogger("stanza").setLevel(logging.ERROR)
    rows: list[tuple[str, ...]] = []
    notes: list[str] = []
    differing = 0
    for heads in arguments.heads:
        tagger = Tagger(arguments.data / "ud-english-lines", heads, arguments.steps)
        speeds = {"training": trained(tagger, arguments.rounds)}
        trainer = tagger.fresh()
        birnn.accelerate(trainer.model)
        for _ in range(arguments.passes):
            timed(tagger.batches, trainer.update)
        speeds["prediction"] = predicted(tagger, trainer, arguments.rounds)
        for work, speed in speeds.items():
            gain = f"{speed['birnn'] / speed['torch']:.2f}x"
            rows.append((heads, work, f"{speed['torch']:,.0f}", f"{speed['birnn']:,.0f}", gain))
        pairs = list(zip(tagger.words("torch"), tagger.words("birnn"), strict=True))
        others = sum(one != other for one, other in pairs)
        kinds = len({str(one) for one, _ in pairs})
        differing += others
        notes.append(
            f"{heads}: losses of {len(tagger.batches)} batches are at most {tagger.apart():.1e} "
            f"apart, as a share; {others} of {len(pairs)} words are tagged otherwise "
            f"({kinds} kinds of tags)."
        )
    print(markdown(("heads", "Stanza's tagger", "torch, words/s", "accelerated", "gain"), rows))
    print("", *notes, sep="\n")
    sys.exit(1 if differing else 0)


def trained(tagger: Tagger, rounds: int) -> dict[str, float]:
    """Words in a second of training, with torch's layers and with birnn's."""
    return take(
        {
            "torch": lambda: tagger.train("torch", fast=False),
            "birnn": lambda: tagger.train("birnn", fast=True),
        },
        rounds,
        work=f"training, {tagger.heads} heads",
    )


def predicted(tagger: Tagger, trainer: Trainer, rounds: int) -> dict[str, float]:
    """Words in a second of tagging, with torch's layers and with birnn's."""
    return take(
        {
            "torch": lambda: tagger.tag("torch", trainer, fast=False),
            "birnn": lambda: tagger.tag("birnn", trainer, fast=True),
        },
        rounds,
        work=f"prediction, {tagger.heads} heads",
    )


if __name__ == "__main__":
    main()
