"""The page of `birnn explain` for a model that writes sequences: one target, and what led to it."""

from __future__ import annotations

import math
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path

from birnn import report
from birnn.explain.answer_section import counted, unknown_tokens, what_was_read
from birnn.explain.architecture import architecture
from birnn.report import figures
from birnn.report.parts import Notes, Part, Picture, Section, Table, Text, Tiles
from birnn.runtime import TargetTrace
from birnn.runtime.search import Hypothesis
from birnn.runtime.tracing import OVERLOOKED

END = "</s>"  # the end of a target, as the page writes it
IN_A_TILE = 24  # characters of a target that a tile has room for
LONGEST = 60  # characters of a target in a table
LONGEST_TEXT = 1000  # of one that is written out
MOST_STEPS = 200  # rows of the table of steps
MOST_OVERLOOKED = 20  # source symbols that are listed


def write(path: Path | str, found: TargetTrace, *, name: str) -> Path:
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
        "The answer": _answer(found),
        "Where it looked": _attention(found),
        "Step by step": _steps(found),
        "Which direction decided" if two else "What its states decided": _ablation(found),
        "The model": iter([Picture(architecture(found.spec), "The model, drawn to its widths.")]),
        "Not on this page": iter([Notes(found.left_out)] if found.left_out else []),
    }
    every = [Section(heading, list(parts)) for heading, parts in sections.items()]
    read = what_was_read(found.spec, len(found.source))
    return report.write(
        path,
        "What each direction knew" if two else "What the one direction knew",
        [section for section in every if section.parts],
        lead=f"The {found.spec.task} “{name}” read {read}. Every number here is measured from this "
        "model at work on it.",
        footer=f"Python {platform.python_version()}, {platform.system()} {platform.machine()}",
    )


def _answer(found: TargetTrace) -> Iterator[Part]:
    """What was answered, how sure of it, and what else might have been."""
    best = found.target == found.nbest[0]
    name, text = "the answer" if best else "the target asked about", found.text or "nothing"
    tiles = [("its probability", _percent(found.target.log_probability), ""), *_directions(found)]
    if len(text) <= IN_A_TILE:
        tiles.insert(0, (name, text, ""))
    else:
        cut = "" if len(text) <= LONGEST_TEXT else f" ... ({len(text):,} characters)"
        yield Text(f"{figures.capital(name)}: “{text[:LONGEST_TEXT]}”{cut}")
    yield Tiles(tiles)
    if found.unknown.any():
        yield Text(unknown_tokens(found.source, found.unknown, found.spec.inputs.unit))
    rows = [
        [_short(found, one), f"{one.score:.3f}", _percent(one.log_probability)]
        for one in found.nbest
    ]
    title = "The best answers of the search; a score is a log-probability, normalised by length."
    yield Table(["answer", "score", "probability"], rows, title)


def _directions(found: TargetTrace) -> list[tuple[str, str, str]]:
    """What either direction adds in all, the one with more of it first."""
    adds = {half: float(each.sum()) for half, each in found.added().items()}
    if len(adds) < 2:
        return []
    half, other = sorted(adds, key=lambda half: -abs(adds[half]))
    signed = {key: f"{value:+.2f}".replace("-", "−") for key, value in adds.items()}
    name = f"what the {half} half adds to the log-probability; the {other} half {signed[other]}"
    return [(name, signed[half], half)]


def _attention(found: TargetTrace) -> Iterator[Part]:
    if found.attention is None:
        return
    figure = figures.attention_matrix(
        found.source, _said(found), found.attention, overlooked=found.overlooked
    )
    yield Picture(
        figure,
        "The weight of each source symbol (column) as each symbol of the answer (row) was said. A "
        "row sums to 1. The coverage under it is the sum of a column: about 0, and nothing was "
        "read there; far above the others, and it was read again and again.",
    )
    yield Text(_overlooked(found))


def _overlooked(found: TargetTrace) -> str:
    """Which source symbols were never looked at."""
    places, bound = found.overlooked, f"{100 * OVERLOOKED:.0f} %"
    if not places:
        return (
            f"Every source symbol was looked at: some step gave it {bound} of its weight or more."
        )
    named = ", ".join(figures.named(found.source, at) for at in places[:MOST_OVERLOOKED])
    more = ", ..." if len(places) > MOST_OVERLOOKED else ""
    return (
        f"Never looked at, as no step gave {bound} of its weight: {named}{more}. What a state "
        "beside it holds of such a symbol may have been read all the same."
    )


def _steps(found: TargetTrace) -> Iterator[Part]:
    header = ["symbol", "probability", "instead"]
    rows = [
        [
            f"{number} {step.symbol or END}",
            f"{100 * step.probability:.1f} %",
            ", ".join(f"{symbol or END} {100 * p:.1f} %" for symbol, p in step.runners_up),
        ]
        for number, step in enumerate(found.steps[:MOST_STEPS], start=1)
    ]
    if found.attention is not None:
        header.insert(2, "looked at")
        for row, weights in zip(rows, found.attention, strict=False):
            at = int(weights.argmax())
            row.insert(2, f"{figures.named(found.source, at)} {100 * weights[at]:.0f} %")
    title = "Each symbol after those before it, and the likeliest others."
    if len(found.steps) > MOST_STEPS:
        title += f" The first {MOST_STEPS} of {len(found.steps):,} steps."
    yield Table(header, rows, title)


def _ablation(found: TargetTrace) -> Iterator[Part]:
    added = found.added()
    if not added:
        return
    means = "its mean over the data that training scored it on"
    if found.mean_of is not None:
        means = f"its mean over {counted(found.mean_of, 'step')} of data"
    two = len(added) == 2
    who = "A half of the encoder" if two else "The one direction of the encoder"
    yield Text(
        f"{who} is ablated (mean ablation): in the place of its states, at each step and where the "
        f"decoder begins, stands {means}. The decoder then reads the same answer again."
    )
    figure = figures.deciding_direction(found.totals(), found.text, of="log-probability")
    cases = "with both halves, without one, and without either" if two else "with and without it"
    yield Picture(figure, f"The log-probability of the whole answer {cases}.")
    figure = figures.deciding_by_position(
        added["forward"], added.get("backward"), _said(found), unit="symbol", of="log-probability"
    )
    yield Picture(
        figure,
        "What each half adds to the log-probability of each symbol of the answer: one more "
        "multiplies its probability by 2.72.",
    )


def _said(found: TargetTrace) -> Sequence[str]:
    """The symbols of the target, its end last."""
    return [*found.target.symbols, END]


def _short(found: TargetTrace, hypothesis: Hypothesis) -> str:
    text = found.written(hypothesis) or "nothing"
    text = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    return text if hypothesis.ended else f"{text} (cut)"


def _percent(log_probability: float) -> str:
    return f"{100 * math.exp(log_probability):.3g} %"
