"""``birnn bench``."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from birnn.cli.options import Json, Markdown
from birnn.cli.output import check_form, print_json
from birnn.errors import print_notice, require

DEFAULT_THREADS = 2


def bench(
    shapes: Annotated[
        list[str] | None,
        typer.Option(
            "--shape",
            metavar="BxDxHxL",
            help="Batch, inputs, hidden, mean length; repeatable. Seven shapes by default.",
        ),
    ] = None,
    peers: Annotated[
        list[str] | None,
        typer.Option(
            "--peer",
            metavar="NAME",
            help="torch-packed or torch-padded; both by default.",
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each peer in each case.")] = 3,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of each; two by default.")
    ] = None,
    full: Annotated[
        bool,
        typer.Option("--full", help="Equal lengths, one direction, GRU and RNN against torch too."),
    ] = False,
    as_json: Json = False,
    as_markdown: Markdown = False,
) -> int:
    """Measure the layers against torch's."""
    check_form(as_json, as_markdown)
    require("torch", extra="train")
    from birnn.cli.printing import print_tables, print_text
    from birnn.studies import bench as measuring
    from birnn.studies.bench import tables

    chosen = [measuring.Shape.parse(text) for text in shapes or ()]
    chosen = chosen or [*measuring.SHAPES, measuring.WIDE]
    kinds = (measuring.COMPARED, *(measuring.TORCH_KINDS if full else ()))
    plan = measuring.BenchPlan(
        cases=tuple(measuring.Case(shape, kind) for kind in kinds for shape in chosen),
        peers=tuple(peers or ()),
        rounds=rounds,
        threads=threads or min(DEFAULT_THREADS, os.cpu_count() or 1),
    )
    report = measuring.run(plan, tell=print_notice)
    if as_json:
        print_json(tables.to_dict(report))
    else:
        print_tables(tables.tables(report), as_markdown=as_markdown, titles=True)
        for note in tables.footnotes(report):
            print_text(note, as_markdown=as_markdown)
    return 0
