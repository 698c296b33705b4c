"""Write examples as a file of any format: whole or not at all, and read again before it stands."""

from __future__ import annotations

import gzip
import os
import shutil
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any, cast

import numpy as np

from birnn.data import schemes
from birnn.data.annotated import SCHEME
from birnn.data.examples import Example, TargetKind
from birnn.data.formats import FORMATS, format_of, named_format
from birnn.data.options import ReadOptions
from birnn.data.read import read
from birnn.data.scheme_detection import find
from birnn.data.schemes import SchemeName
from birnn.data.tables import LABEL_SEPARATOR
from birnn.data.tokeniser import clean
from birnn.data.writing import WriteRequest
from birnn.errors import (
    ConfigError,
    DataError,
    OutputError,
    Tell,
    UsageError,
    log_notice,
    no_notice,
)

SHOWN = 5  # places of sequences that read back otherwise


def write(
    path: str | os.PathLike[str],
    examples: Iterable[Example],
    target: TargetKind,
    *,
    format: str | None = None,  # noqa: A002 - as the option of reading is called
    scheme: str | None = None,
    reading: ReadOptions = ReadOptions(),  # noqa: B008 - it is frozen
    tell: Tell = log_notice,
) -> int:
    r"""Write examples as a file, or as a folder of files, that `birnn.data.read` reads.

    Nothing stands at ``path`` until all is written. What the format does not hold is told, and so
    is what reads back otherwise than it was: the file is read again before it is put in place.

    Args:
        path: Where to write; ``.gz`` of any format but a folder.
        examples: The examples; gone through more than once where they are no iterator.
        target: The kind of their targets.
        format: A key of `FORMATS`; by default the ending of ``path`` says it.
        scheme: The scheme in which tags are written, in any case; by default that which they have.
        reading: How the examples were read: its ``field`` is the one that is written, and its
            ``split`` that with which texts are read again.
        tell: Takes each notice, one line.

    Returns:
        How many examples were written.

    Raises:
        DataError: An example that the format cannot hold.
        UsageError: A format that does not hold such targets, or is not known.
        OutputError: The place cannot be written.

    Example:
        >>> import pathlib, tempfile
        >>> example = Example(("Ada", "lives"), ("B-PER", "O"))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "a.conll")
        ...     write(path, [example], "tags", scheme="iobes"), path.read_text()
        (1, 'Ada\tS-PER\nlives\tO\n\n')
    """
    path = Path(path)
    name = format_to(path, target, format)
    form = FORMATS[name]
    given = list(examples) if isinstance(examples, Iterator) else examples
    wanted = None if scheme is None else schemes.scheme_of(scheme)
    request = _request(given, target, name, wanted, reading)
    found, request.scheme = request.scheme, wanted or request.scheme
    written = _Written()
    prepared = _prepared(given, request, found)
    with _whole(path, is_folder=form.folder is not None) as part:
        _fill(part, form.writer(written.noted(prepared, request), request), name)
        request.report(tell)
        if name != "text":
            written.compare(
                lambda: _again(part, request, reading, written.labelled), request, path, tell
            )
    return len(written.hashes)


def format_to(path: Path, target: TargetKind, name: str | None) -> str:
    """The format in which a file is written: the one named, or that of its ending.

    Raises:
        UsageError: A format that does not exist or is not for such targets.
        FormatError: An ending that is of no format.

    Example:
        >>> format_to(Path("a.conll"), "tags", None), format_to(Path("a.jsonl"), "tags", "doccano")
        ('conll', 'doccano')
    """
    if name is None and path.is_dir():
        raise UsageError(f"{path} is a directory. To write files of BRAT into a new one: --to brat")
    name = format_of(path, target) if name is None else named_format(name, target)
    if FORMATS[name].folder and path.suffix in FORMATS[name].endings:
        raise UsageError(f"{path}: {name} is written as a folder. Give its name, without ending.")
    return name


def _request(
    examples: Iterable[Example],
    target: TargetKind,
    name: str,
    scheme: SchemeName | None,
    reading: ReadOptions,
) -> WriteRequest:
    """What the writer has to know of all examples: the scheme of their tags, their labels."""
    field = reading.field if reading.given("field") or name != "spacy" else "xpos"
    request = WriteRequest(target, name, tag_field=field, holds=FORMATS[name].holds)
    if target in ("label", "labels"):
        request.labels = tuple(dict.fromkeys(x for each in examples for x in request.names(each)))
    if target != "tags" or not (scheme or "spans" in request.holds):
        return request
    tags = [cast("tuple[str, ...]", each.target) for each in examples if each.target is not None]
    request.scheme = find(tags).scheme
    labels = {tag for each in tags for tag in each}
    if labels <= {"O"}:
        request.scheme = SCHEME
    if request.scheme == "none" and (scheme or name != "spacy"):
        raise ConfigError(
            f"the tags mark no spans ({', '.join(sorted(labels)[:6])}): "
            + (f"no scheme {scheme} for them." if scheme else f"{name} holds spans. Write conll.")
        )
    return request


def _prepared(
    examples: Iterable[Example], request: WriteRequest, found: SchemeName
) -> Iterator[Example]:
    """The examples as they are written, their tags in its scheme, with what is lost counted."""
    holds = request.holds
    for example in examples:
        if example.id is not None and "ids" not in holds:
            request.lose("ids", example.where)
        # JSON lines and tables have either: of a tagger, tokens.
        of_tokens = request.target == "tags" and request.format in ("jsonl", "csv", "tsv")
        keeps_text = "texts" in holds and not of_tokens
        if example.text is not None and not keeps_text and request.target != "sequence":
            request.lose("texts, their tokens stand for them", example.where)
        if found != request.scheme and example.target is not None:
            tags = cast("tuple[str, ...]", example.target)
            example = replace(example, target=schemes.convert(tags, found, request.scheme))
        yield example


class _Written:
    """A digest of each example that was written, to compare with what is read again."""

    def __init__(self) -> None:
        self.hashes = array("q")
        self.labelled = False  # whether any has a target
        self._places: list[str] = []
        self._unclean: set[int] = set()  # whose tokens are others once a text is cleaned

    def noted(self, examples: Iterable[Example], request: WriteRequest) -> Iterator[Example]:
        """The examples, taken note of as they are read again."""
        of_spans = "spans" in request.holds and request.scheme != "none"
        for example in examples:
            expected = example
            if of_spans and example.target is not None:
                tags = cast("tuple[str, ...]", example.target)
                marked = schemes.convert(tags, request.scheme, SCHEME)
                # What marks no span is lost, and told.
                kept = tuple(tag if schemes.marks(tag, SCHEME) else "O" for tag in marked)
                expected = replace(example, target=kept)
            self.labelled = self.labelled or example.target is not None
            self._note_unclean(expected)
            self.hashes.append(_digest(expected))
            self._places.append(example.where)
            yield example

    def _note_unclean(self, example: Example) -> None:
        if isinstance(example.inputs, tuple) and any(clean(x) != x for x in example.inputs):
            self._unclean.add(len(self.hashes))

    def compare(
        self,
        again: Callable[[], Iterable[Example]],
        request: WriteRequest,
        path: Path,
        tell: Tell,
    ) -> None:
        """Tell which examples read back otherwise."""
        try:
            found = [_digest(example) for example in again()]
        except DataError as error:
            raise DataError(
                f"{path} could not be read again, so it is not written: {error}"
            ) from None
        if FORMATS[request.format].folder:
            # Its files are read in another order.
            left = Counter(self.hashes) - Counter(found)
            differing = [at for at, one in enumerate(self.hashes) if one in left]
        else:
            pairs = enumerate(zip_longest(self.hashes, found))
            differing = [at for at, (one, two) in pairs if one != two]
        if differing:
            tell(
                f"{path}: {len(differing):,} of {len(self.hashes):,} sequences read back "
                f"otherwise{self._causes(differing)}"
            )

    def _causes(self, differing: Sequence[int]) -> str:
        """Which examples they are, and of how many it is known why."""
        places = [self._places[at] for at in differing if at < len(self._places)]
        shown = ", ".join(filter(None, places[:SHOWN]))
        listed = f": {shown}" if shown else ""
        listed += f" and {len(places) - SHOWN:,} others" if shown and len(places) > SHOWN else ""
        if unclean := len(self._unclean.intersection(differing)):
            which = "all" if unclean == len(differing) else f"{unclean:,}"
            listed += (
                f"; {which} of them hold invisible characters or accents apart from their letters, "
                "which reading a text drops or joins"
            )
        return listed


def _digest(example: Example) -> int:
    parts: list[Any] = []
    for each in (example.inputs, example.target):
        if isinstance(each, np.ndarray):
            parts.append((each.shape if each.size else 0, each.astype(np.float64).tobytes()))
        else:
            parts.append(each)
    return hash((*parts, example.references))


def _again(
    part: Path, request: WriteRequest, reading: ReadOptions, labelled: bool
) -> Iterator[Example]:
    """The examples of what was written, read as whoever reads it next is told to."""
    options: dict[str, Any] = {"format": request.format, "max_tokens": reading.max_tokens}
    if (
        request.format in ("conllu", "spacy")
        and request.target == "tags"
        and (request.scheme == "none")
    ):
        options["field"] = request.tag_field
    options["split"] = "tokens" if request.joined else reading.split
    if request.target == "labels" and request.format in ("csv", "tsv"):
        options["label_split"] = LABEL_SEPARATOR
    if request.target == "sequence":
        options["target_split"] = "spaces"
        way = "spaces" if request.joined else reading.source_split
        options |= {} if way is None else {"source_split": way}
    return read(part, request.target, ReadOptions.of(options), labelled=labelled, tell=no_notice)


def _fill(part: Path, pieces: Iterator[Any], name: str) -> None:
    """Write what a writer gives: pieces of a file, or names and contents of files."""
    if FORMATS[name].folder:
        part.mkdir()
        for file, content in pieces:
            (part / file).parent.mkdir(parents=True, exist_ok=True)
            (part / file).write_text(content, encoding="utf-8", newline="")
        return
    with gzip.open(part, "wb") if part.suffix == ".gz" else part.open("wb") as stream:
        for piece in pieces:
            stream.write(piece if isinstance(piece, bytes) else piece.encode())


@contextmanager
def _whole(path: Path, *, is_folder: bool) -> Iterator[Path]:
    """A place beside ``path`` that becomes it at the end, or is removed."""
    if is_folder and path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise OutputError(f"{path} exists already. Give a folder that does not, or an empty one.")
    if not is_folder and path.is_dir():
        raise OutputError(f"{path} is a directory. Give a file.")
    place = path.resolve()
    end = ".gz" if place.suffix.lower() == ".gz" else ""
    part = place.with_name(f".{place.name}.{os.getpid()}.part{end}")
    try:
        yield part
        if is_folder and place.exists():
            place.rmdir()
        part.replace(place)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(
            f"{path}: cannot be written: {error.strerror or error}. Give another place."
        ) from None
    finally:
        with suppress(OSError):
            shutil.rmtree(part) if part.is_dir() else part.unlink()
