"""Which columns of a table of series are which: its channels, its time, what tells series apart.

A table is *long* where a row is a step of one of several series, *wide* where a row is a whole
series whose columns are numbered by time, and *single* where all rows are steps of one series.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from birnn.data.headers import (
    INDEX,
    LABEL,
    MISSING,
    SERIES,
    SURE,
    TIME,
    known_places,
    listed,
    names_given,
    names_over_numbers,
    place_of,
    plain_name,
)
from birnn.data.numeric import is_number
from birnn.data.options import Layout, ReadRequest
from birnn.errors import DataError

_NUMBERED = re.compile(r"(.*?)[\s_.:\[-]*(\d+(?:\.\d+)?)\]?")
# Numbered columns, before a table is taken for a wide one: where their names say that they are
# steps, and where they say nothing.
ENOUGH, MANY = 4, 8


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel: its name, and its column, or those of its steps where the table is wide."""

    name: str
    places: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SeriesColumns:
    """Which places of a row are read."""

    layout: Layout
    names: tuple[str, ...]  # of all columns: their names, or what they are called without
    header: bool
    id: int | None
    time: int | None
    targets: tuple[int, ...]
    channels: tuple[Channel, ...]
    steps: tuple[float, ...]  # of a wide table: the numbers of its columns
    notices: tuple[str, ...]

    def found(self) -> dict[str, object]:
        """What was recognised, as the options that would say the same."""
        named: dict[str, object] = {"series": self.layout}
        for option, place in (("id_column", self.id), ("time_column", self.time)):
            if place is not None and self.layout != "wide":
                named[option] = self._ref(place)
        if self.targets:
            named["label_column"] = ",".join(map(self._ref, self.targets))
        if any(channel.name for channel in self.channels):
            by_name = self.layout == "wide"
            refs = [c.name if by_name else self._ref(c.places[0]) for c in self.channels]
            named["channels"] = refs
        return named

    def _ref(self, place: int) -> str:
        return self.names[place] if self.header else str(place + 1)


def find_series(
    first: Sequence[str],
    rest: Sequence[Sequence[str]],
    request: ReadRequest,
    *,
    header: bool = False,
) -> SeriesColumns | None:
    """The columns of a table of series; None where it is none, as far as can be seen.

    Args:
        first: The names, or the first row of a file.
        rest: The rows after it, as many as are at hand.
        request: What is read; its options decide, and without any the names and numbers.
        header: Whether the first row is known to hold names.

    Raises:
        DataError: The options say that it is one, and its columns cannot be distinguished.

    Example:
        >>> rows = [["a", "0", "0.5", "calm"], ["a", "1", "0.7", "calm"], ["b", "0", "2", "busy"]]
        >>> found = find_series(["id", "time", "x", "label"], rows, ReadRequest("label"))
        >>> found.layout, found.channels, found.notices[0]
        ('long', (Channel(name='x', places=(2,)),), 'a table of series in long form')
        >>> find_series(["id", "text", "label"], [["a", "so good", "pos"]], ReadRequest("label"))
    """
    options = request.options
    if request.target not in ("label", "labels", "values", "tags"):
        return None
    wanted = options.series
    if wanted is None and (options.text_column is not None or not rest):
        return None
    choice = _Choice(first, rest, request, header)
    guess = wanted is None or options.of_model("series")
    if guess and (layout := choice.guess()) is not None:
        return choice.columns(layout, guessed=wanted is None)
    return None if wanted is None else choice.columns(wanted, guessed=False)


class _Choice:
    """The first rows of a table, and the choice of its columns."""

    def __init__(
        self,
        first: Sequence[str],
        rest: Sequence[Sequence[str]],
        request: ReadRequest,
        header: bool,
    ) -> None:
        self.first, self.request, self.options = first, request, request.options
        rest = [row for row in rest if len(row) == len(first)]
        given = None if self.options.of_model("header") else self.options.header
        if given is None:
            told = "time_column", "id_column", "label_column", "channels"
            given = names_over_numbers(first, rest) or names_given(first, request, *told)
        self.header = header or given
        self.rows = rest if self.header else [first, *rest]
        called = [cell.strip() for cell in first]
        self.names = called if self.header else [f"column {at + 1}" for at in range(len(first))]
        self.plain = list(map(plain_name, called)) if self.header else [""] * len(first)
        self.numeric = [self._are_numbers(at) for at in range(len(first))]
        self.time = self._set("time_column")
        self.id = self._set("id_column")
        self.targets = self._set_targets()
        self.channels = self._set_channels()
        self.notices: list[str] = []

    # ------------------------------------------------------------------ what options say

    def _place(self, ref: str, option: str) -> int | None:
        """Place of a column by its name or number; None where a model's is not here."""
        return place_of(ref, option, self.first, self.request, header=self.header)

    def _cells(self) -> str:
        return f"the row has {len(self.names)} cells and there is no header"

    def _set(self, option: str) -> int | None:
        ref = getattr(self.options, option)
        return None if ref is None else self._place(ref, option)

    def _set_targets(self) -> tuple[int, ...]:
        if self.options.label_column is None:
            return ()
        several = self.request.target in ("values", "labels")
        parts = self.options.label_column.split(",") if several else [self.options.label_column]
        places = [self._place(part.strip(), "label_column") for part in parts]
        return tuple(at for at in places if at is not None)

    def _set_channels(self) -> tuple[int, ...] | None:
        if self.options.channels is None or self._is_wide_set():
            return None
        found = [self._place(name, "channels") for name in self.options.channels]
        return tuple(at for at in found if at is not None)

    def _is_wide_set(self) -> bool:
        """Whether channels that are set name parts of columns' names, as those of wide tables."""
        return self.options.series == "wide"

    # ------------------------------------------------------------------ what names and cells say

    def guess(self) -> Layout | None:
        """The layout of a table of series by its names and numbers, if it looks like one."""
        if not self.header:
            return None
        time, of = self._time(), self._id()
        # Channels may be numbered, too: c0, c1, c2.
        if time is not None and of is not None and self._repeats(of):
            used = {time, of, *self._targets((time, of), must=False)}
            channels = self.channels or [at for at in range(len(self.names)) if at not in used]
            return "long" if channels and all(self.numeric[at] for at in channels) else None
        rest = self._rest(self._numbered())
        texts = [at for at in rest if not self.numeric[at] and at not in self._ids(rest)]
        wide = len(texts) <= 1 and self._are_steps() and self.request.target != "tags"
        return "wide" if wide else None

    def columns(self, layout: Layout, *, guessed: bool) -> SeriesColumns:
        """The columns of a table of this layout."""
        if layout == "wide":
            return self._wide(guessed)
        time = self._time()
        of = None
        if layout == "long":
            of = self._id()
            if of is None:
                raise DataError(
                    f"no column that tells the series apart: {self._named()}. Name it: --id-column"
                )
        targets = self._targets(tuple(at for at in (time, of) if at is not None))
        used = {time, of, *targets, *self._row_numbers()}
        left = [at for at in range(len(self.names)) if at not in used]
        channels = self.channels
        if channels is None:
            channels = tuple(at for at in left if self.numeric[at])
        if not channels:
            raise DataError(
                f"no column of numbers beside these: {self._named()}. Name them: --channels"
            )
        unread = [at for at in range(len(self.names)) if at not in {*used, *channels}]
        self._tell(layout, guessed, of, time, targets, channels, unread)
        return self._result(
            layout, of, time, targets, tuple(Channel(self.names[at], (at,)) for at in channels)
        )

    def _wide(self, guessed: bool) -> SeriesColumns:
        if self.request.target == "tags" and self.request.labelled:
            raise DataError(
                "a row of a wide table has one label, and a tagger learns a label for each step: "
                "write a row for each step (--series long)"
            )
        numbered = self._numbered() if self.header else {}
        if len(numbered) < 2 and self.header:
            raise DataError(f"no columns that are numbered by time: {self._named()}")
        rest = self._rest(numbered) if self.header else list(range(len(self.names)))
        of = self.id
        if of is None and self.header:
            ids = self._ids(rest)
            of = min(ids, key=lambda at: at in self._row_numbers(), default=None)
            rest = [at for at in rest if at == of or at not in ids]
        targets = self.targets or self._wide_targets([at for at in rest if at != of])
        if not self.header:
            places = [at for at in rest if at not in (of, *targets)]
            numbered = {at: ("", float(step)) for step, at in enumerate(places)}
        by_name: dict[str, dict[float, int]] = {}
        for at, (name, step) in numbered.items():
            if at in (of, *targets):
                continue
            if step in by_name.setdefault(name, {}):
                raise DataError(f"two columns of {name or 'values'} at step {step:g}. Rename one")
            by_name[name][step] = at
        names = list(by_name) if self.options.channels is None else self.options.channels
        if not names:
            raise DataError(f"no column of steps beside these: {self._named()}")
        if absent := [name for name in names if name not in by_name]:
            raise DataError(f"no columns {absent[0]}0, {absent[0]}1, ...: {self._named()}")
        steps = sorted(by_name[names[0]])
        for name in names:
            if sorted(by_name[name]) != steps:
                raise DataError(
                    f"{len(steps)} columns of {names[0]!r} and other steps of {name!r}. "
                    "Give every channel the same steps, and leave cells empty"
                )
        unread = [at for at in rest if at not in (of, *targets)] if self.header else []
        channels = tuple(Channel(n, tuple(by_name[n][step] for step in steps)) for n in names)
        self._tell("wide", guessed, of, None, targets, channels, unread)
        if not self.header:
            self.notices.insert(1, "no header")
        return self._result("wide", of, None, targets, channels, tuple(steps))

    def _result(
        self,
        layout: Layout,
        of: int | None,
        time: int | None,
        targets: tuple[int, ...],
        channels: tuple[Channel, ...],
        steps: tuple[float, ...] = (),
    ) -> SeriesColumns:
        targets = targets if self.request.labelled else ()
        notices, names = tuple(self.notices), tuple(self.names)
        return SeriesColumns(
            layout, names, self.header, of, time, targets, channels, steps, notices
        )

    def _time(self) -> int | None:
        if self.time is not None:
            return self.time
        # It may be a channel, too.
        used = {self.id, *self.targets}
        return next((at for at in known_places(self.plain, TIME) if at not in used), None)

    def _id(self) -> int | None:
        """What tells series apart: of several names the finest one that still repeats."""
        if self.id is not None:
            return self.id
        used = {self._time(), *self.targets, *(self.channels or ())}
        found = [at for at in known_places(self.plain, SERIES) if at not in used]
        found += [at for at, n in enumerate(self.plain) if n.endswith(" id") and at not in found]
        found = [at for at in found if at not in used]
        repeating = [at for at in found if self._repeats(at)]
        return max(repeating, key=self._distinct, default=found[0] if found else None)

    def _distinct(self, at: int) -> int:
        return len({row[at] for row in self.rows})

    def _repeats(self, at: int) -> bool:
        return self._distinct(at) < len(self.rows)

    def _targets(self, used: Sequence[int], *, must: bool = True) -> tuple[int, ...]:
        """Columns of what is learnt; of a single series of a folder its name is the label."""
        known = [at for at in self._known(used) if self._is_label(at)]
        sure = [at for at in known if self.plain[at] in SURE]
        if self.targets or not self.request.labelled:
            # A label is no channel, though a model does not ask for it.
            return self.targets or tuple(sure)
        words = [at for at, numeric in enumerate(self.numeric) if not numeric and at not in used]
        found = sure or (words if len(words) == 1 else known)
        if not found and must:
            raise DataError(f"no column of labels: {self._named()}. Name it: --label-column")
        return tuple(found[:1])

    def _known(self, used: Sequence[int]) -> list[int]:
        channels = self.channels or ()
        return [
            at for at in known_places(self.plain, LABEL) if at not in used and at not in channels
        ]

    def _is_label(self, at: int) -> bool:
        """Whether a column may hold what is learnt: of a series one value, of tags no fractions."""
        if self.request.target == "tags":
            return not any(
                is_number(row[at]) and not float(row[at]).is_integer() for row in self.rows
            )
        of = self.id if self.id is not None else self._id()
        seen: dict[str, str] = {}
        for row in self.rows:
            cell, key = row[at].strip(), "" if of is None else row[of]
            if cell.lower() not in MISSING and seen.setdefault(key, cell) != cell:
                return False
        return True

    def _wide_targets(self, rest: Sequence[int]) -> tuple[int, ...]:
        if not self.request.labelled:
            # Without a header the label of the time-series archives stands first, if there is one.
            return () if self.header else self._unnamed_label(rest)
        if not self.header:
            found = self._unnamed_label(rest)
        elif self.request.target == "values":
            found = tuple(at for at in rest if self.numeric[at])
        else:
            found = tuple(at for at in known_places(self.plain, LABEL) if at in rest)[:1]
            found = found or (tuple(rest) if len(rest) == 1 else ())
        if not found:
            raise DataError(f"no column of labels: {self._named()}. Name it: --label-column")
        return found

    def _unnamed_label(self, rest: Sequence[int]) -> tuple[int, ...]:
        """The column of labels of a table without a header: of words, or else whole numbers."""
        words = [at for at in rest if not self.numeric[at]]
        if len(words) == 1:
            return (words[0],)
        ends = [rest[0], rest[-1]] if len(rest) > 1 else []
        whole = [at for at in ends if self._are_whole(at)]
        return (whole[0],) if len(whole) == 1 else ()

    def _numbered(self) -> dict[int, tuple[str, float]]:
        """Columns of numbers whose names end in one: the name before it, and the number."""
        found = {}
        for at, name in enumerate(self.names):
            matched = _NUMBERED.fullmatch(name)
            if matched and self.numeric[at] and at not in (self.id, self.time, *self.targets):
                found[at] = (matched[1], float(matched[2]))
        return found

    def _are_steps(self) -> bool:
        """Whether numbered columns look like steps, and not like channels that are numbered."""
        by_name: dict[str, set[float]] = {}
        for name, step in self._numbered().values():
            by_name.setdefault(name, set()).add(step)
        if not by_name:
            return False
        alike = len(by_name) > 1 and len(set(map(frozenset, by_name.values()))) == 1
        timed = all(not name or plain_name(name) in TIME for name in by_name)
        return min(map(len, by_name.values())) >= (ENOUGH if alike or timed else MANY)

    def _rest(self, numbered: dict[int, tuple[str, float]]) -> list[int]:
        return [at for at in range(len(self.names)) if at not in numbered]

    def _ids(self, rest: Sequence[int]) -> list[int]:
        """Columns that name or number the rows of a wide table."""
        return [at for at in rest if self.plain[at] in INDEX or self.plain[at].endswith(" id")]

    def _row_numbers(self) -> list[int]:
        """Unnamed columns that count the rows, as data frames write their index."""
        unnamed = [at for at, n in enumerate(self.plain) if n in ("", "unnamed: 0", "index")]
        return unnamed if self.header else []

    def _are_numbers(self, at: int) -> bool:
        cells = [row[at].strip() for row in self.rows]
        filled = [cell for cell in cells if cell.lower() not in MISSING]
        # A column without any value yet may be a channel.
        return all(map(is_number, filled))

    def _are_whole(self, at: int) -> bool:
        cells = [row[at].strip() for row in self.rows]
        return all(is_number(cell) and float(cell).is_integer() for cell in cells)

    # ------------------------------------------------------------------ what is told

    def _named(self) -> str:
        return f"the header names {listed(self.names[:12])}" if self.header else self._cells()

    def _tell(
        self,
        layout: Layout,
        guessed: bool,
        of: int | None,
        time: int | None,
        targets: Sequence[int],
        channels: Sequence[int] | Sequence[Channel],
        unread: Sequence[int],
    ) -> None:
        tell = self.notices.append
        if guessed:
            tell(f"a table of series in {layout} form")
        if of is not None and self.id is None:
            tell(f"series are told apart by {self.names[of]!r}")
        if time is not None and self.time is None:
            tell(f"the time is {self.names[time]!r}")
        elif time is None and layout == "long":
            tell("no column of the time: steps in the order of the rows")
        if self.request.labelled and targets and not self.targets:
            tell(f"what is learnt is {listed([self.names[at] for at in targets])}")
        if self.options.channels is None:
            called = [c.name if isinstance(c, Channel) else self.names[c] for c in channels]
            named = listed(called[:12]) + (", ..." if len(called) > 12 else "")
            tell(f"the channels are {named}" if any(called) else "one channel")
        if unread:
            tell(f"not read: {listed([self.names[at] for at in unread][:12])}")
