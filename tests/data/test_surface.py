from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.bundle.spec import Surface
from birnn.data.surface import shape_of, traits

SURFACE = Surface(buckets=97, dim=2, prefixes=(1, 3), suffixes=(2, 4))


@given(st.lists(st.text(min_size=1, max_size=9), max_size=6))
def test_each_trait_has_its_own_rows(forms):
    rows = traits(forms, SURFACE)
    assert rows.shape == (len(forms), SURFACE.traits)
    for trait in range(SURFACE.traits):
        assert ((rows[:, trait] // SURFACE.buckets) == trait).all()
    for form, row in zip(forms, rows.tolist(), strict=True):
        assert traits([form], SURFACE).tolist() == [row]


def test_the_rule_of_the_rows():
    [row] = traits(["Überall"], SURFACE).tolist()
    values = ["ü", "übe", "ll", "rall", "Xxx"]
    assert row == [zlib.crc32(v.encode()) % 97 + 97 * k for k, v in enumerate(values)]


@given(st.text(min_size=1, max_size=3), st.text(min_size=1, max_size=3))
def test_a_short_word_is_its_own_prefix_and_suffix(one, other):
    wide = Surface(buckets=2**31, dim=1, prefixes=(9,), suffixes=(9,))
    first, second = traits([one, other], wide)
    assert (first[:2] == second[:2]).all() == (one.lower() == other.lower())


@pytest.mark.parametrize(
    ("form", "shape"),
    [
        ("USA", "XX"),
        ("iPhone", "xXxx"),
        ("3.14", "d.dd"),
        ("--", "--"),
        ("----", "--"),
        ("漢", "漢"),
    ],
)
def test_shapes(form, shape):
    assert shape_of(form) == shape
