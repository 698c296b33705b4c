"""All examples of a run are of one kind: tokens, or vectors of the same channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from birnn.data import Example
from birnn.data.numeric import narrow, not_finite
from birnn.errors import DataError


def check_alike(*sets: Sequence[Example]) -> None:
    """Make sure that the examples of all sets fit into one model.

    Raises:
        DataError: They do not, or a vector is not finite; the example is named.

    Example:
        >>> check_alike([Example(("a",), "x")], [Example(np.zeros((2, 3)), "x", "dev.ts:4")])
        Traceback (most recent call last):
        ...
        birnn.errors.DataError: dev.ts:4 has vectors of 3 channels, the first example has tokens.
        Give every file the same.
    """
    examples = [example for examples in sets for example in examples]
    first = next((example for example in examples if len(example)), None)
    if first is None:
        return
    name = first.where or "the first example"
    wanted, target = _kind(first), _target(first.target)
    for number, example in enumerate(examples):
        where = example.where or f"example {number}"
        # A sequence of length 0 may not know how many channels it has.
        kind = _kind(example) if len(example) else wanted
        for got, needed in ((kind, wanted), (_target(example.target), target)):
            if got != needed:
                raise DataError(
                    f"{where} has {got}, {name} has {needed}. Give every file the same."
                )
        if isinstance(example.inputs, np.ndarray) and (bad := not_finite(example.inputs)):
            raise DataError(
                f"{where}, step {bad[0]}: channel {bad[1]} is {narrow(example.inputs)[bad]}. "
                "Fill it in or leave the sequence out."
            )
        if isinstance(example.target, np.ndarray) and (bad := not_finite(example.target)):
            raise DataError(
                f"{where}: target {bad[0]} is {narrow(example.target)[bad]}. "
                "Fill it in or leave the sequence out."
            )


def _kind(example: Example) -> str:
    if isinstance(example.inputs, np.ndarray):
        return f"vectors of {example.inputs.shape[-1]} channels"
    return "tokens"


def _target(target: Any) -> str:
    if isinstance(target, np.ndarray):
        return f"{target.size} target values"
    return "tags" if isinstance(target, tuple) else "no target" if target is None else "a label"
