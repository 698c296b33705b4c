"""Read any file: its format by its ending, its examples as a stream."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from birnn.data.alphabet import Alphabet
from birnn.data.examples import Example, TargetKind
from birnn.data.fasttext import PREFIX
from birnn.data.formats import FORMATS, PARTS, TARGET_NAMES, ending_of, format_of
from birnn.data.missing import filled
from birnn.data.options import SPLITS, ReadOptions, ReadRequest
from birnn.data.pairs import split_pairs
from birnn.data.source import Source
from birnn.errors import FormatError, Tell, UsageError, log_notice, nearest

_ANNOTATED = ("doccano", "prodigy", "label-studio", "spacy")
# The formats to which an option applies, and their name in messages.
SERVES = {
    # A file of columns may turn out to be CoNLL-U, see `read_conll`.
    "field": ("conllu", "conll", "spacy"),
    "columns": ("conll",),
    "text_column": ("csv", "tsv", "jsonl", "doccano", "label-studio"),
    "label_column": ("csv", "tsv", "jsonl", "label-studio", "series"),
    "label_split": ("csv", "tsv", "jsonl"),
    "delimiter": ("csv", "tsv", "series"),
    "header": ("csv", "tsv", "series", "conll"),
    "source_split": ("csv", "tsv", "jsonl", "doccano", "text"),
    "target_split": ("csv", "tsv", "jsonl", "doccano"),
    "skip_unlabelled": ("csv", "tsv", "jsonl", "ts", "series", *_ANNOTATED, "fasttext"),
    "misaligned": ("jsonl", *_ANNOTATED, "brat"),
    "offsets": ("jsonl", *_ANNOTATED, "brat"),
    **dict.fromkeys(("series", "id_column", "time_column", "channels"), ("csv", "tsv", "series")),
    "missing": ("csv", "tsv", "series", "jsonl", "ts", "npz"),
}
SERVED = {name: "format " + ", ".join(formats) for name, formats in SERVES.items()}
SERVED["field"] = "CoNLL-U and spacy"

# The options that apply to one kind of target alone.
ONLY_FOR: dict[str, TargetKind] = {**dict.fromkeys(SPLITS, "sequence"), "label_split": "labels"}


def read(
    path: str | os.PathLike[str],
    target: TargetKind,
    options: ReadOptions = ReadOptions(),  # noqa: B008 - it is frozen
    *,
    labelled: bool = True,
    alphabet: Alphabet | None = None,
    labels: Iterable[str] = (),
    tell: Tell = log_notice,
    found: dict[str, Any] | None = None,
) -> Iterator[Example]:
    r"""The sequences of a file, one by one: memory does not grow with the file.

    Args:
        path: The file, ``.gz`` of any format too; ``-`` is standard input, of plain text unless
            ``options.format`` says otherwise.
        target: The kind of target: ``tags``, ``label``, ``labels``, ``values``, ``sequence`` or
            ``gaps``.
        options: What is set about the reading; ``format`` is a key of `FORMATS`, by default the
            file's ending says it.
        labelled: Whether targets are read. Without, the file may lack them.
        alphabet: The symbols of the model that reads, where it reads symbols: a text, of a table
            or a line, is a string of them.
        labels: The model's labels, by which tags are recognised where they are not to be read.
        tell: Takes each notice, one line; by default the logger ``birnn`` does.
        found: Takes what was recognised where nothing was set, as options by name: columns of a
            table, its delimiter.

    Returns:
        The examples in the order of the file. Sequences of length 0 are kept.

    Raises:
        FormatError: A file that is missing, empty, unreadable or not of its format (the line is
            named); raised by the call where possible, else when that sequence is reached.
        UsageError: A format that does not exist or is not read for such targets.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "train.tsv")
        ...     _ = path.write_text("dogs\tNOUN\nbark\tVERB\n")
        ...     [example] = read(path, "tags")
        >>> example.inputs, example.target
        (('dogs', 'bark'), ('NOUN', 'VERB'))
    """
    if target not in TARGET_NAMES:
        raise UsageError(f"no kind of target {target!r}: {nearest(str(target), TARGET_NAMES)}")
    is_folder = Path(path).is_dir()
    if is_folder and Path(path, "birnn.json").is_file():
        raise FormatError(f"{path}: is a model, not data. Name a file, or a folder of files.")
    limits: dict[str, Any] = {"tell": tell, "max_line": options.max_line}
    # A folder is no stream of bytes: what reads it opens its files.
    source = (
        Source.of_folder(path, **limits)
        if is_folder
        else Source.from_path(path, max_unpacked=options.max_unpacked, **limits)
    )
    name = options.format
    if name is None and not source.live and target in FORMATS["fasttext"].targets:
        name = _fasttext(path, source)
    name = format_of(path, target, name, labelled=labelled)
    if options.format is None and ending_of(path) in PARTS:
        source.notice(f"read as {name}; --format says otherwise")
    for option, formats in SERVES.items():
        if name not in formats and options.given(option):
            source.notice(f"the option {option} serves {SERVED[option]}, this is {name}")
    for option, served in ONLY_FOR.items():
        if target != served and options.given(option):
            wanted = f"{TARGET_NAMES[served]}, these are {TARGET_NAMES[target]}"
            source.notice(f"the option {option} serves {wanted}")
    request = ReadRequest(
        target, labelled, options, {} if found is None else found, alphabet, frozenset(labels), tell
    )
    examples = FORMATS[name].reader(source, request)
    if target == "sequence":
        examples = split_pairs(examples, request, source.notice, live=source.live)
    examples = filled(examples, options.missing, source.notice)
    return _checked(source, examples, options.max_tokens)


def text_example(
    text: str,
    target: TargetKind,
    options: ReadOptions,
    *,
    alphabet: Alphabet | None = None,
    tell: Tell = log_notice,
) -> Example:
    """A text as one example without a target, read as a line of a plain text is.

    Args:
        text: The text; line breaks are white space.
        target: The kind of target of the model that reads it.
        options: How it is split, and of how many tokens it may be.
        alphabet: As for `read`.
        tell: As for `read`.

    Raises:
        FormatError: More tokens than the options allow.
    """
    source = Source.from_text(text, "the text")
    request = ReadRequest(target, labelled=False, options=options, alphabet=alphabet, tell=tell)
    found = iter([Example(request.steps(text, source.name), None, source.name, text=text)])
    if target == "sequence":
        found = split_pairs(found, request, lambda line: tell(f"{source.name}: {line}"))
    return next(_checked(source, found, options.max_tokens))


def _fasttext(path: str | os.PathLike[str], source: Source) -> str | None:
    """The format of a file whose name leaves it open and whose first line begins with a label."""
    if ending_of(path) not in ("", ".txt", *PARTS) or Path(path).is_dir():
        return None
    if not next(iter(source.lines()), "").startswith(PREFIX):
        return None
    source.notice("read as fasttext; --format says otherwise")
    return "fasttext"


def _checked(source: Source, examples: Iterator[Example], max_tokens: int) -> Iterator[Example]:
    """The examples; refuses a file of none, and a sequence of too many tokens."""
    empty = True
    for example in examples:
        empty = False
        targets = (example.target, *example.references)
        longest = max([len(example), *(len(each) for each in targets if isinstance(each, tuple))])
        if longest > max_tokens and isinstance(example.inputs, tuple):
            raise FormatError(
                f"{example.where}: a sequence of {longest:,} tokens, {max_tokens:,} are read "
                "at most: a model keeps some kilobytes of each. Part it, or set --max-tokens N "
                "(max_tokens in Python)."
            )
        yield example
    if empty:
        raise source.fault("no sequence in it. At least one is needed.")
