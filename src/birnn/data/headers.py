"""The names that people give to the columns of a table, and whether its first row holds them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence

from birnn.data.examples import TargetKind
from birnn.data.numeric import is_number
from birnn.data.options import ReadRequest
from birnn.errors import DataError

SHOWN = 12  # columns that a message names

# Usual names of columns, the likeliest first, as `plain_name` writes them. Of a longer name the
# last word counts: "Review Text".
# fmt: off
TEXT = (
    "text", "sentence", "review", "content", "message", "comment", "tweet", "texts", "sentences",
    "reviews", "contents", "messages", "comments", "tweets", "document", "utterance", "body",
    "post", "phrase", "paragraph", "passage", "article", "question", "query", "headline", "title",
    "description", "abstract", "summary", "sms", "email", "input", "word", "words",
)
LABEL = (
    "label", "class", "category", "sentiment", "target", "labels", "classes", "categories",
    "targets", "tag", "stars", "rating", "score", "polarity", "emotion", "intent", "topic", "genre",
    "language", "lang", "stance", "annotation", "gold", "answer", "output", "type", "y", "tags",
    "star", "ratings", "scores", "value", "values",
)
LABELS = ("labels", "categories", "classes", "tags", "topics", "genres", "emotions", *LABEL)
SOURCE = ("source", "src", "input", "text", "word", "graphemes", "spelling", "sentence", "question")
TARGET = (
    "target", "tgt", "output", "pronunciation", "phonemes", "label", "translation", "transcription",
    "ipa", "answer", "summary",
)
INDEX = ("id", "index", "unnamed: 0", "unnamed 0", "idx", "uid", "guid", "row", "no", "nr", "#", "")
# fmt: on

# Of tables of series: the time of a step, what tells series apart.
TIME = (
    *("time", "timestamp", "datetime", "date time", "date", "t", "seconds", "sec", "ms", "step"),
    *("frame", "tick", "timepoint", "timepoints", "ds", "time s", "time ms", "seconds elapsed"),
)
SERIES = (
    *("series id", "sequence id", "series", "sequence", "unique id", "case id", "case", "instance"),
    *("instances", "recording", "recording id", "segment", "segment id", "window", "trial"),
    *("session", "measurement", "sample id", "sample", "group", "id", "subject", "user"),
)
SURE = ("label", "class", "category", "target", "labels", "tag", "tags")
"""Names of labels that are no channels."""
MISSING = frozenset({"", "nan", "na", "n/a", "null", "none", "?", "<na>", "nat"})
"""What cells of files hold where a value is missing, in lower case."""

# Names that leave no doubt; any other gives a notice.
PLAIN = ("text", "sentence", "source", "label", "labels", "target")

ENOUGH = 4  # rows, by which the contents of a column are judged
LONGEST_NAME = 40  # characters
NAME_WORDS = 4


def plain_name(name: str) -> str:
    """A name as names are compared.

    Example:
        >>> plain_name("reviewText"), plain_name(" Star_Rating")
        ('review text', 'star rating')
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name.strip())
    return re.sub(r"[\s_.-]+", " ", spaced).strip().casefold()


def lexicons(target: TargetKind) -> tuple[Sequence[str], Sequence[str]]:
    """The names of the texts, and of the targets, where targets are of this kind."""
    if target == "sequence":
        return SOURCE, TARGET
    return TEXT, LABELS if target == "labels" else LABEL


def called(target: TargetKind) -> tuple[str, str]:
    """What messages call the text and what is learnt of it, where targets are of this kind."""
    return ("source", "target") if target == "sequence" else ("text", "label")


def known_places(names: Sequence[str | None], lexicon: Sequence[str]) -> list[int]:
    """Places of names that are in a lexicon, the likeliest first."""

    def rank(name: str) -> int | None:
        for rank, part in ((0, name), (len(lexicon), name.rpartition(" ")[2])):
            if part in lexicon:
                return rank + lexicon.index(part)
        return None

    ranked = [(rank(name), at) for at, name in enumerate(names) if name]
    return [at for _, at in sorted((r, at) for r, at in ranked if r is not None)]


def listed(names: Sequence[str]) -> str:
    """Names as messages list them."""
    return ", ".join(map(repr, names))


def place_of(
    ref: str, option: str, names: Sequence[str], request: ReadRequest, *, header: bool
) -> int | None:
    """Place of the column that an option names or numbers; None where a model's is not here.

    Args:
        ref: The name, or the number from 1 on.
        option: Name of the option.
        names: The first row of the table.
        request: Its options tell whether a model or the caller has set it.
        header: Whether the first row holds names.

    Raises:
        DataError: There is no such column, or there are several.

    Example:
        >>> place_of("Series ID", "id_column", ["x", "series_id"], ReadRequest(), header=True)
        1
    """
    called = [name.strip() for name in names]
    for same in (str.strip, plain_name) if header else ():
        found = [at for at, name in enumerate(called) if same(name) == same(ref)]
        if len(found) == 1:
            return found[0]
        if found:
            raise DataError(f"{len(found)} columns are called {ref!r}. Rename one")
    # The channels of a model have to be there; its other columns may be found by their names.
    of_model = request.options.of_model(option)
    elsewhere = of_model and option != "channels"
    numbered = ref.isascii() and ref.isdigit() and 1 <= int(ref) <= len(called)
    if numbered and not (elsewhere and header):
        return int(ref) - 1
    if elsewhere:
        return None
    model = ", which the model was trained on" if of_model else ""
    has = f"the header names {listed(called[:SHOWN])}"
    if not header:
        has = f"the row has {len(called)} cells and there is no header"
    raise DataError(f"no column {ref!r}{model}: {has}. Name it: --{option.replace('_', '-')}")


def has_header(
    first: Sequence[str],
    rest: Sequence[Sequence[str]],
    request: ReadRequest,
    given: bool | None,
    by_name: bool,
) -> bool:
    """Whether the first row of a table names its columns.

    ``given`` is what the options say; ``by_name`` whether they give a column by its name.

    Raises:
        DataError: It looks like names, and none is known.
    """
    of_model = request.options.of_model("header")
    if given is not None:
        if not given and of_model:
            _refuse_names(first, rest, request)
        return given
    if by_name:
        return True
    if named_header(first, request.target) and not _name_recurs(first, rest, request.target):
        return True
    if of_model and request.options.header is False:
        _refuse_names(first, rest, request)
        return False
    if not all(map(_is_like_a_name, first)) or len(first) < 2:
        return False
    plain = list(map(plain_name, first))
    twice = [name for name, count in Counter(first).items() if name.strip() and count > 1]
    if twice:
        known = any(name in lexicon for lexicon in lexicons(request.target) for name in plain)
        if known and not any(name in row for name in twice for row in rest):
            raise DataError(
                f"{list(first).count(twice[0])} columns are called {twice[0]!r}. Set --header, and "
                "--text-column and --label-column to numbers"
            )
    if len(set(first)) < len(first):
        return False
    numbers = len(rest) >= 2 and any(
        cell.strip() and all(is_number(row[at]) for row in rest) for at, cell in enumerate(first)
    )
    if numbers and request.target == "values":
        return True
    if numbers or _names_over_texts(first, rest):
        if any(known_places(plain, lexicon) for lexicon in lexicons(request.target)):
            return True
        raise DataError(
            f"{listed(first)} look like names of columns, and none is known. Set --text-column "
            "and --label-column, --series if it holds series, or --no-header if it is a row like "
            "the others"
        )
    _refuse_names(first, rest, request)
    return False


def names_given(first: Sequence[str], request: ReadRequest, *options: str) -> bool:
    """Whether an option names a column by what stands in the first row, which is a header then.

    Args:
        first: The first row.
        request: Whose options are asked.
        options: Which of them: names of a column, of several with commas between, or a tuple.

    Example:
        >>> from birnn.data.options import ReadOptions
        >>> request = ReadRequest("labels", options=ReadOptions(label_column="funny,sad"))
        >>> names_given(["note", "funny", "sad"], request, "label_column")
        True
        >>> names_given(["so good", "yes", "no"], request, "label_column")
        False
    """
    plain = {plain_name(name) for name in first if not is_number(name)}
    for option in options:
        given = getattr(request.options, option) or ()
        parts = (given, *given.split(",")) if isinstance(given, str) else given
        if any(plain_name(part) in plain for part in parts):
            return True
    return False


def named_header(first: Sequence[str], target: TargetKind) -> bool:
    """Whether a row consists of names, one of which is known for a text or a target.

    Example:
        >>> named_header(["Review Text", "Sentiment"], "label"), named_header(["so", "1"], "label")
        (True, False)
    """
    if not all(map(_is_like_a_name, first)) or len(set(first)) < len(first):
        return False
    names = list(map(plain_name, first))
    text, label = lexicons(target)
    if len(names) == 1:
        return names[0] in text
    if any(name in text or name in label for name in names):
        return True
    found = known_places(names, text)
    return bool(found and [at for at in known_places(names, label) if at != found[0]])


def _refuse_names(
    first: Sequence[str], rest: Sequence[Sequence[str]], request: ReadRequest
) -> None:
    """Refuse a first row that looks like names, none of which is known."""
    at = _name_over_labels(first, rest) if request.target == "label" else None
    if at is not None and first[at].strip() not in request.labels:
        raise DataError(
            f"{listed(first)} look like names of columns that are not known: no other row has "
            f"{first[at]!r} where labels stand. Set --header with --text-column and "
            "--label-column, or --no-header if it is a row like the others"
        )


def _is_like_a_name(cell: str) -> bool:
    """Whether a cell might be the name of a column: a few words that begin with a letter."""
    cell = cell.strip()
    if not cell or cell == "#":
        return True
    plain = re.fullmatch(r"[^\W\d][\w .:()/\[\]-]*", cell) is not None
    return plain and len(cell) <= LONGEST_NAME and len(cell.split()) <= NAME_WORDS


def _name_recurs(first: Sequence[str], rest: Sequence[Sequence[str]], target: TargetKind) -> bool:
    """Whether the name of the label column is a label of later rows."""
    names = list(map(plain_name, first))
    text, label = lexicons(target)
    found = known_places(names, text)
    if len(first) != 2 or (found and known_places(names, label)):
        return False
    others = {0, 1} - set(found[:1])
    if target == "sequence":
        # "source<TAB>S AO R S" is a pair: its symbols stand in other targets, a name does not.
        symbols = [({s for row in rest for s in row[at].split()}, first[at]) for at in others]
        return any(symbols_of.issuperset(name.split()) for symbols_of, name in symbols)
    return any(row[at] == first[at] for row in rest for at in others)


def _names_over_texts(first: Sequence[str], rest: Sequence[Sequence[str]]) -> bool:
    """Whether single words stand over longer texts, and none of them recurs in its column."""
    if len(rest) < ENOUGH or any(len(cell.split()) != 1 for cell in first):
        return False
    columns = list(zip(*rest, strict=True))
    longer = (sum(len(cell.split()) >= 3 for cell in cells) for cells in columns)
    repeats = any(len(set(cells)) <= len(cells) / 2 for cells in columns)
    return repeats and any(n >= 0.8 * len(rest) for n in longer) and _are_fresh(first, columns)


def _name_over_labels(first: Sequence[str], rest: Sequence[Sequence[str]]) -> int | None:
    """Place of a cell that looks like a name over labels, each of which occurs again; or None."""
    if len(rest) < ENOUGH or len(first) < 2 or len(set(first)) < len(first):
        return None
    if not all(_is_like_a_name(cell) and 1 <= len(cell.split()) <= 2 for cell in first):
        return None
    columns = [[cell.strip() for cell in cells] for cells in zip(*rest, strict=True)]
    if not _are_fresh([cell.strip() for cell in first], columns):
        return None
    for at, cells in enumerate(columns):
        counts = Counter(cells)
        if min(counts.values()) > 1 or len(counts) <= len(cells) / ENOUGH:
            return at
    return None


def _are_fresh(first: Sequence[str], columns: Sequence[Sequence[str]]) -> bool:
    """Whether no cell of a row is a value of its column in other rows."""
    return all(cell not in cells for cell, cells in zip(first, columns, strict=True))


def names_over_numbers(first: Sequence[str], rest: Sequence[Sequence[str]]) -> bool:
    """Whether the first row of a table of series holds names: words over numbers, or 0, 1, 2 ..."""
    columns = list(zip(*rest, strict=True)) if rest else []
    is_word: Callable[[str], bool] = lambda cell: bool(cell.strip()) and not is_number(cell)  # noqa: E731
    if any(
        is_word(cell) and cell.strip().lower() not in MISSING and any(map(is_number, cells))
        for cell, cells in zip(first, columns, strict=False)
    ):
        return True
    numbers = sorted(float(cell) for cell in first if is_number(cell))
    counting = [numbers[0] + at for at in range(len(numbers))] if numbers else []
    return len(numbers) >= ENOUGH and numbers == counting and numbers[0] in (0, 1)
