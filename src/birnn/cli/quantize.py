"""``birnn quantize``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from birnn.cli.options import (
    Beam,
    Json,
    Longest,
    Model,
    search_of,
    with_read_options,
    with_threads,
)
from birnn.cli.output import STANDARD_INPUT, naming_file, print_json, tell_unknown_labels
from birnn.errors import UsageError, escaped, no_notice, print_notice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from birnn.bundle import QuantisingReport
    from birnn.data.options import ReadOptions
    from birnn.report.parts import Table
    from birnn.studies.changes import Changes


@with_threads
@with_read_options
def quantize(
    model: Model,
    to: Annotated[str, typer.Option("--to", metavar="PRECISION", help="int8, or bf16 (bfloat16).")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the new model goes.")],
    check: Annotated[
        str | None,
        typer.Option(
            metavar="F", help="Labelled file: scores before and after, and answers that differ."
        ),
    ] = None,
    beam: Beam = None,
    longest: Longest = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the quantised model at --out.")
    ] = False,
    as_json: Json = False,
    *,
    reading: ReadOptions,
) -> int:
    """Make a model a quarter (int8) or half (bf16) of its size, and see what that changes."""
    if check == STANDARD_INPUT:
        raise UsageError("--check reads a file twice: give a file, not standard input.")
    how: dict[str, Any] = reading.model_dump(exclude_unset=True)
    if check is None and (how or (beam, longest) != (None, None)):
        raise UsageError(
            "--beam, --longest and how the file is read are of --check: give it too, or leave "
            "them out."
        )
    from birnn.bundle import io, quantised, quantising_report
    from birnn.bundle.addresses import located
    from birnn.bundle.card import QUANTISED
    from birnn.bundle.folder import check_place
    from birnn.reference.low_precision import check_precision

    check_precision(to)
    check_place(out, reads=model, overwrite=overwrite)
    before = io.load(model, tell=print_notice)
    after = quantised(before, to, name=model)
    report, names = quantising_report(before, after), ("float32", after.spec.precision)
    found: Changes | None = None
    if check is not None:
        from birnn.runtime import Predictor
        from birnn.studies.changes import changes

        pair = Predictor(before), Predictor(after)
        search = search_of(before.spec.head, beam, longest)
        with naming_file(check):
            found = changes(*pair, check, search=search, tell=print_notice, **how)
        tell_unknown_labels(found.before, "the model")
        checked = found.record(Path(check).name, *names)
        record = {**after.metadata[QUANTISED], "checked": checked}
        after = replace(after, metadata={**after.metadata, QUANTISED: record})
    io.save(after, out)
    sizes = [located(place, no_notice).size for place in (model, out)]
    if as_json:
        told = {"model": str(out), "of": model, "bytes_before": sizes[0], "bytes_after": sizes[1]}
        compared = {} if found is None else {"check": found.to_dict(*names)}
        print_json(told | {"tensors": report.to_dict()} | compared)
    else:
        from birnn.cli.printing import print_tables

        print_tables(_tables(report), as_markdown=False)
        if found is not None:
            print_tables(found.tables(str(check), *names), as_markdown=False)
            if not found.changed:
                print(found.summary())
        share = f"{sizes[1]:,} bytes, {sizes[1] / sizes[0]:.2f} of {sizes[0]:,}"
        print(f"{report.precision} model in {escaped(str(out))}: {share}")
    for each in report.outliers:
        print_notice(each.notice)
    if check is None:
        print_notice("nothing was checked: --check F tells what this changes on a labelled file")
    return 0


def _tables(report: QuantisingReport) -> Iterator[Table]:
    """What changed, part by part, and what stayed float32 and why."""
    from birnn.report.parts import Table

    header = ("part", "matrices", "bytes before", "after", "relative error")
    rows = [
        (
            part.name,
            f"{part.matrices:,}",
            f"{part.bytes_before:,}",
            f"{part.bytes_after:,}",
            f"{part.error:.2g}",
        )
        for part in report.parts
    ]
    yield Table(header, rows, f"in {report.precision}, with the largest error of a row")
    kept = [(each.reason, f"{each.tensors:,}", f"{each.bytes:,}") for each in report.kept]
    if kept:
        yield Table(("why", "tensors", "bytes"), kept, "kept in float32")
