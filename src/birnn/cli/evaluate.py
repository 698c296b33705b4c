"""``birnn evaluate``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from birnn.cli.options import (
    Beam,
    Json,
    Labelled,
    Longest,
    Model,
    Page,
    search_of,
    with_read_options,
    with_threads,
)
from birnn.cli.output import STANDARD_INPUT, check_page, naming_file, print_json
from birnn.errors import UsageError, print_notice

if TYPE_CHECKING:
    from birnn.data.options import ReadOptions


@with_threads
@with_read_options
def evaluate(
    model: Model,
    data: Labelled,
    out: Page = None,
    beam: Beam = None,
    longest: Longest = None,
    as_json: Json = False,
    *,
    reading: ReadOptions,
) -> int:
    """Score a model on a labelled file, and show which labels it takes for which."""
    check_page(out)
    from birnn.cli.printing import print_scores
    from birnn.metrics import named_counts
    from birnn.runtime import Predictor

    if data == STANDARD_INPUT:
        raise UsageError("evaluate reads a file, standard input serves predict only.")
    predictor = Predictor.load(model)
    with naming_file(data):
        scores = predictor.evaluate(
            data,
            search=search_of(predictor.spec.head, beam, longest),
            tell=print_notice,
            **reading.model_dump(exclude_unset=True),
        )
    unknown = scores.get("unknown_labels", {})
    if unknown:
        print_notice(f"labels that the model never saw, counted as wrong: {named_counts(unknown)}")
    if as_json:
        print_json(scores)
    else:
        print_scores(scores, title=data)
    if out is not None:
        from birnn.studies import evaluation

        evaluation.write(out, scores, model=str(model), data=data)
        print_notice(f"report: {out}")
    return 0
