"""``birnn export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from birnn.cli.options import Json, Model, with_read_options, with_threads
from birnn.cli.output import naming_file, print_json
from birnn.errors import UsageError, escaped, print_notice

if TYPE_CHECKING:
    from birnn.data.options import ReadOptions


@with_threads
@with_read_options
def export(
    model: Model,
    to: Annotated[
        str, typer.Option("--to", metavar="FRAMEWORK", help="onnx, keras, jax or torch.")
    ],
    out: Annotated[Path, typer.Option(metavar="F", help="The file to write.")],
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Run the file against the model, and tell how they differ."),
    ] = False,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="F", help="Sequences to verify on; by default some of its own vocabularies."
        ),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(min=0.0, help="Largest difference, relative to the size of the scores; 1e-5."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file at --out.")
    ] = False,
    as_json: Json = False,
    *,
    reading: ReadOptions,
) -> int:
    """Write a model as a file of another framework."""
    if not verify and (data is not None or tolerance is not None):
        raise UsageError("--data and --tolerance are of --verify: give it too.")
    from birnn.export.exporters import exporter_of

    exporter = exporter_of(to)
    exporter.check(out, overwrite=overwrite, run=verify)
    from birnn.bundle import as_float32
    from birnn.runtime import Predictor

    predictor = Predictor.load(model)
    sequences = None
    if data is not None:
        # Read before anything is written, which a file with a fault in it would leave unverified.
        with naming_file(data):
            options = predictor.read_options(reading)
            sequences = [e.inputs for e in predictor.read(data, options, tell=print_notice)]
    bundle = as_float32(predictor, tell=print_notice)
    exporter.write(bundle, out)
    told = {"model": str(model), "to": to, "file": str(out), "bytes": out.stat().st_size}
    found = None
    if verify:
        from birnn.export.verify import TOLERANCE
        from birnn.export.verify import verify as run_both

        found = run_both(
            bundle,
            out,
            to=to,
            sequences=sequences,
            tolerance=TOLERANCE if tolerance is None else tolerance,
        )
    if as_json:
        print_json(told | ({} if found is None else {"verification": found.to_dict()}))
    else:
        print(f"{exporter.title} model in {escaped(str(out))}, {told['bytes']:,} bytes")
        for line in [] if found is None else found.lines():
            print(escaped(line))
    if found is not None and not found.passed:
        print_notice("birnn: the file does not answer as the model does")
        return 1
    return 0
