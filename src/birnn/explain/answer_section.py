"""What the page of `birnn explain` says first: what was read, the answer, what spoke for it."""

from __future__ import annotations

import numpy as np

from birnn.explain.ablation import Condition
from birnn.explain.explanation import Explanation
from birnn.report import figures
from birnn.report.parts import Part, Picture, Table, Text, Tiles, Words

LIKELIEST = 5  # labels that are listed
MOST_WORDS = 1200  # of a text that are written out
MOST_UNKNOWN = 10  # tokens that are listed

WITHOUT: dict[str, Condition] = {"forward": "without forward", "backward": "without backward"}


def what_was_read(found: Explanation) -> str:
    """What the model read, and how long it is: a text, a sequence of symbols or a series.

    Args:
        found: The numbers.

    Returns:
        Such as ``a text of 7 words``.
    """
    what = {"word": "a text", "symbol": "a sequence", "step": "a series"}[found.unit]
    text = f"{what} of {_counted(len(found.tokens), found.unit)}"
    if found.series is not None:
        text += f" in {_counted(found.series.shape[1], 'channel')}"
    return text


def _counted(count: int, unit: str) -> str:
    """A number of things.

    Example:
        >>> _counted(1, "word"), _counted(1200, "step")
        ('1 word', '1,200 steps')
    """
    return f"{count:,} {unit}{'' if count == 1 else 's'}"


def answer_section(found: Explanation) -> list[Part]:
    """The section of the answer.

    Args:
        found: The numbers.

    Returns:
        The answer and its probability, the sequence coloured by what each step adds, and the
        likeliest labels.
    """
    tiles = [(_question(found), found.target, "")]
    if found.probability is not None:
        tiles.append(("its probability", f"{100 * found.probability:.1f} %", ""))
    else:
        value = found.ablation.scores[0][found.ablation.outputs.index(found.target)]
        tiles = [(found.target, f"{value:.4g}", "")]
    if decided := _decided(found):
        tiles.append(decided)
    return [Tiles(tiles), *_logit(found), *_unknown(found), _sequence(found), *_likeliest(found)]


def _logit(found: Explanation) -> list[Part]:
    """What a logit is, said once; and with a CRF why it may rank labels otherwise."""
    if found.ablation.regresses:
        return []
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
    return [Text(text)]


def _sequence(found: Explanation) -> Part:
    """What was read, coloured by what each step adds: a series as lines, else the words."""
    if found.series is not None:
        rows = (
            [figures.TagRow("the answer", "both", found.answer)]
            if found.position is not None
            else []
        )
        figure = figures.series(
            found.series,
            adds_TC=found.attribution.components,
            label=found.target,
            position=found.position,
            rows=rows,
        )
        mark = "" if found.position is None else " The dotted line marks the step explained."
        return Picture(
            figure,
            f"The series, each channel on a scale of its own. The colour behind a value is what it "
            f"adds to {found.measured}.{mark}",
        )
    shown = min(len(found.tokens), MOST_WORDS)
    tags = found.answer if found.position is not None else ()
    return Words(
        found.tokens[:shown],
        found.attribution.steps[:shown].tolist(),
        f"what the {found.unit} adds to {found.measured}",
        position=found.position if (found.position or 0) < shown else None,
        beneath=tags[:shown],
        note="" if shown == len(found.tokens) else f"The first {shown:,} {found.unit}s.",
    )


def _question(found: Explanation) -> str:
    if found.position is None:
        return "the answer"
    text = f"the tag of {found.unit} {found.position + 1}"
    return text if found.series is not None else f"{text}, “{found.tokens[found.position]}”"


def _decided(found: Explanation) -> tuple[str, str, str] | None:
    """A tile that says which half the answer hangs on more."""
    if "without backward" not in found.ablation.conditions:
        return None
    lost = {
        reader: float(adds if found.position is None else adds[found.position])
        for reader, adds in added_by_halves(found, found.target).items()
    }
    reader, other = sorted(lost, key=lambda half: -abs(lost[half]))
    other_half = f"the {other} half {_signed(lost[other])}"
    name = f"what the {reader} half adds to the {found.measure}; {other_half}"
    return name, _signed(lost[reader]), reader


def added_by_halves(found: Explanation, target: str | None) -> dict[str, np.ndarray]:
    """What each half adds to an answer: what is lost where it is ablated.

    Args:
        found: The numbers.
        target: The answer; of each step its own where it is None.

    Returns:
        ``forward`` and ``backward`` to a number, of a tagger one for each step, (T,).
    """
    logits = found.ablation.logits(target)
    return {
        half: np.asarray(logits["full"] - logits[condition])
        for half, condition in WITHOUT.items()
        if condition in logits
    }


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def _likeliest(found: Explanation) -> list[Part]:
    ablation, at = found.ablation, found.position
    if ablation.regresses or len(ablation.outputs) < 2:
        return []
    scores = ablation.scores[0] if at is None else ablation.scores[0][at]
    if found.decoding is not None and at is not None:
        chances = found.decoding.marginals[at]
    else:
        powers = np.exp(scores - scores.max())
        chances = powers / powers.sum()
    order = np.argsort(-chances, kind="stable")[:LIKELIEST]
    rows = [
        [ablation.outputs[number], f"{100 * chances[number]:.2f} %", f"{scores[number]:.3f}"]
        for number in order
    ]
    header = ["label", "probability", "logit"]
    title = "The likeliest labels"
    if found.decoding is not None and found.decoding.crf:
        header = ["label", "probability (marginal)", f"logit ({found.unit} alone)"]
        title += ", by the marginals of the CRF"
    return [Table(header, rows, f"{title}.")]


def _unknown(found: Explanation) -> list[Part]:
    """Which tokens the model does not know."""
    new = list(
        dict.fromkeys(
            token for token, unknown in zip(found.tokens, found.unknown, strict=True) if unknown
        )
    )
    if not new:
        return []
    shown = ", ".join(f"“{token}”" for token in new[:MOST_UNKNOWN])
    shown += ", ..." if len(new) > MOST_UNKNOWN else ""
    count = int(found.unknown.sum())
    of = _counted(len(found.tokens), found.unit)
    return [Text(f"The model does not know {count} of the {of}: {shown}.")]
