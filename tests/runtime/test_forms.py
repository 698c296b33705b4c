"""The table of written forms: bounded, least recently used out first, every form computed once."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from birnn.runtime import forms as module
from birnn.runtime.forms import FormTable


class Counting:
    """The row of a form is its length and its first character; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, forms: list[str]) -> np.ndarray:
        self.asked += forms
        return np.array([[len(form), ord(form[0])] for form in forms], np.float32)


def test_a_form_is_computed_once() -> None:
    compute = Counting()
    table = FormTable(compute, 2, capacity=10)
    table.rows(["the", "bank"])
    table.rows(["bank", "river", "the"])
    assert compute.asked == ["the", "bank", "river"]


def test_the_least_recently_used_goes_first() -> None:
    compute = Counting()
    table = FormTable(compute, 2, capacity=2)
    for form in ("a", "b", "a", "c", "a", "b"):
        table.rows([form])
    assert compute.asked == ["a", "b", "c", "b"]
    assert len(table) == 2


@given(
    st.integers(1, 6),
    st.lists(st.lists(st.sampled_from("abcdefghij"), unique=True, max_size=10), max_size=12),
)
def test_rows_are_right_whatever_was_asked_before(capacity: int, calls: list[list[str]]) -> None:
    table = FormTable(Counting(), 2, capacity=capacity)
    for forms in calls:
        rows = table.rows(forms)
        assert rows.shape == (len(forms), 2)
        np.testing.assert_array_equal(rows, Counting()(forms) if forms else rows)
        assert len(table) <= capacity


def test_many_new_forms_come_in_chunks(monkeypatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 3)
    compute = Counting()
    forms = [f"w{i}" for i in range(11)]
    np.testing.assert_array_equal(FormTable(compute, 2, capacity=4).rows(forms), compute(forms))
