"""How a target came about: what each step gave, where it looked, what each direction did for it.

A direction is ablated by putting its mean over data in the place of its states (mean ablation): of
the last layer at each step of the source, and of all layers at the end, where the bridge reads
them. The decoder then reads the same target again, so that the log-probabilities can be compared
step by step.
"""

# S steps of the source, T symbols of the target, V symbols that may come, C conditions,
# N rows of all sequences, B sequences, K states of all layers and directions, D directions,
# H hidden units

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from birnn.bundle.spec import Spec
from birnn.errors import DataError
from birnn.reference.bidirectional import Outcome
from birnn.reference.decoder_spec import BOUNDARY
from birnn.runtime.ablation import (
    CONDITIONS,
    Condition,
    EncoderMeans,
    ablated,
    added_by,
    conditions_of,
    encode,
    side_by_side,
)
from birnn.runtime.batches import BatchRunner
from birnn.runtime.decoder import DecoderLayers
from birnn.runtime.predictor import Predictor
from birnn.runtime.search import Hypothesis, Search, checked
from birnn.runtime.validation import validated
from birnn.tasks.seq2seq import TargetSequence

Array = npt.NDArray[Any]

RUNNERS_UP = 3  # other symbols of a step
OVERLOOKED = 0.05  # a source symbol that no step gives this weight is said to be never looked at


class TracedStep(NamedTuple):
    """One step of a target.

    Args:
        symbol: What was said; None for the end.
        probability: Of that symbol, after those before it.
        runners_up: The likeliest others with their probabilities; None for the end.
        added: Direction to what it adds to the symbol's log-probability: what is lost where it is
            ablated.
    """

    symbol: str | None
    probability: float
    runners_up: tuple[tuple[str | None, float], ...]
    added: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class TargetTrace:
    """A target of one source, and how it came about; `trace_target` makes one.

    Args:
        spec: What the model is.
        source: Steps of the source as written; of vectors their numbers from 1 on.
        unknown: Which of them the model does not know, (S,) bool.
        nbest: The best targets that a search found, the best first.
        target: The one that is traced: the best, or the one that was asked for.
        log_probabilities: Condition to the log-probability of each step of it, the end last,
            (T + 1,); ``full`` alone where there are no mean states.
        runners_up: At each step the likeliest other symbols with their probabilities; None stands
            for the end.
        attention: How each step's weight is spread over the source, (T + 1, S); None where the
            model has no attention.
        mean_of: Steps that the mean states are taken over; None where training left them.
        left_out: What is not here, and why: a line each.
    """

    spec: Spec
    source: tuple[str, ...]
    unknown: Array
    nbest: tuple[Hypothesis, ...]
    target: Hypothesis
    log_probabilities: Mapping[Condition, Array]
    runners_up: Sequence[Sequence[tuple[str | None, float]]]
    attention: Array | None
    mean_of: int | None
    left_out: tuple[str, ...]

    @property
    def steps(self) -> list[TracedStep]:
        """The steps of the target, the end last."""
        added = self.added()
        return [
            TracedStep(
                symbol, float(np.exp(each)), tuple(others),
                {direction: float(adds[at]) for direction, adds in added.items()},
            )
            for at, (symbol, each, others) in enumerate(
                zip((*self.target.symbols, None), self.log_probabilities["full"], self.runners_up,
                    strict=True)
            )
        ]  # fmt: skip

    @property
    def text(self) -> str:
        """The target as `birnn predict` prints it."""
        return self.written(self.target)

    def written(self, hypothesis: Hypothesis) -> str:
        """A target as `birnn predict` prints it."""
        assert isinstance(self.spec.head, TargetSequence)
        return self.spec.head.separator.join(hypothesis.symbols)

    @property
    def coverage(self) -> Array | None:
        """Sum of the attention that all steps gave to each step of the source, (S,)."""
        return None if self.attention is None else self.attention.sum(axis=0)

    @property
    def overlooked(self) -> list[int]:
        """Steps of the source, from 0 on, to which no step gave more than a twentieth."""
        if self.attention is None:
            return []
        return np.flatnonzero(self.attention.max(axis=0) < OVERLOOKED).tolist()

    def totals(self) -> dict[str, float]:
        """Log-probability of the whole target in each condition."""
        every = self.log_probabilities.items()
        return {condition: float(each.sum()) for condition, each in every}

    def added(self) -> dict[str, Array]:
        """What each direction adds to the log-probability of each step, (T + 1,)."""
        return added_by(self.log_probabilities)

    def to_dict(self) -> dict[str, Any]:
        """The numbers as plain Python objects; the end of a target is ``None``."""
        coverage = self.coverage
        return {
            "tokens": list(self.source),
            "unknown": [t for t, new in zip(self.source, self.unknown, strict=True) if new],
            "answer": list(self.nbest[0].symbols),
            "target": list(self.target.symbols),
            "score": self.target.score,
            "log_probability": self.target.log_probability,
            "ended": self.target.ended,
            "nbest": [
                {
                    "target": list(one.symbols),
                    "score": one.score,
                    "log_probability": one.log_probability,
                }
                for one in self.nbest
            ],
            "steps": [
                {
                    "symbol": step.symbol,
                    "probability": step.probability,
                    "runners_up": [[symbol, p] for symbol, p in step.runners_up],
                    "added": dict(step.added),
                }
                for step in self.steps
            ],
            "attention": None if self.attention is None else self.attention.tolist(),
            "coverage": None if coverage is None else coverage.tolist(),
            "never_looked_at": [at + 1 for at in self.overlooked],
            "log_probabilities": self.totals(),
            "left_out": list(self.left_out),
        }


def trace_target(
    model: Predictor,
    sequence: Any,
    *,
    target: Sequence[str] | str | None = None,
    search: Search | None = None,
    data: Iterable[Any] | None = None,
) -> TargetTrace:
    """How the answer of a model that writes sequences came about.

    Args:
        model: The model.
        sequence: As ``predict`` takes one, at least one step long.
        target: The target that is traced: its symbols, or a text with the model's separator between
            them; by default the best that the search finds.
        search: How answers are searched for; by default a beam of 5, all of whose answers are
            given.
        data: Sequences to take mean states over; by default those that training left in the bundle.

    Raises:
        UsageError: A model of another task.
        DataError: A sequence that the model cannot read, one without steps, or a symbol that it
            cannot write.

    Example:
        >>> from birnn.bundle import Bundle, Encoder, Spec, Symbols
        >>> from birnn.tasks import TargetSequence
        >>> spec = Spec(
        ...     inputs=Symbols(size=3, dim=2),
        ...     encoder=Encoder(hidden_size=2),
        ...     head=TargetSequence(size=3, dim=2, hidden_size=4),
        ... )
        >>> tensors = {name: np.zeros(s, np.float32) for name, s in spec.tensors().items()}
        >>> vocabularies = {"symbols": ("<unk>", "A", "C"), "targets": ("<s>", "AA1", "K")}
        >>> model = Predictor(Bundle(spec, vocabularies, tensors))
        >>> found = trace_target(model, "CA", target=["K"])
        >>> found.attention.tolist(), found.coverage.tolist(), found.overlooked
        ([[0.5, 0.5], [0.5, 0.5]], [1.0, 1.0], [])
        >>> [(step.symbol, round(step.probability, 3)) for step in found.steps]
        [('K', 0.333), (None, 0.333)]
    """
    settings = Search(nbest=5) if search is None else checked(search)
    [nbest] = model.predict_nbest([sequence], search=settings)
    runner, spec = BatchRunner(model.bundle), model.spec
    assert isinstance(spec.head, TargetSequence), "others have no n-best"
    [source] = _validated(model, runner, [sequence])
    if not len(source):
        raise DataError(
            "the source has no steps: the decoder alone answers it, nothing was attended to and no "
            "half of the encoder has read anything. Use predict, or give a source with a step."
        )
    traced = nbest[0]
    if target is not None:
        asked = spec.head.symbols_of(target) if isinstance(target, str) else list(target)
        [traced] = model.score_targets([sequence], [asked], search=settings)
    means = EncoderMeans.of_training(model.bundle)
    if data is not None:
        means = EncoderMeans.over(runner, _validated(model, runner, data))
    encoded = encode(runner, [source])
    conditions: tuple[Condition, ...] = ("full",)
    if means is not None:
        conditions = conditions_of(spec.stack.directions_of(-1))
    copies = [ablated(encoded, model.bundle, means, CONDITIONS[each]) for each in conditions]
    decoder = DecoderLayers(spec.head, spec.stack, model.bundle.tensors)
    numbers = {symbol: number for number, symbol in enumerate(model.labels)}
    walk = _walk(decoder, side_by_side(copies), [numbers[s] for s in traced.symbols])
    return TargetTrace(
        spec=spec,
        source=tuple(map(str, source))
        if spec.inputs.holds != "vectors"
        else tuple(str(step) for step in range(1, len(source) + 1)),
        unknown=runner.codec.unknown(source),
        nbest=tuple(nbest),
        target=traced,
        log_probabilities=dict(zip(conditions, walk.said.T, strict=True)),
        runners_up=[
            tuple((None if n == BOUNDARY else model.labels[n], p) for n, p in others)
            for others in walk.runners_up
        ],
        attention=walk.attention,
        mean_of=None if means is None else means.steps,
        left_out=tuple(_left_out(means, walk, traced)),
    )


def _left_out(means: EncoderMeans | None, walk: _Walk, traced: Hypothesis) -> Iterator[str]:
    if walk.attention is None:
        yield (
            "Attention and coverage: this model has none, its decoder begins in the encoder's "
            "final states and never looks at the source again."
        )
    if means is None:
        yield (
            "What each direction adds: the bundle has no mean states. Give sequences to take them "
            "over (--data)."
        )
    if not traced.ended:
        yield "The end of the answer: it was cut at the most symbols that the model allows."


def _validated(model: Predictor, runner: BatchRunner, sequences: Iterable[Any]) -> Iterator[Any]:
    reading = model.read_options()
    return validated(
        model.spec,
        runner.codec,
        sequences,
        split=reading.split,
        source_split=reading.source_split,
        options=model.read_options,
    )


class _Walk(NamedTuple):
    """What a decoder gave as it read a target.

    Args:
        said: Log-probability of each step in each condition, (T + 1, C).
        runners_up: In the first condition the likeliest other symbols of each step, with their
            probabilities.
        attention: Of the first condition, (T + 1, S); None without attention.
    """

    said: Array
    runners_up: list[list[tuple[int, float]]]
    attention: Array | None


def _walk(decoder: DecoderLayers, encoded: Outcome, target: Sequence[int]) -> _Walk:
    """Read a target in several conditions of its source, its end last."""
    memory, state = decoder.begin(encoded)
    each = np.ones(len(memory.lengths), np.int64)
    said, runners_up, weights = [], [], []
    for read, next_symbol in zip([BOUNDARY, *target], [*target, BOUNDARY], strict=True):
        found = decoder.step(read * each, state, memory, each, weights=True)
        state = found.state
        said.append(found.log_probabilities[:, next_symbol])
        first = np.exp(found.log_probabilities[0])
        ranked = np.argsort(-first, kind="stable")[: RUNNERS_UP + 1].tolist()
        others = [number for number in ranked if number != next_symbol][:RUNNERS_UP]
        runners_up.append([(number, float(first[number])) for number in others])
        if found.weights is not None:
            weights.append(found.weights[: int(memory.lengths[0])])
    return _Walk(np.stack(said), runners_up, np.stack(weights) if weights else None)
