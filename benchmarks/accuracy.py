"""Accuracy on real data: train with the command line, score on the test file, print the table.

Runs ``birnn train`` for each data set and seed with the default recipe of the task, several runs
side by side with one thread each, and prints the median over seeds as a Markdown table. Scores
are kept in ``--results`` as they come, so that a run that was stopped goes on where it was.

    .venv/bin/python benchmarks/accuracy.py --data FOLDER --jobs 2
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Set:
    """A data set: its files, what is measured, and what there is to compare with."""

    task: str
    train: str
    dev: str | None
    test: str
    metric: str
    called: str
    peer: float | None  # NCRF++ (character BiLSTM, word BiLSTM, CRF; 25 epochs) on these files
    goal: float


SETS = {
    "ud-english-lines": Set(
        "tagger", "train.conllu", "dev.conllu", "test.conllu", "accuracy", "accuracy", 0.948, 0.955
    ),
    "wnut17": Set("tagger", "train.conll", "dev.conll", "test.conll", "f1", "span F1", 0.119, 0.20),
    "bc5cdr": Set("tagger", "train.tsv", "dev.tsv", "test.tsv", "f1", "span F1", 0.757, 0.79),
    "sst2": Set(
        "classifier", "train.tsv", "dev.tsv", "test.tsv", "accuracy", "accuracy", None, 0.82
    ),
    "japanese-vowels": Set(
        "classifier", "train.ts", None, "test.ts", "accuracy", "accuracy", None, 0.985
    ),
    "protein-ss3": Set(
        "tagger", "train.tsv", "dev.tsv", "test.tsv", "accuracy", "accuracy (Q3)", None, 0.70
    ),
}


def run(name: str, seed: int, data: Path, threads: int) -> dict[str, Any]:
    """Train once; the scores that ``birnn train --json`` prints."""
    chosen = SETS[name]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "birnn", "train", chosen.task, "--json"]
        command += ["--train", str(data / name / chosen.train)]
        command += ["--test", str(data / name / chosen.test)]
        command += ["--dev", str(data / name / chosen.dev)] if chosen.dev else []
        command += ["--seed", str(seed), "--out", str(Path(folder, "model"))]
        environment = os.environ | {"BIRNN_NUM_THREADS": str(threads)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{name}, seed {seed}: {done.stderr.strip().splitlines()[-1]}")
    told = json.loads(done.stdout)
    return {
        "test": told["test"][chosen.metric],
        "dev": told["dev"][chosen.metric],
        "epochs": told["epochs"],
        "seconds": told["seconds"],
    }


def table(results: dict[str, dict[str, dict[str, Any]]]) -> str:
    """The results as a Markdown table: the median over seeds, and the range."""
    lines = [
        "| data | metric on test | NCRF++ | birnn, median (range) | seeds | epochs | minutes |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, runs in results.items():
        chosen = SETS[name]
        scores = [run["test"] for run in runs.values()]
        minutes = statistics.median(run["seconds"] for run in runs.values()) / 60
        epochs = statistics.median(run["epochs"] for run in runs.values())
        peer = f"{chosen.peer:.3f}" if chosen.peer is not None else ""
        lines.append(
            f"| {name} | {chosen.called} | {peer} | **{statistics.median(scores):.4f}** "
            f"({min(scores):.4f} to {max(scores):.4f}) | {len(scores)} | {epochs:.0f} "
            f"| {minutes:.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Run what is missing, print the table, fail where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(SETS), help=f"of {', '.join(SETS)}")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side")
    parser.add_argument("--threads", type=int, default=1, help="threads of each run")
    parser.add_argument("--results", type=Path, default=Path("runs/accuracy.json"))
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        parser.error(f"{arguments.data} is not here: name the folder of the data sets by --data")
    unknown = [name for name in arguments.names if name not in SETS]
    if unknown:
        parser.error(f"no data set {unknown[0]!r}; there are {', '.join(SETS)}")
    results: dict[str, dict[str, Any]] = {name: {} for name in arguments.names}
    if arguments.results.is_file():
        results |= json.loads(arguments.results.read_text())
    wanted = [
        (name, seed)
        for seed in arguments.seeds
        for name in arguments.names
        if str(seed) not in results[name]
    ]
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        running = {
            pool.submit(run, name, seed, arguments.data, arguments.threads): (name, seed)
            for name, seed in wanted
        }
        for done in as_completed(running):
            name, seed = running[done]
            results[name][str(seed)] = done.result()
            arguments.results.write_text(json.dumps(results, indent=1))
            print(f"{name}, seed {seed}: {done.result()}", file=sys.stderr, flush=True)
    shown = {name: runs for name, runs in results.items() if runs and name in arguments.names}
    print(table(shown))
    missed = [
        name
        for name, runs in shown.items()
        if statistics.median(r["test"] for r in runs.values()) < SETS[name].goal
    ]
    if missed:
        print(f"below the goal: {', '.join(missed)}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
