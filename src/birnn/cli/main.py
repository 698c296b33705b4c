"""The command line: the tree of arguments, and how errors are told. Work is in `commands`."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

import birnn
from birnn.errors import BirnnError

# Newer typers carry their own click: the class is found where theirs is.
UsageFault: type[Exception] = typer.BadParameter.__bases__[0]

app = typer.Typer(
    name="birnn",
    help="Bidirectional recurrent networks: train, run and open up taggers and classifiers.",
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
        typer.Option(
            "--set",
            metavar="SECTION.KEY=VALUE",
            help="One setting of `birnn settings`; repeatable.",
        ),
    ] = None,
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
    format: Format = None,  # noqa: A002
    field: Field = "upos",
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress, no notices.")] = False,
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
) -> int:
    """Score a model on a labelled file."""
    from birnn.cli import commands

    return commands.evaluate(model, data, format=format, field=field, as_json=json)


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
) -> int:
    """Label the sequences of a file as a stream: memory does not grow with it."""
    from birnn.cli import commands

    return commands.predict(
        model, data, out=out, format=format, probabilities=probabilities, as_json=json
    )


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
    markdown: Annotated[bool, typer.Option("--markdown", help="Tables as Markdown.")] = False,
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


def run() -> None:
    """Run the command line; a user's mistake is one line on standard error and an exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Tokens and labels are Unicode whatever the terminal's language is.
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    sys.exit(main(sys.argv[1:]))


def main(arguments: list[str]) -> int:
    """Run with these arguments and return the exit status: 0 done, 1 failed, 2 wrong usage."""
    try:
        status = _run(arguments)
        # Here, where it can still be told, not when Python ends.
        sys.stdout.flush()
    except UsageFault as error:
        return _fail(_advised(error), 2)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", 130)
    except BirnnError as error:
        return _fail(str(error), error.exit_status)
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        _drop_output()
        return 141
    except MemoryError:
        return _fail("not enough memory. Use smaller batches or a smaller model.", 1)
    except OSError as error:
        _drop_output()
        where = f"{error.filename}: " if error.filename else "cannot read or write: "
        return _fail(f"{where}{error.strerror or error}", 1)
    return status


def _run(arguments: list[str]) -> int:
    """Parse and run, past typer's own ways of telling errors and of ending the process."""
    command = typer.main.get_command(app)
    try:
        with command.make_context("birnn", list(arguments or ["--help"])) as context:
            status = command.invoke(context)
    except typer.Exit as done:
        status = done.exit_code
    if not arguments:
        return 2
    return status if isinstance(status, int) else 0


def _advised(error: Any) -> str:
    """What is wrong with the call, and where to look."""
    path = error.ctx.command_path if error.ctx is not None else "birnn"
    text = error.format_message().replace("Value error, ", "").rstrip()
    return f"{text if text.endswith(('.', '?', ')')) else text + '.'} See: {path} --help"


def _drop_output() -> None:
    """Send what is left in standard output nowhere, so that Python does not complain at its end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str, status: int) -> int:
    print("birnn: " + " ".join(message.split()), file=sys.stderr)
    return status
