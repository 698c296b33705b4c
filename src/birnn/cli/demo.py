"""``birnn demo``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated

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
from birnn.errors import UsageError, nearest, print_notice

if TYPE_CHECKING:
    from birnn.data.options import ReadOptions

    # At run time it would load torch.
    from birnn.demos import DemoResult, VariantComparison
    from birnn.demos.forecast import ForecastResult


@with_read_options
def demo(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="brackets, sentiment, senses, frames, anomaly, residues, bases, prices, numbers, "
            "gaps or forecast.",
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
    vary: Annotated[
        str | None,
        typer.Option("--vary", metavar="WHAT", help="Compare every merge, or every cell, instead."),
    ] = None,
    out: Page = None,
    as_json: Json = False,
    as_markdown: Markdown = False,
    *,
    reading: ReadOptions,
) -> int:
    """Run a demo on data that comes with it: one direction against two."""
    check_form(as_json, as_markdown)
    check_page(out)
    require_training()
    from birnn import demos
    from birnn.cli.printing import print_tables
    from birnn.demos import pages
    from birnn.studies.variants import page as variants_page

    own = {"train": train, "dev": dev, "test": test}
    files = {role: file for role, file in own.items() if file is not None}
    every = range(1, seeds + 1)
    if name == "forecast":
        if settings or vary or jobs > 1 or set(files) - {"train"}:
            raise UsageError("forecast takes --train (series), --seeds, --epochs and --out alone.")
        result: DemoResult | ForecastResult | VariantComparison = _forecast(
            train, every, epochs, reading
        )
    elif name not in demos.DEMOS:
        raise UsageError(f"no demo {name!r}: {nearest(name, (*demos.DEMOS, 'forecast'))}")
    elif files and not {"train", "test"} <= set(files):
        raise UsageError("your own data needs both --train and --test.")
    else:
        run = demos.run if vary is None else partial(demos.run_variants, varied=vary)
        result = run(
            name,
            seeds=every,
            files=files or None,
            settings=with_epochs(settings, epochs),
            reading=reading,
            jobs=jobs,
            tell=print_notice,
        )
    if as_json:
        print_json(result.to_dict())
    else:
        print_tables(result.tables(), as_markdown=as_markdown)
        print("\n".join(result.verdicts()))
    if out is not None:
        if isinstance(result, demos.DemoResult):
            pages.write(out, result)
        elif isinstance(result, demos.VariantComparison):
            variants_page.write(out, result, name=name)
        else:
            pages.write_forecast(out, result)
        print_notice(f"report: {out}")
    return 0


def _forecast(
    train: str | None, seeds: Sequence[int], epochs: int | None, reading: ReadOptions
) -> ForecastResult:
    """The demo without a contest: two directions would see the answer, and are refused."""
    from birnn.data import read
    from birnn.demos import forecast

    series = None
    if train is not None:
        series = list(read(train, "label", reading, labelled=False, tell=print_notice))
    size = forecast.SIZE if epochs is None else replace(forecast.SIZE, epochs=epochs)
    return forecast.run(seeds=seeds, size=size, series=series, tell=print_notice)
