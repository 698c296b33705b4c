"""The targets that an export writes, against the runtime's greedy search.

Compared are the symbols, and the log-probability of each of them and of the end. Where the export
also scores given targets, random ones are given to both.
"""

# T symbols of a target, V symbols that may come next

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from birnn.bundle import Bundle
from birnn.export.feeds import Array
from birnn.reference.softmax import log_softmax
from birnn.runtime.batches import BatchRunner
from birnn.runtime.search import GREEDY, Hypothesis
from birnn.runtime.validation import validated

LONGEST = 12  # symbols of a random target


class Compared(NamedTuple):
    """A step of one source in both.

    Args:
        sequence: Number of the source in its batch.
        step: Number of the step.
        symbol: What was written there, or was right.
        expected: The runtime's log-probability of it.
        found: The export's.
    """

    sequence: int
    step: int
    symbol: str
    expected: float
    found: float


class WrittenComparison(NamedTuple):
    """What a comparison found.

    Args:
        steps: Every step that was compared.
        different: Numbers of the sources whose targets differ.
        size: How large log-probabilities are: the least of the runtime, without its sign.
    """

    steps: list[Compared]
    different: list[int]
    size: float


def random_targets(bundle: Bundle, count: int, seed: int = 0) -> list[tuple[str, ...]]:
    """Targets of random symbols, of 0 to 12 each.

    Args:
        bundle: A model that writes sequences.
        count: How many.
        seed: Of the random numbers.
    """
    random = np.random.default_rng(seed)
    known = np.array(bundle.vocabularies["targets"][1:], object)
    if not len(known):
        return [()] * count
    lengths = random.integers(0, LONGEST + 1, count).tolist()
    return [tuple(random.choice(known, length).tolist()) for length in lengths]


def compare_written(
    bundle: Bundle,
    loaded: Any,
    sequences: Sequence[Any],
    in_batches: Callable[..., list[Any]],
) -> WrittenComparison:
    """Compare an export with the runtime on a batch.

    Args:
        bundle: The model.
        loaded: The export, see `birnn.export.exporters.Loaded`.
        sequences: The sources.
        in_batches: Runs a function over sources, and what comes beside each, in batches that fit
            the memory.
    """
    runner, sources = BatchRunner(bundle), list(sequences)
    head, steps_of = runner.network.head, list(validated(bundle.spec, runner.codec, sources))
    greedy = head.hypotheses(GREEDY, attention=False)
    expected = [best for [best] in runner.run(steps_of, greedy)]
    found: list[Hypothesis] = in_batches(loaded.write, sources)
    pairs = list(zip(expected, found, strict=True))
    steps = [step for number, pair in enumerate(pairs) for step in _alike(number, *pair)]
    different = [number for number, (a, b) in enumerate(pairs) if _target(a) != _target(b)]
    targets = random_targets(bundle, len(sources))
    given = runner.run(steps_of, head.given_targets(targets, GREEDY, attention=False))
    if hasattr(loaded, "scores_of"):
        numbers = {symbol: n for n, symbol in enumerate(bundle.vocabularies["targets"])}
        scores: list[Array] = in_batches(loaded.scores_of, sources, targets)
        for number, (own, scores_TV) in enumerate(zip(given, scores, strict=True)):
            answers = np.array([*(numbers[symbol] for symbol in own.symbols), 0])
            logs_T = log_softmax(scores_TV)[np.arange(len(answers)), answers]
            steps += _steps(number, own, logs_T.tolist())
    # The best symbols have small log-probabilities, whatever the scores are that these come from.
    size = max(-log for each in (*expected, *given) for log in (*each.log_probabilities, 0.0))
    return WrittenComparison(steps, different, size)


def _target(found: Hypothesis) -> tuple[tuple[str, ...], bool]:
    return found.symbols, found.ended


def _alike(number: int, expected: Hypothesis, found: Hypothesis) -> Iterator[Compared]:
    """The steps up to the first at which the symbols differ: what follows is of other targets."""
    ours, theirs = ([*h.symbols, None][: len(h.log_probabilities)] for h in (expected, found))
    alike = 0
    for one, other in zip(ours, theirs, strict=False):
        if one != other:
            break
        alike += 1
    yield from _steps(number, expected, found.log_probabilities[:alike])


def _steps(number: int, expected: Hypothesis, found: Sequence[float]) -> Iterator[Compared]:
    named = [*map(repr, expected.symbols), "the end"]
    for step, log_probability in enumerate(found):
        own = expected.log_probabilities[step]
        yield Compared(number, step, named[step], own, log_probability)
