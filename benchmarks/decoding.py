"""Sequences per second that a sequence to sequence model writes, without torch.

    python benchmarks/decoding.py DIR DATA [--sequences 4000] [--runs 5] [--json]

DIR is the folder of a trained model, DATA a file of its sources, of which so many are taken at even
distances. Greedy search and a beam of 5, each on one thread and on two, take turns; the fastest run
of each counts, since nothing but other processes makes one slower. Beside it stand the sequences
for each second of processor time, which hang less on what else the machine does.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

from birnn.engine import isa
from birnn.engine.threads import num_threads
from birnn.runtime import Predictor, Search

BEAMS = (1, 5)
THREADS = (1, 2)


def main() -> None:
    """Print a line for each search and number of threads."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder")
    parser.add_argument("data")
    parser.add_argument("--sequences", type=int, default=4000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    model = Predictor.load(arguments.folder)
    sources = [example.inputs for example in model.read(arguments.data)]
    sources = sources[:: max(1, len(sources) // arguments.sequences)][: arguments.sequences]
    best = {(beam, threads): (0.0, 0.0) for beam in BEAMS for threads in THREADS}
    for _ in range(arguments.runs):
        for beam, threads in best:
            with num_threads(threads):
                clock, processor = time.perf_counter(), time.process_time()
                model.predict(sources, search=Search(beam=beam))
                clock = time.perf_counter() - clock
                processor = time.process_time() - processor
            rates = len(sources) / clock, len(sources) / processor
            best[beam, threads] = max(best[beam, threads], rates)
    if "torch" in sys.modules:
        raise SystemExit("torch was imported")
    found = [
        {
            "beam": beam,
            "threads": threads,
            "sequences_per_second": round(rate),
            "sequences_per_processor_second": round(of_processor),
        }
        for (beam, threads), (rate, of_processor) in best.items()
    ]
    if arguments.json:
        print(json.dumps({"engine": isa.active().name, "sequences": len(sources), "runs": found}))
        return
    print(f"{len(sources):,} sequences, {isa.active().name}")
    for row in found:
        name = "greedy" if row["beam"] == 1 else f"beam {row['beam']}"
        print(
            f"{name}, {row['threads']} thread{'s' if row['threads'] > 1 else ''}: "
            f"{row['sequences_per_second']:,} per second "
            f"({row['sequences_per_processor_second']:,} per second of processor time)"
        )


if __name__ == "__main__":
    main()
