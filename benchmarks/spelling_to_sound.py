"""Spelling to sound on CMUdict: error rates of two directions and of one, with equal parameters.

Trains with the command line, as a user would, for each way of reading and each seed; every model
stays in ``--models``, so that a run that was stopped goes on where it was. Each is then asked for
the test words, greedily and with a beam of 5, and the rates are printed as Markdown tables: the
phoneme error rate is the token error rate, the word error rate the share of words that are not
wholly right.

    .venv/bin/python benchmarks/spelling_to_sound.py --data FOLDER --seeds 1 2 3
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

from birnn.bundle import Spec
from birnn.cli.printing import print_tables
from birnn.report.parts import Table
from birnn.runtime import Predictor, Search

GOALS = {"phonemes": 0.075, "words": 0.30}  # with a beam of 5, the median of three seeds
BEAMS = (1, 5)
# What differs from the defaults: with a hundred thousand words, less noise is wanted.
SETTINGS = {
    "training.epochs": "16",
    "training.ema": "0.999",
    "dropout.inputs": "0.05",
    "dropout.targets": "0.05",
    "dropout.layers": "0.1",
    "dropout.output": "0",
    "dropout.decoder": "0.1",
}
CALLED = {"both": "two directions", "equal": "one direction, equal parameters"}


def one_direction(spec: Spec) -> int:
    """The width at which a model that reads in one direction has as many parameters, or fewer.

    The decoder is as wide as the encoder's rows, so it changes too.
    """

    def parameters(width: int) -> int:
        encoder = spec.encoder.model_copy(update={"bidirectional": False, "hidden_size": width})
        head = spec.head.model_copy(update={"hidden_size": width})
        changed = spec.model_copy(update={"encoder": encoder, "head": head})
        return changed.parameter_count()

    width = spec.encoder.hidden_size
    while parameters(width + 1) <= spec.parameter_count():
        width += 1
    return width


def train(arguments: argparse.Namespace, way: str, seed: int) -> Predictor:
    """The model of a way and a seed, trained if it is not there yet."""
    folder = arguments.models / f"{way}-{seed}"
    if not folder.is_dir():
        data = arguments.data / "cmudict"
        command = [sys.executable, "-m", "birnn", "train", "seq2seq", "--out", str(folder)]
        command += ["--train", str(data / "train.tsv"), "--dev", str(data / "dev.tsv")]
        command += ["--seed", str(seed), "--threads", str(arguments.threads)]
        settings = SETTINGS | dict(setting.split("=", 1) for setting in arguments.set)
        if way == "equal":
            width = one_direction(train(arguments, "both", arguments.seeds[0]).spec)
            settings |= {"encoder.bidirectional": "false", "encoder.hidden_size": str(width)}
        for name, value in settings.items():
            command += ["--set", f"{name}={value}"]
        done = subprocess.run([*command, "--json"], stdout=subprocess.PIPE, text=True)
        if done.returncode:
            raise SystemExit(f"{CALLED[way]}, seed {seed}: the training failed")
        report(folder).write_text(done.stdout)
    return Predictor.load(folder)


def report(folder: Path) -> Path:
    """Where stands what the training of a model printed."""
    return folder.with_suffix(".json")


def rates(model: Predictor, test: Path) -> dict[int, tuple[float, float]]:
    """Phoneme and word error rate on the test words, by the beam."""
    found: dict[int, tuple[float, float]] = {}
    for beam in BEAMS:
        scores = model.evaluate(test, search=Search(beam=beam))
        found[beam] = scores["token_error_rate"], scores["sequence_error_rate"]
    return found


def percent(values: list[float]) -> str:
    """The median in percent, and the range where there are several."""
    shown = f"{100 * statistics.median(values):.2f}"
    if len(values) == 1:
        return shown
    return f"{shown} ({100 * min(values):.2f} to {100 * max(values):.2f})"


def main() -> None:
    """Train what is missing, print the tables, fail where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--models", type=Path, default=Path("runs/spelling-to-sound"))
    parser.add_argument("--ways", nargs="+", default=list(CALLED), choices=list(CALLED))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--threads", type=int, default=2, help="of each training")
    parser.add_argument(
        "--set", action="append", default=[], help="a setting of every training, over SETTINGS"
    )
    arguments = parser.parse_args()
    test = arguments.data / "cmudict" / "test.tsv"
    if not test.is_file():
        parser.error(f"{test} is not here: name the folder of the data sets by --data")
    arguments.models.mkdir(parents=True, exist_ok=True)
    each, medians = [], []
    reached: dict[str, float] = {}
    for way in arguments.ways:
        models = {seed: train(arguments, way, seed) for seed in arguments.seeds}
        found = {seed: rates(model, test) for seed, model in models.items()}
        for seed, model in models.items():
            told = json.loads(report(arguments.models / f"{way}-{seed}").read_text())
            facts = [f"{model.spec.parameter_count():,}", str(told["epochs"])]
            facts.append(f"{told['seconds'] / 60:.0f}")
            shown = [f"{100 * rate:.2f}" for beam in BEAMS for rate in found[seed][beam]]
            each.append([CALLED[way], str(seed), *facts, *shown])
        of_beam = {beam: list(zip(*(found[s][beam] for s in found), strict=True)) for beam in BEAMS}
        shown = [percent(list(values)) for beam in BEAMS for values in of_beam[beam]]
        medians.append([CALLED[way], str(len(found)), *shown])
        if way == "both":
            phonemes, words = map(statistics.median, of_beam[5])
            reached = {"phonemes": phonemes, "words": words}
    columns = ["PER greedy", "WER greedy", "PER beam 5", "WER beam 5"]
    tables = [
        Table(
            ["encoder", "seed", "parameters", "epochs", "minutes", *columns],
            each,
            "error rates in percent",
        ),
        Table(["encoder", "seeds", *columns], medians, "median over seeds, and the range"),
    ]
    print_tables(tables, as_markdown=True, titles=True)
    missed = [
        f"{name} {100 * reached[name]:.2f} %" for name in reached if reached[name] > GOALS[name]
    ]
    if missed:
        print(f"above the goal: {', '.join(missed)}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
