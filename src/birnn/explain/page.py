"""The page of `birnn explain`: one answer, and what in the model it came from."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from birnn import report
from birnn.explain.answer_section import answer_section, what_was_read
from birnn.explain.architecture import architecture
from birnn.explain.explanation import Explanation
from birnn.explain.gates import SQUASHED
from birnn.explain.states import output_columns
from birnn.explain.unrolled import unrolled
from birnn.report import figures
from birnn.report.parts import Notes, Part, Picture, Section, Text

MANY_STEPS = 200  # that a correlation is steady over
SHARE = 0.9  # of the influence, which is what the effective context has


def write(path: Path | str, found: Explanation, *, name: str) -> Path:
    """Write the page.

    Args:
        path: Where.
        found: The numbers.
        name: Of the model.

    Raises:
        OutputError: The file cannot be written.
    """
    two = found.spec.stack.directions_of(-1) == 2
    sections = {
        "The answer": answer_section(found),
        "Which direction decided" if two else "What its states decided": _ablation(found),
        f"Which {found.unit}s mattered": _attribution(found),
        f"What one {found.unit} knows": _known(found),
        "How far each direction remembers": _flows(found),
        "Inside the halves": _inside(found),
        "In the head": _head(found),
        "The model": _model(found),
        "Not on this page": iter([Notes(found.left_out)] if found.left_out else []),
    }
    every = [Section(heading, list(parts)) for heading, parts in sections.items()]
    read = what_was_read(found.spec, len(found.tokens))
    return report.write(
        path,
        "What each direction knew" if two else "What the one direction knew",
        [section for section in every if section.parts],
        lead=f"The {found.spec.task} “{name}” read {read}. Every figure here is "
        "measured from this model at work on it.",
        footer=f"Python {platform.python_version()}, {platform.system()} {platform.machine()}",
    )


def _ablation(found: Explanation) -> Iterator[Part]:
    ablation = found.ablation
    if ablation.own_means:
        means = f"its mean over the {found.unit}s here"
    elif ablation.means.steps is None:
        means = "its mean over the data that training scored it on"
    else:
        means = f"its mean over {ablation.means.steps:,} steps of data"
    if ablation.own_means and ablation.means.steps == 1:
        means += ", which for a single step is the state itself, so that nothing changes"
    two = found.spec.stack.directions_of(-1) == 2
    who, conditions = "The one direction", "with and without the states of the one direction"
    if two:
        who, conditions = "A half", "with both halves, without one, and without either"
    yield Text(f"{who} is ablated (mean ablation): in the place of its states stands {means}.")
    figure = figures.deciding_direction(found.logits(), found.target, of=found.measure)
    yield Picture(figure, f"{figures.capital(found.measured)} {conditions}.")
    if two and found.position is not None and found.asked is None and not ablation.regresses:
        adds = ablation.contributions()
        figure = figures.deciding_by_position(
            adds["forward"], adds["backward"], found.tokens, unit=found.unit
        )
        yield Picture(figure, f"What each half adds to the logit of each {found.unit}'s own tag.")


def _attribution(found: Explanation) -> Iterator[Part]:
    given, unit = found.attribution, found.unit
    lost = None if found.occlusion is None else found.occlusion.steps
    if found.series is not None:
        figure = figures.attribution_over_time(given.steps, lost, found.target, of=found.measure)
    else:
        figure = figures.attribution(
            found.tokens, given.steps, lost, found.target, of=found.measure, unit=unit
        )
    more = "" if lost is None else ", and what leaving it out takes away (occlusion)"
    yield Picture(figure, f"What each {unit} adds to {found.measured}: integrated gradients{more}.")
    yield Text(
        f"A check: with every {unit} replaced by one that says nothing, {found.measured} "
        f"is {given.baseline:.3f}; as it is, {given.logit:.3f}. The attributions sum to "
        f"{given.steps.sum():.3f}, which misses that change by {100 * given.gap:.2f} %."
    )


def _known(found: Explanation) -> Iterator[Part]:
    known = found.known
    which = "" if len(found.flows) == 1 else f"Layer {known.layer + 1}. "
    states = "the forward state, the backward state and what they are merged to"
    if "backward" not in known.norms:
        states = "the state"
    yield Picture(
        figures.influence_on_position(known.norms, found.tokens, known.position, known.read),
        f"{which}What is known at {figures.named(found.tokens, known.position)}: how much each "
        f"{found.unit} moves {states} there.",
    )


def _flows(found: Explanation) -> Iterator[Part]:
    for flow in found.flows:
        which = "" if len(found.flows) == 1 else f"Layer {flow.layer + 1}. "
        stack = found.spec.stack
        if any(stack.directions_of(below) == 2 for below in range(flow.layer)):
            knows = "This layer reads rows that know both sides, so that all its states do."
        elif flow.backward is None:
            knows = "The one direction knows what came before."
        elif flow.layer == 0:
            knows = "The forward half knows what came before, the backward half what comes after."
        else:
            knows = "Its rows know what came before, so that its backward half knows all."
        figure = figures.flow(flow.forward, flow.backward, flow.combined, found.tokens)
        yield Picture(
            figure,
            f"{which}How much the state at each step (row) would move if the input at each step "
            f"did. {knows}",
        )
        context = flow.context(SHARE)
        lengths, backward = {"forward": context.forward}, None
        if context.backward is not None:
            lengths["backward"] = context.backward
            backward = flow.by_distance("backward")
        forward = flow.by_distance("forward")
        figure = figures.influence_by_distance(forward, backward, lengths)
        yield Picture(
            figure,
            f"{which}Influence by distance; the mark is the effective context, which holds "
            f"{100 * SHARE:.0f} % of it.",
        )


def _inside(found: Explanation) -> Iterator[Part]:
    states, correlation, unit = found.states, found.correlation, found.unit
    norms = states.norms()
    figure = figures.state_norms(norms["forward"], norms.get("backward"), found.tokens, unit=unit)
    yield Picture(figure, f"Length of each half's state at each {unit}.")
    columns = output_columns(found.spec.stack)
    merged = len(columns) < len(norms) - 1 or found.spec.stack.adds_input(-1)
    if merged:  # else the output has the halves' own numbers
        figure = figures.activations(states.forward, states.backward, found.tokens, unit=unit)
        yield Picture(figure, f"Every unit's activation at every {unit}.")
    figure = figures.output_states(states.output, found.tokens, columns, unit=unit)
    whose = "" if len(columns) == 1 else ", the columns of each half in a frame of its own"
    yield Picture(figure, f"The encoder's output row of every {unit}{whose}.")
    if correlation is not None:
        constant = correlation.constant_forward + correlation.constant_backward
        unmoved = f" {constant} units never moved." if constant else ""
        few = correlation.steps < MANY_STEPS
        more = " Over the steps of a file (--data) it would tell more." if few else ""
        yield Picture(
            figures.unit_correlation(correlation.matrix),
            f"Correlation of each forward unit with each backward unit over "
            f"{correlation.steps:,} steps.{unmoved}{more}",
        )
        figure = figures.correlation_histogram(correlation.matrix)
        yield Picture(figure, "The same correlations, counted.")
    if found.saturation is not None:
        # What opens and shuts: not the candidates, which go through tanh.
        shares = {
            half: {name: share for name, share in gates.items() if name not in SQUASHED}
            for half, gates in found.saturation.shares.items()
        }
        yield Picture(
            figures.gate_saturation(shares),
            "Each unit's gates: the share of steps at which they are nearly closed, and at "
            "which they are nearly open.",
        )


def _head(found: Explanation) -> Iterator[Part]:
    unit, decoded = found.unit, found.decoding
    if found.attention is not None:
        figure = figures.attention_weights(found.tokens, found.attention, unit=unit)
        yield Picture(figure, f"How the head's attention weighs the {unit}s.")
    if decoded is not None:
        second = None if decoded.runner_up is None else decoded.runner_up.tolist()
        best, labels = decoded.best.tolist(), decoded.labels
        figure = figures.tag_marginals(
            found.tokens, labels, decoded.marginals, best, second, unit=unit
        )
        of = "over all allowed tag sequences" if decoded.crf else "step by step"
        yield Picture(
            figure,
            f"Probability of each tag {of}, the best sequence and where the second best "
            "differs from it.",
        )
        if np.isfinite(decoded.lead):
            yield Text(
                f"The best sequence has probability {np.exp(decoded.log_probability):.2g}, "
                f"the second best {np.exp(decoded.runner_up_log_probability):.2g}."
            )


def _model(found: Explanation) -> Iterator[Part]:
    stack = found.spec.stack
    yield Picture(architecture(found.spec), "The model, drawn to its widths.")
    yield Picture(
        unrolled(found.spec, found.tokens),
        "The model over this sequence: time runs to the right, an arrow leads to what is computed "
        "from what.",
    )
    if stack.bidirectional:
        yield Picture(
            figures.no_generation(),
            "Why this model cannot write: the backward half waits for steps that do not exist yet.",
        )
