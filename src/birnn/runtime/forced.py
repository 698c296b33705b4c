"""Log-probabilities of given targets: the decoder reads each of them, whatever it would say."""

# B sources, t steps so far

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from birnn.reference.bidirectional import Outcome
from birnn.reference.decoder_spec import BOUNDARY
from birnn.runtime.beam import Attended, Target, attention_of
from birnn.runtime.decoder import DecoderLayers, Integers
from birnn.runtime.search import Search


def score_targets(
    decoder: DecoderLayers,
    encoded: Outcome,
    targets: Sequence[Integers],
    settings: Search,
    *,
    attention: bool = False,
) -> list[Target]:
    """Each source's own target with its log-probabilities, to the bit those that a search finds.

    Args:
        decoder: The decoder.
        encoded: What the encoder gave for the sources.
        targets: Symbols of each source's target, without the end.
        settings: Of the normalisation by length.
        attention: Whether each step's attention is kept.

    Raises:
        BundleError: Scores that are no finite numbers.
    """
    lengths = np.array(list(map(len, targets)), np.int64)
    longest = int(lengths.max(initial=-1))
    # What is read before each step and what is right at it; the end after each target.
    table = np.full((len(targets), longest + 2), BOUNDARY)
    for row, target in zip(table, targets, strict=True):
        row[1 : 1 + len(target)] = target
    steps = np.zeros((len(targets), longest + 1))
    memory, state = decoder.begin(encoded)
    reading, attended = np.arange(len(targets)), []
    for t in range(longest + 1):
        rows_of_source = (lengths >= t).astype(np.int64)
        if len(reading) > rows_of_source.sum():
            kept = np.flatnonzero(lengths[reading] >= t)
            reading, state = reading[kept], state.select(kept)
        found = decoder.step(table[reading, t], state, memory, rows_of_source, weights=attention)
        steps[reading, t] = found.log_probabilities[np.arange(len(reading)), table[reading, t + 1]]
        state = found.state
        if attention:
            attended.append(Attended.of(found.weights, memory, rows_of_source))
    out = []
    for source, target in enumerate(targets):
        each = steps[source, : len(target) + 1]
        total = float(np.cumsum(each)[-1])  # one after another, as a search adds them up
        score = float(settings.normalised(total, len(target)))
        rows = [int((lengths[:source] >= t).sum()) for t in range(len(each))] if attention else None
        weights = attention_of(rows, attended, source)
        out.append(Target(target, score, total, each, True, weights))
    return out
