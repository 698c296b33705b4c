from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.inputs.forms import feature_ids, features_of, learn_features, shape_of

PREFIXES, SUFFIXES = (1, 3), (2, 4)
FORMS = st.lists(st.text("abAB1é", min_size=1, max_size=6), min_size=1, max_size=12, unique=True)


def test_the_features_of_a_form():
    named = features_of("Überall7", PREFIXES, SUFFIXES)
    assert named == ["p1=ü", "p3=übe", "s2=l0", "s4=all0", "shape=Xxxd"]


@given(st.text("abAB19é.", min_size=1, max_size=8))
def test_a_form_has_a_prefix_of_each_length_it_reaches(form):
    named = features_of(form, (1, 4, 9), (2, 9))
    plain = "".join("0" if c.isdigit() else c for c in form.lower())
    for name, length in zip(named[:3], (1, 4, 9), strict=True):
        assert name == ("" if len(plain) < length else f"p{length}={plain[:length]}")
    for name, length in zip(named[3:5], (2, 9), strict=True):
        assert name == ("" if len(plain) < length else f"s{length}={plain[-length:]}")


@given(FORMS, st.integers(1, 3))
def test_known_features_are_those_of_enough_forms(forms, min_count):
    known = learn_features(forms, PREFIXES, SUFFIXES, min_count=min_count)
    held = Counter(t for form in forms for t in set(features_of(form, PREFIXES, SUFFIXES)) if t)
    assert set(known.items) == {"<unk>"} | {t for t, count in held.items() if count >= min_count}


@given(FORMS, FORMS)
def test_the_number_of_a_feature_is_its_place(train, forms):
    known = learn_features(train, PREFIXES, SUFFIXES)
    rows = feature_ids(forms, PREFIXES, SUFFIXES, known)
    assert rows.shape == (len(forms), 5)
    for form, row in zip(forms, rows.tolist(), strict=True):
        for name, number in zip(features_of(form, PREFIXES, SUFFIXES), row, strict=True):
            assert known.items[number] == (name if name in known.items and name else "<unk>")


def test_no_form():
    known = learn_features(["ab", "ac"], PREFIXES, SUFFIXES)
    assert feature_ids([], PREFIXES, SUFFIXES, known).shape == (0, 5)


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
