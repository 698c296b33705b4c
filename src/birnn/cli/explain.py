"""``birnn explain``."""

from __future__ import annotations

import os.path
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from birnn.cli.options import Json, Model, Page, with_read_options, with_threads
from birnn.cli.output import check_page, print_json
from birnn.errors import DataError, escaped, print_notice, require

if TYPE_CHECKING:
    from birnn.data.options import ReadOptions
    from birnn.explain.explanation import Explanation
    from birnn.runtime import Predictor

MOST_SEQUENCES = 1000  # of a file that means are taken over
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
    require("torch", extra="train")
    from birnn.runtime import Predictor

    predictor = Predictor.load(model)
    from birnn.explain.explanation import explanation

    found = explanation(
        predictor,
        _sequence(predictor, text, reading),
        step=step,
        target=target,
        data=None if data is None else _pool(predictor, data, reading),
    )
    if as_json:
        print_json(found.to_dict())
    else:
        _show(found)
    if out is not None:
        from birnn.explain import page

        page.write(out, found, name=str(model))
        print_notice(f"report: {out}")
    return 0


def _sequence(model: Predictor, text: str, reading: ReadOptions) -> Any:
    """What the model reads: the text in its tokens, or the first sequence of a file."""
    from birnn.data.tokeniser import Splitter

    inputs = model.spec.inputs
    vectors = inputs.holds == "vectors"
    if not vectors:
        _refuse_missing_file(text)
    # What stands in a file is hardly ever meant by its name.
    named = os.path.isfile(text)  # noqa: PTH113 - `Path` raises where a name is too long
    if vectors or named:
        if not vectors:
            print_notice(
                f"{text} is a file: its first sequence is explained. To have its name read as a "
                f"text, put a space before it: ' {text}'."
            )
        for example in model.read(text, reading, tell=print_notice):
            return example.inputs
        raise DataError(f"{text}: no {'series' if vectors else 'sequence'} in it")
    if inputs.alphabet is not None:
        return text
    return Splitter(reading.split, print_notice)(model.spec.head.unsplit(text), "the text")


def _refuse_missing_file(text: str) -> None:
    """Refuse a single word that ends as names of files do, where there is no such file."""
    if any(map(str.isspace, text)) or os.path.exists(text):  # noqa: PTH110 - as above
        return
    from birnn.data.read import FORMATS, ending_of

    endings = {ending for form in FORMATS.values() for ending in form.endings}
    if ending_of(text) in endings:
        raise DataError(
            f"{text}: no such file. Check the path; or, to have it read as a text, put a space "
            f"before it: ' {text}'."
        )


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


def _without(row: list[Any], place: int) -> list[Any]:
    return [cell for at, cell in enumerate(row) if at != place]
