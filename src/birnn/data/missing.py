"""Values that are missing in a series, filled by a rule."""

# T steps of a sequence, D channels of a step

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from birnn.data.examples import Example
from birnn.data.numeric import Reals, reals
from birnn.errors import DataError, Tell

Rule = Literal["refuse", "forward", "linear", "zero"]
"""What becomes of a missing value."""

REMEDY = "Fill such by a rule: --missing=forward, --missing=linear or --missing=zero."
_CALLED = {
    "forward": "with the last value before (at the start with the first after)",
    "linear": "on a line between their neighbours (at the ends with the nearest)",
    "zero": "with 0",
}


def filled(examples: Iterator[Example], rule: Rule, tell: Tell) -> Iterator[Example]:
    """Examples with the missing values of their vectors filled, and how many, told at the end.

    Where none is to be filled, they stay: whoever reads them says which it is.

    Example:
        >>> series = Example(np.array([[1.0], [np.nan]]), "calm")
        >>> [one] = filled(iter([series]), "forward", lambda line: None)
        >>> one.inputs.tolist()
        [[1.0], [1.0]]
    """
    if rule == "refuse":
        yield from examples
        return
    missing = MissingValues(rule)
    for number, example in enumerate(examples):
        if isinstance(example.inputs, np.ndarray):
            what = example.where or f"example {number}"
            example = replace(example, inputs=missing.filled(example.inputs, what))
        yield example
    missing.report(tell)


class MissingValues:
    """Fills the missing values of series, each channel by itself, and counts them.

    Args:
        rule: ``forward`` takes the last value before, and at the start the first one after;
            ``linear`` a line between the neighbours in time, and at the ends the nearest;
            ``zero`` 0; ``refuse`` none.

    Example:
        >>> values = MissingValues("linear")
        >>> values.filled(np.array([[1.0], [np.nan], [3.0], [np.nan]]), "series 0").tolist()
        [[1.0], [2.0], [3.0], [3.0]]
        >>> values.report(print)
        2 of 4 values were missing, in 1 of 1 series: filled on a line between their neighbours \
(at the ends with the nearest)
    """

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._series = self._with = self._values = self._filled = 0

    def filled(
        self,
        values_TD: Reals,
        what: str,
        times_T: npt.NDArray[np.float64] | None = None,
        place: Callable[[int, int], str] = lambda step, channel: f"step {step}, channel {channel}",
    ) -> Reals:
        """A series without missing values.

        Args:
            values_TD: Its values, NaN where one is missing.
            what: What messages call it.
            times_T: The time of each step; by default they are evenly spaced.
            place: What messages call a step and channel.

        Raises:
            DataError: A value is missing and none is to be filled, or a channel has no value at
                all that others could follow from.
        """
        missing = np.isnan(values_TD)
        self._series += 1
        self._values += values_TD.size
        if not missing.any():
            return values_TD
        if self._rule == "refuse":
            step, channel = map(int, np.argwhere(missing)[0])
            count = int(missing.sum())
            more = f" ({count:,} of its {missing.size:,} values are)" if count > 1 else ""
            raise DataError(f"{place(step, channel)} of {what} is missing{more}. {REMEDY}")
        self._with += 1
        self._filled += int(missing.sum())
        if self._rule == "zero":
            return np.where(missing, values_TD.dtype.type(0), values_TD)
        result: Any = values_TD.copy()
        for channel in np.flatnonzero(missing.any(axis=0)).tolist():
            known = np.flatnonzero(~missing[:, channel])
            if not len(known):
                raise DataError(
                    f"{place(0, channel)} of {what} is missing at every step: --missing="
                    f"{self._rule} has nothing to fill it from. Leave the series or the channel "
                    "out, or set --missing=zero."
                )
            result[:, channel] = self._channel(result[:, channel], known, times_T)
        return result  # type: ignore[no-any-return]

    def of(self, given: Any, what: str) -> Any:
        """What a caller hands in as a series, without missing values; all else as it is."""
        try:
            values = reals(given)
        except ValueError:
            return given
        if values.ndim == 1 and values.size:
            return self.filled(values[:, None], what)[:, 0]
        return self.filled(values, what) if values.ndim == 2 else given

    def _channel(
        self, values_T: Any, known: npt.NDArray[np.intp], times_T: npt.NDArray[np.float64] | None
    ) -> Any:
        steps = np.arange(len(values_T))
        if self._rule == "linear":
            times = steps if times_T is None else times_T
            return np.interp(times, times[known], values_T[known])
        last = np.searchsorted(known, steps, side="right") - 1
        return values_T[known[np.maximum(last, 0)]]

    def report(self, tell: Tell) -> None:
        """Give notice of how many values were filled, and how."""
        if self._filled:
            tell(
                f"{self._filled:,} of {self._values:,} values were missing, in {self._with:,} of "
                f"{self._series:,} series: filled {_CALLED[self._rule]}"
            )
