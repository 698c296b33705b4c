"""Everything that is measured of one answer: the numbers behind the page of `birnn explain`."""

# T steps, L labels

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from birnn.bundle.spec import Spec
from birnn.errors import UsageError, nearest
from birnn.explain.ablation import Ablation, MeanStates, mean_ablation
from birnn.explain.attribution import Attribution, Occlusion, integrated_gradients, occlusion
from birnn.explain.decoding import Decoding, attention, decoding
from birnn.explain.flow import Flow, affordable, flow
from birnn.explain.gates import NAMES, Saturation, saturation
from birnn.explain.inspected import Array, InspectedModel, Model
from birnn.explain.reading import Reading
from birnn.explain.states import Correlation, States, correlation, states
from birnn.explain.unrolled import inputs_read
from birnn.nn.threads import own_threads
from birnn.tasks import Scored

LONG = 400  # steps from which on leaving out each of them in turn takes too long
MOST_ROWS = 1 << 17  # of all copies of a sequence that its flow is read off
MOST_DIGITS = 18  # of the number of a step
MOST_PLACES = 10  # of a token that are listed
MOST_SHOWN = 40  # characters of what was given, in a message
FEWEST = 8  # steps that a correlation needs to mean anything


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What is known at one step of a layer.

    Args:
        position: The step, from 0 on.
        layer: Number of the layer.
        norms: ``forward``, ``backward`` and ``combined`` to the influence of each input, (T,).
        read: The same names to the inputs that each has read.
    """

    position: int
    layer: int
    norms: dict[str, Array]
    read: dict[str, range]


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """One sequence, what a model says of it, and why.

    Args:
        spec: What the model is.
        tokens: The steps as written; of vectors their numbers from 1 on.
        series: The vectors as they were given, (T, D); None of words and symbols.
        unknown: Which of them the model does not know, (T,) bool.
        position: The step whose tag is explained; None where the model answers once.
        target: Name of the answer that is explained.
        ablation: The answer with and without either half.
        attribution: What each step adds to it.
        occlusion: What it loses without each step; None for long sequences.
        flows: Influence of inputs on states: of the first layer, and of the last where there are
            more.
        states: Of the last layer.
        correlation: Between the units of both halves; None where it means nothing.
        saturation: Of the gates; None for a cell that has none.
        attention: Weight of each step, (T,); None without attention.
        decoding: Marginals and the runner-up of tags; None for other heads.
        left_out: What is not here, and why: a line each.
        asked: Which steps have an answer, (T,) bool, where some alone have; else None.
    """

    spec: Spec
    tokens: tuple[str, ...]
    series: Array | None
    unknown: Array
    position: int | None
    target: str
    ablation: Ablation
    attribution: Attribution
    occlusion: Occlusion | None
    flows: tuple[Flow, ...]
    states: States
    correlation: Correlation | None
    saturation: Saturation | None
    attention: Array | None
    decoding: Decoding | None
    left_out: tuple[str, ...]
    asked: Array | None = None

    @property
    def unit(self) -> str:
        """What a step is: a word, a symbol, or a step of a series."""
        return self.spec.inputs.unit

    @property
    def measure(self) -> str:
        """What is measured of the answer: the ``logit`` of a label, or a ``value``."""
        return "value" if self.ablation.regresses else "logit"

    @property
    def measured(self) -> str:
        """The same with its name: ``the logit of positive``, ``value 0``."""
        return f"the logit of {self.target}" if self.measure == "logit" else self.target

    @property
    def answer(self) -> Any:
        """What the model says: a label for each step, one label, a list of labels, or values.

        Of steps that are not asked for it is empty.
        """
        given = self.ablation.answers[0]
        if self.ablation.independent:
            decoder = self._head.decoding(self.ablation.outputs, {})
            [labels] = decoder.answers(self.ablation.scores[0][None], np.ones(1, np.int64))
            return labels
        if self.ablation.regresses:
            return [float(value) for value in given]
        labels = [self.ablation.outputs[number] for number in np.atleast_1d(given)]
        if self.asked is not None:
            labels = [x if at else "" for x, at in zip(labels, self.asked.tolist(), strict=True)]
        return labels if given.ndim else labels[0]

    @property
    def _head(self) -> Scored:
        return self.spec.head.scored("an explanation")

    @property
    def probabilities(self) -> Array | None:
        """Of every label, where the answer is explained, (L,); None for values."""
        if self.ablation.regresses:
            return None
        if self.decoding is not None and self.position is not None:
            return np.asarray(self.decoding.marginals[self.position])
        scores = self.ablation.scores[0]
        if self.position is not None:
            scores = scores[self.position]
        return self._head.chances(scores)

    @property
    def probability(self) -> float | None:
        """Of the target; None for values."""
        every = self.probabilities
        return None if every is None else float(every[self.ablation.outputs.index(self.target)])

    @property
    def known(self) -> Known:
        """What is known at the step explained, or in the middle of what has one answer.

        In the first layer, where the halves know different things; in the last where that alone
        has two directions.
        """
        steps = len(self.tokens)
        position = steps // 2 if self.position is None else self.position
        found = next((flow for flow in self.flows if flow.backward is not None), self.flows[0])
        read = inputs_read(self.spec, steps, position, layer=found.layer)
        return Known(position, found.layer, found.of_state(position), read)

    def logits(self) -> dict[str, float]:
        """Score of the target with both halves, without either, and without both."""
        return {
            str(condition): float(values if self.position is None else values[self.position])
            for condition, values in self.ablation.logits(self.target).items()
        }

    def to_dict(self) -> dict[str, Any]:
        """The numbers of the answer as plain Python objects."""
        contexts, known = [found.context() for found in self.flows], self.known
        return {
            "tokens": list(self.tokens),
            "unknown": [t for t, new in zip(self.tokens, self.unknown, strict=True) if new],
            "answer": self.answer if self.asked is None else list(filter(None, self.answer)),
            "step": None if self.position is None else self.position + 1,
            "target": self.target,
            "probability": self.probability,
            "logits": self.logits(),
            "attribution": {
                "gradients": self.attribution.steps.tolist(),
                "occlusion": None if self.occlusion is None else self.occlusion.steps.tolist(),
                "completeness_gap": self.attribution.gap,
            },
            "context": [
                {"layer": found.layer, "forward": one.forward, "backward": one.backward}
                for found, one in zip(self.flows, contexts, strict=True)
            ],
            "known": {
                "step": known.position + 1,
                "layer": known.layer,
                **{name: norms.tolist() for name, norms in known.norms.items()},
            },
            "attention": None if self.attention is None else self.attention.tolist(),
            "left_out": list(self.left_out),
        }


@own_threads()
def explanation(
    model: Model,
    sequence: Any,
    *,
    step: int | str | None = None,
    target: str | None = None,
    data: Iterable[Any] | None = None,
) -> Explanation:
    """Explain one answer of a whole model.

    Args:
        model: As for `InspectedModel.of`, but no bare `BiRNN`.
        sequence: As ``predict`` takes one, at least one step long.
        step: Of a tagger, the step whose tag is explained: its number from 1 on, or a token that
            occurs once. By default the step of which the model is least sure. Of a filler the
            number of the gap's step; by default the first gap.
        target: The answer that is explained; by default the one that the model gives.
        data: Sequences to take means over (what ablated halves are replaced by, correlation,
            saturation); by default the means that training left in the bundle, where there are
            any, and the sequence itself.

    Raises:
        UsageError: A step or target that there is not, or a step of a model that answers once.
        DataError: A sequence that the model cannot read, or one without steps.

    Example:
        >>> from birnn.bundle import Bundle, Encoder, Spec, Symbols, Tags
        >>> spec = Spec(
        ...     inputs=Symbols(size=3, dim=2), encoder=Encoder(hidden_size=2), head=Tags(size=2)
        ... )
        >>> random = np.random.default_rng(0)
        >>> tensors = {
        ...     name: random.standard_normal(shape).astype(np.float32)
        ...     for name, shape in spec.tensors().items()
        ... }
        >>> bundle = Bundle(spec, {"symbols": ("<unk>", "A", "C"), "labels": ("x", "y")}, tensors)
        >>> found = explanation(bundle, "ACCA", step=2)
        >>> found.tokens, found.position, found.attention is None
        (('A', 'C', 'C', 'A'), 1, True)
    """
    inspected = InspectedModel.of(model)
    reading = Reading.of(inspected, sequence)
    outputs = inspected.outputs
    if target is not None and target not in outputs:
        raise UsageError(f"no answer {_quoted(target)}: {nearest(target, outputs)}")
    pool = None if data is None else list(data)
    means = None if pool is None else MeanStates.over(inspected, pool)
    ablation = mean_ablation(reading, means=means)
    tokens = reading.tokens or tuple(str(at + 1) for at in range(reading.steps))
    decoded = decoding(reading)
    left_out: list[str] = []
    if reading.asked is None:
        position = _position(tokens, step, decoded)
    else:
        position = _gap(tokens, step, reading.asked, left_out)
    if target is None:
        answers = ablation.answers[0] if decoded is None or position is None else decoded.best
        number = answers if position is None else answers[position]
        target = outputs[0 if ablation.regresses else int(number)]
    weights = attention(reading)
    if weights is None and position is None:
        left_out.append("Attention weights: this model pools its steps without attention.")
    if decoded is not None and not decoded.crf:
        left_out.append("Transitions between tags: this model has no CRF, each tag stands alone.")
    return Explanation(
        spec=inspected.spec,
        tokens=tokens,
        series=reading.series,
        unknown=reading.unknown,
        position=position,
        target=target,
        ablation=ablation,
        attribution=integrated_gradients(reading, target=target, position=position),
        occlusion=_occlusion(reading, target, position, left_out),
        flows=_flows(reading, left_out),
        states=states(reading),
        correlation=_correlation(reading, pool, left_out),
        saturation=_saturation(reading, pool, left_out),
        attention=weights,
        decoding=decoded,
        left_out=tuple(left_out),
        asked=reading.asked,
    )


# ---------------------------------------------------------------------- what is asked


def _position(
    tokens: Sequence[str], step: int | str | None, decoded: Decoding | None
) -> int | None:
    if decoded is None:
        if step is not None:
            raise UsageError(f"step is {_quoted(step)}, but this model answers once. Leave it out.")
        return None
    if step is None:
        sure = np.take_along_axis(decoded.marginals, decoded.best[:, None], axis=1)
        return int(sure.argmin())
    return _step(tokens, step)


def _gap(tokens: Sequence[str], step: int | str | None, asked: Array, left_out: list[str]) -> int:
    """The step of the gap that is explained; the others are said."""
    places = np.flatnonzero(asked).tolist()
    if not places:
        raise UsageError("the text has no gap to explain. Write ___ in the place of a word.")
    position = places[0] if step is None else _step(tokens, step)
    every = ", ".join(str(place + 1) for place in places[:MOST_PLACES])
    if position not in places:
        raise UsageError(
            f"step {position + 1}, {_quoted(tokens[position])}, is no gap. Gaps are at: {every}."
        )
    if len(places) > 1:
        left_out.append(
            f"Other gaps: the one at step {position + 1} is explained, of those at {every}. "
            "Another is chosen by its step."
        )
    return position


def _step(tokens: Sequence[str], step: int | str) -> int:
    """The step of that number, from 1 on, or of a token that occurs once."""
    # Of more digits than these no text has as many steps, and Python reads no more than 4,300.
    short = isinstance(step, str) and step.isdecimal() and len(step) <= MOST_DIGITS
    number = int(step) if isinstance(step, int) or short else 0
    if 1 <= number <= len(tokens):
        return number - 1
    places = [at for at, token in enumerate(tokens, start=1) if token == step]
    if len(places) > 1:
        every = ", ".join(map(str, places[:-1][:MOST_PLACES]))
        every += ", ..." if len(places) > MOST_PLACES + 1 else ""
        raise UsageError(
            f"{_quoted(step)} stands at steps {every} and {places[-1]}. Give the number of the one "
            "to explain."
        )
    if not places:
        near = "" if isinstance(step, int) else f", or a token ({nearest(step, set(tokens))})"
        raise UsageError(
            f"there is no step {_quoted(step)}. Give a number from 1 to {len(tokens)}{near}."
        )
    return places[0] - 1


def _quoted(given: int | str) -> str:
    """What was given, as a message shows it: no more than a few words of it.

    Example:
        >>> _quoted("dog"), _quoted(7), _quoted(10**5000), len(_quoted("9" * 5000))
        ("'dog'", '7', 'of too many digits', 64)
    """
    if isinstance(given, int):
        return str(given) if abs(given) < 10**MOST_DIGITS else "of too many digits"
    cut = given if len(given) <= MOST_SHOWN else f"{given[:MOST_SHOWN]}..."
    return repr(cut) if cut == given else f"{cut!r} ({len(given):,} characters)"


# ---------------------------------------------------------------------- what may be left out


def _occlusion(
    reading: Reading, target: str, position: int | None, left_out: list[str]
) -> Occlusion | None:
    if reading.steps > LONG:
        left_out.append(
            f"Occlusion: leaving out each of {reading.steps:,} steps in turn takes too long; it is "
            f"shown for up to {LONG}."
        )
        return None
    return occlusion(reading, target=target, position=position)


def _flows(reading: Reading, left_out: list[str]) -> tuple[Flow, ...]:
    inspected, steps = reading.model, reading.steps
    settings = affordable(inspected, steps, rows=MOST_ROWS)
    window, probes = settings["window"], settings["probes"]
    if probes is not None:
        line = f"Exact influence: of {steps:,} steps it is estimated"
        if window is not None:
            line += f", and up to {window} steps away alone"
        left_out.append(f"{line}.")
    layers = sorted({0, inspected.stack.num_layers - 1})
    return tuple(flow(reading, layer=layer, window=window, probes=probes) for layer in layers)


def _correlation(
    reading: Reading, sequences: list[Any] | None, left_out: list[str]
) -> Correlation | None:
    name = "Correlation of forward and backward units"
    if reading.model.stack.directions_of(-1) == 1:
        left_out.append(f"{name}: the last layer reads in one direction.")
        return None
    found = correlation(reading, sequences)
    if found.steps < FEWEST:
        left_out.append(f"{name}: {found.steps} steps are too few, it takes {FEWEST}.")
        return None
    return found


def _saturation(
    reading: Reading, sequences: list[Any] | None, left_out: list[str]
) -> Saturation | None:
    cell = reading.model.stack.cell
    if not NAMES[cell]:
        left_out.append(f"Saturation of gates: {cell} has no gates.")
        return None
    return saturation(reading, sequences)
