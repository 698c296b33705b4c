"""``birnn evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from birnn.cli.options import (
    Beam,
    Errors,
    Json,
    Level,
    Longest,
    Page,
    search_of,
    with_read_options,
    with_threads,
)
from birnn.cli.output import (
    STANDARD_INPUT,
    check_page,
    naming_file,
    open_output,
    print_json,
    tell_unknown_labels,
)
from birnn.errors import UsageError, print_notice

if TYPE_CHECKING:
    from collections.abc import Iterable

    from birnn.data.options import ReadOptions
    from birnn.runtime import Predictor
    from birnn.tasks.errors import AnswerError

ERRORS = {".tsv": True, ".jsonl": False}  # whether a file of that ending is a table


@with_threads
@with_read_options
def evaluate(
    given: Annotated[
        list[str],
        typer.Argument(
            metavar="DIR [DIR] F", help="A trained model, or two to compare, and a labelled file."
        ),
    ],
    out: Page = None,
    errors: Errors = None,
    level: Level = 0.95,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="One seed gives the same intervals.")
    ] = 1,
    beam: Beam = None,
    longest: Longest = None,
    as_json: Json = False,
    *,
    reading: ReadOptions,
) -> int:
    """Score a model on a labelled file, or two models; show what they take for what."""
    if len(given) not in (2, 3):
        raise UsageError(
            f"evaluate takes DIR F, or DIR DIR F to compare two models; got {len(given)} of them."
        )
    *models, data = given
    if data == STANDARD_INPUT:
        raise UsageError("evaluate reads a file, standard input serves predict only.")
    if errors is not None and errors.suffix not in ERRORS:
        raise UsageError(f"--errors {errors}: its name must end in {' or '.join(ERRORS)}.")
    if len(models) == 2 and out is not None:
        raise UsageError("--out writes the page of one model: leave it out, or one of the models.")
    check_page(out)
    from birnn.metrics.resampling import check_level
    from birnn.runtime import Predictor

    if level:
        check_level(level)
    loaded = [Predictor.load(model) for model in models]
    for name, each in zip(models, loaded, strict=True):
        if each.spec.precision != "float32":
            print_notice(f"{name}: in {each.spec.precision}")
    how = {
        "search": search_of(loaded[0].spec.head, beam, longest),
        # A terminal shows the worst of them.
        "errors": errors is not None or not (as_json or len(models) == 2),
        "tell": print_notice,
        **reading.model_dump(exclude_unset=True),
    }
    spread = {"level": level, "seed": seed} if level else None
    if len(loaded) == 2:
        return _two(loaded, models, data, how, spread, errors, as_json=as_json)
    return _one(loaded[0], models[0], data, how, spread, errors, out, as_json=as_json)


def _one(
    model: Predictor,
    name: str,
    data: str,
    how: dict[str, Any],
    spread: dict[str, Any] | None,
    errors: Path | None,
    out: Path | None,
    *,
    as_json: bool,
) -> int:
    from birnn.cli.printing import print_tables
    from birnn.studies import answer_tables, evaluation
    from birnn.studies.answers import answers

    with naming_file(data):
        found = answers(model, data, **how)
    scores, shown = found.scores, {}
    if spread is not None:
        shown = {"intervals": found.intervals(**spread), "level": spread["level"]}
    tell_unknown_labels(scores, "the model")
    if errors is not None:
        _write_errors(errors, data, ((name, error) for error in found.errors), paired=False)
    if as_json:
        told = scores | {"model_precision": model.spec.precision}
        print_json(told | ({} if spread is None else {"intervals": _record(shown, spread)}))
    else:
        print_tables(evaluation.tables(scores, title=data, **shown), as_markdown=False)
        print_tables(answer_tables.confusion_tables(scores), as_markdown=False)
        if worst := found.worst(answer_tables.WORST):
            many = f"the worst {len(worst)} of {len(found.errors):,} errors; --errors F writes all"
            print_tables([answer_tables.error_table(worst, title=many)], as_markdown=False)
    if out is not None:
        evaluation.write(out, scores, model=name, data=data, **shown)
        print_notice(f"report: {out}")
    return 0


def _two(
    models: list[Predictor],
    names: list[str],
    data: str,
    how: dict[str, Any],
    spread: dict[str, Any] | None,
    errors: Path | None,
    *,
    as_json: bool,
) -> int:
    from birnn.cli.printing import print_tables, print_text
    from birnn.studies import answer_tables
    from birnn.studies.answers import paired

    first, second = names
    with naming_file(data):
        found = paired(models[0], models[1], data, **how)
    for name, each in zip(names, (found.first, found.second), strict=True):
        tell_unknown_labels(each.scores, name)
    ends = {} if spread is None else found.intervals(**spread)
    verdict = found.test.verdict(first, second)
    if errors is not None:
        apart = ((names[number], error) for number, error in found.apart())
        _write_errors(errors, data, apart, paired=True)
    if as_json:
        told = {
            "models": names,
            "model_precisions": [model.spec.precision for model in models],
            "scores": [found.first.scores, found.second.scores],
            "differences": found.differences(),
            "test": {
                "name": found.test.name,
                "questions": found.questions,
                **found.test.to_dict("first", "second"),
                "significant": found.test.significant,
                "verdict": verdict,
            },
        }
        if spread is not None:
            told["intervals"] = _record({"intervals": ends}, spread)
        print_json(told)
        return 0
    level = 0.0 if spread is None else spread["level"]
    tables = answer_tables.paired_tables(
        found, (first, second), title=data, intervals=ends, level=level
    )
    print_tables(tables, as_markdown=False)
    test = found.test.name
    print_text(f"{test[0].upper()}{test[1:]}: {verdict}", as_markdown=False)
    return 0


def _record(shown: dict[str, Any], spread: dict[str, Any]) -> dict[str, Any]:
    """Intervals as JSON has them, with how they were drawn."""
    from birnn.metrics.resampling import RESAMPLES

    return {**spread, "resamples": RESAMPLES, **shown["intervals"]}


def _write_errors(
    path: Path, data: str, errors: Iterable[tuple[str, AnswerError]], *, paired: bool
) -> None:
    from birnn.studies.answer_tables import write_errors

    with open_output(path, reading=data, option="--errors") as stream:
        count = write_errors(errors, stream, table=ERRORS[path.suffix], paired=paired)
    print_notice(f"{count:,} errors: {path}")
