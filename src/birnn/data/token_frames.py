"""Tables of tokens that Python programs hold, as data frames and dicts of columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from birnn.data.conversion import is_list, is_missing
from birnn.data.examples import Example
from birnn.data.frames import SAMPLE, in_python, sample_of
from birnn.data.options import ReadRequest
from birnn.data.source import NumberedRow
from birnn.data.token_lists import OPTIONS as LIST_OPTIONS
from birnn.data.token_lists import TokenLists, find_lists, listed_sentences
from birnn.data.token_tables import OPTIONS, Sentences, TokenTable, find_tokens
from birnn.errors import DataError, Tell


def found_tokens(
    columns: Mapping[str, Sequence[Any]], request: ReadRequest, where: str = ""
) -> TokenTable | TokenLists | None:
    """The columns of a table of tokens; None where it is none.

    Example:
        >>> columns = {"sentence": [1, 1], "word": ["Ada", "sings"], "tag": ["B-PER", "O"]}
        >>> found_tokens(columns, ReadRequest()).found()
        {'id_column': 'sentence', 'text_column': 'word', 'label_column': 'tag'}
        >>> found_tokens({"words": [["Ada", "sings"]], "tags": [["B-PER", "O"]]}, ReadRequest())
    """
    cells = [cell for column in columns.values() for cell in column[:SAMPLE]]
    # A cell that is a list holds a sentence; polars has its own kind.
    if request.target != "tags" or any(is_list(x) or hasattr(x, "to_list") for x in cells):
        return None
    names, rows = sample_of(columns)
    empty = [not any(row) for row in rows]
    if (lists := find_lists(names, rows, request)) is not None:
        return lists
    try:
        return find_tokens(names, rows, request, header=True, parted=any(empty[:-1]))
    except DataError as error:
        raise DataError(in_python(f"{where}{error}.")) from None


def as_columns(
    first: Any, rest: Iterable[Any], request: ReadRequest
) -> dict[str, Sequence[Any]] | None:
    """The columns of records of a token each, as csv.DictReader gives them; None for others.

    Example:
        >>> row = {"sentence": "1", "word": "Ada", "tag": "O"}
        >>> as_columns(row, [row], ReadRequest())["word"]
        ['Ada', 'Ada']
        >>> as_columns({"tokens": ["Ada"], "tags": ["O"]}, [], ReadRequest())
    """
    if request.target != "tags" or not isinstance(first, Mapping):
        return None
    if found_tokens({str(key): [cell] for key, cell in first.items()}, request) is None:
        return None
    rows = [first, *rest]
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping) or row.keys() != first.keys():
            raise DataError(f"example {number} has other keys than the first.")
    return {str(key): [row[key] for row in rows] for key in first}


def sentences_of(
    found: TokenTable | TokenLists,
    columns: Mapping[str, Sequence[Any]],
    request: ReadRequest,
    tell: Tell,
    where: str,
) -> Iterator[Example]:
    """The sentences of a table of tokens, and what there is to tell of them."""
    request.keep(found.found())
    options = LIST_OPTIONS if isinstance(found, TokenLists) else OPTIONS
    tell(in_python(f"{found.notice}. Options: {options}"))

    def told(line: str, row: int) -> None:
        # pandas reads words such as NA and null as missing ones.
        eaten = " (pd.read_csv keeps the words NA and null with keep_default_na=False)"
        tell(f"row {row}: {line}{eaten if 'no token' in line else ''}")

    def rows() -> Iterator[NumberedRow]:
        for number, cells in enumerate(zip(*columns.values(), strict=True)):
            yield number, ["" if is_missing(cell) else str(cell) for cell in cells]

    def placed(row: int) -> str:
        return f"{where}row {row}"

    def fault(what: str, row: int) -> DataError:
        return DataError(f"{placed(row)}: {what}")

    if isinstance(found, TokenLists):
        yield from listed_sentences(found, rows(), placed, fault)
    else:
        yield from Sentences(found, placed, fault, told).examples(rows())
