"""Beam search for the targets of a batch of sources; a beam of 1 is greedy.

Every source has at most ``beam`` live hypotheses; the empty one is the first. At each step all are
extended by every symbol and by the end, and the ``beam`` best extensions, by log-probability, are
taken: those by the end are answers, the others live on. Of equal log-probabilities the one whose
hypothesis ranked higher goes first, then the one whose symbol has the lower number; of answers with
equal scores the one that ended earlier, then the one that ranked higher.

When a source is done. An answer of T symbols with log-probability L, its end included, has the
score ``L / (T + 1) ** p``, p from 0 on. Let a live hypothesis have log-probability L, and what
becomes of it T symbols and log-probability L'. Each step adds a log-probability, which is at most
0, so that ``L' <= L <= 0``; and ``T <= longest``. Its score is then at most
``L / (T + 1) ** p <= L / (longest + 1) ** p``. Once the n-th best answer has at least this score,
with the L of the best live hypothesis, none that lives can enter the n best, and the source leaves
the batch. So its n best are those of a search that goes on to the end, and the first n of the m
best, m > n.

What is never endless. A hypothesis of ``longest`` symbols may end at its next step. If it does not,
it is given as it is, marked as not ended, where fewer than n have ended.

The answers to a source depend on nothing but the source: not on the batch, nor on its order.
"""

# B sources, A those not done, R rows: live hypotheses, source after source, the best first;
# V symbols, t symbols so far, n answers of a source

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from birnn.ragged import Lengths
from birnn.reference.bidirectional import Outcome
from birnn.reference.decoder_spec import BOUNDARY
from birnn.runtime.decoder import DecoderLayers, Integers, Memory
from birnn.runtime.search import Search

Floats64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


class Target(NamedTuple):
    """A target in numbers; the fields are those of `birnn.runtime.search.Hypothesis`."""

    symbols: Integers
    score: float
    log_probability: float
    log_probabilities: Floats64
    ended: bool
    attention: npt.NDArray[np.float32] | None


class _Live(NamedTuple):
    """Hypotheses of one length: those that live, or those that have just ended."""

    source: Integers  # (R,)
    symbols: Integers  # (R, t), the end included where they ended
    steps: Floats64  # log-probability of each, (R, t)
    totals: Floats64  # their sum, (R,)
    rows: Integers | None  # row at which each was chosen, where attention is asked for, (R, t)

    @classmethod
    def at_first(cls, sources: int, *, keep_rows: bool) -> _Live:
        """The empty hypothesis of each source."""
        symbols = np.zeros((sources, 0), np.int64)
        rows = symbols if keep_rows else None
        return cls(np.arange(sources), symbols, symbols.astype(float), np.zeros(sources), rows)

    @property
    def length(self) -> int:
        """How many symbols each has."""
        return int(self.symbols.shape[1])

    @property
    def last(self) -> Integers:
        """The symbols that the decoder reads next, (R,)."""
        return self.symbols[:, -1] if self.length else np.full(len(self.source), BOUNDARY)

    def select(self, rows: Integers | Mask) -> _Live:
        """Some of them."""
        kept = None if self.rows is None else self.rows[rows]
        return _Live(
            self.source[rows], self.symbols[rows], self.steps[rows], self.totals[rows], kept
        )

    def extended(self, parents: Integers, symbols: Integers, steps: Floats64) -> _Live:
        """Those at ``parents``, each with a symbol more."""
        old = self.select(parents)
        return _Live(
            old.source,
            np.column_stack([old.symbols, symbols]),
            np.column_stack([old.steps, steps]),
            old.totals + steps,
            None if old.rows is None else np.column_stack([old.rows, parents]),
        )


class Attended(NamedTuple):
    """Attention at one step."""

    weights: npt.NDArray[np.float32] | None  # row after row; None: the decoder has none
    starts: Integers  # where each row's begin, and their number, (R + 1,)

    @classmethod
    def of(cls, weights: Any, memory: Memory, rows_of_source: Integers) -> Attended:
        """That of all rows."""
        widths = np.repeat(memory.lengths, rows_of_source)
        return cls(weights, np.concatenate([[0], np.cumsum(widths)]))


class _Record(NamedTuple):
    """Targets that were found at one step."""

    found: _Live
    scores: Floats64
    ended: bool

    def target(self, which: int, attended: Sequence[Attended]) -> Target:
        """One of them."""
        symbols = self.found.symbols[which]
        rows = None if self.found.rows is None else self.found.rows[which].tolist()
        return Target(
            symbols[:-1] if self.ended else symbols,
            float(self.scores[which]),
            float(self.found.totals[which]),
            self.found.steps[which],
            self.ended,
            attention_of(rows, attended, int(self.found.source[which])),
        )


def attention_of(rows: Sequence[int] | None, attended: Sequence[Attended], source: int) -> Any:
    """The attention of a target's steps, (t, S); None where it was not kept or there is none.

    Args:
        rows: Row of the target at each step.
        attended: Attention at each step; at the first each source has one row.
        source: The target's source.
    """
    if rows is None or attended[0].weights is None:
        return None
    parts = [
        step.weights[step.starts[row] : step.starts[row + 1]]
        for row, step in zip(rows, attended, strict=False)
        if step.weights is not None
    ]
    first, behind = attended[0].starts[source : source + 2]
    # Cut before its first symbol, a target has no steps.
    return np.stack(parts) if parts else np.zeros((0, behind - first), np.float32)


def search(
    decoder: DecoderLayers,
    encoded: Outcome,
    settings: Search,
    longest: Lengths,
    *,
    attention: bool = False,
) -> list[list[Target]]:
    """The n best targets of each source, those that ended first, the best score first.

    Args:
        decoder: The decoder.
        encoded: What the encoder gave for the sources.
        settings: Of the search; its ``longest`` is not read.
        longest: Most symbols of a target of each source, (B,).
        attention: Whether each step's attention is kept.

    Raises:
        BundleError: Scores that are no finite numbers.
    """
    memory, state = decoder.begin(encoded)
    answers = _Answers(len(longest), settings)
    attended: list[Attended] = []
    present = np.arange(len(longest))  # the sources of the memory
    live = _Live.at_first(len(longest), keep_rows=attention)
    while live.source.size:
        rows_of_source = np.bincount(live.source, minlength=len(longest))
        present, memory = _without_done(present, memory, rows_of_source)
        rows_of_source = rows_of_source[present]
        found = decoder.step(live.last, state, memory, rows_of_source, weights=attention)
        if attention:
            attended.append(Attended.of(found.weights, memory, rows_of_source))
        totals_RV = live.totals[:, None] + found.log_probabilities
        parents, symbols = _best(totals_RV, live.source, settings.beam)
        extended = live.extended(parents, symbols, found.log_probabilities[parents, symbols])
        ends = symbols == BOUNDARY
        answers.add(extended.select(ends), ended=True)
        goes_on: Mask = ~ends & (longest[extended.source] > live.length)
        cut: Mask = longest[live.source] == live.length
        cut[parents[ends]] = False
        answers.add(live.select(cut), ended=False)
        goes_on &= answers.may_enter(extended, goes_on, longest)
        live, parents = extended.select(goes_on), parents[goes_on]
        state = found.state
        if not np.array_equal(parents, np.arange(len(totals_RV))):
            state = state.select(parents)
    return answers.targets(attended)


def _without_done(
    present_B: Integers, memory: Memory, rows_of_source: Integers
) -> tuple[Integers, Memory]:
    """The memory, copied without the sources that are done once these are half of it."""
    going_on = rows_of_source[present_B] > 0
    if 2 * int(going_on.sum()) > len(present_B):
        return present_B, memory
    return present_B[going_on], memory.select(np.flatnonzero(going_on))


def _best(totals_RV: Floats64, source_R: Integers, beam: int) -> tuple[Integers, Integers]:
    """The best extensions of each source: rows and symbols, source after source, the best first."""
    rows, size = totals_RV.shape
    if beam == 1:  # a row for each source
        return np.arange(rows), totals_RV.argmax(axis=1)
    first = np.flatnonzero(np.diff(source_R, prepend=-1))
    counts = np.diff(first, append=rows)
    widest = int(counts.max())
    table = totals_RV
    if rows != len(first) * widest:  # of some sources fewer live: they get rows that nothing takes
        table = np.full((len(first), widest, size), -np.inf)
        table[
            np.repeat(np.arange(len(first)), counts), np.arange(rows) - np.repeat(first, counts)
        ] = totals_RV
    table = table.reshape(len(first), widest * size)
    least = np.full((len(first), 1), -np.inf)
    if beam < table.shape[1]:
        at = table.shape[1] - beam
        least = np.partition(table, at, axis=1)[:, at : at + 1]
    which, place = np.nonzero((table >= least) & (table > -np.inf))
    order = np.lexsort((place, -table[which, place], which))
    which, place = which[order], place[order]
    # Of equal ones more than fit may have been taken.
    begins = np.searchsorted(which, np.arange(len(first)))
    fits = np.arange(len(which)) - begins[which] < beam
    which, place = which[fits], place[fits]
    return first[which] + place // size, place % size


class _Answers:
    """The n best targets of each source so far."""

    def __init__(self, sources: int, settings: Search) -> None:
        self._settings = settings
        shape = (sources, settings.nbest)
        self._scores = np.full(shape, -np.inf)  # of those that ended, the best first
        self._numbers = np.full(shape, -1)  # of all that were found
        self._cut: dict[int, list[int]] = {}
        self._records: list[_Record] = []
        self._count = 0

    def add(self, found: _Live, *, ended: bool) -> None:
        """Take targets in, source after source."""
        if not found.source.size:
            return
        symbols = found.length - ended
        scores = self._settings.normalised(found.totals, symbols)
        numbers = self._count + np.arange(len(scores))
        self._count += len(scores)
        self._records.append(_Record(found, scores, ended))
        if not ended:
            for source, number in zip(found.source.tolist(), numbers.tolist(), strict=True):
                self._cut.setdefault(source, []).append(number)
            return
        sources, which = np.unique(found.source, return_inverse=True)
        place = np.arange(len(which)) - np.searchsorted(which, which)
        old = self._scores.shape[1]
        shape = (len(sources), old + int(place.max()) + 1)
        all_scores, all_numbers = np.full(shape, -np.inf), np.full(shape, -1)
        all_scores[:, :old], all_numbers[:, :old] = self._scores[sources], self._numbers[sources]
        all_scores[which, old + place], all_numbers[which, old + place] = scores, numbers
        # Stable: of equal scores the one that ended earlier goes first.
        order = np.argsort(-all_scores, axis=1, kind="stable")[:, :old]
        self._scores[sources] = np.take_along_axis(all_scores, order, axis=1)
        self._numbers[sources] = np.take_along_axis(all_numbers, order, axis=1)

    def may_enter(self, live: _Live, goes_on: Mask, longest: Lengths) -> Mask:
        """Whether a hypothesis's source has one that may still enter the n best; see the module."""
        ceiling = np.full(len(self._scores), -np.inf)
        of = live.source[goes_on]
        np.maximum.at(ceiling, of, self._settings.normalised(live.totals[goes_on], longest[of]))
        may: Mask = (ceiling > self._scores[:, -1])[live.source]
        return may

    def targets(self, attended: list[Attended]) -> list[list[Target]]:
        """The n best of each source; those that did not end where too few did."""
        starts = np.cumsum([0, *(len(record.scores) for record in self._records)])
        out: list[list[Target]] = []
        for source, numbers in enumerate(self._numbers.tolist()):
            chosen = [number for number in numbers if number >= 0]
            chosen += self._cut.get(source, [])[: len(numbers) - len(chosen)]
            targets = []
            for number in chosen:
                record = int(np.searchsorted(starts, number, side="right")) - 1
                targets.append(self._records[record].target(number - int(starts[record]), attended))
            out.append(targets)
        return out
