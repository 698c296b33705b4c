"""``birnn push``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from birnn.cli.options import Json, Model
from birnn.cli.output import print_json
from birnn.errors import escaped, print_notice


def push(
    model: Model,
    to: Annotated[str, typer.Argument(metavar="USER/NAME", help="Its name on the Hub.")],
    private: Annotated[
        bool, typer.Option("--private", help="Only its owners see it, where it is new.")
    ] = False,
    revision: Annotated[
        str | None, typer.Option(metavar="BRANCH", help="Branch to commit to; main by default.")
    ] = None,
    message: Annotated[str | None, typer.Option(metavar="TEXT", help="Of the commit.")] = None,
    as_json: Json = False,
) -> int:
    """Put a model on the Hugging Face Hub, and tell the address of the commit."""
    from birnn import hub

    pushed = hub.push(
        model, to, private=private, revision=revision, message=message, tell=print_notice
    )
    if as_json:
        print_json(asdict(pushed) | {"address": str(pushed.address)})
    else:
        print(escaped(str(pushed.address)))
        print_notice(f"{'private' if pushed.private else 'public'}: {pushed.url}")
    return 0
