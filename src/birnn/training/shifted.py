"""Tags that are the next step's token: what two directions would only copy."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from birnn.bundle.spec import Encoder
from birnn.data import Example
from birnn.errors import DirectionError

# Steps whose tag is the next token and not the step's own, before it can be no accident: where
# every next token is one of two, one data set in a million agrees so far by chance.
ENOUGH = 20


def check_direction(train: Sequence[Example], encoder: Encoder) -> None:
    """Make sure that two directions are not asked for what the next step tells.

    Args:
        train: Labelled examples.
        encoder: Settings of the encoder.

    Raises:
        DirectionError: Every tag is the token of the next step, and the encoder reads it.

    Example:
        >>> text = "to be or not to be that is the question whether tis nobler in the mind".split()
        >>> ahead = [Example(tuple(text), (*text[1:], "."))] * 2
        >>> check_direction(ahead, Encoder(bidirectional=False))
        >>> check_direction(ahead, Encoder())
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
    if changes >= ENOUGH:
        raise DirectionError.of(
            "predicting the next step (the tags of the training data are the tokens that follow, "
            f"at all {steps:,} steps that one follows)",
            unread="hold the answer",
            instead="--set encoder.bidirectional=false",
        )
