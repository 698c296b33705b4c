"""What the commands do that compare, count and explain."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from birnn.cli.output import check_page, print_json
from birnn.cli.reading import with_epochs
from birnn.cli.tables import markdown, print_table
from birnn.errors import UsageError, nearest, print_notice, require

if TYPE_CHECKING:
    # At run time it would load torch.
    from birnn.data import ReadOptions
    from birnn.report.parts import Table


def compare(
    task: str,
    *,
    train: str,
    dev: str | None,
    test: str,
    ways: Sequence[str] | None,
    seeds: int,
    config: Path | None,
    settings: Sequence[str],
    epochs: int | None,
    jobs: int,
    threads: int | None,
    out: Path | None,
    reading: ReadOptions,
    as_json: bool,
    as_markdown: bool,
) -> int:
    """Train every way of reading and tell what each reached."""
    _one_form(as_json, as_markdown)
    check_page(out)
    _require_training(plots=out is not None)
    from birnn.experiments import compare as comparing
    from birnn.training.recipe import Recipe

    if task not in comparing.TASKS:
        known = nearest(task, comparing.TASKS)
        raise UsageError(f"compare takes {' or '.join(comparing.TASKS)}, got {task!r}: {known}")
    overrides = with_epochs(settings, epochs)
    recipe = Recipe.load(task, config=config, overrides=overrides)
    found = comparing.compare(
        task,
        train=train,
        dev=dev,
        test=test,
        recipe=recipe,
        **({"ways": tuple(ways)} if ways else {}),
        seeds=range(1, seeds + 1),
        jobs=jobs,
        threads=threads,
        reading=reading,
        say=print_notice,
    )
    if as_json:
        print_json(found.to_dict())
    else:
        show(found.tables(), as_markdown=as_markdown)
        print("\n".join([*found.verdicts(), *filter(None, [found.answer()])]))
    if out is not None:
        from birnn.experiments.compare import page

        page.write(out, found, name=test)
        print_notice(f"report: {out}")
    return 0


def demo(
    name: str,
    *,
    seeds: int,
    train: str | None,
    dev: str | None,
    test: str | None,
    settings: Sequence[str],
    epochs: int | None,
    jobs: int,
    out: Path | None,
    reading: ReadOptions,
    as_json: bool,
    as_markdown: bool,
) -> int:
    """Run an embedded experiment and tell what each direction reached."""
    _one_form(as_json, as_markdown)
    check_page(out)
    _require_training(plots=out is not None)
    from birnn.experiments import demo as showing
    from birnn.experiments import demo_page

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
    if name not in showing.DEMOS:
        raise UsageError(f"no demo {name!r}: {nearest(name, (*showing.DEMOS, 'forecast'))}")
    if files and not {"train", "test"} <= set(files):
        raise UsageError("your own data needs both --train and --test.")
    begun = time.perf_counter()
    shown = showing.run(
        name,
        seeds=range(1, seeds + 1),
        files=files or None,
        settings=with_epochs(settings, epochs),
        reading=reading,
        jobs=jobs,
        say=print_notice,
    )
    if as_json:
        print_json(shown.to_dict())
    else:
        show(shown.tables(), as_markdown=as_markdown)
        print("\n".join(shown.contest.comparison.verdicts()))
    if out is not None:
        demo_page.write(out, shown, seconds=time.perf_counter() - begun)
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
    from birnn.data import read
    from birnn.experiments import forecast

    if given or set(files) - {"train"}:
        raise UsageError("forecast takes --train (series), --seeds, --epochs and --out alone.")
    series = None
    if "train" in files:
        series = list(
            read(files["train"], "classifier", reading, labelled=False, tell=print_notice)
        )
    size = forecast.SIZE if epochs is None else replace(forecast.SIZE, epochs=epochs)
    found = forecast.run(seeds=range(1, seeds + 1), size=size, series=series, progress=print_notice)
    if as_json:
        print_json(found.to_dict())
    else:
        show(found.tables(), as_markdown=as_markdown)
        print(f"two directions: refused. {found.refusal}")
    if out is not None:
        from birnn.experiments import forecast_page

        forecast_page.write(out, found)
        print_notice(f"report: {out}")
    return 0


def cost(
    cells: Sequence[str],
    *,
    inputs: int,
    hidden: int,
    layers: int,
    merge: str,
    batch: int,
    length: int,
    rounds: int,
    threads: int | None,
    measure: bool,
    out: Path | None,
    as_json: bool,
    as_markdown: bool,
) -> int:
    """Tell what directions cost."""
    _one_form(as_json, as_markdown)
    check_page(out)
    require("torch", extra="train")
    from birnn.experiments import cost as counting

    found = counting.cost(
        cells[0],  # type: ignore[arg-type] # checked there, with a message for the user
        inputs,
        hidden,
        cells=cells[1:],  # type: ignore[arg-type]
        num_layers=layers,
        merge=merge,  # type: ignore[arg-type]
        batch=batch,
        length=length,
        measure=measure,
        rounds=rounds,
        threads=threads,
        say=print_notice,
    )
    if as_json:
        print_json(found.to_dict())
    else:
        show(found.tables(), as_markdown=as_markdown)
    if out is not None:
        from birnn.experiments.cost import page

        page.write(out, found)
        print_notice(f"report: {out}")
    return 0


def show(tables: Sequence[Table], *, as_markdown: bool) -> None:
    """Print tables for a person, or as Markdown for a page."""
    for table in tables:
        if as_markdown:
            print(markdown(table.header, table.rows), end="\n\n")
        else:
            print_table(table.title, table.header, table.rows)


def _one_form(as_json: bool, as_markdown: bool) -> None:
    if as_json and as_markdown:
        raise UsageError("--json and --markdown are two forms of one answer: choose one.")


def _require_training(*, plots: bool) -> None:
    """Say now what is missing, not after an hour of training."""
    needed = [("torch", "train"), ("lightning", "train")]
    needed += [("matplotlib", "plots"), ("jinja2", "plots")] if plots else []
    for module, extra in needed:
        require(module, extra=extra)
