"""Tables of answers for a terminal: what is counted is shown, in 80 columns."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest

from birnn.cli.printing import print_table, print_tables
from birnn.metrics import TagScorer
from birnn.studies.answer_tables import confusion_tables, error_table, write_errors
from birnn.tasks.errors import AnswerError


def shown(capsys: pytest.CaptureFixture[str], *tables: Any) -> list[str]:
    print_tables(tables, as_markdown=False)
    lines = capsys.readouterr().out.splitlines()
    return [line.rstrip() for line in lines if line.strip()]


def test_the_matrix_counts_every_answer_once() -> None:
    draw = np.random.default_rng(0)
    for size in (2, 8, 9, 40):
        labels = [f"label {n}" for n in range(size)]
        gold, said = (draw.choice(labels, 500).tolist() for _ in range(2))
        scorer = TagScorer(labels)
        scorer.update(gold, said)
        [matrix, pairs] = confusion_tables(scorer.result())
        counts = [[int(cell or 0) for cell in row[1:]] for row in matrix.rows]
        assert len(counts) == len(counts[0]) == min(size, 8)
        within = 500 - sum(map(sum, counts))
        assert (within > 0) == (size > 8)  # wrong answers of one folded label for another
        told = {(g, s): gold_said for g, s, gold_said, _ in pairs.rows}
        for (g, s), times in told.items():
            together = zip(gold, said, strict=True)
            assert int(times) == sum(pair == (g, s) for pair in together)


def test_many_long_labels_fit_eighty_columns(capsys: pytest.CaptureFixture[str]) -> None:
    labels = [f"a-very-long-name-of-a-label-{n}" for n in range(60)]
    scorer = TagScorer(labels)
    scorer.update(labels * 2000, (labels[1:] + labels[:1]) * 2000)
    lines = shown(capsys, *confusion_tables(scorer.result()))
    assert max(map(len, lines)) <= 80
    # Told apart by their ends.
    assert any("…label-1 " in f"{line} " for line in lines)


@pytest.mark.parametrize("labels", [["1", "0"], [f"B-Chemical-{n}" for n in range(8)]])
def test_columns_are_headed_by_labels_where_these_fit(
    capsys: pytest.CaptureFixture[str], labels: list[str]
) -> None:
    scorer = TagScorer(labels)
    scorer.update(labels * 9, (labels[1:] + labels[:1]) * 9)
    [matrix, _] = confusion_tables(scorer.result())
    header, *rows = shown(capsys, matrix)[1:]
    fits = len(labels) == 2
    # Columns that are numbers beside labels that are numbers would be read as these.
    wanted = sorted(labels) if fits else [str(n) for n in range(1, 9)]
    assert header.split() == ["correct", *wanted]
    assert [row[0] for row in matrix.rows] == [
        label if fits else f"{n} {label}" for n, label in enumerate(sorted(labels), 1)
    ]
    assert rows


def test_headers_of_numbers_have_words_side_by_side_where_they_fit(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table("", ["what", "of the correct label"], [["a", "100.0 %"]])
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines[:3] == [["of", "the"], ["correct"], ["what", "label"]]
    print_table("", ["what", "left-to-right/"], [["a", "1.0"]])
    assert "what   left-to-right/" in capsys.readouterr().out


def test_an_error_shows_the_type_of_a_span_and_whole_cells_where_there_is_room(
    capsys: pytest.CaptureFixture[str],
) -> None:
    missed = AnswerError(
        "a/bc5cdr-test.tsv:2945", "missed", "potassium chloride", "Creative-work: potassium "
        "chloride", "", ("of", "the"), ("ions",)
    )  # fmt: skip
    longer = AnswerError("f:3", "boundary", "the bank", "LOC: bank", "LOC: the bank", ("at",))
    rows = shown(capsys, error_table([missed, longer], title="errors"))[3:]
    assert "bc5cdr-test.tsv:2945" in rows[0]
    assert "[potassium chloride]" in rows[0]
    assert rows[0].split()[-2:] == ["Creative-work", "(none)"]
    assert rows[1].split()[-3:] == ["LOC:", "bank", "LOC"]
    assert all(len(row) <= 80 for row in rows)


@pytest.mark.parametrize(
    "error",
    [
        AnswerError("/a/folder/with/a/very-long-name.conllu:123456", "tag", "w" * 90, "A" * 50,
                    "B" * 50, ("before",) * 5, ("after",) * 5, 0.5, 0.25, 0.5),
        AnswerError("f:1", "label", "text " * 400, "good", "bad", probability=1.0),
        AnswerError("f:1", "values", "x", [1e-9, 123456789.0], [float("nan"), 2.0], size=3.0),
        AnswerError("f:1", "missed", "東京都", "LOC: 東京都", "", ("私は",) * 5, ("に住む",) * 5),
        AnswerError("f:1", "tag", "a\tb\x1b[31m", "N", "V", ("\n",), probability=0.5),
        AnswerError("", "tag", "", "N", "V", probability=0.5),
    ],
)  # fmt: skip
def test_an_error_takes_one_line_of_eighty_columns(
    capsys: pytest.CaptureFixture[str], error: AnswerError
) -> None:
    title, header, rule, *rows = shown(capsys, error_table([error], title="errors"))
    assert title == "errors"
    assert header.split()[:2] == ["where", "what"]
    assert len(rows) == 1, rows
    assert len(rows[0]) <= 80
    assert "\x1b" not in rows[0]
    assert rule


def test_the_token_itself_is_always_shown(capsys: pytest.CaptureFixture[str]) -> None:
    error = AnswerError("f:1", "tag", "bank", "N", "V", ("at", "the"), ("of", "rivers"))
    assert "at the [bank] of rivers" in "\n".join(
        shown(capsys, error_table([error], title="errors"))
    )


def test_files_of_errors_have_a_line_for_each_whatever_stands_in_them() -> None:
    odd = AnswerError("f:1", "tag", 'a\tb\n"c"\u2028', "N\r", "V", ("\x00",), ("\ud800",))
    for paired in (False, True):
        table, lines = io.StringIO(), io.StringIO()
        named = [("one", odd), ("two", odd)]
        assert write_errors(named, table, table=True, paired=paired) == 2
        assert write_errors(named, lines, table=False, paired=paired) == 2
        header, *rows = table.getvalue().splitlines()
        assert [len(row.split("\t")) for row in rows] == [len(header.split("\t"))] * 2
        records = [json.loads(line) for line in lines.getvalue().splitlines()]
        assert records[1] == ({"model": "two"} if paired else {}) | odd.record()
    empty = io.StringIO()
    assert write_errors([], empty, table=True, paired=False) == 0
    assert empty.getvalue().split() == AnswerError.columns()
