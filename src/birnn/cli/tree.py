"""The tree of arguments: every command, its options, their help. Work is in the files beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

import birnn
from birnn.cli.predict import predict
from birnn.cli.reading import with_read_options, with_threads
from birnn.data.options import ReadOptions

app = typer.Typer(
    name="birnn",
    help="Bidirectional recurrent networks: train, run and open up taggers and classifiers.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Model = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a trained model.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
Config = Annotated[Path | None, typer.Option(metavar="C.toml", help="Settings.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="SECTION.KEY=VALUE", help="One setting of `birnn settings`; repeatable."
    ),
]
Threads = Annotated[
    int | None, typer.Option(min=1, max=256, help="Threads of each; as many as are set by default.")
]
Page = Annotated[
    Path | None, typer.Option(metavar="F.html", help="Write a page with figures here.")
]
Markdown = Annotated[bool, typer.Option("--markdown", help="Tables as Markdown.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="One seed gives one model.")]


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


@app.command()
@with_threads
@with_read_options
def train(
    task: Annotated[str, typer.Argument(metavar="TASK", help="tagger, classifier or regressor.")],
    train: Annotated[str, typer.Option(metavar="F", help="File of labelled examples.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the trained model.")],
    dev: Annotated[
        str | None, typer.Option(metavar="F", help="Decides which weights are kept.")
    ] = None,
    test: Annotated[str | None, typer.Option(metavar="F", help="Scored once at the end.")] = None,
    config: Config = None,
    settings: Settings = None,
    vectors: Annotated[
        Path | None, typer.Option(metavar="F", help="Pretrained word vectors, text format.")
    ] = None,
    seed: Seed = 1,
    epochs: Annotated[int | None, typer.Option(min=1, help="Rounds over the data.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was stopped.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the model at --out.")
    ] = False,
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress, no notices.")] = False,
    *,
    reading: ReadOptions,
) -> int:
    """Train a model on a labelled file."""
    from birnn.cli import commands

    return commands.train(
        task,
        train=train,
        dev=dev,
        test=test,
        out=out,
        config=config,
        settings=settings or [],
        vectors=vectors,
        seed=seed,
        epochs=epochs,
        resume=resume,
        overwrite=overwrite,
        reading=reading,
        as_json=json,
        quiet=quiet,
    )


@app.command()
@with_threads
@with_read_options
def evaluate(
    model: Model,
    data: Annotated[str, typer.Argument(metavar="F", help="File of labelled examples.")],
    json: Json = False,
    *,
    reading: ReadOptions,
) -> int:
    """Score a model on a labelled file."""
    from birnn.cli import commands

    return commands.evaluate(model, data, reading=reading, as_json=json)


app.command()(with_threads(with_read_options(predict)))


@app.command()
def quickstart(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of the report and the model.")
    ] = Path("quickstart"),
    seed: Seed = 1,
    json: Json = False,
) -> int:
    """Train one and two directions on embedded data, compare them, write a report."""
    from birnn.cli import commands

    return commands.quickstart(out, seed=seed, as_json=json)


@app.command()
def settings(
    task: Annotated[Literal["tagger", "classifier", "regressor"], typer.Argument()] = "tagger",
    kind: Annotated[
        Literal["words", "symbols", "vectors"], typer.Option(help="What the sequences are made of.")
    ] = "words",
    json: Json = False,
) -> int:
    """List every setting of training with its default and meaning."""
    from birnn.cli import commands

    return commands.settings(task, kind, as_json=json)


@app.command()
@with_read_options
def compare(
    task: Annotated[str, typer.Argument(metavar="TASK", help="tagger or classifier.")],
    train: Annotated[str, typer.Option(metavar="F", help="File of labelled examples.")],
    test: Annotated[str, typer.Option(metavar="F", help="What every model is asked.")],
    dev: Annotated[
        str | None, typer.Option(metavar="F", help="Decides which weights are kept.")
    ] = None,
    ways: Annotated[
        list[str] | None,
        typer.Option(
            "--way",
            metavar="WAY",
            help="forward, both, half (the width) or equal (parameters); repeatable. All by "
            "default.",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Models of each way: seeds 1, 2, ...")] = 3,
    config: Config = None,
    settings: Settings = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Rounds over the data.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Trainings side by side.")] = 1,
    threads: Threads = None,
    out: Page = None,
    json: Json = False,
    markdown: Markdown = False,
    *,
    reading: ReadOptions,
) -> int:
    """Compare one direction, two, two at half width and two at equal parameters."""
    from birnn.cli import studies

    return studies.compare(
        task,
        train=train,
        dev=dev,
        test=test,
        ways=ways,
        seeds=seeds,
        config=config,
        settings=settings or [],
        epochs=epochs,
        jobs=jobs,
        threads=threads,
        out=out,
        reading=reading,
        as_json=json,
        as_markdown=markdown,
    )


@app.command()
@with_read_options
def demo(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="brackets, sentiment, senses, frames, anomaly, residues, bases or forecast.",
        ),
    ],
    seeds: Annotated[int, typer.Option(min=1, help="Models of each way: seeds 1, 2, ...")] = 5,
    train: Annotated[
        str | None, typer.Option(metavar="F", help="Your own data in the place of the drawn.")
    ] = None,
    test: Annotated[
        str | None, typer.Option(metavar="F", help="What every model is asked.")
    ] = None,
    dev: Annotated[
        str | None, typer.Option(metavar="F", help="Decides which weights are kept.")
    ] = None,
    settings: Settings = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Rounds over the data.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Trainings side by side.")] = 1,
    out: Page = None,
    json: Json = False,
    markdown: Markdown = False,
    *,
    reading: ReadOptions,
) -> int:
    """Run an experiment that comes with its data: one direction against two."""
    from birnn.cli import studies

    return studies.demo(
        name,
        seeds=seeds,
        train=train,
        dev=dev,
        test=test,
        settings=settings or [],
        epochs=epochs,
        jobs=jobs,
        out=out,
        reading=reading,
        as_json=json,
        as_markdown=markdown,
    )


@app.command()
def cost(
    cells: Annotated[
        list[str] | None,
        typer.Option(
            "--cell", metavar="CELL", help="lstm, gru, rnn_tanh or rnn_relu; repeatable. [lstm]"
        ),
    ] = None,
    inputs: Annotated[int, typer.Option("--input", help="Width of a row.")] = 100,
    hidden: Annotated[int, typer.Option(help="Hidden units of each direction.")] = 256,
    layers: Annotated[int, typer.Option(help="Layers on top of each other.")] = 1,
    merge: Annotated[str, typer.Option(help="concat, sum, mean, product or project.")] = "concat",
    batch: Annotated[int, typer.Option(help="Sequences of the batch.")] = 32,
    length: Annotated[int, typer.Option(help="Steps of each.")] = 50,
    rounds: Annotated[int, typer.Option(help="Turns of each in the measuring of time.")] = 5,
    threads: Threads = None,
    counted: Annotated[
        bool, typer.Option("--no-measure", help="Only count: nothing runs.")
    ] = False,
    out: Page = None,
    json: Json = False,
    markdown: Markdown = False,
) -> int:
    """Count and measure what one direction, two, and two at half width cost."""
    from birnn.cli import studies

    return studies.cost(
        cells or ["lstm"],
        inputs=inputs,
        hidden=hidden,
        layers=layers,
        merge=merge,
        batch=batch,
        length=length,
        rounds=rounds,
        threads=threads,
        measure=not counted,
        out=out,
        as_json=json,
        as_markdown=markdown,
    )


@app.command()
@with_threads
@with_read_options
def explain(
    model: Model,
    text: Annotated[
        str,
        typer.Argument(
            metavar="TEXT",
            help="What it reads; or a file, whose first sequence is read (of vectors always).",
        ),
    ],
    out: Page = None,
    step: Annotated[
        str | None,
        typer.Option(
            metavar="N|TOKEN",
            help="Of a tagger: the step explained, by its number or a token that occurs once; the "
            "least sure by default.",
        ),
    ] = None,
    target: Annotated[
        str | None, typer.Option(metavar="LABEL", help="Explain this answer, not the one given.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(metavar="F", help="Sequences to take means over.")
    ] = None,
    json: Json = False,
    *,
    reading: ReadOptions,
) -> int:
    """Show what each direction knew, which of them decided, and which steps mattered."""
    from birnn.cli import explaining

    return explaining.explain(
        model, text, out=out, step=step, target=target, data=data, reading=reading, as_json=json
    )


@app.command()
def bench(
    shapes: Annotated[
        list[str] | None,
        typer.Option(
            "--shape",
            metavar="BxDxHxL",
            help="Batch, inputs, hidden, mean length; repeatable. Seven shapes by default.",
        ),
    ] = None,
    peers: Annotated[
        list[str] | None,
        typer.Option(
            "--peer", metavar="NAME", help="Only this one; repeatable. All installed by default."
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each peer in each case.")] = 3,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of each; two by default.")
    ] = None,
    full: Annotated[
        bool,
        typer.Option("--full", help="Equal lengths, one direction, GRU and RNN against torch too."),
    ] = False,
    json: Json = False,
    markdown: Markdown = False,
) -> int:
    """Measure the layers against the peers that are installed."""
    from birnn.cli import bench as command

    return command.bench(
        shapes=shapes or [],
        peers=peers or [],
        rounds=rounds,
        threads=threads,
        full=full,
        as_json=json,
        as_markdown=markdown,
    )


@app.command()
def info(json: Json = False) -> int:
    """Tell versions, engine and threads."""
    from birnn.cli import commands

    return commands.info(as_json=json)
