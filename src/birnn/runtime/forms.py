"""Input vectors of written forms: computed once, the least recently used forgotten first."""

# F distinct written forms, W width of an input row

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.float32]

CAPACITY = 1 << 15
# Forms that go through the character network together: bounds its memory, fills its matrices.
CHUNK = 4096


class FormTable:
    """A bounded table from written forms to rows, filled by a function when a form is new.

    The rows stand in one array, whose memory the system commits only as it fills.

    Args:
        compute: Rows (F, W) of a list of F distinct forms.
        width: Width W of a row.
        capacity: Forms kept.

    Example:
        >>> table = FormTable(lambda forms: np.array([[len(f)] for f in forms], np.float32), 1)
        >>> table.rows(["river", "bank"]).tolist()
        [[5.0], [4.0]]
        >>> len(table)
        2
    """

    def __init__(
        self,
        compute: Callable[[list[str]], Rows],
        width: int,
        *,
        capacity: int = CAPACITY,
    ) -> None:
        self._compute = compute
        self._table = np.empty((capacity, width), np.float32)
        self._slots: OrderedDict[str, int] = OrderedDict()

    def __len__(self) -> int:
        """Forms kept at present."""
        return len(self._slots)

    def rows(self, forms: Sequence[str]) -> Rows:
        """Rows of distinct forms, (F, W); more of them than the table keeps are fine."""
        slots = np.array([self._slots.get(form, -1) for form in forms], dtype=np.int64)
        out = self._table[slots]
        for form, slot in zip(forms, slots.tolist(), strict=True):
            if slot >= 0:
                self._slots.move_to_end(form)
        new = np.flatnonzero(slots < 0)
        for start in range(0, new.shape[0], CHUNK):
            places = new[start : start + CHUNK]
            unknown = [forms[place] for place in places.tolist()]
            out[places] = computed = self._compute(unknown)
            self._keep(unknown, computed)
        return out

    def _keep(self, forms: list[str], rows: Rows) -> None:
        capacity = self._table.shape[0]
        forms, rows = forms[:capacity], rows[:capacity]
        slots: list[int] = []
        for form in forms:
            if len(self._slots) < capacity:
                slot = len(self._slots)
            else:
                slot = self._slots.popitem(last=False)[1]
            self._slots[form] = slot
            slots.append(slot)
        self._table[slots] = rows
