"""``birnn import``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from birnn.cli.options import Json
from birnn.cli.output import print_json
from birnn.errors import OutputError, escaped, print_notice


def import_(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="F", help="A state dict (.safetensors), a Keras 3 file (.keras), ONNX (.onnx)."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the model.")],
    vocabulary: Annotated[
        Path | None,
        typer.Option(metavar="F", help="Items of its embedding: JSON, or one in each line."),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(metavar="F", help="Its labels: JSON, or one in each line.")
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="tagger, classifier, multilabel, regressor; of a state dict.")
    ] = None,
    inputs: Annotated[
        str | None, typer.Option(help="words or symbols; by default as the vocabulary shows.")
    ] = None,
    cell: Annotated[str | None, typer.Option(help="Cell of a state dict: rnn_relu, ...")] = None,
    pooling: Annotated[
        str | None, typer.Option(help="Of a state dict: last, max, mean, or some: last+max.")
    ] = None,
    activation: Annotated[
        str | None, typer.Option(help="Of hidden layers of a state dict: relu, tanh, gelu, none.")
    ] = None,
    unknown: Annotated[
        str | None, typer.Option(metavar="ITEM", help="The item that unknown ones are read as.")
    ] = None,
    padding: Annotated[
        str | None, typer.Option(metavar="ITEM", help="The item of padding, which is left out.")
    ] = None,
    lowercase: Annotated[
        bool | None,
        typer.Option("--lowercase/--as-written", help="How words are looked up."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the model at --out.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Make a model of a file of another framework."""
    from birnn.bundle import save
    from birnn.bundle.manifest import MANIFEST
    from birnn.foreign import Beside
    from birnn.importing import imported

    if (out / MANIFEST).exists() and not overwrite:
        raise OutputError(f"{out} holds a model. Give another --out, or --overwrite to replace it.")
    given: dict[str, Any] = {
        "vocabulary": vocabulary,
        "labels": labels,
        "task": task,
        "inputs": inputs,
        "cell": cell,
        "pooling": pooling,
        "activation": activation,
        "unknown": unknown,
        "padding": padding,
        "lowercase": lowercase,
    }
    bundle = imported(file, Beside.checked(**given), print_notice)
    save(bundle, out)
    spec = bundle.spec
    told = {
        "model": str(out),
        "task": spec.task,
        "inputs": spec.inputs.outline(),
        "parameters": spec.parameter_count(),
    }
    if as_json:
        print_json(told)
    else:
        count = f"{told['parameters']:,} parameters"
        print(f"{spec.task} of {spec.inputs.outline()} in {escaped(str(out))}, {count}")
    return 0
