"""spaCy's DocBin (``.spacy``): tokens with entities or other attributes, and categories."""

# T tokens of a document, A attributes of a token

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from birnn.data.annotated import AnnotatedTexts
from birnn.data.examples import Example
from birnn.data.options import ReadRequest
from birnn.data.source import MAX_UNPACKED, UNPACKED_RATIO, Source
from birnn.data.spans import TextSpan
from birnn.data.tokeniser import clean
from birnn.data.writing import WriteRequest
from birnn.errors import DataError, require

# The attribute of a token that a field of CoNLL-U is.
ATTRIBUTES = {"upos": "POS", "xpos": "TAG", "feats": "MORPH", "deprel": "DEP"}
SURE = 0.5  # score from which on a category holds
_INSIDE, _BEGINS = 1, 3  # of ENT_IOB


def read_docbin(source: Source, request: ReadRequest) -> Iterator[Example]:
    """The documents of a ``.spacy`` file: their entities, or the field that is asked for.

    With ``options.field`` tags are its attribute, as in CoNLL-U; a label is the category with a
    score of at least 0.5. Tokens of white space are left out, and told, as are groups of spans.

    Raises:
        FormatError: No such file, or one without what is asked for.
        MissingExtra: spaCy is not installed.

    Source: https://spacy.io/api/docbin
    """
    documents = _Documents(source, request)
    texts = AnnotatedTexts(source, request)
    for index in range(len(documents)):
        where = f"{source.name}[{index}]"
        try:
            words, spaces = documents.words(index)
        except _NO_DOCUMENT as error:
            raise source.fault(f"document {index} is damaged. Write it again.") from error
        text = "".join(map("".join, zip(words, spaces, strict=True)))
        places, tokens, offsets, at = [], [], [], 0
        for word, space in zip(words, spaces, strict=True):
            places.append((at, at + len(word)))
            at += len(word) + len(space)
            if not _is_blank(word):
                tokens.append(word)
                offsets.append(places[-1])
            else:
                texts.count("tokens of white space, left out", where)
        if documents.groups(index):
            texts.count("documents with groups of spans, which are not read", where)
        known = (tuple(tokens), tuple(offsets))
        example: Example | None
        try:
            if request.target != "tags":
                labels = documents.categories(index) if request.labelled else []
                example = texts.labelled(text, labels, where, tokens=known)
            elif request.labelled and request.options.given("field"):
                tags = documents.field(index)
                target = tuple(
                    tag for tag, word in zip(tags, words, strict=True) if not _is_blank(word)
                )
                if "" in target:
                    raise DataError(f"a token without {request.options.field}")
                example = Example(tuple(tokens), target, where, None, text, offsets=known[1])
            else:
                spans = documents.entities(index, places) if request.labelled else []
                example = texts.tagged(text, spans, where, tokens=known)
        except DataError as error:
            raise source.fault(f"document {index}: {error}") from None
        if example is not None:
            yield example
    texts.report()


# What a DocBin with other content than its own raises.
_NO_DOCUMENT = (KeyError, IndexError, ValueError, TypeError, AttributeError, OverflowError)


class _Documents:
    """The arrays of a DocBin; documents are not made of them, which would trust their content."""

    def __init__(self, source: Source, request: ReadRequest) -> None:
        tokens = require("spacy.tokens", extra="spacy")
        content = source.content()
        limit = request.options.max_unpacked or min(MAX_UNPACKED, len(content) * UNPACKED_RATIO)
        self._field = ATTRIBUTES[request.options.field]
        try:
            unpacking = zlib.decompressobj()
            unpacking.decompress(content, limit)
            too_long = bool(unpacking.unconsumed_tail)
        except zlib.error:
            too_long = False
        if too_long:
            raise source.fault(
                f"unfolds to more than {limit:,} bytes. If it is meant to, allow it: "
                "--max-unpacked BYTES (max_unpacked in Python)."
            )
        try:
            self._bin = tokens.DocBin().from_bytes(content)
            self._strings = require("spacy.strings", extra="spacy").StringStore(self._bin.strings)
            names = require("spacy.attrs", extra="spacy").IDS
            places = {int(number): place for place, number in enumerate(self._bin.attrs)}
            self._columns = {
                name: places[number] for name, number in names.items() if number in places
            }
            lacks = "ORTH" not in self._columns
        except _NO_DOCUMENT:
            lacks = True
        if lacks:
            raise source.fault(
                "no DocBin of spaCy, or damaged. Write it with spacy.tokens.DocBin.to_disk."
            )
        if request.labelled and request.target == "tags":
            # Entities may be none: then tokens are marked as outside, where they were annotated.
            wanted = self._field if request.options.given("field") else "ENT_IOB"
            tokens_of_none = not any(len(each) for each in self._bin.tokens)
            if not tokens_of_none and not self._has(wanted):
                fields = ", ".join(name for name, at in ATTRIBUTES.items() if self._has(at))
                has = f"it has {fields}: --field" if fields else "it has tokens alone"
                raise source.fault(f"no token has {wanted}, {has}.")

    def _has(self, attribute: str) -> bool:
        """Whether any token has an attribute."""
        at = self._columns.get(attribute)
        return at is not None and any(bool(each[:, at].any()) for each in self._bin.tokens)

    def __len__(self) -> int:
        return len(self._bin.tokens)

    def words(self, index: int) -> tuple[list[str], list[str]]:
        """The words of a document, and the space behind each."""
        words = [str(self._strings[int(key)]) for key in self._column(index, "ORTH")]
        known = not self._bin.flags[index].get("has_unknown_spaces")
        spaces = [" " if space else "" for space in self._bin.spaces[index].ravel().tolist()]
        if len(spaces) != len(words) or not known:
            spaces = [" "] * (len(words) - 1) + [""] * bool(words)
        return words, spaces

    def entities(self, index: int, places: list[tuple[int, int]]) -> list[TextSpan]:
        """The entities of a document, as spans of its text."""
        spans: list[TextSpan] = []
        within = False
        marks, types = self._column(index, "ENT_IOB"), self._column(index, "ENT_TYPE")
        for mark, type_, (start, end) in zip(marks, types, places, strict=True):
            if mark not in (_INSIDE, _BEGINS) or not type_:
                within = False
                continue
            label = str(self._strings[int(type_)])
            if mark == _INSIDE and within and spans[-1].label == label:
                spans[-1] = spans[-1]._replace(end=end)
            else:
                spans.append(TextSpan(start, end, label))
            within = True
        return spans

    def field(self, index: int) -> list[str]:
        """The attribute of each token that is asked for."""
        return [str(self._strings[int(key)]) for key in self._column(index, self._field)]

    def categories(self, index: int) -> list[str]:
        """The categories that hold."""
        scores: Mapping[str, float] = self._bin.cats[index] if self._bin.cats else {}
        return [label for label, score in scores.items() if score >= SURE]

    def groups(self, index: int) -> bool:
        """Whether a document has spans beside its entities."""
        groups: list[Any] = list(self._bin.span_groups)
        return index < len(groups) and bool(groups[index]) and groups[index] != b"\x90"

    def _column(self, index: int, name: str) -> list[int]:
        tokens = self._bin.tokens[index]
        if name not in self._columns:
            return [0] * len(tokens)
        return list(tokens[:, self._columns[name]].tolist())


def _is_blank(word: str) -> bool:
    """Whether a word is white space, maybe with invisible characters; these alone are a token."""
    return any(map(str.isspace, word)) and not clean(word).strip()


def write_docbin(examples: Iterable[Example], request: WriteRequest) -> Iterator[bytes]:
    """Documents with entities, or with the field of ``request`` where tags mark no spans.

    Raises:
        MissingExtra: spaCy is not installed.
    """
    tokens = require("spacy.tokens", extra="spacy")
    vocab = require("spacy.vocab", extra="spacy").Vocab()
    documents = tokens.DocBin(attrs=["ENT_IOB", "ENT_TYPE", "TAG", "POS", "DEP", "MORPH"])
    for example in examples:
        text, offsets = request.placed(example)
        words, spaces, places = _pieces(text, offsets)
        doc = tokens.Doc(vocab, words=words, spaces=spaces)
        if request.target != "tags":
            doc.cats = dict.fromkeys(request.labels, 0.0) | dict.fromkeys(
                request.names(example), 1.0
            )
        elif request.scheme == "none":
            for place, tag in zip(places, request.names(example), strict=True):
                try:
                    setattr(doc[place], f"{ATTRIBUTES[request.tag_field].lower()}_", tag)
                except ValueError:
                    raise request.fault(example, f"the {request.tag_field} {tag!r}") from None
        else:
            starts = {start: place for place, (start, _) in zip(places, offsets, strict=True)}
            ends = {end: place + 1 for place, (_, end) in zip(places, offsets, strict=True)}
            doc.ents = [
                tokens.Span(doc, starts[span.start], ends[span.end], label=span.label)
                for span in request.spans(example, offsets)
            ]
        documents.add(doc)
    yield documents.to_bytes()


def _pieces(
    text: str, offsets: Iterable[tuple[int, int]]
) -> tuple[list[str], list[bool], list[int]]:
    """The words of a text as spaCy has them, whether a blank follows each, and which are tokens.

    What stands between tokens beside one blank is a word, too; but invisible characters without
    white space would read as a token, and are part of the one beside them.

    Example:
        >>> _pieces("a  b", ((0, 1), (3, 4)))
        (['a', ' ', 'b'], [True, False, False], [0, 2])
    """
    words: list[str] = []
    spaces: list[bool] = []
    places: list[int] = []
    at = 0
    for start, end in [*offsets, (len(text), len(text))]:
        between = text[at:start]
        follows = start < end
        if words and between.startswith(" ") and (follows or between == " "):
            spaces[-1], between = True, between[1:]
        prefix = ""
        if not any(map(str.isspace, between)):
            if follows:
                between, prefix = "", between
            elif words:
                words[-1], between = words[-1] + between, ""
        if between:
            words.append(between)
            spaces.append(False)
        if follows:
            places.append(len(words))
            words.append(prefix + text[start:end])
            spaces.append(False)
        at = end
    return words, spaces, places
