"""Measures of a model on labelled examples."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from birnn.data.batching import windows
from birnn.data.examples import Example
from birnn.data.pairs import grouped
from birnn.errors import DataError, Tell
from birnn.inputs import Steps
from birnn.runtime.batches import WINDOW, WINDOW_ROWS, BatchRunner
from birnn.runtime.heads import Answering
from birnn.tasks.head import Head


def evaluate(
    examples: Iterable[Example],
    head: Head,
    labels: Sequence[str],
    runner: BatchRunner,
    answering: Answering,
    validate: Callable[[Iterable[Any], int], Iterator[Steps]],
    tell: Tell,
) -> dict[str, Any]:
    """The measures that `Predictor.evaluate` gives.

    Args:
        examples: Examples with targets.
        head: The head of the model.
        labels: Its labels.
        runner: Answers.
        answering: How.
        validate: Validates the inputs of examples, of which the first has the number given.
        tell: Takes each notice, one line.

    Raises:
        DataError: No example, or one without a target or with a target of another kind.
    """
    scorer, gold = head.scorer(labels), head.golds(labels, tell)
    sequences = empty = tokens = 0
    seconds = 0.0
    examples = grouped(examples, head.target, tell)
    examples = (head.question(example, number) for number, example in enumerate(examples))
    for window in windows(examples, tokens=WINDOW_ROWS, sequences=WINDOW):
        golds = [gold(example, sequences + i) for i, example in enumerate(window)]
        inputs = list(validate((example.inputs for example in window), sequences))
        if not sequences:
            runner.notice(inputs, tell)
        started = time.perf_counter()
        answers = runner.run(inputs, answering, golds, first=sequences)
        seconds += time.perf_counter() - started
        for target, answer in zip(golds, answers, strict=True):
            scorer.update(target, answer)
        sequences += len(window)
        empty += sum(len(example) == 0 for example in window)
        tokens += sum(map(len, window))
    if not sequences:
        raise DataError("no example to evaluate on. Give at least one.")
    runner.notice_answers(answering, tell)
    return (
        scorer.result()
        | head.overlap(scorer, tell)
        | {
            "sequences": sequences,
            "empty_sequences": empty,
            "tokens": tokens,
            "seconds": seconds,
            "tokens_per_second": tokens / seconds if seconds > 0 else 0.0,
        }
    )
