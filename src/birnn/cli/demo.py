"""``birnn demo``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from birnn.cli.options import (
    Dev,
    Epochs,
    Jobs,
    Json,
    Markdown,
    Page,
    Seeds,
    Settings,
    with_epochs,
    with_read_options,
)
from birnn.cli.output import check_form, check_page, print_json, require_training
from birnn.data.options import ReadOptions
from birnn.errors import UsageError, nearest, print_notice


@with_read_options
def demo(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="brackets, sentiment, senses, frames, anomaly, residues, bases or forecast.",
        ),
    ],
    seeds: Seeds = 5,
    train: Annotated[
        str | None, typer.Option(metavar="F", help="Your own data in the place of the drawn.")
    ] = None,
    test: Annotated[
        str | None, typer.Option(metavar="F", help="What every model is asked.")
    ] = None,
    dev: Dev = None,
    settings: Settings = None,
    epochs: Epochs = None,
    jobs: Jobs = 1,
    out: Page = None,
    as_json: Json = False,
    as_markdown: Markdown = False,
    *,
    reading: ReadOptions,
) -> int:
    """Run an experiment that comes with its data: one direction against two."""
    check_form(as_json, as_markdown)
    check_page(out)
    require_training(plots=out is not None)
    from birnn import demos
    from birnn.cli.tables import print_tables
    from birnn.demos import pages

    own = {"train": train, "dev": dev, "test": test}
    files = {role: file for role, file in own.items() if file is not None}
    if name == "forecast":
        return _forecast(
            files,
            seeds=seeds,
            given=bool(settings) or jobs > 1,
            epochs=epochs,
            out=out,
            reading=reading,
            as_json=as_json,
            as_markdown=as_markdown,
        )
    if name not in demos.DEMOS:
        raise UsageError(f"no demo {name!r}: {nearest(name, (*demos.DEMOS, 'forecast'))}")
    if files and not {"train", "test"} <= set(files):
        raise UsageError("your own data needs both --train and --test.")
    begun = time.perf_counter()
    shown = demos.run(
        name,
        seeds=range(1, seeds + 1),
        files=files or None,
        settings=with_epochs(settings, epochs),
        reading=reading,
        jobs=jobs,
        tell=print_notice,
    )
    if as_json:
        print_json(shown.to_dict())
    else:
        print_tables(shown.tables(), as_markdown=as_markdown)
        print("\n".join(shown.contest.comparison.verdicts()))
    if out is not None:
        pages.write(out, shown, seconds=time.perf_counter() - begun)
        print_notice(f"report: {out}")
    return 0


def _forecast(
    files: Mapping[str, str],
    *,
    seeds: int,
    given: bool,
    epochs: int | None,
    out: Path | None,
    reading: ReadOptions,
    as_json: bool,
    as_markdown: bool,
) -> int:
    """The demo without a contest: two directions would see the answer, and are refused."""
    from birnn.cli.tables import print_tables
    from birnn.data import read
    from birnn.demos import forecast

    if given or set(files) - {"train"}:
        raise UsageError("forecast takes --train (series), --seeds, --epochs and --out alone.")
    series = None
    if "train" in files:
        series = list(read(files["train"], "label", reading, labelled=False, tell=print_notice))
    size = forecast.SIZE if epochs is None else replace(forecast.SIZE, epochs=epochs)
    found = forecast.run(seeds=range(1, seeds + 1), size=size, series=series, tell=print_notice)
    if as_json:
        print_json(found.to_dict())
    else:
        print_tables(found.tables(), as_markdown=as_markdown)
        print(f"two directions: refused. {found.refusal}")
    if out is not None:
        from birnn.demos import forecast_page

        forecast_page.write(out, found)
        print_notice(f"report: {out}")
    return 0
