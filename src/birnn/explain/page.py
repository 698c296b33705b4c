"""The page of `birnn explain`: one answer, and what in the model it came from."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from birnn.explain import figures, report
from birnn.explain.decision import Case
from birnn.explain.explanation import Explanation
from birnn.explain.flow import Flow
from birnn.explain.gates import SQUASHED, Saturation
from birnn.explain.parts import Notes, Part, Picture, Section, Table, Text, Tiles, Words
from birnn.explain.states import layout

LIKELIEST = 5  # labels that are listed
MOST_WORDS = 1200  # of a text that are written out

HALVES: dict[str, Case] = {"forward": "without forward", "backward": "without backward"}
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
    notes = [*_unknown(found), *found.left_out]
    sections = [
        Section("The answer", _answer(found)),
        Section("Which direction decided", _decision(found)),
        Section("Which steps mattered", _attribution(found)),
        Section("How far each direction remembers", _flow(found)),
        Section("Inside the halves", _inside(found)),
        *([Section("In the head", parts)] if (parts := _head(found)) else []),
        Section("The model", _model(found)),
        *([Section("Not on this page", [Notes(notes)])] if notes else []),
    ]
    return report.write(
        path,
        "What each direction knew",
        sections,
        lead=f"{_article(found)} {found.spec.task} of {found.spec.inputs.kind}, {name}, read "
        f"{len(found.tokens):,} {'step' if len(found.tokens) == 1 else 'steps'}. Every picture is "
        "measured from this model on this text.",
        footer=f"Python {platform.python_version()}, {platform.system()} {platform.machine()}",
    )


def _article(found: Explanation) -> str:
    return "A" if found.spec.task[0] not in "aeiou" else "An"


# ---------------------------------------------------------------------- the answer


def _answer(found: Explanation) -> list[Part]:
    tiles = [(_asked(found), found.target, "")]
    if found.probability is not None:
        tiles.append(("its probability", f"{100 * found.probability:.1f} %", ""))
    else:
        value = found.decision.scores[0][found.decision.outputs.index(found.target)]
        tiles = [(found.target, f"{value:.4g}", "")]
    if decided := _decided(found):
        tiles.append(decided)
    shown = min(len(found.tokens), MOST_WORDS)
    tags = found.answer if found.position is not None else ()
    words = Words(
        found.tokens[:shown],
        found.attribution.steps[:shown].tolist(),
        f"what the word adds to the logit of {found.target}",
        position=found.position if (found.position or 0) < shown else None,
        beneath=tags[:shown],
        note="" if shown == len(found.tokens) else f"The first {shown:,} steps.",
    )
    return [Tiles(tiles), words, *_likeliest(found)]


def _asked(found: Explanation) -> str:
    if found.position is None:
        return "the answer"
    return f"the tag of step {found.position + 1}, {found.tokens[found.position]}"


def _decided(found: Explanation) -> tuple[str, str, str] | None:
    """A tile that says which half the answer hangs on more."""
    if "without backward" not in found.decision.cases:
        return None
    lost = {
        reader: float(adds if found.position is None else adds[found.position])
        for reader, adds in _adds(found, found.target).items()
    }
    reader, other = sorted(lost, key=lambda half: -abs(lost[half]))
    what = "value" if found.decision.regresses else "logit"
    told = f"what the {reader} half adds to its {what}; the {other} half {_signed(lost[other])}"
    return told, _signed(lost[reader]), reader


def _adds(found: Explanation, target: str | None) -> dict[str, np.ndarray]:
    """What each half adds to an answer: what is lost where it is silenced."""
    logits = found.decision.logits(target)
    return {
        half: np.asarray(logits["full"] - logits[case])
        for half, case in HALVES.items()
        if case in logits
    }


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def _likeliest(found: Explanation) -> list[Part]:
    decision, at = found.decision, found.position
    if decision.regresses or len(decision.outputs) < 2:
        return []
    scores = decision.scores[0] if at is None else decision.scores[0][at]
    if found.decoding is not None and at is not None:
        chances = found.decoding.marginals[at]
    else:
        powers = np.exp(scores - scores.max())
        chances = powers / powers.sum()
    order = np.argsort(-chances, kind="stable")[:LIKELIEST]
    rows = [
        [decision.outputs[number], f"{100 * chances[number]:.2f} %", f"{scores[number]:.3f}"]
        for number in order
    ]
    return [Table(["label", "probability", "logit"], rows, "the likeliest labels")]


# ---------------------------------------------------------------------- who decided


def _decision(found: Explanation) -> list[Part]:
    decision, at = found.decision, found.position
    figure = figures.deciding_direction(found.logits(), found.target)
    if decision.own_background:
        means = "its mean over this text"
    elif decision.background.steps is None:
        means = "its mean over the data that training scored it on"
    else:
        means = f"its mean over {decision.background.steps:,} steps of data"
    if decision.own_background and decision.background.steps == 1:
        means += ", which for a single step is the state itself, so that nothing changes"
    parts: list[Part] = [
        Text(f"A half is silenced by putting {means} in the place of its states."),
        Picture(
            figure,
            f"The logit of {found.target} with both halves, without one, and without either."
            if not decision.regresses
            else f"{found.target} with both halves, without one, and without either.",
        ),
    ]
    if at is not None and not decision.regresses and "without backward" in decision.cases:
        adds = _adds(found, None)
        each = figures.deciding_by_position(adds["forward"], adds["backward"], found.tokens)
        parts.append(Picture(each, "What each half adds to the logit of each step's own tag."))
    return parts


def _attribution(found: Explanation) -> list[Part]:
    given = found.attribution
    lost = None if found.occlusion is None else found.occlusion.steps
    figure = figures.attribution(found.tokens, given.steps, lost, found.target)
    of = "logit" if found.probability is not None else "value"
    return [
        Picture(
            figure,
            f"What each step adds to the {of} of {found.target}: integrated gradients"
            + (", and what leaving it out takes away." if lost is not None else "."),
        ),
        Text(
            f"The attributions sum to {given.steps.sum():.3f}; the {of} moves from "
            f"{given.baseline:.3f}, where every step says nothing, to {given.logit:.3f}: a change "
            f"of {given.logit - given.baseline:.3f}, missed by {100 * given.gap:.2f} %."
        ),
    ]


# ---------------------------------------------------------------------- inside


def _flow(found: Explanation) -> list[Part]:
    return [part for one in found.flows for part in _flow_of(one, found)]


def _flow_of(one: Flow, found: Explanation) -> list[Part]:
    layers = len(found.flows)
    which = "" if layers == 1 else f"Layer {one.layer + 1}. "
    what = f"{which}How much the state at each step (row) would move if the input at each step did."
    if one.layer == 0:
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
            figures.state_norms(norms["forward"], norms.get("backward"), found.tokens),
            "Length of each half's state at each step.",
        ),
        Picture(
            figures.activations(states.forward, states.backward, found.tokens),
            "Every unit's activation at every step.",
        ),
    ]
    if found.correlation is not None:
        constant = found.correlation.constant_forward + found.correlation.constant_backward
        told = f" {constant} units never moved." if constant else ""
        few = found.correlation.steps < MANY_STEPS
        more = " Over the steps of a file (--data) it would tell more." if few else ""
        parts += [
            Picture(
                figures.unit_correlation(found.correlation.matrix),
                f"Correlation of each forward unit with each backward unit over "
                f"{found.correlation.steps:,} steps.{told}{more}",
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
                figures.attention_weights(found.tokens, found.attention),
                "How the head's attention weighs the steps.",
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
                ),
                f"Probability of each tag {of}, the best sequence and where the second best "
                "differs from it.",
            )
        )
        if np.isfinite(decoded.lead):
            parts.append(
                Text(
                    f"The best sequence has probability {np.exp(decoded.log_probability):.3f}, "
                    f"the second best {np.exp(decoded.runner_up_log_probability):.3f}."
                )
            )
    return parts


def _model(found: Explanation) -> list[Part]:
    stack = found.spec.stack
    segments: Sequence[tuple[int, int, str]] = [
        (segment.start, segment.stop, segment.source) for segment in layout(stack)
    ]
    parts: list[Part] = [
        Picture(figures.architecture(found.spec), "The model, drawn to its widths."),
        Picture(
            figures.output_layout(segments, stack.output_size),
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


def _unknown(found: Explanation) -> list[str]:
    new = list(
        dict.fromkeys(
            token for token, unknown in zip(found.tokens, found.unknown, strict=True) if unknown
        )
    )
    if not new:
        return []
    shown = ", ".join(new[:10]) + (", ..." if len(new) > 10 else "")
    count = int(found.unknown.sum())
    return [f"{count} of {len(found.tokens):,} steps are of tokens the model never met: {shown}."]
