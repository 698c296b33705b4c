"""How right a model is on labelled data: the scores as tables, and the page of `birnn evaluate`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from birnn import report
from birnn.metrics import ConfusionMatrix, confusion_matrix
from birnn.metrics.resampling import LEVEL
from birnn.report import figures
from birnn.report.parts import Part, Picture, Section, Table, Text, Tiles
from birnn.studies.turns import footer

HEADLINES = (
    *("perplexity", "accuracy", "accuracy_at_5", "f1", "precision", "recall", "macro_f1"),
    *("samples_f1", "exact_match"),
    *("rmse", "mae", "r2", "token_error_rate", "sequence_error_rate", "bleu", "chrf"),
)
CALLED = {"macro_f1": "macro F1", "samples_f1": "samples F1", "bleu": "BLEU", "chrf": "chrF"}
COUNTS = (
    *("gaps", "unknown_words", "substitutions", "insertions", "deletions", "reference_tokens"),
    *("sequences", "tokens", "empty_sequences", "references", "several_references"),
)
MOST_LABELS = 20
MOST_PAIRS = 10  # of labels taken for each other
SHOWN = 80  # characters of an answer or a label; in the scores themselves it is whole
NOTHING = "(none)"  # in the place of a symbol that is left out, or of one that none stands for


def tables(
    scores: Mapping[str, Any],
    *,
    title: str,
    intervals: Mapping[str, tuple[float, float]] | None = None,
    level: float = LEVEL,
) -> Iterator[Table]:
    """The scores of a model on a set: the headline first, then label by label or answer by answer.

    Args:
        scores: What `birnn.runtime.Predictor.evaluate` gives.
        title: Of the first table.
        intervals: Confidence intervals of scores by name, for a column of their own.
        level: Their level.

    Example:
        >>> scores = {"accuracy": 0.5, "sequences": 2, "tokens_per_second": 1000.0}
        >>> [table.rows for table in tables(scores, title="test")]
        [[('accuracy', '0.5000'), ('sequences', '2'), ('tokens/s', '1,000')]]
    """
    rows = [(measure_name(name, scores), f"{scores[name]:.4f}") for name in headlines(scores)]
    rows += [(name.replace("_", " "), f"{scores[name]:,}") for name in COUNTS if scores.get(name)]
    unknown = sum(scores.get("unknown_labels", {}).values())
    rows += [("of unknown labels", f"{unknown:,}")] if unknown else []
    rows.append(("tokens/s", f"{scores['tokens_per_second']:,.0f}"))
    if intervals:
        ends = [interval_text(intervals.get(name)) for name in headlines(scores)]
        ends += [""] * (len(rows) - len(ends))
        with_ends = [(*row, end) for row, end in zip(rows, ends, strict=True)]
        yield Table(("measure", "value", f"{100 * level:g} % interval"), with_ends, title)
    else:
        yield Table(("measure", "value"), rows, title)
    labels = scores.get("per_label", {})
    if labels:
        ordered = sorted(labels.items(), key=lambda item: -item[1]["support"])
        yield Table(
            ("label", "precision", "recall", "F1", "support"),
            [
                (
                    _shown(label),
                    *(f"{row[key]:.3f}" for key in ("precision", "recall", "f1")),
                    f"{row['support']:,}",
                )
                for label, row in ordered[:MOST_LABELS]
            ],
            "by label" if len(labels) <= MOST_LABELS else f"the {MOST_LABELS} commonest labels",
        )
    if worst := scores.get("worst"):
        yield Table(
            ("correct", "answer", "edits"),
            [(_shown(row["gold"]), _shown(row["predicted"]), row["edits"]) for row in worst],
            "answers of most errors",
        )


def headlines(scores: Mapping[str, Any]) -> list[str]:
    """The names of the scores that stand first, as far as there are such."""
    macro = f1_name(scores) == "macro F1"
    return [
        name
        for name in HEADLINES
        if scores.get(name) is not None and not (name == "macro_f1" and macro)
    ]


def measure_name(name: str, scores: Mapping[str, Any]) -> str:
    """A score as it is called in tables."""
    return f1_name(scores) if name == "f1" else CALLED.get(name, name.replace("_", " "))


def interval_text(ends: tuple[float, float] | None) -> str:
    """An interval as a cell of a table; nothing where there is none."""
    return "" if ends is None else f"{ends[0]:.4f} to {ends[1]:.4f}"


def named_confusion(scores: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """The confusion of scores, with a name for a symbol that is none."""
    return {
        gold or NOTHING: {said or NOTHING: count for said, count in row.items()}
        for gold, row in scores.get("confusion", {}).items()
    }


def confused_table(
    found: ConfusionMatrix, confusion: Mapping[str, Mapping[str, int]], what: str
) -> Table:
    """The pairs that were confused most often.

    Args:
        found: The matrix.
        confusion: What it is of.
        what: What is confused: label, symbol.
    """
    asked = {gold: sum(row.values()) for gold, row in confusion.items()}
    return Table(
        ("correct", "answer", "times", f"of the correct {what}"),
        [
            (_shown(gold), _shown(said), f"{count:,}", f"{100 * count / asked[gold]:.1f} %")
            for gold, said, count in found.confused[:MOST_PAIRS]
        ],
        f"the commonest of {len(found.confused):,} confusions"
        if len(found.confused) > MOST_PAIRS
        else "all confusions",
    )


def _shown(text: str) -> str:
    """An answer or a label as a table has it; of a long one the beginning and its length.

    Example:
        >>> _shown(""), _shown("K AE T"), len(_shown(1009 * "K ")), _shown(1009 * "K ")[-20:]
        ('(none)', 'K AE T', 99, '… (2,018 characters)')
    """
    if len(text) <= SHOWN:
        return text or NOTHING
    return f"{text[:SHOWN].rstrip()}… ({len(text):,} characters)"


def f1_name(scores: Mapping[str, Any]) -> str:
    """What the F1 of these scores is of: whole spans, all labels together, the mean over them."""
    return {"spans": "span F1", "micro": "micro F1"}.get(str(scores.get("f1_kind")), "macro F1")


def write(
    path: Path | str,
    scores: Mapping[str, Any],
    *,
    model: str,
    data: str,
    intervals: Mapping[str, tuple[float, float]] | None = None,
    level: float = LEVEL,
) -> Path:
    """Write the page of an evaluation.

    Args:
        path: Where.
        scores: What `birnn.runtime.Predictor.evaluate` gives.
        model: Name of the model.
        data: Name of the labelled data.
        intervals: Confidence intervals of scores by name.
        level: Their level.

    Raises:
        OutputError: The file cannot be written.
    """
    [reached, *others] = tables(scores, title=f"on {data}", intervals=intervals, level=level)
    sequences = "token_error_rate" in scores
    what = "symbols" if sequences else "labels"
    sections: dict[str, Sequence[Part]] = {
        "What it reached": [Tiles(list(_tiles(scores))), reached],
        "Where it errs most" if sequences else "Label by label": others,
        f"Which {what} are taken for which": list(_confusion(scores)),
    }
    return report.write(
        path,
        "How right the model is",
        [Section(heading, parts) for heading, parts in sections.items() if parts],
        lead=f"The model “{model}” was asked for {scores['sequences']:,} labelled sequences of "
        f"{data}, and its answers were held against theirs.",
        footer=footer(f"{scores['tokens']:,} steps answered in {scores['seconds']:.2f} s"),
    )


def _tiles(scores: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    if "perplexity" in scores:
        yield "perplexity of the words at gaps", f"{scores['perplexity']:.1f}", ""
        yield "the likeliest word is right", f"{100 * scores['accuracy']:.1f} %", ""
        yield "one of the likeliest five is", f"{100 * scores['accuracy_at_5']:.1f} %", ""
    elif "token_error_rate" in scores:
        yield "of symbols wrong: token error rate", f"{100 * scores['token_error_rate']:.1f} %", ""
        rate = scores["sequence_error_rate"]
        yield "of answers wrong: sequence error rate", f"{100 * rate:.1f} %", ""
    elif "accuracy" in scores:
        yield "accuracy", f"{100 * scores['accuracy']:.1f} %", ""
        yield f1_name(scores), f"{100 * scores['f1']:.1f} %", ""
    elif "exact_match" in scores:
        yield "micro F1", f"{100 * scores['f1']:.1f} %", ""
        yield "all labels of a sequence right", f"{100 * scores['exact_match']:.1f} %", ""
    else:
        yield "root mean squared error", f"{scores['rmse']:.4g}", ""
        yield "R²: share of the variation that is explained", f"{scores['r2']:.3f}", ""


def _confusion(scores: Mapping[str, Any]) -> Iterator[Part]:
    """The matrix, and the pairs of labels or symbols that were confused most often."""
    if not scores.get("confusion"):
        return
    sequences = "token_error_rate" in scores
    what = "symbol" if sequences else "label"
    confusion = named_confusion(scores)
    found = confusion_matrix(confusion)
    others = len(found.folded)
    caption = (
        f"Rows are the correct {what}s, columns the answers; a cell is inked by its share of the "
        "row."
    )
    if others:
        caption += (
            f" The {len(found.labels)} {what}s that are most often confused have a row of their "
            f"own, the last is of the {others} others together; {found.within:,} answers that "
            "confuse two of these are not in it."
        )
    if scores.get("f1_kind") == "spans":
        caption += " Single tags are counted here, whole spans in the F1."
    if sequences:
        caption += (
            " Symbols stand side by side as the fewest edits put them; the row "
            f"{NOTHING} holds those that are too many, the column {NOTHING} those left out."
        )
    yield Picture(
        figures.confusion_matrix(found.labels, found.counts, others=others, within=found.within),
        caption,
    )
    if not found.confused:
        yield Text("Not one answer is wrong.")
        return
    yield confused_table(found, confusion, what)
