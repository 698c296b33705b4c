"""The first section of the page of `birnn explain`: what was read, the answer, what led to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from birnn.bundle.spec import Spec
from birnn.explain.explanation import Explanation
from birnn.explain.inspected import Array
from birnn.report import figures
from birnn.report.parts import ColouredWords, Part, Picture, Table, Text, Tiles

LIKELIEST = 5  # labels that are listed
MOST_WORDS = 1200  # of a text that are written out
MOST_UNKNOWN = 10  # tokens that are listed


def what_was_read(spec: Spec, steps: int) -> str:
    """What the model read, and how long it is, such as ``a text of 7 words``."""
    unit = spec.inputs.unit
    what = {"word": "a text", "symbol": "a sequence", "step": "a series"}[unit]
    text = f"{what} of {counted(steps, unit)}"
    if spec.inputs.holds == "vectors":
        text += f" in {counted(spec.inputs.size, 'channel')}"
    return text


def counted(count: int, unit: str) -> str:
    """A number of things.

    Example:
        >>> counted(1, "word"), counted(1200, "step")
        ('1 word', '1,200 steps')
    """
    return f"{count:,} {unit}{'' if count == 1 else 's'}"


def answer_section(found: Explanation) -> Iterator[Part]:
    """The answer, its probability, the sequence coloured by what each step adds, other labels."""
    yield Tiles(list(_tiles(found)))
    if not found.ablation.regresses:
        yield Text(_logit(found))
    if found.unknown.any():
        yield Text(unknown_tokens(found.tokens, found.unknown, found.unit))
    yield _words(found) if found.series is None else _series(found)
    if found.probabilities is not None and len(found.probabilities) > 1:
        yield _likeliest(found, found.probabilities)


def _tiles(found: Explanation) -> Iterator[tuple[str, str, str]]:
    """The answer, its probability, and which half it hangs on more."""
    if found.probability is None:
        value = found.ablation.scores[0][found.ablation.outputs.index(found.target)]
        yield found.target, f"{value:.4g}", ""
    else:
        name = "the answer"
        if found.asked is not None:
            name = f"the word at step {(found.position or 0) + 1}"
        elif found.position is not None:
            name = f"the tag of {found.unit} {found.position + 1}"
            name += f", “{found.tokens[found.position]}”" if found.series is None else ""
        elif found.ablation.independent:
            yield "its labels", ", ".join(found.answer) or "none", ""
            name = "the label explained"
        yield name, found.target, ""
        yield "its probability", f"{100 * found.probability:.1f} %", ""
    if found.spec.stack.directions_of(-1) == 2:
        adds = {
            half: float(added if found.position is None else added[found.position])
            for half, added in found.ablation.contributions(found.target).items()
        }
        half, other = sorted(adds, key=lambda half: -abs(adds[half]))
        signed = {key: f"{value:+.2f}".replace("-", "−") for key, value in adds.items()}
        name = f"what the {half} half adds to the {found.measure}; the {other} half {signed[other]}"
        yield name, signed[half], half


def _logit(found: Explanation) -> str:
    """What a logit is, said once; and with a CRF why it may rank labels otherwise."""
    text = (
        "A logit is the score of a label before scores become probabilities: one more multiplies "
        "the odds of a label by 2.72."
    )
    if found.decoding is not None and found.decoding.crf:
        text += (
            " This model has a CRF, so a tag has two numbers that may disagree: its logit, which "
            f"is the {found.unit}'s own score before its neighbours have a say, and its "
            "probability, which is the marginal over all sequences of tags, weighed by "
            "which tag may follow which. The tag that is given is that of the best sequence "
            "as a whole."
        )
    return text


def unknown_tokens(tokens: Sequence[str], unknown: Array, unit: str) -> str:
    """Which tokens the model does not know.

    Args:
        tokens: All tokens.
        unknown: Which of them, (T,) bool.
        unit: What they are.
    """
    new = list(dict.fromkeys(t for t, one in zip(tokens, unknown, strict=True) if one))
    listed = ", ".join(f"“{token}”" for token in new[:MOST_UNKNOWN])
    listed += ", ..." if len(new) > MOST_UNKNOWN else ""
    of = counted(len(tokens), unit)
    return f"The model does not know {int(unknown.sum())} of the {of}: {listed}."


def _series(found: Explanation) -> Picture:
    """A series as lines, coloured by what each step adds."""
    assert found.series is not None
    asked = found.position is not None
    figure = figures.series(
        found.series,
        adds_TC=found.attribution.components,
        label=found.target,
        position=found.position,
        rows=[figures.TagRow("the answer", "both", found.answer)] if asked else [],
    )
    return Picture(
        figure,
        "The series, each channel on a scale of its own. The colour behind a value is what it adds "
        f"to {found.measured}.{' The dotted line marks the step explained.' if asked else ''}",
    )


def _words(found: Explanation) -> ColouredWords:
    """Words or symbols, coloured by what each adds."""
    shown, asked = min(len(found.tokens), MOST_WORDS), found.position is not None
    return ColouredWords(
        found.tokens[:shown],
        found.attribution.steps[:shown].tolist(),
        f"what the {found.unit} adds to {found.measured}",
        position=found.position if (found.position or 0) < shown else None,
        beneath=found.answer[:shown] if asked else (),
        note="" if shown == len(found.tokens) else f"The first {shown:,} {found.unit}s.",
    )


def _likeliest(found: Explanation, probabilities: Array) -> Table:
    ablation, at = found.ablation, found.position
    scores = ablation.scores[0] if at is None else ablation.scores[0][at]
    rows = [
        [ablation.outputs[number], f"{100 * probabilities[number]:.2f} %", f"{scores[number]:.3f}"]
        for number in np.argsort(-probabilities, kind="stable")[:LIKELIEST]
    ]
    what = "label" if found.asked is None else "word"
    header = [what, "probability", "logit"]
    if found.ablation.independent:
        given = set(found.answer)
        rows = [[*row, "yes" if row[0] in given else "no"] for row in rows]
        header.append("given")
    title = f"The likeliest {what}s"
    if found.decoding is not None and found.decoding.crf:
        header = ["label", "probability (marginal)", f"logit ({found.unit} alone)"]
        title += ", by the marginals of the CRF"
    return Table(header, rows, f"{title}.")
