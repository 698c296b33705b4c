"""Spans of characters, as annotation tools write them, as tags of the tokens that they cover.

Offsets count characters (code points). JavaScript counts UTF-16 units, so tools that run in a
browser may do so, too: an emoji is two. Which of them a text's spans count shows in the texts that
a tool writes beside them; without those, in how many of them begin and end with a token.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from birnn.data.conversion import shortened
from birnn.data.offsets import Offsets
from birnn.data.options import Misaligned, OffsetUnit
from birnn.data.schemes import Span
from birnn.errors import DataError

# How many of an offset's units a character is.
_WIDTHS: dict[OffsetUnit, Callable[[str], int]] = {
    "characters": lambda _: 1,
    "utf16": lambda character: 1 + (character > "\uffff"),
    "bytes": lambda character: len(character.encode(errors="surrogatepass")),
}
UNITS: dict[OffsetUnit, str] = {
    "characters": "characters",
    "utf16": "UTF-16 units, of which an emoji has two",
    "bytes": "bytes of UTF-8",
}


class TextSpan(NamedTuple):
    """A span of a text: characters from ``start`` up to but not including ``end``, and a label."""

    start: int
    end: int
    label: str
    text: str | None = None  # what the file says stands there


class Fault(NamedTuple):
    """What is wrong with a span."""

    kind: str  # a key of KINDS
    span: TextSpan


class Aligned(NamedTuple):
    """Spans of tokens, and what was wrong with those of characters."""

    spans: tuple[Span, ...]
    faults: tuple[Fault, ...]


class Kind(NamedTuple):
    """A kind of fault: in words, and what becomes of such spans."""

    what: str
    snapped: str  # where misaligned is snap; empty where that is refused, too
    dropped: str = "left out"


KINDS = {
    "outside": Kind("leave their text", ""),
    "reversed": Kind("end before they begin", ""),
    "empty": Kind("cover no token", "left out"),
    "blank": Kind("begin or end with white space", "read without it", "read without it"),
    "cut": Kind("begin or end within a token", "widened to whole tokens"),
    "overlap": Kind("overlap others", "the longer one kept", "the longer one kept"),
    "twice": Kind("stand there twice", "read once", "read once"),
    "differs": Kind("hold another text than the file says", "read by their offsets"),
}


def align(
    text: str, offsets: Offsets, spans: Iterable[TextSpan], misaligned: Misaligned = "snap"
) -> Aligned:
    """The tokens that spans of a text cover, without overlap and in order.

    Args:
        text: The text.
        offsets: Start and end of each token in it.
        spans: Spans of characters, in any order.
        misaligned: Whether spans that cut a token are widened to it (``snap``) or left out; with
            ``refuse`` they are left out as well, and the caller refuses them.

    Example:
        >>> align("in New York", ((0, 2), (3, 6), (7, 11)), [TextSpan(3, 11, "LOC")]).spans
        (Span(start=1, stop=3, type='LOC'),)
        >>> found = align("in New York", ((0, 2), (3, 6), (7, 11)), [TextSpan(4, 9, "LOC")])
        >>> found.spans, [fault.kind for fault in found.faults]
        ((Span(start=1, stop=3, type='LOC'),), ['cut'])
    """
    starts, ends = [start for start, _ in offsets], [end for _, end in offsets]
    faults: list[Fault] = []
    found: list[tuple[Span, TextSpan]] = []
    for span in spans:
        if not 0 <= span.start <= len(text) or not 0 <= span.end <= len(text):
            faults.append(Fault("outside", span))
            continue
        if span.start > span.end:
            faults.append(Fault("reversed", span))
            continue
        covered = text[span.start : span.end]
        start = span.start + len(covered) - len(covered.lstrip())
        end = span.end - len(covered) + len(covered.rstrip())
        first, stop = bisect_right(ends, start), bisect_left(starts, end)
        if start >= end or first >= stop:
            faults.append(Fault("empty", span))
            continue
        if (start, end) != (span.start, span.end):
            faults.append(Fault("blank", span))
        if start > starts[first] or end < ends[stop - 1]:
            faults.append(Fault("cut", span))
            if misaligned != "snap":
                continue
        found.append((Span(first, stop, span.label), span))
    # The longest first; what covers a token that a longer one has is left out.
    kept: set[Span] = set()
    taken: set[int] = set()
    for covers, given in sorted(found, key=lambda each: (each[0].start - each[0].stop, each[0])):
        if covers in kept:
            faults.append(Fault("twice", given))
        elif taken.isdisjoint(range(covers.start, covers.stop)):
            kept.add(covers)
            taken.update(range(covers.start, covers.stop))
        else:
            faults.append(Fault("overlap", given))
    return Aligned(tuple(sorted(kept)), tuple(faults))


def in_characters(text: str, spans: Sequence[TextSpan], unit: OffsetUnit) -> list[TextSpan]:
    r"""The spans with offsets in characters, where they count another unit.

    A boundary within a character is put before it at a start, behind it at an end; one that leaves
    the text leaves it still.

    Example:
        >>> in_characters("\U0001f600 Ann", [TextSpan(3, 6, "PER")], "utf16")
        [TextSpan(start=2, end=5, label='PER', text=None)]
    """
    if unit == "characters" or text.isascii():
        return list(spans)
    places = list(accumulate(map(_WIDTHS[unit], text), initial=0))
    beyond = len(text) + 1

    def start(offset: int) -> int:
        return beyond if offset > places[-1] else min(offset, bisect_right(places, offset) - 1)

    def end(offset: int) -> int:
        return beyond if offset > places[-1] else min(offset, bisect_left(places, offset))

    return [span._replace(start=start(span.start), end=end(span.end)) for span in spans]


def in_units(text: str, spans: Iterable[TextSpan], unit: OffsetUnit) -> list[TextSpan]:
    r"""The spans with offsets in a unit, where they count characters.

    Example:
        >>> in_units("\U0001f600 Ann", [TextSpan(2, 5, "PER")], "utf16")
        [TextSpan(start=3, end=6, label='PER', text=None)]
    """
    places = list(accumulate(map(_WIDTHS[unit], text), initial=0))
    return [span._replace(start=places[span.start], end=places[span.end]) for span in spans]


def unit_of(
    text: str, offsets: Offsets, spans: Sequence[TextSpan], usual: OffsetUnit
) -> OffsetUnit:
    r"""What the offsets of the spans of a text count.

    Where the file says what each span holds, it is the unit in which most hold it; else that in
    which more of them align with the tokens; the usual one of the tool where both are alike.

    Args:
        text: The text.
        offsets: Start and end of each token in it, in characters.
        spans: Its spans, as the file has them.
        usual: What the tool counts.

    Example:
        >>> unit_of("\U0001f600 Ann", ((0, 1), (2, 5)), [TextSpan(3, 6, "PER")], "characters")
        'utf16'
    """
    if not spans or text.isascii():
        return "characters"
    told = [span for span in spans if span.text is not None]
    units: list[OffsetUnit] = [usual]
    if told:
        units += [unit for unit in UNITS if unit != usual]
    elif max(text) > "\uffff":
        units += [unit for unit in UNITS if unit not in (usual, "bytes")]

    def score(unit: OffsetUnit) -> int:
        found = in_characters(text, told or spans, unit)
        if told:
            return sum(holds_as_told(text, span) for span in found)
        return -len(align(text, offsets, found).faults)

    return max(units, key=score)


def holds_as_told(text: str, span: TextSpan) -> bool:
    """Whether a span covers what the file says; white space may differ."""
    return span.text is None or span.text.split() == text[span.start : span.end].split()


def span_of(start: Any, end: Any, label: Any, text: Any = None) -> TextSpan:
    """A span of values of JSON.

    Raises:
        DataError: Offsets that are no integers, a label that is no name.

    Example:
        >>> span_of(0, 3, "PER")
        TextSpan(start=0, end=3, label='PER', text=None)
    """
    for name, offset in (("start", start), ("end", end)):
        if not isinstance(offset, int) or isinstance(offset, bool):
            raise DataError(
                f"the {name} of a span is {shortened(offset, 40)}, an integer is needed."
            )
    if not isinstance(label, str | int) or isinstance(label, bool) or not str(label).strip():
        raise DataError(f"the label of a span is {shortened(label, 40)}, a name is needed.")
    return TextSpan(start, end, str(label).strip(), text if isinstance(text, str) else None)
