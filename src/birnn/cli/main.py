"""The command line: the tree of arguments, and how errors are told. Work is in `commands`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import click
import typer

from birnn.errors import BirnnError

app = typer.Typer(
    name="birnn",
    help="Bidirectional recurrent networks: train, run and open up taggers and classifiers.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Model = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a trained model.")]
Format = Annotated[
    str | None, typer.Option(help="Format of the files, where their ending does not tell.")
]
Field = Annotated[str, typer.Option(help="Column of CoNLL-U: upos, xpos, deprel or feats.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


@app.command()
def train(
    task: Annotated[str, typer.Argument(metavar="TASK", help="tagger, classifier or regressor.")],
    train: Annotated[str, typer.Option(metavar="F", help="File of labelled examples.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the trained model.")],
    dev: Annotated[
        str | None, typer.Option(metavar="F", help="Decides which weights are kept.")
    ] = None,
    test: Annotated[str | None, typer.Option(metavar="F", help="Scored once at the end.")] = None,
    config: Annotated[Path | None, typer.Option(metavar="C.toml", help="Settings.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.KEY=VALUE", help="One setting; repeatable."),
    ] = None,
    vectors: Annotated[
        Path | None, typer.Option(metavar="F", help="Pretrained word vectors, text format.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="One seed gives one model.")] = 1,
    epochs: Annotated[int | None, typer.Option(min=1, help="Rounds over the data.")] = None,
    resume: Annotated[bool, typer.Option(help="Go on with a run that was stopped.")] = False,
    overwrite: Annotated[bool, typer.Option(help="Replace the model at --out.")] = False,
    format: Format = None,  # noqa: A002
    field: Field = "upos",
    json: Json = False,
    quiet: Annotated[bool, typer.Option(help="No progress, no notices.")] = False,
) -> None:
    """Train a model on a labelled file."""
    from birnn.cli import commands

    commands.train(
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
        format=format,
        field=field,
        as_json=json,
        quiet=quiet,
    )


@app.command()
def evaluate(
    model: Model,
    data: Annotated[str, typer.Argument(metavar="F", help="File of labelled examples.")],
    format: Format = None,  # noqa: A002
    field: Annotated[
        str | None, typer.Option(help="Column of CoNLL-U; as in training by default.")
    ] = None,
    json: Json = False,
) -> None:
    """Score a model on a labelled file."""
    from birnn.cli import commands

    commands.evaluate(model, data, format=format, field=field, as_json=json)


@app.command()
def predict(
    model: Model,
    data: Annotated[
        str, typer.Argument(metavar="[F|-]", help="File, or - for standard input.")
    ] = "-",
    out: Annotated[
        Path | None, typer.Option(metavar="F", help="Write here, not to standard output.")
    ] = None,
    format: Format = None,  # noqa: A002
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="The probability of each answer beside it.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object for each sequence, a line each.")
    ] = False,
) -> None:
    """Label the sequences of a file as a stream: memory does not grow with it."""
    from birnn.cli import commands

    commands.predict(model, data, out=out, format=format, probabilities=probabilities, as_json=json)


@app.command()
def quickstart(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of the report and the model.")
    ] = Path("quickstart"),
    seed: Annotated[int, typer.Option(min=0, help="Of the data and the models.")] = 1,
    json: Json = False,
) -> None:
    """Train one and two directions on embedded data, compare them, write a report."""
    from birnn.cli import commands

    commands.quickstart(out, seed=seed, as_json=json)


@app.command()
def settings(
    task: Annotated[Literal["tagger", "classifier", "regressor"], typer.Argument()] = "tagger",
    json: Json = False,
) -> None:
    """List every setting of training with its default and meaning."""
    from birnn.cli import commands

    commands.settings(task, as_json=json)


@app.command()
def info(json: Json = False) -> None:
    """Tell versions, engine and threads."""
    from birnn.cli import commands

    commands.info(as_json=json)


def run() -> None:
    """Run the command line; a user's mistake is one line on standard error and an exit status."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: list[str]) -> int:
    """Run with these arguments and return the exit status: 0 done, 1 failed, 2 wrong usage."""
    try:
        status = app(args=arguments, standalone_mode=False, prog_name="birnn")
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)
        return 2
    except click.UsageError as error:
        return _fail(f"{error.format_message()} (birnn --help lists what there is)", 2)
    except click.Abort:
        return _fail("interrupted", 130)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except BirnnError as error:
        return _fail(str(error), error.exit_status)
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python must not complain when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except MemoryError:
        return _fail("not enough memory. Use smaller batches or a smaller model.", 1)
    except OSError as error:
        return _fail(f"{error.filename or 'system'}: {error.strerror or error}", 1)
    return status if isinstance(status, int) else 0


def _fail(message: str, status: int) -> int:
    print("birnn: " + " ".join(message.split()), file=sys.stderr)
    return status
