"""The layers against their peers: the tables of docs/results.md, and the performance contract.

Runs what ``birnn bench --full`` runs, with more rounds and peers; prints Markdown, and ends with
status 1 where a target is missed. Needs the peers of benchmarks/requirements.txt.

    .venv-bench/bin/python benchmarks/layers.py
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from birnn.cli.printing import print_tables, print_text
from birnn.errors import print_notice
from birnn.studies.bench import COMPARED, SHAPES, TORCH_KINDS, WIDE, BenchPlan, Case, run
from birnn.studies.bench.tables import footnotes, tables, to_dict
from birnn.studies.bench.targets import targets
from peers import PEERS


def main() -> None:
    """Measure, print, fail where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peer", action="append", default=[], help="only this one; repeatable")
    parser.add_argument("--results", type=Path, default=Path("runs/layers.json"))
    arguments = parser.parse_args()
    plan = BenchPlan(
        tuple(Case(shape, kind) for kind in (COMPARED, *TORCH_KINDS) for shape in (*SHAPES, WIDE)),
        peers=tuple(arguments.peer),
        rounds=arguments.rounds,
        threads=arguments.threads,
    )
    report = run(plan, among=PEERS, tell=print_notice)
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    arguments.results.write_text(json.dumps(to_dict(report), indent=1))
    print_tables(tables(report), as_markdown=True, titles=True)
    for note in footnotes(report):
        print_text(note, as_markdown=True)
    missed = [target.text for target in targets(report) if not target.met]
    if missed:
        print(f"missed: {'; '.join(missed)}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
