"""The page of `birnn explain`: one answer, and what in the model it came from."""

from __future__ import annotations

import platform
from pathlib import Path

import numpy as np

from birnn import report
from birnn.explain.answer_section import added_by_halves, answer_section, what_was_read
from birnn.explain.architecture import architecture
from birnn.explain.explanation import Explanation
from birnn.explain.flow import Flow
from birnn.explain.gates import SQUASHED, Saturation
from birnn.explain.states import output_columns
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
    notes, two = found.left_out, found.spec.stack.bidirectional
    sections = [
        Section("The answer", answer_section(found)),
        Section("Which direction decided" if two else "What its states decided", _ablation(found)),
        Section(f"Which {found.unit}s mattered", _attribution(found)),
        Section("How far each direction remembers", _flow(found)),
        Section("Inside the halves", _inside(found)),
        *([Section("In the head", parts)] if (parts := _head(found)) else []),
        Section("The model", _model(found)),
        *([Section("Not on this page", [Notes(notes)])] if notes else []),
    ]
    return report.write(
        path,
        "What each direction knew" if two else "What the one direction knew",
        sections,
        lead=f"The {found.spec.task} “{name}” read {what_was_read(found)}. Every figure here is "
        "measured from this model at work on it.",
        footer=f"Python {platform.python_version()}, {platform.system()} {platform.machine()}",
    )


# ---------------------------------------------------------------------- who decided


def _ablation(found: Explanation) -> list[Part]:
    ablation, at = found.ablation, found.position
    figure = figures.deciding_direction(found.logits(), found.target, of=found.measure)
    if ablation.own_means:
        means = f"its mean over the {found.unit}s here"
    elif ablation.means.steps is None:
        means = "its mean over the data that training scored it on"
    else:
        means = f"its mean over {ablation.means.steps:,} steps of data"
    if ablation.own_means and ablation.means.steps == 1:
        means += ", which for a single step is the state itself, so that nothing changes"
    if found.spec.stack.bidirectional:
        who, shown = "A half is", "with both halves, without one, and without either"
    else:
        who, shown = "The one direction is", "with and without the states of the one direction"
    parts: list[Part] = [
        Text(f"{who} ablated (mean ablation): in the place of its states stands {means}."),
        Picture(figure, f"{figures.capital(found.measured)} {shown}."),
    ]
    if at is not None and not ablation.regresses and "without backward" in ablation.conditions:
        adds = added_by_halves(found, None)
        each = figures.deciding_by_position(
            adds["forward"], adds["backward"], found.tokens, unit=found.unit
        )
        parts.append(
            Picture(each, f"What each half adds to the logit of each {found.unit}'s own tag.")
        )
    return parts


def _attribution(found: Explanation) -> list[Part]:
    given = found.attribution
    lost = None if found.occlusion is None else found.occlusion.steps
    if found.series is not None:
        figure = figures.attribution_over_time(given.steps, lost, found.target, of=found.measure)
    else:
        figure = figures.attribution(
            found.tokens, given.steps, lost, found.target, of=found.measure, unit=found.unit
        )
    return [
        Picture(
            figure,
            f"What each {found.unit} adds to {found.measured}: integrated gradients"
            + (", and what leaving it out takes away (occlusion)." if lost is not None else "."),
        ),
        Text(
            f"A check: with every {found.unit} replaced by one that says nothing, {found.measured} "
            f"is {given.baseline:.3f}; as it is, {given.logit:.3f}. The attributions sum to "
            f"{given.steps.sum():.3f}, which misses that change by {100 * given.gap:.2f} %."
        ),
    ]


# ---------------------------------------------------------------------- inside


def _flow(found: Explanation) -> list[Part]:
    return [part for one in found.flows for part in _flow_of(one, found)]


def _flow_of(one: Flow, found: Explanation) -> list[Part]:
    layers = len(found.flows)
    which = "" if layers == 1 else f"Layer {one.layer + 1}. "
    what = f"{which}How much the state at each step (row) would move if the input at each step did."
    if one.backward is None:
        what += " The one direction knows what came before."
    elif one.layer == 0:
        what += " The forward half knows what came before, the backward half what comes after."
    else:
        what += " This layer reads rows that know both sides, so that both halves do."
    matrices = figures.flow(one.forward, one.backward, one.combined, found.tokens)
    context = one.context(SHARE)
    lengths = {"forward": context.forward}
    backward = None
    if one.backward is not None and context.backward is not None:
        lengths["backward"] = context.backward
        backward = one.by_distance("backward").tolist()
    distances = figures.influence_by_distance(
        one.by_distance("forward").tolist(), backward, lengths
    )
    return [
        Picture(matrices, what),
        Picture(
            distances,
            f"{which}Influence by distance; the mark is the effective context, which holds "
            f"{100 * SHARE:.0f} % of it.",
        ),
    ]


def _inside(found: Explanation) -> list[Part]:
    states = found.states
    norms = states.norms()
    parts: list[Part] = [
        Picture(
            figures.state_norms(
                norms["forward"], norms.get("backward"), found.tokens, unit=found.unit
            ),
            f"Length of each half's state at each {found.unit}.",
        ),
        Picture(
            figures.activations(states.forward, states.backward, found.tokens, unit=found.unit),
            f"Every unit's activation at every {found.unit}.",
        ),
    ]
    if found.correlation is not None:
        constant = found.correlation.constant_forward + found.correlation.constant_backward
        unmoved = f" {constant} units never moved." if constant else ""
        few = found.correlation.steps < MANY_STEPS
        more = " Over the steps of a file (--data) it would tell more." if few else ""
        parts += [
            Picture(
                figures.unit_correlation(found.correlation.matrix),
                f"Correlation of each forward unit with each backward unit over "
                f"{found.correlation.steps:,} steps.{unmoved}{more}",
            ),
            Picture(
                figures.correlation_histogram(found.correlation.matrix),
                "The same correlations, counted.",
            ),
        ]
    if found.saturation is not None:
        parts.append(
            Picture(
                figures.gate_saturation(_gates(found.saturation)),
                "Each unit's gates: the share of steps at which they are nearly closed, and at "
                "which they are nearly open.",
            )
        )
    return parts


def _gates(found: Saturation) -> dict[str, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """What opens and shuts: not the candidates, which go through tanh."""
    return {
        half: {name: shares for name, shares in gates.items() if name not in SQUASHED}
        for half, gates in found.shares.items()
    }


def _head(found: Explanation) -> list[Part]:
    parts: list[Part] = []
    if found.attention is not None:
        parts.append(
            Picture(
                figures.attention_weights(found.tokens, found.attention, unit=found.unit),
                f"How the head's attention weighs the {found.unit}s.",
            )
        )
    decoded = found.decoding
    if decoded is not None:
        of = "over all allowed tag sequences" if decoded.crf else "step by step"
        parts.append(
            Picture(
                figures.tag_marginals(
                    found.tokens,
                    decoded.labels,
                    decoded.marginals,
                    decoded.best.tolist(),
                    None if decoded.runner_up is None else decoded.runner_up.tolist(),
                    unit=found.unit,
                ),
                f"Probability of each tag {of}, the best sequence and where the second best "
                "differs from it.",
            )
        )
        if np.isfinite(decoded.lead):
            parts.append(
                Text(
                    f"The best sequence has probability {np.exp(decoded.log_probability):.2g}, "
                    f"the second best {np.exp(decoded.runner_up_log_probability):.2g}."
                )
            )
    return parts


def _model(found: Explanation) -> list[Part]:
    stack = found.spec.stack
    parts: list[Part] = [
        Picture(architecture(found.spec), "The model, drawn to its widths."),
        Picture(
            figures.output_columns(output_columns(stack), stack.output_size),
            "Which columns of the encoder's output come from which half.",
        ),
    ]
    if stack.bidirectional:
        parts.append(
            Picture(
                figures.no_generation(),
                "Why this model cannot write: the backward half waits for steps that do not "
                "exist yet.",
            )
        )
    return parts
