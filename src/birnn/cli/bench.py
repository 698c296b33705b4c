"""``birnn bench``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from birnn.cli.options import Json, Markdown
from birnn.cli.output import check_form, print_json
from birnn.errors import print_notice, require

if TYPE_CHECKING:
    # At run time it would load torch.
    from rich.table import Table as RichTable

    from birnn.studies.bench import Report
    from birnn.studies.bench.tables import Table

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
            "--peer", metavar="NAME", help="Only this one; repeatable. All installed by default."
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
    """Measure the layers against the peers that are installed."""
    check_form(as_json, as_markdown)
    require("torch", extra="train")
    from birnn.studies import bench as measuring
    from birnn.studies.bench import tables

    chosen = [measuring.Shape.parse(text) for text in shapes or ()]
    chosen = chosen or [*measuring.SHAPES, measuring.WIDE]
    kinds = (measuring.COMPARED, *(measuring.TORCH_KINDS if full else ()))
    plan = measuring.Plan(
        cases=tuple(measuring.Case(shape, kind) for kind in kinds for shape in chosen),
        peers=tuple(peers or ()),
        rounds=rounds,
        threads=threads or min(DEFAULT_THREADS, os.cpu_count() or 1),
    )
    report = measuring.run(plan, tell=print_notice)
    if as_json:
        print_json(tables.to_dict(report))
    elif as_markdown:
        print(tables.markdown(report))
    else:
        show(report)
    return 0


def show(report: Report) -> None:
    """Print the tables of a report, and what has to be known to read them."""
    from rich.console import Console
    from rich.text import Text

    from birnn.studies.bench import tables

    console = Console(highlight=False, markup=False, emoji=False)
    for table in tables.tables(report):
        console.print(Text(table.title, style="bold"), soft_wrap=True)
        console.print(_narrow(table))
        console.print()
    for note in tables.footnotes(report):
        console.print(note)


def _narrow(table: Table) -> RichTable:
    """The table with little between its columns: eight peers side by side fit eighty."""
    from rich import box
    from rich.table import Table as RichTable

    shown = RichTable(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 0, 0, 1))
    for number, name in enumerate(table.header):
        numbers = number > 0 and table.numeric
        # A word a line: the numbers under it are short.
        title = name.replace(" ", "\n") if numbers else name
        shown.add_column(title, justify="right" if numbers else "left", no_wrap=numbers)
    for row in table.rows:
        shown.add_row(*row)
    return shown
