"""The layers against their peers: the README's table, and the performance contract.

Runs what ``birnn bench --full`` runs, with more rounds; prints Markdown, and ends with status 1
where a line of the contract is missed. Needs the peers of benchmarks/requirements.txt.

    .venv-bench/bin/python benchmarks/layers.py
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from birnn.studies.bench import COMPARED, SHAPES, TORCH_KINDS, WIDE, Case, Plan, run
from birnn.studies.bench.promises import promises
from birnn.studies.bench.tables import markdown, to_dict


def main() -> None:
    """Measure, print, fail where a promise is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peer", action="append", default=[], help="only this one; repeatable")
    parser.add_argument("--results", type=Path, default=Path("runs/layers.json"))
    arguments = parser.parse_args()
    plan = Plan(
        tuple(Case(shape, kind) for kind in (COMPARED, *TORCH_KINDS) for shape in (*SHAPES, WIDE)),
        peers=tuple(arguments.peer),
        rounds=arguments.rounds,
        threads=arguments.threads,
    )
    report = run(plan, tell=lambda line: print(line, file=sys.stderr, flush=True))
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    arguments.results.write_text(json.dumps(to_dict(report), indent=1))
    print(markdown(report))
    missed = [promise.text for promise in promises(report) if not promise.kept]
    if missed:
        print(f"missed: {'; '.join(missed)}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
