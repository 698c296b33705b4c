"""The scores as tables and as a page: what was counted is what is shown."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pytest

from birnn.metrics import LabelScorer, LabelSetScorer, SequenceScorer, TagScorer, ValueScorer
from birnn.studies.evaluation import tables, write

RAN = {"sequences": 9, "tokens": 30, "seconds": 0.5, "tokens_per_second": 60.0}


def scores_of(scorer: Any, *pairs: tuple[Any, Any]) -> dict[str, Any]:
    for gold, said in pairs:
        scorer.update(gold, said)
    result: dict[str, Any] = scorer.result()
    return result | RAN


def visible(path: Path) -> str:
    text = re.sub(r"<style.*?</style>", "", path.read_text("utf-8"), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


def test_the_page_of_labels_shows_scores_matrix_and_confusions(tmp_path: Path) -> None:
    pairs = [("good", "good")] * 5 + [("bad", "good")] * 2 + [("<bad>", "bad"), ("bad", "bad")]
    scores = scores_of(LabelScorer(["good", "bad"]), *pairs)
    path = write(tmp_path / "page.html", scores, model="reviews", data="test.csv")
    text = visible(path)
    assert "The model “reviews” was asked for 9 labelled sequences of test.csv" in text
    assert f"{100 * 6 / 9:.1f} % accuracy" in text
    assert "correct answer times of the correct label bad good 2 66.7 % <bad> bad 1 100.0 %" in text
    assert "all confusions" in text
    assert path.read_text("utf-8").count("<svg") == 1
    [reached, by_label] = tables(scores, title="on test.csv")
    for row in (*reached.rows, *by_label.rows):
        assert all(str(cell) in text for cell in row)


def test_of_many_labels_the_rest_is_told(tmp_path: Path) -> None:
    names = [f"t{n:02}" for n in range(40)]
    said = [*names[1:30], names[0], *names[30:]]  # each of thirty is taken for the next
    scores = scores_of(TagScorer(names), (names, said), (names[30:32], names[31:33]))
    text = visible(write(tmp_path / "page.html", scores, model="m", data="d"))
    assert "The 19 labels that are most often confused have a row of their own" in text
    assert "the last is of the 21 others together" in text
    kept = {
        f"t{n:02}" for n in range(19)
    }  # all thirty two times, and t30 to t32: the first by name
    wrong = sum(
        g != s and g not in kept and s not in kept
        for g, s in [*zip(names, said, strict=True), ("t30", "t31"), ("t31", "t32")]
    )
    assert f"{wrong} answers that confuse two of these are not in it" in text
    assert "the commonest of 32 confusions" in text
    assert "Single tags are counted here" not in text


def test_of_spans_it_is_said_what_is_counted(tmp_path: Path) -> None:
    scores = scores_of(TagScorer(["O", "B-X"], "iob2"), (["B-X", "O"], ["B-X", "O"]))
    text = visible(write(tmp_path / "page.html", scores, model="m", data="d"))
    assert "100.0 % span F1" in text
    assert "Single tags are counted here, whole spans in the F1." in text
    assert "Not one answer is wrong." in text


def test_the_page_of_sets_of_labels_shows_micro_f1_and_whole_sets(tmp_path: Path) -> None:
    pairs = [(("x", "y"), ("x",)), ((), ()), (("y",), ("y",)), ((), ("z",))]
    scores = scores_of(LabelSetScorer(["x", "y", "z"]), *pairs)
    path = write(tmp_path / "page.html", scores, model="m", data="d")
    text = visible(path)
    assert f"{100 * 2 / 3:.1f} % micro F1" in text
    assert "50.0 % all labels of a sequence right" in text
    assert "samples F1 0.6667 exact match 0.5000" in text
    assert "y 1.000 0.500 0.667 2" in text
    assert "taken for which" not in text


def test_the_page_of_values_has_no_matrix(tmp_path: Path) -> None:
    scores = scores_of(ValueScorer(), ([1.0], [2.0]), ([3.0], [3.0]))
    path = write(tmp_path / "page.html", scores, model="m", data="d")
    text = visible(path)
    assert "0.7071 root mean squared error" in text
    assert "<svg" not in path.read_text("utf-8")
    assert "taken for which" not in text


def test_the_page_of_sequences_shows_rates_worst_answers_and_confusions(tmp_path: Path) -> None:
    pairs = [
        ([["K", "AE", "T"]], ["K", "T"]),
        ([["R", "EH", "D"], ["R", "IY", "D"]], ["R", "IY", "D"]),
        ([["D", "AO", "G"]], ["D", "AA", "G", "Z"]),
    ]
    scores = scores_of(SequenceScorer(), *pairs)
    path = write(tmp_path / "page.html", scores | {"bleu": 12.5}, model="m", data="d")
    text = visible(path)
    assert f"{100 * 3 / 9:.1f} % of symbols wrong: token error rate" in text
    assert f"{100 * 2 / 3:.1f} % of answers wrong: sequence error rate" in text
    assert "BLEU 12.5000" in text
    assert "substitutions 1 insertions 1 deletions 1 reference tokens 9" in text
    assert "several references 1" in text
    assert "answers of most errors" in text
    assert "D AO G D AA G Z 2 K AE T K T 1" in text
    assert "(none) Z 1 100.0 %" in text
    assert "AE (none) 1 100.0 %" in text
    assert path.read_text("utf-8").count("<svg") == 1


@pytest.mark.slow  # test_browser.py opens a page with the figure
def test_the_page_opens_on_a_phone(tmp_path: Path, opened: Any) -> None:
    names = [f"B-LABEL{n}" for n in range(30)]
    scores = scores_of(TagScorer(names), (names, [*names[1:], names[0]]), (names, names))
    path = write(tmp_path / "evaluation.html", scores, model="a/long/path" * 9, data="test.conllu")
    opened(path, width=390).check(figures=1)


def test_a_long_answer_is_cut_in_tables_and_whole_in_the_scores(tmp_path: Path) -> None:
    long, right = ["K"] * 1009, ["AE", "T" * 300]
    scores = scores_of(SequenceScorer(), ([right], long))
    text = visible(write(tmp_path / "page.html", scores, model="m", data="d"))
    for table in tables(scores, title="t"):
        for row in table.rows:
            assert all(len(str(cell)) < 120 for cell in row)
    assert "K K K… (2,017 characters)" in text
    assert "TTT… (303 characters)" in text
    assert "K " * 45 not in text
    assert scores["worst"][0] == {
        "gold": " ".join(right),
        "predicted": " ".join(long),
        "edits": 1009,
    }
