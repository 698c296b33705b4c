"""Which column of a CoNLL file holds the tokens and which the tags."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

from birnn.data.options import ReadRequest
from birnn.data.source import NumberedLine, NumberedRow, Source
from birnn.errors import FormatError

FEW_ROWS = 20  # fewer that begin alike may be chance

# What a header of a CoNLL file calls its columns, in lower case.
TOKEN_NAMES = frozenset(("token", "tokens", "word", "words", "form", "text", "surface"))
TAG_NAMES = frozenset(
    (
        *("tag", "tags", "label", "labels", "class", "target", "annotation", "bio", "iob", "chunk"),
        *("ner", "ne", "ner_tag", "ner_tags", "ner-tag", "netag", "entity", "entities"),
        *("pos", "upos", "xpos", "pos_tag", "pos-tag", "postag", "upostag", "xpostag"),
    )
)
SENTENCE_NAMES = frozenset(
    ("sentence", "sent", "sent_id", "sentence_id", "sentence #", "sentence_number", "sent #")
)
OTHER_NAMES = frozenset(
    (
        *("id", "idx", "index", "n", "no", "nr", "number", "lemma", "feats", "head", "deprel"),
        *("deps", "misc", "start", "end", "offset", "doc", "doc_id", "document", "#"),
        *SENTENCE_NAMES,
    )
)
# Headers of a file of one column: none is likely as the first word of a sentence.
LONE_NAMES = frozenset(("token", "tokens", "word", "words"))

_MARK = re.compile(r"O|[BIESLUMW]-\S+")
_PROBABILITY = re.compile(r"0\.\d+|1\.0*")
_SPACES = re.compile(" +")
_DOCUMENT = re.compile(r"-DOCSTART-|#(?:begin|end) document\b")
_COMMENT = re.compile(r"# id |# ?(?:newdoc|newpar|sent_id)\b|# ?[\w.:-]+(?: [\w.:-]+)? = ")


@dataclass(frozen=True, slots=True)
class TokenColumns:
    """Which columns of a file hold tokens and tags."""

    token: int  # place, from 0, or from -1 backwards
    tag: int
    width: int  # number of columns
    measured: int  # the line that has so many
    # Whether all rows have so many; where the user names the columns, only those of a sequence.
    fixed: bool = True
    header: int = 0  # the line that names the columns, or 0


def find_columns(
    source: Source, ahead: Sequence[NumberedLine], request: ReadRequest
) -> TokenColumns | None:
    """Find out from the first lines of a file which column is which; None for CoNLL-U.

    Raises:
        FormatError: The token is probably not where it would be looked for.
    """
    return _Beginning(source, ahead, request).columns()


def cells_of(line: str) -> list[str]:
    """The cells of a row."""
    if "\t" in line:
        # A token may be a blank, as some tokenisers have it.
        return [cell.strip(" ") or cell for cell in line.split("\t")]
    return _SPACES.split(line.strip(" "))


def is_document(line: str) -> bool:
    """Whether a line begins or ends a document."""
    return _DOCUMENT.match(line) is not None


def is_comment(line: str, cells: Sequence[str], width: int, *, opening: bool = False) -> bool:
    """Whether a line that begins with ``#`` is a comment; ``#`` and ``#tag`` are words, too.

    Before the first row of a sequence (``opening``) a line of other columns is taken for one.
    """
    if _COMMENT.match(line):
        return True
    if not opening:
        return False
    # "# some words<TAB>more" in a table of two columns; GermEval's "#<TAB>https://...".
    spaced = len(cells) > 1 and "\t" in line and re.match(r"# +\S", cells[0]) is not None
    return len(cells) != width or spaced or (cells[0] == "#" and "://" in cells[-1])


def counted(width: int) -> str:
    """So many columns, in words."""
    return "1 column" if width == 1 else f"{width} columns"


class _Beginning:
    """The first lines of a file, by which its columns are recognised."""

    def __init__(self, source: Source, ahead: Sequence[NumberedLine], request: ReadRequest) -> None:
        self.source, self.ahead, self.request = source, ahead, request
        self.width = self.measured = 0
        for number, line in ahead:
            if not line or line.isspace() or is_document(line):
                continue
            surely_a_row = line[0] != "#"
            if surely_a_row or (not self.width and not _COMMENT.match(line)):
                self.width, self.measured = len(cells_of(line)), number
            if surely_a_row:
                break
        self.sequences = self._sequences()
        self.rows = [row for sequence in self.sequences for row in sequence]

    def _sequences(self) -> list[list[NumberedRow]]:
        """The rows of each sequence that has any."""
        sequences: list[list[NumberedRow]] = [[]]
        for number, line in self.ahead:
            if not line or line.isspace() or is_document(line):
                sequences.append([])
                continue
            cells = cells_of(line)
            opening = not sequences[-1]
            if line[0] != "#" or not is_comment(line, cells, self.width, opening=opening):
                sequences[-1].append((number, cells))
        return list(filter(None, sequences))

    def columns(self) -> TokenColumns | None:
        """The columns as options, a header or the rows say; None where they are CoNLL-U's."""
        header = self._header()
        named = self._named()
        if named is not None:
            return replace(named, header=header.header if header is not None else 0)
        if header is None and self._may_be_universal():
            return None
        found = header or self._recognised()
        self._check_separated(headed=header is not None)
        if self.request.labelled:
            self._check_tags(self.rows[header is not None :], found)
        elif self.width > 1 and header is None and found.token == 0:
            others = "column 2" if self.width == 2 else f"columns 2 to {self.width}"
            self._notice(
                f"tokens are read from column 1; not read: {others} "
                "(--columns token=N says otherwise)"
            )
        return found

    def _notice(self, what: str) -> None:
        self.source.notice(what, self.measured)

    def _unclear(self, what: str, token: int) -> FormatError:
        return self.source.fault(
            f"{what}. Say which columns hold tokens and tags: --columns token={token},tag=-1",
            self.measured,
        )

    def _named(self) -> TokenColumns | None:
        """The columns as the options name them; ``None`` where a model's do not fit the file."""
        given = self.request.options.columns
        if given is None:
            return None
        token, tag = given.get("token", 1), given.get("tag", -1)
        needed = (token, tag) if self.request.labelled else (token,)
        if self.request.options.of_model("columns") and any(abs(n) > self.width for n in needed):
            self._notice(
                f"{counted(self.width)}, and the model was trained on tokens of column {token}, "
                f"tags of column {tag}: found anew (--columns sets them)"
            )
            return None
        place = [n - 1 if n > 0 else n for n in (token, tag)]
        return TokenColumns(place[0], place[1], self.width, self.measured, fixed=False)

    def _may_be_universal(self) -> bool:
        """Whether a file is CoNLL-U: ten columns, numbers in the first and heads in the seventh.

        Gives notice of it, or refuses the file where another format was given.
        """
        if not self.rows or not all(
            len(cells) == 10
            and re.fullmatch(r"\d+([-.]\d+)?", cells[0])
            and re.fullmatch(r"\d+|_", cells[6])
            for _, cells in self.rows
        ):
            return False
        if any("\t" not in line for number, line in self.ahead if number == self.measured):
            return False
        if self.request.options.format is not None:
            raise self.source.fault(
                "the columns of CoNLL-U. Say so: --format conllu, or name the columns: "
                "--columns token=2,tag=4",
                self.measured,
            )
        self._notice(
            f"the columns of CoNLL-U: read as such, tags from {self.request.options.field} "
            "(--field; or name the columns: --columns token=2,tag=4)"
        )
        return True

    def _recognised(self) -> TokenColumns:
        """The columns as the rows themselves show them."""
        width, rows = self.width, self.rows
        if width == 1 and rows and re.match(r">\S", rows[0][1][0]):
            raise self.source.fault(
                "this looks like FASTA. Say so: --format 3line or fasta", rows[0][0]
            )
        counting = self._counting()
        if any(line.startswith("#begin document") for _, line in self.ahead) and width > 3:
            raise self._unclear("a document of CoNLL-2012, with words in column 4", 4)
        room = width > (2 if self.request.labelled else 1)
        if counting:
            raise self._unclear(f"column {counting + 1} counts the rows", counting + 2)
        if counting == 0 and room:
            return self._second("counts the rows")
        if counting == 0 and self.request.labelled and len(rows) > 2:
            raise self._unclear("column 1 counts the rows, as if it held no tokens", 1)
        firsts = {cells[0] for _, cells in rows}
        if width > 2 and len(rows) >= FEW_ROWS and len(firsts) == 1:
            raise self._unclear(f"column 1 is {firsts.pop()!r} in every row", 2)
        if room and self._names_sequences():
            return self._second("is the same throughout a sentence")
        if width > 1 and self._tags_first():
            self._notice(
                "tags stand in column 1: tokens are read from the last one "
                "(--columns token=1,tag=-1 says otherwise)"
            )
            return TokenColumns(-1, 0, width, self.measured)
        return TokenColumns(0, -1, width, self.measured)

    def _second(self, what: str) -> TokenColumns:
        """Tokens in the second column; the notice names the reason."""
        self._notice(
            f"column 1 {what}: tokens are read from column 2 "
            "(--columns token=1,tag=-1 says otherwise)"
        )
        return TokenColumns(1, -1, self.width, self.measured)

    def _check_separated(self, headed: bool) -> None:
        """Refuse a file whose sentences are numbered in column 1 and not separated by blank lines.

        Raises:
            FormatError: Column 1 changes within a sequence.
        """
        sequences, rows = self.sequences, self.rows
        if self.width < 3:
            return
        if headed:
            if rows[0][1][0].lower() not in SENTENCE_NAMES:
                return
            sequences = [sequences[0][1:], *sequences[1:]]
        else:
            runs = [first for first, _ in groupby(cells[0] for _, cells in rows)]
            # Each value in one run of two rows or more on average: words do not come like that.
            if len(set(runs)) < len(runs) or 2 * len(runs) > len(rows) or len(rows) < FEW_ROWS:
                return
        for sequence in sequences:
            firsts = [(line, cells[0]) for line, cells in sequence if cells[0]]
            for (_, before), (line, first) in pairwise(firsts):
                if first != before:
                    table = "--format tsv reads it as a table of tokens" if headed else ""
                    raise self.source.fault(
                        f"column 1 goes from {before!r} to {first!r}, as if it told sentences "
                        f"apart, without a blank line. {table or 'Put one between them'}; or say "
                        "which columns hold tokens and tags: --columns token=2,tag=-1",
                        line,
                    )

    def _check_tags(self, rows: Sequence[NumberedRow], columns: TokenColumns) -> None:
        """Refuse a column of tags that holds none: probabilities, or nothing but ``_``.

        Raises:
            FormatError: All rows at the start of the file have such cells.
        """
        # Rows of other widths are refused where they are read.
        rows = [row for row in rows if len(row[1]) == columns.width > 1]
        if not rows:
            return
        tags = [cells[columns.tag] for _, cells in rows]
        place = columns.tag % columns.width + 1
        if columns.width > 2 and columns.tag == -1 and all(map(_PROBABILITY.fullmatch, tags)):
            raise self.source.fault(
                f"column {place} holds numbers from 0 to 1, as predict --probabilities writes "
                f"them, and no tags. Say which column holds them: --columns "
                f"token={columns.token % columns.width + 1},tag={place - 1}",
                rows[0][0],
            )
        if set(tags) == {"_"}:
            raise self.source.fault(
                f"column {place} holds no tags, only _. Say which columns hold tokens and tags: "
                "--columns token=2,tag=4 (as in CoNLL-U)",
                rows[0][0],
            )

    def _header(self) -> TokenColumns | None:
        """The columns as the first row names them; ``None`` where it is a row like the others."""
        wanted, labelled = self.request.options.header, self.request.labelled
        if wanted is False or not self.rows:
            return None
        line, cells = self.rows[0]
        names = [cell.lower() for cell in cells]
        tokens = [i for i, name in enumerate(names) if name in TOKEN_NAMES]
        tags = [i for i, name in enumerate(names) if name in TAG_NAMES]
        known = bool(tokens and tags) and self._are_names(names, tags[-1])
        lone = not labelled and len(names) == 1 and names[0] in LONE_NAMES and len(self.rows) > 1
        if not known and not lone and wanted is None:
            if labelled and names[0] in TOKEN_NAMES and len(cells) > 1:
                self._refuse_strange_header()
            return None
        token, tag = (tokens or [0])[0], (tags or [len(cells) - 1])[-1]
        if wanted is None:
            tagged = f", tags from {cells[tag]}" if labelled else ", and nothing else"
            self.source.notice(
                f"a header: tokens are read from {cells[token]}{tagged} "
                "(--no-header reads it as a row)",
                line,
            )
        return TokenColumns(token, tag, len(cells), line, header=line)

    def _are_names(self, names: Sequence[str], tag: int) -> bool:
        """Whether names of tokens and tags are a header's: all are known, or two of three."""
        strange = [name for name in names if name not in TOKEN_NAMES | TAG_NAMES | OTHER_NAMES]
        if 3 * len(strange) > len(names):
            return False
        first, *others = (cells[tag : tag + 1] for _, cells in self.rows)
        return not strange or first not in others

    def _refuse_strange_header(self) -> None:
        """Refuse a first row that names the token, and whose other cell occurs in no other row."""
        line, cells = self.rows[0]
        if len(self.rows) > 10 and all(other[-1] != cells[-1] for _, other in self.rows[1:]):
            raise self.source.fault(
                f"this looks like a header, but {cells[-1]!r} is no known name of a column. "
                "Say whether it is one: --header or --no-header",
                line,
            )

    def _counting(self) -> int | None:
        """The first column that counts rows: 0, 1, 2 or 1, 2, 3, in each sequence or in all."""
        if max(map(len, self.sequences), default=0) < 2:
            return None
        for column in range(3):
            cells = [["".join(row[column : column + 1]) for _, row in s] for s in self.sequences]
            if not all(c.isdecimal() and len(c) < 10 for sequence in cells for c in sequence):
                continue
            counts = [[int(cell) for cell in sequence] for sequence in cells]
            start = counts[0][0]
            runs = (counts, [[count for sequence in counts for count in sequence]])
            if start <= 1 and any(
                all(run == list(range(start, start + len(run))) for run in way) for way in runs
            ):
                return column
        return None

    def _names_sequences(self) -> bool:
        """Whether the first column is the same throughout each sequence, and so is no token.

        One sequence that repeats a word may be chance: of words two different ones are needed; of
        numbers one is enough if there are more columns. The second column must vary.
        """
        several = [[cells for _, cells in rows] for rows in self.sequences if len(rows) > 1]
        if any(len({cells[0] for cells in rows}) > 1 for rows in several):
            return False
        firsts = {cells[0] for _, cells in self.rows}
        enough = len({rows[0][0] for rows in several}) > 1 or (
            all(map(str.isdecimal, firsts)) and (self.width > 2 or len(firsts) > 1)
        )
        varied = any(len({cells[1] for cells in rows if len(cells) > 1}) > 1 for rows in several)
        return enough and varied

    def _tags_first(self) -> bool:
        """Whether the first column, and not the last, holds marks of spans."""
        firsts = {cells[0] for _, cells in self.rows}
        lasts = {cells[-1] for _, cells in self.rows}
        return (
            len(self.rows) > 1
            and firsts != {"O"}
            and all(map(_MARK.fullmatch, firsts))
            and not all(map(_MARK.fullmatch, lasts))
        )
