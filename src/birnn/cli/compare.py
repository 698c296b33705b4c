"""``birnn compare``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from birnn.cli.options import (
    Config,
    Dev,
    Epochs,
    Jobs,
    Json,
    Markdown,
    Page,
    Seeds,
    Settings,
    Threads,
    with_epochs,
    with_read_options,
)
from birnn.cli.output import check_form, check_page, print_json, require_training
from birnn.errors import UsageError, nearest, print_notice

if TYPE_CHECKING:
    from birnn.data.options import ReadOptions


@with_read_options
def compare(
    task: Annotated[
        str, typer.Argument(metavar="TASK", help="tagger, classifier, seq2seq or filler.")
    ],
    train: Annotated[str, typer.Option(metavar="F", help="File of labelled examples.")],
    test: Annotated[str, typer.Option(metavar="F", help="What every model is asked.")],
    dev: Dev = None,
    ways: Annotated[
        list[str] | None,
        typer.Option(
            "--way",
            metavar="WAY",
            help="forward, both, half (the width) or equal (parameters); repeatable. All by "
            "default.",
        ),
    ] = None,
    seeds: Seeds = 3,
    config: Config = None,
    settings: Settings = None,
    epochs: Epochs = None,
    jobs: Jobs = 1,
    threads: Threads = None,
    out: Page = None,
    as_json: Json = False,
    as_markdown: Markdown = False,
    *,
    reading: ReadOptions,
) -> int:
    """Compare one direction, two, two at half width and two at equal parameters."""
    check_form(as_json, as_markdown)
    check_page(out)
    require_training()
    from birnn.cli.printing import print_tables
    from birnn.studies import compare as comparing
    from birnn.training.recipe import Recipe

    if task not in comparing.COMPARED:
        known = nearest(task, comparing.COMPARED)
        raise UsageError(f"compare takes {', '.join(comparing.COMPARED)}, got {task!r}: {known}")
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
        tell=print_notice,
    )
    if as_json:
        print_json(found.to_dict())
    else:
        print_tables(found.tables(), as_markdown=as_markdown)
        print("\n".join([*found.verdicts(), *filter(None, [found.answer()])]))
    if out is not None:
        from birnn.studies.compare import page

        page.write(out, found, name=test)
        print_notice(f"report: {out}")
    return 0
