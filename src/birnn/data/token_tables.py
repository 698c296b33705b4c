"""Tables of tokens: a token and its tag in each row, and a column that tells sentences apart.

The name of a sentence may stand in each of its rows, or in the first one alone:

    Sentence #,Word,POS,Tag
    Sentence: 1,Ada,NNP,B-per
    ,sings,VBZ,O
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass

from birnn.data.conll_columns import SENTENCE_NAMES, TAG_NAMES, TOKEN_NAMES
from birnn.data.examples import Example
from birnn.data.headers import listed, names_given, place_of, plain_name
from birnn.data.options import ReadRequest
from birnn.data.source import NumberedRow
from birnn.data.writing import WriteRequest
from birnn.errors import DataError

OPTIONS = "--id-column, --text-column, --label-column"
HEADER = ("sentence", "word", "tag")  # of tables that are written

_SENTENCE = frozenset(map(plain_name, SENTENCE_NAMES)) | {"sentence idx", "sentence nr"}
_TOKEN = frozenset(map(plain_name, TOKEN_NAMES))
_TAG = frozenset(map(plain_name, TAG_NAMES))
# Of several columns of tags the last that are meant.
_SPEECH = frozenset(("pos", "upos", "xpos", "pos tag", "postag", "upostag", "xpostag", "chunk"))
_FEW = 20  # rows; of fewer sentences of one word each may be chance


@dataclass(frozen=True, slots=True)
class TokenTable:
    """Which places of a row are read."""

    names: tuple[str, ...]  # of all columns; their numbers where there is no header
    header: bool
    sentence: int | None  # without one, rows of nothing but empty cells part sentences
    token: int
    tag: int | None  # none where tags are not read

    @property
    def notice(self) -> str:
        """What was recognised, in words."""
        read = [at for at in (self.sentence, self.token, self.tag) if at is not None]
        parted = "empty rows" if self.sentence is None else repr(self.names[self.sentence])
        told = f"a table of tokens: {self.names[self.token]!r}"
        told += "" if self.tag is None else f", their tags {self.names[self.tag]!r}"
        left = [name for at, name in enumerate(self.names) if at not in read]
        told += f", sentences told apart by {parted}"
        return told + (f"; not read: {listed(left)}" if left else "")

    def found(self) -> dict[str, str]:
        """What was recognised, as the options that would say the same."""
        places = {
            "id_column": self.sentence,
            "text_column": self.token,
            "label_column": self.tag,
        }
        return {name: self.names[at] for name, at in places.items() if at is not None}


def find_tokens(
    first: Sequence[str],
    rest: Sequence[Sequence[str]],
    request: ReadRequest,
    *,
    header: bool = False,
    parted: bool = False,
) -> TokenTable | None:
    """The columns of a table of tokens; None where it is none, as far as can be seen.

    Args:
        first: The names, or the first row of a file.
        rest: The rows after it, as many as are at hand.
        request: What is read; its options decide, and without any the names of the columns.
        header: Whether the first row is known to hold names.
        parted: Whether empty rows stand between others.

    Raises:
        DataError: Columns of tokens and tags, and nothing that tells sentences apart; or a column
            that an option names and that is not there.

    Example:
        >>> rows = [["Sentence: 1", "Ada", "NNP", "B-per"], ["", "sings", "VBZ", "O"]]
        >>> find_tokens(["Sentence #", "Word", "POS", "Tag"], rows, ReadRequest()).notice
        "a table of tokens: 'Word', their tags 'Tag', sentences told apart by 'Sentence #'; \
not read: 'POS'"
        >>> find_tokens(["text", "tags"], [["so good", "O O"]], ReadRequest())
    """
    return None if request.target != "tags" else _Choice(first, rest, request, header).table(parted)


class _Choice:
    """The first rows of a table, and the choice of its columns."""

    def __init__(
        self,
        first: Sequence[str],
        rest: Sequence[Sequence[str]],
        request: ReadRequest,
        header: bool,
    ) -> None:
        self.first, self.request = [name.strip() for name in first], request
        self.plain = list(map(plain_name, first))
        self.rows = [row for row in rest if len(row) == len(first)]
        given = request.options.header if request.options.given("header") else None
        known = [bool(names.intersection(self.plain)) for names in (_TOKEN, _SENTENCE, _TAG)]
        if given is None:
            given = known[0] and any(known[1:])
            given = given or names_given(first, request, "text_column", "label_column", "id_column")
        self.header = header or given

    def table(self, parted: bool) -> TokenTable | None:
        """The columns of the table; ``parted`` is whether empty rows stand between others."""
        labelled = self.request.labelled
        if self.request.options.given("series") or len(self.first) < 2:
            return None
        token = self._set("text_column")
        if token is None:
            token = self._known([], _TOKEN - {"text"}, _TOKEN)
        if token is None or self._are_texts(token):
            return None
        sentence = self._set("id_column")
        tag = self._set("label_column") if labelled else None
        if sentence is None:
            # A column "sentence" beside one "Sentence #" may hold the whole text of each.
            taken = [token] if tag is None else [token, tag]
            sentence = self._known(taken, _SENTENCE - {"sentence", "sent"}, _SENTENCE)
        if labelled and tag is None:
            taken = [token] if sentence is None else [token, sentence]
            tag = self._known(taken, _TAG - _SPEECH, _SPEECH)
        if sentence is None and (not parted or (labelled and tag is None)):
            named = self.header and self.plain[token] in _TOKEN - {"text"}
            if not named or (labelled and tag is None):
                return None
            raise DataError(
                f"tokens in the column {self.first[token]!r}, and neither a column nor empty rows "
                "tell sentences apart. Name the column that does: --id-column"
            )
        if labelled and tag is None:
            raise DataError(
                f"a table of tokens ({self._name(token)}) without a known column of tags. Name "
                "it: --label-column"
            )
        if sentence is not None and not self.request.options.given("id_column"):
            self._check_sentences(sentence)
        names = self.first if self.header else map(str, range(1, len(self.first) + 1))
        return TokenTable(tuple(names), self.header, sentence, token, tag)

    def _set(self, option: str) -> int | None:
        """Place of a column that an option names; None where a model's is not here."""
        ref = getattr(self.request.options, option)
        if ref is None:
            return None
        return place_of(ref, option, self.first, self.request, header=self.header)

    def _known(self, taken: Sequence[int], *lexicons: Container[str]) -> int | None:
        """Place of the first name of the first lexicon that has one."""
        for names in lexicons if self.header else ():
            for at, name in enumerate(self.plain):
                if name in names and at not in taken:
                    return at
        return None

    def _are_texts(self, token: int) -> bool:
        words = [row[token].strip() for row in self.rows if row[token]]
        return 2 * sum(" " in word for word in words) > len(words)

    def _check_sentences(self, sentence: int) -> None:
        ids = [row[sentence] for row in self.rows]
        if len(ids) >= _FEW and len(set(ids)) == len(ids):
            raise DataError(
                f"{self._name(sentence)} has another value in each row: it tells rows apart and no "
                "sentences. Name the column that does: --id-column"
            )

    def _name(self, at: int) -> str:
        return repr(self.first[at]) if self.header else f"column {at + 1}"


class Sentences:
    """The sentences of a table of tokens.

    A row with the name of a sentence and nothing else is a sentence without tokens. Other rows
    without a token are left out, and told: what programs take for a missing value (NA, null) may
    have been a word.

    Args:
        found: The columns.
        where: Gives the place of a row, for messages.
        fault: Makes the error for a row.
        tell: Takes each notice and its row.
    """

    def __init__(
        self,
        found: TokenTable,
        where: Callable[[int], str],
        fault: Callable[[str, int], DataError],
        tell: Callable[[str, int], None],
    ) -> None:
        self._found, self._where, self._fault, self._tell = found, where, fault, tell
        self._rows: list[tuple[int, str, str]] = []  # number, token, tag
        self._name: str | None = None
        self._start: int | None = None
        self._seen: set[str] = set()
        self._without: list[int] = []
        self._twice: list[tuple[str, int]] = []

    def examples(self, rows: Iterable[NumberedRow]) -> Iterator[Example]:
        """The sentences one by one, from the rows and their numbers.

        Raises:
            DataError: A row of another length, or a token without a tag.
        """
        found = self._found
        for number, row in rows:
            if not any(row):
                if found.sentence is None:
                    yield from self._ended()
                continue
            if len(row) != len(found.names):
                message = f"{len(row)} cells, the first row has {len(found.names)}."
                raise self._fault(message, number)
            name = "" if found.sentence is None else row[found.sentence].strip()
            if self._start is None or (name and name != self._name):
                yield from self._ended()
                self._begin(name, number)
            token = row[found.token]
            tag = "" if found.tag is None else row[found.tag].strip()
            if token and found.tag is not None and not tag:
                raise self._fault(f"the token {token!r} has no tag. Give every token one.", number)
            if token:
                self._rows.append((number, token, tag))
            elif tag or not name:
                self._without.append(number)
        yield from self._ended()
        self._report()

    def _begin(self, name: str, number: int) -> None:
        self._start, self._name = number, name or None
        if name in self._seen:
            self._twice.append((name, number))
        if name:
            self._seen.add(name)

    def _ended(self) -> Iterator[Example]:
        """The sentence that has ended, if there is one."""
        if self._start is None:
            return
        lines, tokens, tags = zip(*self._rows, strict=True) if self._rows else ((), (), ())
        target = None if self._found.tag is None else tags
        where = self._where(lines[0] if lines else self._start)
        yield Example(tokens, target, where, self._name, lines=lines)
        self._rows, self._start = [], None

    def _report(self) -> None:
        if self._without:
            count = len(self._without)
            what = "a row" if count == 1 else f"{count:,} rows, the first"
            self._tell(f"{what} here has no token: left out", self._without[0])
        if self._twice:
            (name, number), count = self._twice[0], len(self._twice)
            what = "" if count == 1 else f", and {count - 1:,} others"
            self._tell(
                f"the sentence {name!r} stands apart from its like{what}: read as another", number
            )


def token_cells(examples: Iterable[Example], request: WriteRequest) -> Iterator[list[str]]:
    """The rows of a table of tokens, as `sentences` reads them; the first one names the columns.

    Example:
        >>> example = Example(("Ada", "sings"), ("B-PER", "O"))
        >>> list(token_cells([example], WriteRequest("tags", "csv")))[1:]
        [['1', 'Ada', 'B-PER'], ['1', 'sings', 'O']]
    """
    before, width = "", 0
    for number, example in enumerate(examples, 1):
        tokens = request.tokens(example, "\t" if request.format == "tsv" else "")
        if not width:
            width = len(HEADER) - (example.target is None)
            yield list(HEADER[:width])
        name = (example.id or "").strip() or str(number)
        if name == before:
            request.lose("id that stands twice, one after another", example.where)
            name += f" ({number})"
        before = name
        tags = example.target if isinstance(example.target, tuple) else ("",) * len(tokens)
        for token, tag in zip(tokens, tags, strict=True) if tokens else [("", "")]:
            yield [name, token, tag][:width]
