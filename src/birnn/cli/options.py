"""The options that commands share."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from birnn.errors import UsageError

if TYPE_CHECKING:
    from birnn.runtime import Search
    from birnn.tasks import Head

Beam = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Of seq2seq: 5 hypotheses by default, 1 is greedy."),
]
Longest = Annotated[
    int | None,
    typer.Option(metavar="N", min=0, help="Of seq2seq: most symbols of an answer."),
]
Config = Annotated[Path | None, typer.Option(metavar="C.toml", help="Settings.")]
Dev = Annotated[str | None, typer.Option(metavar="F", help="Decides which weights are kept.")]
Epochs = Annotated[int | None, typer.Option(min=1, help="Rounds over the data.")]
Jobs = Annotated[int, typer.Option(min=1, help="Trainings side by side.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
Errors = Annotated[
    Path | None,
    typer.Option(metavar="F", help="Write every error with its context: .jsonl or .tsv."),
]
Level = Annotated[
    float, typer.Option(metavar="SHARE", help="Level of confidence intervals; 0: none.")
]
Labelled = Annotated[str, typer.Argument(metavar="F", help="File of labelled examples.")]
Markdown = Annotated[bool, typer.Option("--markdown", help="Tables as Markdown.")]
# A text, since `Path` makes one slash of the two in hf://user/name.
Model = Annotated[
    str,
    typer.Argument(metavar="DIR", help="Trained model: its folder, or hf://user/name@revision."),
]
Page = Annotated[
    Path | None, typer.Option(metavar="F.html", help="Write a page with figures here.")
]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="One seed gives one model.")]
Seeds = Annotated[int, typer.Option(min=1, help="Models of each way: seeds 1, 2, ...")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="SECTION.KEY=VALUE", help="One setting of `birnn settings`; repeatable."
    ),
]
StartFrom = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="DIR", help="Train this model further, with new labels and words too."
    ),
]
Freeze = Annotated[
    list[str] | None,
    typer.Option(metavar="PART", help="With --from: encoder or inputs stay; repeatable."),
]
# Names stand here in words: the tasks themselves would make `birnn --help` a quarter slower.
TASK_NAMES = "tagger, classifier, multilabel, regressor, seq2seq or filler."
Task = Annotated[str, typer.Argument(metavar="TASK", help=TASK_NAMES)]
Threads = Annotated[
    int | None, typer.Option(min=1, max=256, help="Threads of each; as many as are set by default.")
]


def _columns(text: str | None) -> dict[str, int] | None:
    """``token=2,tag=4`` as a table.

    Example:
        >>> _columns("token=2,tag=-1")
        {'token': 2, 'tag': -1}
    """
    if text is None:
        return None
    try:
        return {name.strip(): int(place) for name, place in (p.split("=") for p in text.split(","))}
    except ValueError:
        raise UsageError(f"--columns is {text!r}. Write it as token=2,tag=4.") from None


def with_epochs(settings: Sequence[str] | None, epochs: int | None) -> list[str]:
    """What ``--set`` gave, and ``--epochs`` as one of them: set twice, it is refused.

    Example:
        >>> with_epochs(["encoder.cell=gru"], 3)
        ['encoder.cell=gru', 'training.epochs=3']
    """
    return [*(settings or ()), *([] if epochs is None else [f"training.epochs={epochs}"])]


def search_of(
    head: Head, beam: int | None, longest: int | None, nbest: int | None = None
) -> Search | None:
    """The search that ``--beam``, ``--longest`` and ``--nbest`` ask for; None without any of them.

    Args:
        head: The head of the model that is to search.
        beam: The width of its beam; by default 5, or as wide as ``nbest``.
        longest: Most symbols of a target; by default what the model learnt.
        nbest: How many targets are given.

    Raises:
        UsageError: It does not search.
        ConfigError: More targets than the beam is wide.
    """
    from birnn.runtime import Search

    given = {"--nbest": nbest, "--beam": beam, "--longest": longest}
    if all(value is None for value in given.values()):
        return None
    if not head.searches:
        option = next(name for name, value in given.items() if value is not None)
        raise UsageError(
            f"{option} is for models that search for their answers, such as seq2seq; this is a "
            f"{head.task}. Leave it out."
        )
    return Search(beam=beam or max(Search().beam, nbest or 1), nbest=nbest or 1, longest=longest)


# Name of each argument, its type and its help.
_OPTIONS: dict[str, Any] = {
    "format": Annotated[
        str | None, typer.Option(help="Format of the files, where their ending does not tell.")
    ],
    "field": Annotated[
        str | None,
        typer.Option(help="Column of CoNLL-U that holds the tags: upos, xpos, deprel or feats."),
    ],
    "columns": Annotated[
        str | None,
        typer.Option(metavar="token=N,tag=N", help="Columns of a CoNLL file, counted from 1."),
    ],
    "text_column": Annotated[
        str | None, typer.Option(metavar="NAME|N", help="Column of a table that holds the text.")
    ],
    "label_column": Annotated[
        str | None, typer.Option(metavar="NAME|N", help="Column of a table that is learnt.")
    ],
    "label_split": Annotated[
        str | None,
        typer.Option(
            metavar="WAY", help="How a cell of several labels is split: separator, list or none."
        ),
    ],
    "delimiter": Annotated[
        str | None, typer.Option(metavar="C", help="What parts the cells of a table.")
    ],
    "header": Annotated[
        bool | None,
        typer.Option(
            "--header/--no-header", help="Whether the first row of a table names its columns."
        ),
    ],
    "as_tokens": Annotated[
        bool, typer.Option("--tokens", help="Texts are tokens already: split at white space alone.")
    ],
    "as_text": Annotated[
        bool, typer.Option("--text", help="Texts are raw: split by the tokeniser.")
    ],
    "source_split": Annotated[
        str | None,
        typer.Option(
            metavar="WAY", help="How sources are split: characters, spaces or a separator."
        ),
    ],
    "target_split": Annotated[
        str | None, typer.Option(metavar="WAY", help="How target sequences are, likewise.")
    ],
    "series": Annotated[
        str | None,
        typer.Option(
            metavar="long|wide|single",
            help="A table holds series: a row is a step of one of them, a series, a step.",
        ),
    ],
    "id_column": Annotated[
        str | None, typer.Option(metavar="NAME|N", help="Column that tells series apart.")
    ],
    "time_column": Annotated[
        str | None, typer.Option(metavar="NAME|N", help="Column of the time of a step.")
    ],
    "channels": Annotated[
        str | None, typer.Option(metavar="NAME,...", help="Columns of series that are read.")
    ],
    "missing": Annotated[
        str | None,
        typer.Option(
            metavar="RULE",
            help="What fills missing values of series: forward, linear, zero; refuse by default.",
        ),
    ],
    "skip_unlabelled": Annotated[
        bool, typer.Option("--skip-unlabelled", help="Leave rows without a label out.")
    ],
    "misaligned": Annotated[
        str | None,
        typer.Option(
            metavar="snap|drop|refuse",
            help="Spans that are no whole tokens: widened (default), left out or refused.",
        ),
    ],
    "offsets": Annotated[
        str | None,
        typer.Option(
            metavar="characters|utf16|bytes", help="What offsets of spans count; shown by texts."
        ),
    ],
    "max_line": Annotated[
        int | None, typer.Option(metavar="BYTES", min=1, help="Longest line; 16 MiB by default.")
    ],
    "max_tokens": Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Most tokens of a sequence; 250,000.")
    ],
    "max_unpacked": Annotated[
        int | None,
        typer.Option(
            metavar="BYTES",
            min=1,
            help="Most that a .gz file unfolds to; 1,000 times its size and 4 GiB by default.",
        ),
    ],
}

_FLAGS = ("as_tokens", "as_text", "skip_unlabelled")


def with_read_options(
    command: Callable[..., int], *, without: Sequence[str] = ()
) -> Callable[..., int]:
    """Give a command the options of reading; it takes them as one argument, ``reading``.

    Args:
        command: A function with a keyword argument ``reading``, a `ReadOptions`.
        without: Options that it has under other names.
    """
    options = {name: option for name, option in _OPTIONS.items() if name not in without}
    signature = inspect.signature(command)
    # All annotations but that of `reading`, whose type is slow to import.
    own = [
        p.replace(annotation=eval(p.annotation, command.__globals__))  # noqa: S307
        for name, p in signature.parameters.items()
        if name != "reading"
    ]
    added = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=False if name in _FLAGS else None,
            annotation=annotation,
        )
        for name, annotation in options.items()
    ]

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> int:
        from birnn.data.options import ReadOptions

        given = {name: kwargs.pop(name) for name in options}
        tokens, text = given.pop("as_tokens"), given.pop("as_text")
        if tokens and text:
            raise UsageError("--tokens and --text are two ways to split one text: choose one.")
        given["split"] = "tokens" if tokens else "text" if text else None
        given["columns"] = _columns(given["columns"])
        given["skip_unlabelled"] = given["skip_unlabelled"] or None
        return command(*args, **kwargs, reading=ReadOptions.of(given))

    # typer reads both.
    run.__signature__ = signature.replace(parameters=own + added)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in own} | options
    return run


_THREADS = Annotated[
    int | None,
    typer.Option(min=1, max=256, help="Threads; BIRNN_NUM_THREADS, or all processors by default."),
]


def with_threads(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the option ``--threads``: it runs on so many."""
    signature = inspect.signature(command, eval_str=True)
    added = inspect.Parameter(
        "threads", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_THREADS
    )

    @functools.wraps(command)
    def run(*args: Any, threads: int | None, **kwargs: Any) -> int:

        from birnn.engine.threads import num_threads

        with num_threads(threads):
            return command(*args, **kwargs)

    own = list(signature.parameters.values())
    run.__signature__ = signature.replace(parameters=[*own, added])  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in own} | {"threads": _THREADS}
    return run
