"""``birnn cost``."""

from __future__ import annotations

from typing import Annotated

import typer

from birnn.cli.options import Json, Markdown, Page, Threads
from birnn.cli.output import check_form, check_page, print_json
from birnn.errors import print_notice, require


def cost(
    cells: Annotated[
        list[str] | None,
        typer.Option(
            "--cell", metavar="CELL", help="lstm, gru, rnn_tanh or rnn_relu; repeatable. [lstm]"
        ),
    ] = None,
    inputs: Annotated[int, typer.Option("--input", help="Width of a row.")] = 100,
    hidden: Annotated[int, typer.Option(help="Hidden units of each direction.")] = 256,
    layers: Annotated[
        int | None,
        typer.Option(help="Layers on top of each other. [1, or as many as --directions has]"),
    ] = None,
    directions: Annotated[
        str | None,
        typer.Option(help="Of each layer, such as both,both,forward. [both in all]"),
    ] = None,
    merge: Annotated[str, typer.Option(help="concat, sum, mean, product or project.")] = "concat",
    merge_size: Annotated[
        int | None, typer.Option(help="Width of the rows that project makes. [as --hidden]")
    ] = None,
    batch: Annotated[int, typer.Option(help="Sequences of the batch.")] = 32,
    length: Annotated[int, typer.Option(help="Steps of each.")] = 50,
    rounds: Annotated[int, typer.Option(help="Turns of each in the measuring of time.")] = 5,
    threads: Threads = None,
    counted: Annotated[
        bool, typer.Option("--no-measure", help="Only count: nothing runs.")
    ] = False,
    out: Page = None,
    as_json: Json = False,
    as_markdown: Markdown = False,
) -> int:
    """Count and measure what one direction, two, and two at half width cost."""
    check_form(as_json, as_markdown)
    check_page(out)
    require("torch", extra="train")
    from birnn.cli.printing import print_tables
    from birnn.studies import cost as counting

    first, *rest = cells or ["lstm"]
    each = None if directions is None else [part.strip() for part in directions.split(",")]
    found = counting.cost(
        first,  # type: ignore[arg-type] # checked there, with a message for the user
        inputs,
        hidden,
        cells=rest,  # type: ignore[arg-type]
        num_layers=layers if layers is not None else len(each or "1"),
        merge=merge,  # type: ignore[arg-type]
        merge_size=merge_size,
        directions=each,  # type: ignore[arg-type]
        batch=batch,
        length=length,
        measure=not counted,
        rounds=rounds,
        threads=threads,
        tell=print_notice,
    )
    if as_json:
        print_json(found.to_dict())
    else:
        print_tables(found.tables(), as_markdown=as_markdown)
    if out is not None:
        counting.write(out, found)
        print_notice(f"report: {out}")
    return 0
