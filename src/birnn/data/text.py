"""Running text into tokens, the same way in training and prediction."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator

from birnn.data.examples import Example
from birnn.data.options import ReadRequest
from birnn.data.source import Source

# \w leaves out vowel signs and accents that stand as characters of their own, so words of Hindi,
# Thai, Hebrew or Arabic would fall apart at each of them
_MARKS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u064b-\u065f\u0670"
    "\u0900-\u0963\u0966-\u0dff\u0e31-\u0e4e\u1ab0-\u1aff\u1dc0-\u1dff\u200c\u200d\u20d0-\u20ff"
    "\ufe00-\ufe0f\ufe20-\ufe2f"
)
# scripts written without spaces between words: each character is a token
_SINGLE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_LETTER = f"(?:(?![{_SINGLE}])[\\w{_MARKS}])"


@functools.cache
def _token() -> re.Pattern[str]:
    """One token. Compiled when first asked for: a tagger that reads tokens never needs it."""
    return re.compile(
        rf"\d+(?:[.,:]\d+)+(?!{_LETTER})"  # 3.14, 1,000, 12:30
        rf"|{_LETTER}+(?:['’]{_LETTER}+)*"  # words, don't, n't
        # 's, 'til, 'n' and '70s standing on their own
        rf"|(?<!{_LETTER})['’](?:n['’]|(?:s|d|m|t|re|ve|ll|em|n|til|\d\ds?)(?!{_LETTER}))"
        rf"|[{_SINGLE}]"
        r"|[!?]+|(?P<mark>[^\w\s])(?P=mark)*",  # ?!, ... and -- are one token each
        re.IGNORECASE,
    )


def tokenise(text: str) -> tuple[str, ...]:
    """Words, numbers and punctuation of a text, in order.

    A word keeps its inner apostrophes, a number its inner marks; each punctuation mark is a
    token, repeated marks of one kind are one. Characters of scripts without spaces (Chinese,
    Japanese kana) stand singly. What spaces already part stays parted.

    Args:
        text: Any text; an empty one has no tokens.

    Example:
        >>> tokenise("Don't stop: it's 3.5 miles...")
        ("Don't", 'stop', ':', "it's", '3.5', 'miles', '...')
        >>> tokenise("they wo n't sit , parker 's")
        ('they', 'wo', "n't", 'sit', ',', 'parker', "'s")
    """
    return tuple(match.group() for match in _token().finditer(text))


def read_text(source: Source, request: ReadRequest) -> Iterator[Example]:
    """Plain text, one sequence on each line; an empty line is an empty sequence.

    Raises:
        FormatError: Labels are wanted: plain text has none.

    Example:
        >>> request = ReadRequest("classifier", labelled=False)
        >>> [example.inputs for example in read_text(Source.from_text("So good!"), request)]
        [('So', 'good', '!')]
    """
    if request.labelled:
        raise source.fault(
            "plain text holds no labels. Give a labelled file, or its --format if it is one."
        )
    for number, line in enumerate(source.lines(), 1):
        if request.alphabet is not None:
            inputs = request.alphabet.split(line)
        elif request.task == "seq2seq":
            inputs = split_source(line)
        else:
            inputs = tokenise(line)
        yield Example(inputs, None, source.where(number), text=line)


def split_source(text: str) -> tuple[str, ...]:
    """The symbols of a source sequence: parted by spaces, or else its single characters.

    Example:
        >>> split_source("cat"), split_source("k ae t")
        (('c', 'a', 't'), ('k', 'ae', 't'))
    """
    text = text.strip()
    return tuple(text.split()) if any(map(str.isspace, text)) else tuple(text)
