"""An exported file against the runtime: largest difference of scores, and whether answers agree.

Both run two batches: the sample, sequences made of the bundle's own vocabularies (or those that are
given), and a random ragged batch, which has sequences of length 0 and 1 among others. Of a model
that writes sequences `birnn.export.written` compares what is written.
"""

# B sequences, T steps, L scores of a step

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from birnn.bundle import Bundle, dequantised
from birnn.data.batching import in_order
from birnn.data.examples import Example
from birnn.errors import ConversionError, UsageError
from birnn.export.exporters import Loaded, exporter_of
from birnn.export.feeds import Array
from birnn.export.written import compare_written
from birnn.inputs import restored
from birnn.runtime import Predictor
from birnn.runtime.validation import validated

TOLERANCE = 1e-5
MOST_TOKENS = 200  # of a vocabulary, in the sample
LENGTHS = (12, 7, 0, 25, 1, 3)  # of the sample's sequences, again and again
RANDOM_LENGTHS = (0, 1)  # of the random batch, beside those that are drawn
DRAWN = 10
LONGEST = 40
BATCH_ROWS = 1 << 12  # padded rows that an export reads at once


@dataclass(frozen=True, slots=True)
class Difference:
    """The largest difference between the scores of an export and those of the runtime.

    Args:
        value: How large it is; infinite where one of the two alone is NaN.
        batch: ``sample`` or ``random``.
        sequence: Number of the sequence in the batch.
        step: Number of the step, of a filler of the gap; None where there is one answer for a
            sequence.
        output: Name of the score: a label, or ``value 0`` and so on.
        expected: The runtime's score.
        found: The export's.
    """

    value: float
    batch: str
    sequence: int
    step: int | None
    output: str
    expected: float
    found: float

    def __str__(self) -> str:
        step = "" if self.step is None else f", step {self.step}"
        return (
            f"{self.value:.2g} ({self.batch}, sequence {self.sequence}{step}, {self.output}: "
            f"{self.expected:.6g} here, {self.found:.6g} there)"
        )


@dataclass(frozen=True, slots=True)
class Verification:
    """What a comparison of an exported file with the runtime has found.

    It passes if the largest difference is at most ``tolerance`` times the size of the scores (the
    largest of them, at least 1), and all answers are the same.

    Args:
        to: The framework.
        tolerance: Largest difference that passes, relative to the size of the scores.
        sequences: Sequences that were compared.
        steps: Their steps.
        size: The largest score of the runtime in absolute value, at least 1.
        largest: The largest difference; None where there was no score.
        different: Batch and number of each sequence whose answers differ.
    """

    to: str
    tolerance: float
    sequences: int
    steps: int
    size: float
    largest: Difference | None
    different: tuple[tuple[str, int], ...]

    @property
    def passed(self) -> bool:
        """Whether differences are within the tolerance, and all answers the same."""
        within = self.largest is None or self.largest.value <= self.tolerance * self.size
        return within and not self.different

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            **asdict(self),
            "different": [list(each) for each in self.different],
            "passed": self.passed,
        }

    def lines(self) -> list[str]:
        """The report, a few lines."""
        apart = self.largest or "none: there was no score"
        found = [
            f"compared {self.sequences} sequences, {self.steps} steps",
            f"largest difference {apart}; allowed {self.tolerance * self.size:.2g}",
        ]
        if self.different:
            first = ", ".join(f"{batch} {number}" for batch, number in self.different[:5])
            found.append(f"answers differ in {len(self.different)} sequences: {first}")
        else:
            found.append("all answers are the same")
        return found


def sample(bundle: Bundle) -> list[Any]:
    """Sequences made of a bundle's own vocabularies, the same at every call.

    Of tokens the first of the vocabulary in their order, some as they are and some in capitals; of
    vectors rows around the mean of training. Their lengths are 12, 7, 0, 25, 1, 3, and again.

    Example:
        >>> from birnn.bundle import Encoder, Spec, Symbols, Tags
        >>> spec = Spec(inputs=Symbols(size=3, dim=2), encoder=Encoder(), head=Tags(size=2))
        >>> bundle = Bundle(spec, {"symbols": ("<unk>", "A", "C"), "labels": ("x", "y")}, {})
        >>> sample(bundle)
        [('A', 'C')]
    """
    inputs = bundle.spec.inputs
    if inputs.holds == "vectors":
        return _vectors(bundle, LENGTHS, np.random.default_rng(0))
    known = bundle.vocabularies[inputs.kind][1 : MOST_TOKENS + 1]
    tokens = [token.title() if k % 5 == 4 else token for k, token in enumerate(known)]
    found: list[Any] = []
    while tokens:
        length = LENGTHS[len(found) % len(LENGTHS)]
        found.append(tuple(tokens[:length]))
        tokens = tokens[length:]
    return _asked(bundle, found)


def random_batch(bundle: Bundle, seed: int = 0) -> list[Any]:
    """A random ragged batch: lengths from 0 to 40, 0 and 1 among them, unknown tokens too.

    Args:
        bundle: The model.
        seed: Of the random numbers.
    """
    random = np.random.default_rng(seed)
    lengths = [*RANDOM_LENGTHS, *random.integers(0, LONGEST + 1, DRAWN).tolist()]
    random.shuffle(lengths)
    if bundle.spec.inputs.holds == "vectors":
        return _vectors(bundle, lengths, random)
    # Item 0 is an unknown token, as are strange ones.
    pool = np.array([*bundle.vocabularies[bundle.spec.inputs.kind], "\u00bf", "\u0416"], object)
    return _asked(bundle, [tuple(random.choice(pool, length).tolist()) for length in lengths])


def _asked(bundle: Bundle, sequences: list[tuple[str, ...]]) -> list[Any]:
    """Sequences as the head is asked: of a filler with gaps."""
    questions = (bundle.spec.head.question(Example(each), n) for n, each in enumerate(sequences))
    return [question.inputs for question in questions]


def questions(bundle: Bundle, sequences: Sequence[Any]) -> list[Any]:
    """Sequences of a caller as the head is asked: a raw text has no gap of its own."""
    if not bundle.spec.head.self_supervised:
        return list(sequences)
    codec = bundle.spec.inputs.codec(restored(bundle.vocabularies))
    return _asked(bundle, [tuple(each) for each in validated(bundle.spec, codec, sequences)])


def _vectors(bundle: Bundle, lengths: Sequence[int], random: Any) -> list[Array]:
    """Rows around the mean of training, in its units."""
    inputs: Any = bundle.spec.inputs
    mean, scale = bundle.tensors["inputs.mean"], bundle.tensors["inputs.scale"]
    offset = np.array(inputs.offset or [0.0] * inputs.size)
    drawn = (random.standard_normal((length, inputs.size)) for length in lengths)
    return [offset + mean + scale * rows for rows in drawn]


def verify(
    bundle: Bundle,
    path: str | Path,
    *,
    to: str,
    sequences: Sequence[Any] | None = None,
    tolerance: float = TOLERANCE,
) -> Verification:
    """Run an exported file and the runtime over the same sequences, and compare.

    Args:
        bundle: The model that was exported.
        path: The exported file.
        to: The framework.
        sequences: The sample; by default `sample` makes one. Of a filler some of their words
            become gaps.
        tolerance: Largest difference that passes, relative to the size of the scores.

    Raises:
        UsageError: No such framework, or a tolerance below 0.
        DataError: Sequences that the model cannot read.
    """
    if not tolerance >= 0:
        raise UsageError(f"tolerance is {tolerance}, it must be 0 or more")
    bundle = dequantised(bundle)  # as it was written
    return verify_loaded(
        bundle,
        exporter_of(to).load(Path(path), bundle),
        {
            "sample": sample(bundle) if sequences is None else questions(bundle, sequences),
            "random": random_batch(bundle),
        },
        to=to,
        tolerance=tolerance,
    )


def verify_loaded(
    bundle: Bundle,
    loaded: Loaded,
    batches: dict[str, list[Any]],
    *,
    to: str,
    tolerance: float = TOLERANCE,
) -> Verification:
    """Compare a loaded export with the runtime on batches, by their names.

    Args:
        bundle: The model.
        loaded: The export.
        batches: Sequences by the name of the batch.
        to: Name of the framework.
        tolerance: Largest difference that passes, relative to the size of the scores.

    Raises:
        ConversionError: The export gives scores of another shape.
    """
    predictor = Predictor(bundle)
    compare = _compare_written if bundle.spec.head.searches else _compare_scores
    differences: list[Difference] = []
    different: list[tuple[str, int]] = []
    size, steps = 1.0, 0
    for batch, sequences in batches.items():
        if not sequences:
            continue
        found = compare(predictor, loaded, sequences, batch)
        differences += found.differences
        different += [(batch, number) for number in found.different]
        size, steps = max(size, found.size), steps + sum(map(len, sequences))
    return Verification(
        to=to,
        tolerance=tolerance,
        sequences=sum(map(len, batches.values())),
        steps=steps,
        size=size,
        largest=max(differences, key=lambda each: each.value, default=None),
        different=tuple(dict.fromkeys(different)),
    )


class _Batch(NamedTuple):
    """What was found in a batch: size of the scores, differences, numbers of other answers."""

    size: float
    differences: list[Difference]
    different: list[int]


def _compare_scores(
    predictor: Predictor, loaded: Loaded, sequences: list[Any], batch: str
) -> _Batch:
    head = predictor.spec.head
    expected, found = predictor.scores(sequences), _in_batches(loaded, sequences)
    # The offset of values is added after them, and no part of their size.
    offset = np.array(getattr(head, "offset", ()) or 0.0)
    size = max(float(np.abs(s - offset).max(initial=0)) for s in expected)
    each = enumerate(zip(expected, found, strict=True))
    worst = [_largest(predictor, *pair, batch, number) for number, pair in each]
    different = []
    if head.has_labels:
        right = predictor.decode(expected)
        own = getattr(loaded, "answers", None)
        for given in (predictor.decode(found), *([_in_batches(own, sequences)] if own else [])):
            pairs = enumerate(zip(right, given, strict=True))
            different += [number for number, (a, b) in pairs if a != b]
    return _Batch(size, [one for one in worst if one is not None], different)


def _compare_written(
    predictor: Predictor, loaded: Loaded, sequences: list[Any], batch: str
) -> _Batch:
    found = compare_written(predictor.bundle, loaded, sequences, _in_batches)
    differences = [
        Difference(
            value=_apart(np.array(step.expected), np.array(step.found)).item(),
            batch=batch,
            sequence=step.sequence,
            step=step.step,
            output=step.symbol,
            expected=step.expected,
            found=step.found,
        )
        for step in found.steps
    ]
    return _Batch(found.size, differences, found.different)


def _in_batches(run: Callable[..., list[Any]], sequences: list[Any], *beside: Any) -> list[Any]:
    """What an export gives for sequences: few are one batch as they come, many are cut by length.

    All at once, padded to the longest, a test file would take more memory than many a machine has.

    Args:
        run: Gives it for a batch, and for what comes beside each sequence.
        sequences: The sequences.
        beside: Lists of what comes beside them.
    """
    lengths = np.array(list(map(len, sequences)), np.int64)
    if len(lengths) * int(lengths.max(initial=0)) <= BATCH_ROWS:
        return run(sequences, *beside)
    found: list[Any] = [None] * len(sequences)
    for batch in in_order(lengths, tokens=BATCH_ROWS):
        numbers = batch.tolist()
        given = ([each[i] for i in numbers] for each in (sequences, *beside))
        for number, answer in zip(numbers, run(*given), strict=True):
            found[number] = answer
    return found


def _largest(
    predictor: Predictor, expected: Array, found: Array, batch: str, number: int
) -> Difference | None:
    """The largest difference in a sequence, None where it has no score."""
    if found.shape != expected.shape:
        raise ConversionError(
            f"the exported file gives scores of shape {found.shape} for sequence {number} of the "
            f"{batch}, the runtime {expected.shape}. It was exported from another model."
        )
    if not expected.size:
        return None
    apart = _apart(expected, found)
    place = np.unravel_index(int(apart.argmax()), apart.shape)
    return Difference(
        value=float(apart[place]),
        batch=batch,
        sequence=number,
        step=int(place[0]) if apart.ndim == 2 else None,
        output=predictor.spec.head.scored("verify").outputs(predictor.labels)[int(place[-1])],
        expected=float(expected[place]),
        found=float(found[place]),
    )


def _apart(expected: Array, found: Array) -> Array:
    """How far numbers are from others; infinitely where one alone is NaN."""
    with np.errstate(invalid="ignore"):
        apart = np.abs(np.asarray(found, np.float64) - np.asarray(expected, np.float64))
    alike = (found == expected) | (np.isnan(found) & np.isnan(expected))
    return np.where(alike, 0.0, np.where(np.isnan(apart), np.inf, apart))
