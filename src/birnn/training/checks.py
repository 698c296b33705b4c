"""What no model can be trained on: examples of several kinds, and tags that are the next token."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from birnn.bundle.spec import Encoder
from birnn.data import Example
from birnn.data.numeric import require_finite
from birnn.errors import DataError, DirectionError

# Steps whose tag is the next token and not the step's own, before it can be no accident: where
# every next token is one of two, one data set in a million agrees so far by chance.
MIN_SHIFTED_STEPS = 20


def require_uniform_inputs(*sets: Sequence[Example]) -> None:
    """Make sure that the examples of all sets fit into one model.

    Raises:
        DataError: They do not, or a vector is not finite; the example is named.

    Example:
        >>> dev = [Example(np.zeros((2, 3)), "x", "dev.ts:4")]
        >>> require_uniform_inputs([Example(("a",), "x")], dev)
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
        for values, axes in ((example.inputs, ("step", "channel")), (example.target, ("target",))):
            if isinstance(values, np.ndarray):
                require_finite(values, where, *axes)


def reject_shifted_targets(train: Sequence[Example], encoder: Encoder) -> None:
    """Make sure that two directions are not asked for what the next step tells.

    Args:
        train: Labelled examples.
        encoder: Settings of the encoder.

    Raises:
        DirectionError: Every tag is the token of the next step, and the encoder reads it.

    Example:
        >>> text = "to be or not to be that is the question whether tis nobler in the mind".split()
        >>> ahead = [Example(tuple(text), (*text[1:], "."))] * 2
        >>> reject_shifted_targets(ahead, Encoder(bidirectional=False))
        >>> reject_shifted_targets(ahead, Encoder())
        Traceback (most recent call last):
        ...
        birnn.errors.DirectionError: predicting the next step (the tags of the training data are
        the tokens that follow, at all 30 steps that one follows) needs one direction, this model
        has two: the backward half's state at step t has read steps t+1 to the last, which hold
        the answer. Use --set encoder.bidirectional=false.
    """
    if not encoder.bidirectional:
        return
    steps = changes = 0
    for example in train:
        if not isinstance(example.target, tuple) or not isinstance(example.inputs, tuple):
            return
        for (token, follower), tag in zip(
            itertools.pairwise(example.inputs), example.target, strict=False
        ):
            if tag != follower:
                return
            steps += 1
            # A step that repeats the one before it is as well a copy of itself.
            changes += token != follower
    if changes >= MIN_SHIFTED_STEPS:
        raise DirectionError.of(
            "predicting the next step (the tags of the training data are the tokens that follow, "
            f"at all {steps:,} steps that one follows)",
            unread="hold the answer",
            instead="--set encoder.bidirectional=false",
            layers=encoder.stack(1).mixed_layers,
        )


def _kind(example: Example) -> str:
    if isinstance(example.inputs, np.ndarray):
        return f"vectors of {example.inputs.shape[-1]} channels"
    return "tokens"


def _target(target: Any) -> str:
    if isinstance(target, np.ndarray):
        return f"{target.size} target values"
    return "tags" if isinstance(target, tuple) else "no target" if target is None else "a label"
