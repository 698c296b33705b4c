"""Texts with spans or labels, as files of annotation tools have them, as examples.

What such files hold and examples do not (relations, rejected answers, spans that do not align) is
counted, and told at the end of the file, a line for each kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from birnn.data.conversion import shortened
from birnn.data.examples import Example
from birnn.data.offsets import Offsets, token_offsets
from birnn.data.options import OffsetUnit, ReadRequest, Unlabelled
from birnn.data.schemes import SchemeName, Span, tags_of
from birnn.data.source import Source
from birnn.data.spans import (
    KINDS,
    UNITS,
    Fault,
    TextSpan,
    align,
    holds_as_told,
    in_characters,
    unit_of,
)
from birnn.errors import DataError

SCHEME: SchemeName = "iob2"  # of the tags that spans are read as

Tokens = tuple[tuple[str, ...], Offsets]  # and where they stand in their text


@dataclass(slots=True)
class AnnotatedTexts:
    """Makes the examples of one file, and tells at its end what was counted.

    Args:
        source: The file.
        request: What is read.
        unit: What offsets of the tool count, where neither options nor texts say otherwise.
    """

    source: Source
    request: ReadRequest
    unit: OffsetUnit = "characters"
    _counts: dict[str, list[str]] = field(default_factory=dict)  # where, of each kind
    _ids: set[str] = field(default_factory=set)
    _unlabelled: Unlabelled = field(init=False)

    def __post_init__(self) -> None:
        self._unlabelled = Unlabelled(self.source, self.request)

    def tagged(
        self,
        text: str,
        spans: Sequence[TextSpan],
        where: str,
        name: str | None = None,
        tokens: Tokens | None = None,
    ) -> Example:
        """The example of a text with spans; its tags are in IOB2.

        Args:
            text: The text.
            spans: Its spans, in the unit of the file.
            where: ``file:line``.
            name: What the file calls it.
            tokens: Its tokens, where the file has them.

        Raises:
            DataError: Spans that do not align, where they are to be refused.
        """
        inputs, offsets = tokens or self._tokens(text, where)
        target = None
        if self.request.labelled:
            target = tags_of(self._aligned(text, offsets, spans, where), len(inputs), SCHEME)
        return Example(inputs, target, where, self._named(name, where), text, offsets=offsets)

    def labelled(
        self,
        text: str,
        labels: Sequence[str],
        where: str,
        name: str | None = None,
        tokens: Tokens | None = None,
        *,
        line: int | None = None,
    ) -> Example | None:
        """The example of a text with labels, of the kind that is asked for.

        Returns:
            The example; None where it has no label and such rows are left out.

        Raises:
            DataError: Other than one label where one is needed.
        """
        inputs = self.request.steps(text, where) if tokens is None else tokens[0]
        target: str | tuple[str, ...] | None = None
        references: tuple[Any, ...] = ()
        if self.request.labelled and self.request.target == "labels":
            target = self.request.label_sets.of(list(labels), "labels", where)
        elif self.request.labelled:
            if not labels:
                self._unlabelled.skip("no label", line)
                return None
            # Target sequences are texts yet: `birnn.data.pairs` splits them.
            target, *others = dict.fromkeys(labels)
            if others and self.request.target != "sequence":
                shown = shortened(", ".join(labels))
                raise DataError(
                    f"{len(labels)} labels {shown}, a classifier learns one of each text. Leave "
                    "one, or learn several: birnn train multilabel (of convert --target labels)."
                )
            references = tuple(others)
        name = self._named(name, where)
        return Example(inputs, target, where, name, text, references=references)

    def count(self, what: str, where: str) -> None:
        """Count something that is told at the end, with where it was first."""
        self._counts.setdefault(what, []).append(where)

    def report(self) -> None:
        """Give notice of all that was counted."""
        for what, places in self._counts.items():
            self.source.tell(f"{places[0]}: {what}: {len(places):,}, the first here")
        self._unlabelled.report()

    def _named(self, name: str | None, where: str) -> str | None:
        if name is not None and name in self._ids:
            self.count("ids that stand more than once, each time read", where)
        elif name is not None:
            self._ids.add(name)
        return name

    def _tokens(self, text: str, where: str) -> Tokens:
        inputs = self.request.steps(text, where)
        return inputs, token_offsets(text, inputs)

    def _aligned(
        self, text: str, offsets: Offsets, given: Sequence[TextSpan], where: str
    ) -> tuple[Span, ...]:
        options = self.request.options
        unit = options.offsets or unit_of(text, offsets, given, self.unit)
        spans = in_characters(text, given, unit)
        if options.offsets is None and spans != list(given):
            what = f"texts whose spans count {UNITS[unit]} (--offsets says otherwise)"
            self.count(what, where)
        other = [span for span in spans if not holds_as_told(text, span)]
        if options.misaligned == "drop":
            spans = [span for span in spans if span not in other]
        found, faults = align(text, offsets, spans, options.misaligned)
        for fault in (*faults, *(Fault("differs", span) for span in other)):
            kind = KINDS[fault.kind]
            done = kind.dropped if options.misaligned == "drop" else kind.snapped
            # White space is no part of a token: what is read without it is what was meant.
            if not done or (options.misaligned == "refuse" and fault.kind != "blank"):
                raise DataError(_refusal(fault, text))
            self.count(f"spans that {kind.what}, {done}", where)
        return found


def _refusal(fault: Fault, text: str) -> str:
    """What is wrong with a span that stops the reading, and what to do."""
    kind, span = KINDS[fault.kind], fault.span
    start, end, label, told = span
    held = text[max(0, start) : max(0, end)]
    shown = f" {shortened(held, 40)}" if held else f" of a text of {len(text):,} characters"
    says = f", which says {shortened(told, 40)}," if told is not None and held != told else ""
    remedy = "--misaligned snap or drop" if kind.snapped else "--misaligned drop"
    units = ""
    if fault.kind in ("outside", "differs") and not text.isascii():
        units = " If offsets count something else: --offsets utf16 or bytes."
    return (
        f"the span {start} to {end}{shown} ({label}){says} is one of those that {kind.what}. "
        f"Mend it, or read on: {remedy}.{units}"
    )
