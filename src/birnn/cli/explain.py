"""``birnn explain``."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from birnn.cli.given_text import is_text
from birnn.cli.options import Json, Model, Page, with_read_options, with_threads
from birnn.cli.output import check_page, print_json
from birnn.errors import DataError, UsageError, escaped, print_notice, require

if TYPE_CHECKING:
    from birnn.data.options import ReadOptions
    from birnn.explain.explanation import Explanation
    from birnn.runtime import Predictor, TargetTrace

MOST_SEQUENCES = 1000  # of a file that means are taken over
MOST_LETTERS = 60  # of an answer in a table
MOST_ROWS = 40  # of the table of steps


@with_threads
@with_read_options
def explain(
    model: Model,
    text: Annotated[
        str,
        typer.Argument(
            metavar="TEXT",
            help="What it reads; or a file, whose first sequence is read (of vectors always).",
        ),
    ],
    out: Page = None,
    step: Annotated[
        str | None,
        typer.Option(
            metavar="N|TOKEN",
            help="Of a tagger: the step explained, by its number or a token that occurs once; the "
            "least sure by default. Of a filler: the gap; the first by default.",
        ),
    ] = None,
    target: Annotated[
        str | None, typer.Option(metavar="LABEL", help="Explain this answer, not the one given.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(metavar="F", help="Sequences to take means over.")
    ] = None,
    as_json: Json = False,
    *,
    reading: ReadOptions,
) -> int:
    """Show what each direction knew, which of them decided, and which steps mattered."""
    check_page(out)
    from birnn.runtime import Predictor

    predictor = Predictor.load(model)
    writes = predictor.spec.head.target == "sequence"
    if not writes or out is not None:
        require("torch", extra="train")
    sequence = _sequence(predictor, text, reading)
    pool = None if data is None else _pool(predictor, data, reading)
    found: Any
    if writes:
        from birnn.runtime import trace_target

        if step is not None:
            raise UsageError(
                "--step is of a tagger or a filler. All steps of an answer are shown: leave it out."
            )
        found = trace_target(predictor, sequence, target=target, data=pool)
    else:
        from birnn.bundle import as_float32
        from birnn.explain.explanation import explanation

        predictor = Predictor(as_float32(predictor, tell=print_notice))
        found = explanation(predictor, sequence, step=step, target=target, data=pool)
    if as_json:
        print_json(found.to_dict())
    else:
        (_show_target if writes else _show)(found)
    if out is not None:
        from birnn.explain import page, target_page

        (target_page if writes else page).write(out, found, name=str(model))
        print_notice(f"report: {out}")
    return 0


def _sequence(model: Predictor, text: str, reading: ReadOptions) -> Any:
    """What the model reads: the text in its tokens, or the first sequence of a file."""
    from birnn.data.tokeniser import Splitter

    inputs = model.spec.inputs
    vectors = inputs.holds == "vectors"
    if vectors or not is_text(text):
        if not vectors:
            print_notice(
                f"{text} is a file: its first sequence is explained. To have its name read as a "
                f"text, put a space before it: ' {text}'."
            )
        for example in model.read(text, reading, tell=print_notice):
            return example.inputs
        raise DataError(f"{text}: no {'series' if vectors else 'sequence'} in it")
    if inputs.alphabet is not None or model.spec.head.target == "sequence":
        return text
    return Splitter(reading.split, print_notice)(model.spec.head.unsplit(text), "the text")


def _pool(model: Predictor, data: str, reading: ReadOptions) -> list[Any]:
    examples = model.read(data, reading, tell=print_notice)
    return [example.inputs for example in islice(examples, MOST_SEQUENCES)]


def _show(found: Explanation) -> None:
    """The answer, and what each step had to do with it."""
    import numpy as np

    from birnn.cli.printing import print_table

    at = found.position
    # With a CRF the probability weighs all sequences of tags, the logit is the step's own.
    crf = found.decoding is not None and found.decoding.crf
    chance = ""
    if found.probability is not None:
        chance = f" ({'marginal ' if crf else ''}{100 * found.probability:.1f} %)"
    where = "" if at is None else f" at step {at + 1}, {found.tokens[at]}"
    if found.ablation.independent:
        print(escaped(f"labels: {', '.join(found.answer) or 'none'}"))
    print(escaped(f"{found.target}{chance}{where}"))
    told = [f"{case} {logit:.3f}" for case, logit in found.logits().items()]
    of = f"{found.measure} of the step alone" if crf else found.measure
    print(f"{of}, with and without the halves: " + ", ".join(told))
    lost = np.full(len(found.tokens), np.nan) if found.occlusion is None else found.occlusion.steps
    tags = found.answer if at is not None else [""] * len(found.tokens)
    rows = [
        [number, token, tag, f"{adds:+.3f}", "" if np.isnan(loses) else f"{loses:+.3f}"]
        for number, (token, tag, adds, loses) in enumerate(
            zip(found.tokens, tags, found.attribution.steps, lost, strict=True), start=1
        )
    ]
    header = ["step", "token", "tag", "adds", "lost without it"]
    if len(rows) > MOST_ROWS:
        rows = sorted(rows, key=lambda row: -abs(float(row[3])))[:MOST_ROWS]
    if at is None or found.asked is not None:
        header, rows = _without(header, 2), [_without(row, 2) for row in rows]
    print_table(f"what each step does for {found.target}", header, rows)
    for line in found.left_out:
        print(escaped(f"left out: {line}"))


def _show_target(found: TargetTrace) -> None:
    """The answer, what else was found, and its steps."""
    import math

    from birnn.cli.printing import print_table

    def shortened(text: str) -> str:
        return text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 1]}…"

    chance = 100 * math.exp(found.target.log_probability)
    print(escaped(f"{found.text or 'nothing'} ({chance:.3g} %)"))
    if len(found.log_probabilities) > 1:
        told = ", ".join(f"{case} {value:.3f}" for case, value in found.totals().items())
        print(f"log-probability, with and without the halves: {told}")
    print_table(
        "the best answers",
        ["answer", "score", "probability"],
        [
            [
                shortened(found.written(one)),
                f"{one.score:.3f}",
                f"{100 * math.exp(one.log_probability):.3g} %",
            ]
            for one in found.nbest
        ],
    )
    header = ["step", "symbol", "probability", *(f"{half} adds" for half in found.added())]
    rows = []
    for number, step in enumerate(found.steps[:MOST_ROWS], start=1):
        adds = [f"{value:+.3f}" for value in step.added.values()]
        rows.append([number, step.symbol or "end", f"{100 * step.probability:.1f} %", *adds])
    if found.attention is not None:
        header.append("looked at")
        for row, weights in zip(rows, found.attention, strict=False):
            at = int(weights.argmax())
            row.append(f"{found.source[at]} ({at + 1}) {100 * weights[at]:.0f} %")
    header.append("instead")
    for row, step in zip(rows, found.steps, strict=False):
        [(other, p), *_] = step.runners_up or [("", 0.0)]
        row.append(f"{other or 'end'} {100 * p:.1f} %")
    print_table("what it said, step by step", header, rows)
    if found.overlooked:
        never = ", ".join(f"{found.source[at]} ({at + 1})" for at in found.overlooked[:MOST_ROWS])
        print(escaped(f"never looked at: {never}"))
    for line in found.left_out:
        print(escaped(f"left out: {line}"))


def _without(row: list[Any], place: int) -> list[Any]:
    return [cell for at, cell in enumerate(row) if at != place]
