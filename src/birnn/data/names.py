"""The names that people give to the columns of a table or CoNLL file, and the keys of a record."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from birnn.data.examples import TargetKind

# Names that people give to columns, the likeliest first; compared in lower case, words parted by
# one space. Of a longer name its last word counts: "Review Text".
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
# fmt: on
SOURCE = ("source", "src", "input", "text", "word", "graphemes")
TARGET = ("target", "tgt", "output", "pronunciation", "phonemes", "label")
INDEX = ("id", "index", "unnamed: 0", "unnamed 0", "idx", "uid", "guid", "row", "no", "nr", "#", "")

# Names by which a table says itself what its columns are; any other is told.
PLAIN = ("text", "sentence", "source", "label", "target")

# Rows before what a column holds is judged by them.
ENOUGH = 4

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

# Of these a lone column is called, and hardly ever is one the first word of a sentence.
LONE_NAMES = frozenset(("token", "tokens", "word", "words"))

LONGEST_NAME = 40  # characters
NAME_WORDS = 4


def plain_name(name: str) -> str:
    """A name as names are compared.

    Example:
        >>> plain_name("reviewText"), plain_name(" Star_Rating")
        ('review text', 'star rating')
    """
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name.strip())
    return re.sub(r"[\s_.-]+", " ", parted).strip().casefold()


def named_header(first: Sequence[str], target: TargetKind) -> bool:
    """Whether a row consists of names, by which the text or what is learnt is known.

    Example:
        >>> named_header(["Review Text", "Sentiment"], "label")
        True
        >>> named_header(["so", "1"], "label")
        False
    """
    if not all(map(like_a_name, first)) or len(set(first)) < len(first):
        return False
    names = list(map(plain_name, first))
    text, label = lexicons(target)
    exact = any(name in text or name in label for name in names)
    if len(names) == 1:
        return names[0] in text
    found = known_places(names, text)
    return exact or bool(found and [at for at in known_places(names, label) if at != found[0]])


def like_a_name(cell: str) -> bool:
    """Whether a cell might be the name of a column: a few words that begin with a letter."""
    cell = cell.strip()
    if not cell or cell == "#":
        return True
    plain = re.fullmatch(r"[^\W\d][\w .:()/\[\]-]*", cell) is not None
    return plain and len(cell) <= LONGEST_NAME and len(cell.split()) <= NAME_WORDS


def name_recurs(first: Sequence[str], rest: Sequence[Sequence[str]], target: TargetKind) -> bool:
    """Whether what would be the name of the label is a label of later rows."""
    names = list(map(plain_name, first))
    text, label = lexicons(target)
    found = known_places(names, text)
    places = [at for at in range(len(first)) if at not in found[:1]]
    if len(first) != 2 or (found and known_places(names, label)):
        return False
    return any(row[at] == first[at] for row in rest for at in places)


def names_over_texts(first: Sequence[str], rest: Sequence[Sequence[str]]) -> bool:
    """Single words over longer texts, and none of them a value of its column further down."""
    if len(rest) < ENOUGH or any(len(cell.split()) != 1 for cell in first):
        return False
    longer = any(
        sum(len(row[at].split()) >= 3 for row in rest) >= 0.8 * len(rest)
        for at in range(len(first))
    )
    columns = [[row[at] for row in rest] for at in range(len(first))]
    repeats = any(len(set(cells)) <= len(cells) / 2 for cells in columns)
    return longer and repeats and _fresh(first, columns)


def name_over_labels(first: Sequence[str], rest: Sequence[Sequence[str]]) -> int | None:
    """Place of a cell that looks like a name over labels, each of which occurs again; or None.

    Example:
        >>> rest = [["gut", "ja"], ["fein", "ja"], ["schlecht", "nein"], ["mies", "nein"]]
        >>> name_over_labels(["Satz", "Klasse"], rest)
        1
        >>> name_over_labels(["toll", "ja"], rest) is None
        True
    """
    if len(rest) < ENOUGH or len(first) < 2 or len(set(first)) < len(first):
        return None
    if not all(like_a_name(cell) and 1 <= len(cell.split()) <= 2 for cell in first):
        return None
    columns = [[row[at].strip() for row in rest] for at in range(len(first))]
    if not _fresh([cell.strip() for cell in first], columns):
        return None
    for at, cells in enumerate(columns):
        counts = Counter(cells)
        if min(counts.values()) > 1 or len(counts) <= len(cells) / ENOUGH:
            return at
    return None


def _fresh(first: Sequence[str], columns: Sequence[Sequence[str]]) -> bool:
    """Whether no cell of a row is a value of its column in other rows."""
    return all(cell not in cells for cell, cells in zip(first, columns, strict=True))


def lexicons(target: TargetKind) -> tuple[Sequence[str], Sequence[str]]:
    """The names of the texts, and of the targets, where targets are of this kind."""
    return (SOURCE, TARGET) if target == "sequence" else (TEXT, LABEL)


def known_places(names: Sequence[str | None], lexicon: Sequence[str]) -> list[int]:
    """Places of names that are in a lexicon, the likeliest first."""

    def rank(name: str) -> int | None:
        for rank, part in ((0, name), (len(lexicon), name.rpartition(" ")[2])):
            if part in lexicon:
                return rank + lexicon.index(part)
        return None

    ranked = [(rank(name), at) for at, name in enumerate(names) if name]
    return [at for _, at in sorted((r, at) for r, at in ranked if r is not None)]


def is_index(name: str) -> bool:
    """Whether a column of this plain name numbers or names the rows."""
    return name in INDEX or name.endswith(" id")
