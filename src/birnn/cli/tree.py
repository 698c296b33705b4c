"""The commands, in the order in which the help lists them."""

from __future__ import annotations

from typing import Annotated

import typer

import birnn
from birnn.cli.bench import bench
from birnn.cli.compare import compare
from birnn.cli.convert import convert
from birnn.cli.cost import cost
from birnn.cli.demo import demo
from birnn.cli.evaluate import evaluate
from birnn.cli.explain import explain
from birnn.cli.export import export
from birnn.cli.import_ import import_
from birnn.cli.info import info, settings
from birnn.cli.predict import predict
from birnn.cli.push import push
from birnn.cli.quantize import quantize
from birnn.cli.quickstart import quickstart
from birnn.cli.serve import serve
from birnn.cli.train import train

COMMANDS = (
    *(train, evaluate, predict, quickstart, settings),
    *(compare, demo, cost, explain, serve, export, quantize, import_, convert, push, bench, info),
)

app = typer.Typer(
    name="birnn",
    help="Bidirectional recurrent networks: train, run and open up taggers, classifiers and more.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"birnn {birnn.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Tell the version."),
    ] = False,
) -> None:
    pass


for _command in COMMANDS:
    app.command(_command.__name__.rstrip("_"))(_command)
