"""Seconds of a new process from `import birnn` to the first answer, without torch.

    python benchmarks/cold_start.py DIR [--runs 20] [--json]

DIR is the folder of a trained model. Each run is a process of its own. Time is counted from before
the import to after the answer, by the clock and in CPU seconds; the start of Python is not counted.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys

PROGRAM = """
import sys, time
clock, cpu = time.perf_counter(), time.process_time()
import birnn
model = birnn.load(sys.argv[1])
tokens = model.spec.inputs.holds == "tokens"
model.predict([["the", "bank"] if tokens else [[0.0] * model.spec.inputs.width]])
print(time.perf_counter() - clock, time.process_time() - cpu, "torch" in sys.modules)
"""


def main() -> None:
    """Print the median and the range of all runs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    times: dict[str, list[float]] = {"clock": [], "cpu": []}
    for _ in range(arguments.runs):
        command = [sys.executable, "-c", PROGRAM, arguments.folder]
        clock, cpu, torch = subprocess.check_output(command, text=True).split()
        if torch == "True":
            raise SystemExit("torch was imported")
        times["clock"].append(float(clock))
        times["cpu"].append(float(cpu))
    found = {
        name: {"median": statistics.median(each), "least": min(each), "most": max(each)}
        for name, each in times.items()
    }
    if arguments.json:
        print(json.dumps(found))
    else:
        for name, row in found.items():
            print(f"{name}: {row['median']:.3f} s ({row['least']:.3f} to {row['most']:.3f})")


if __name__ == "__main__":
    main()
