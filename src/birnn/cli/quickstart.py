"""``birnn quickstart``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from birnn.cli.options import Json, Seed
from birnn.cli.output import print_json, require_training
from birnn.errors import print_notice


def quickstart(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of the report and the model.")
    ] = Path("quickstart"),
    seed: Seed = 1,
    as_json: Json = False,
) -> int:
    """Train one and two directions on embedded data, compare them, write a report."""
    require_training(plots=True)
    from birnn.cli.printing import print_table
    from birnn.demos import quickstart as demo

    result = demo.run(out, seed=seed, tell=print_notice)
    if as_json:
        print_json(result.to_dict())
        return 0
    for table in result.tables():
        print_table(table.title, table.header, table.rows)
    print(f"report: {result.report}")
    print(f"model:  {result.bundle}")
    print(f'try:    echo "{result.sentence}" | birnn predict {result.bundle}')
    return 0
