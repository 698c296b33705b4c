"""birnn's tagger against Flair's of the same size, on WNUT17, and against itself on torch's engine.

The same size: 100-wide word vectors, characters of 25 by 25 units, 256 hidden units in each
direction, CRF, 32 sentences in a batch. Prediction is timed from a freshly loaded model, with no
word in its cache. Prints tokens in a second and the lines of the contract; ends with status 1
where one is missed.

    .venv-bench/bin/python benchmarks/taggers.py --data FOLDER
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

import birnn
import flair_tagger
from birnn.cli.printing import markdown
from birnn.data import read
from birnn.engine import isa
from birnn.engine.threads import set_num_threads
from turns import take

SAME_SIZE = {
    "inputs.word_dim": flair_tagger.WORD_WIDTH,
    "inputs.character_dim": flair_tagger.CHARACTER_WIDTH,
    "inputs.character_hidden": flair_tagger.CHARACTER_WIDTH,
    "inputs.surface_dim": 0,
    "encoder.hidden_size": flair_tagger.HIDDEN,
    "training.batch_sequences": flair_tagger.BATCH,
}
SPEED = re.compile(r"([\d,]+) tokens/s")
TRAINING, PREDICTION, ENOUGH, OVER_TORCH = 8.0, 15.0, 150_000, 2.5


@dataclass
class Ours:
    """birnn's tagger with some settings: trained by the command line, as a user trains it."""

    train: Path
    folder: Path
    threads: int
    epochs: int
    settings: dict[str, object] = field(default_factory=dict)
    engine: str | None = None

    def fit(self) -> float:
        """Train; the speed is the median of the epochs', which the command prints."""
        dev = self.train.with_stem("dev")
        command = [sys.executable, "-m", "birnn", "train", "tagger", "--overwrite"]
        command += ["--train", str(self.train), "--dev", str(dev), "--out", str(self.folder)]
        command += ["--epochs", str(self.epochs)]
        for name, value in self.settings.items():
            command += ["--set", f"{name}={value}"]
        count = str(self.threads)
        environment = os.environ | {"OMP_NUM_THREADS": count, "BIRNN_NUM_THREADS": count}
        if self.engine is not None:
            environment[isa.FORCE] = self.engine
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        speeds = [float(text.replace(",", "")) for text in SPEED.findall(done.stderr)]
        if done.returncode or not speeds:
            raise SystemExit(f"{' '.join(command)}: {done.stderr.strip().splitlines()[-1]}")
        return statistics.median(speeds)

    def predict(self, sentences: Sequence[Sequence[str]]) -> float:
        """Load the model and label the sentences; loading is not timed."""
        model = birnn.load(self.folder)
        begun = time.perf_counter()
        model.predict(sentences)
        return sum(map(len, sentences)) / (time.perf_counter() - begun)


def main() -> None:
    """Train, predict, print, fail where the contract is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3, help="of birnn in a round; Flair has one")
    parser.add_argument("--predict-rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sentences", type=int, default=None, help="Flair's, for a try")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    set_num_threads(arguments.threads)
    wnut, lines = arguments.data / "wnut17", arguments.data / "ud-english-lines" / "train.conllu"
    corpus = flair_tagger.read(wnut, arguments.sentences)
    labelled = list(corpus.test)
    words = [list(example.inputs) for example in read(wnut / "test.conll", "tags")]
    flair = [flair_tagger.build(corpus)]
    with tempfile.TemporaryDirectory() as folder:

        def ours(name: str, train: Path, engine: str | None = None, **extra: object) -> Ours:
            place = Path(folder, name)
            return Ours(train, place, arguments.threads, arguments.epochs, extra, engine)

        same = ours("same", wnut / "train.conll", **SAME_SIZE)

        def flair_training() -> float:
            flair[0] = flair_tagger.build(corpus)
            return flair_tagger.train(flair[0], corpus)[0]

        trained = take(
            {"Flair": flair_training, "birnn": same.fit}, arguments.rounds, work="training"
        )
        predicted = take(
            {
                "Flair": lambda: flair_tagger.predict(flair[0], labelled),
                "birnn": lambda: same.predict(words),
            },
            arguments.predict_rounds,
            work="prediction",
        )
        native = take(
            {
                "torch": ours("torch", lines, isa.REFERENCE).fit,
                "birnn": ours("native", lines).fit,
            },
            arguments.rounds,
            work="training, default recipe on ud-english-lines",
        )
    faster = {
        work: speeds["birnn"] / speeds["Flair"]
        for work, speeds in (("training", trained), ("prediction", predicted))
    }
    rows = [
        (work, f"{speeds['Flair']:,.0f}", f"{speeds['birnn']:,.0f}", f"{faster[work]:.1f}x")
        for work, speeds in (("training", trained), ("prediction", predicted))
    ]
    print(markdown(("tagger of the same size, wnut17", "Flair, tokens/s", "birnn", "gain"), rows))
    gain = native["birnn"] / native["torch"]
    row = ("training", f"{native['torch']:,.0f}", f"{native['birnn']:,.0f}", f"{gain:.1f}x")
    head = ("default recipe, ud-english-lines", "torch's engine, tokens/s", "native", "gain")
    print(f"\n{markdown(head, [row])}")
    missed = [
        text
        for text, kept in (
            (f"training {TRAINING:.0f}x Flair's", faster["training"] >= TRAINING),
            (
                f"prediction {PREDICTION:.0f}x Flair's, or {ENOUGH:,} tokens/s",
                faster["prediction"] >= PREDICTION or predicted["birnn"] >= ENOUGH,
            ),
            (f"training {OVER_TORCH}x that on torch's engine", gain >= OVER_TORCH),
        )
        if not kept
    ]
    if missed:
        print(f"missed: {'; '.join(missed)}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
