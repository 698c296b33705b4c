from __future__ import annotations

import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from birnn.data.vectors import read_vectors
from birnn.errors import FormatError

WORDS = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp"]), min_size=1, max_size=6
).filter(lambda word: not word.startswith("\ufeff"))


@st.composite
def tables(draw):
    """Words and vectors (words, D)."""
    words = draw(st.lists(WORDS, min_size=1, max_size=6, unique=True))
    dim = draw(st.integers(2, 4))
    finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
    return words, draw(hnp.arrays(np.float32, (len(words), dim), elements=finite))


@given(tables(), st.booleans(), st.booleans(), st.booleans(), st.data())
def test_what_is_written_is_read(tmp_path_factory, drawn, header, packed, trailing, data):
    words, values = drawn
    end = " \n" if trailing else "\n"
    lines = [f"{len(words)} {values.shape[1]}\n"] if header else []
    for word, row in zip(words, values.tolist(), strict=True):
        lines.append(" ".join([word, *map(str, row)]) + end)
    content = "".join(lines).encode()
    folder = tmp_path_factory.mktemp("vectors")
    path = folder / ("v.vec.gz" if packed else "v.vec")
    path.write_bytes(gzip.compress(content) if packed else content)
    wanted = set(data.draw(st.lists(st.sampled_from(words)))) | {"not there"}
    dim, vectors = read_vectors(path, wanted)
    assert dim == values.shape[1]
    assert set(vectors) == wanted & set(words)
    for word, vector in vectors.items():
        np.testing.assert_array_equal(vector, values[words.index(word)])
        assert vector.dtype == np.float32


def test_words_with_spaces_and_words_twice(write):
    path = write("glove.txt", "a 1 2\n. . . 3 4\na 5 6\nat x@y.z 7 8\n")
    _, vectors = read_vectors(path, {"a", ". . .", "at x@y.z"})
    found = {word: vector.tolist() for word, vector in vectors.items()}
    assert found == {"a": [1, 2], ". . .": [3, 4], "at x@y.z": [7, 8]}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a 1 2\nb 1\n", ":2: 1 values, the file has 2"),
        ("a 1 2\nb 1 2 3\n", ":2: 3 values, the file has 2"),
        ("2 3\na 1 2 3\nb 1 2\n", ":3: 2 values, the file has 3"),
        ("a 1 2\nb 1 x\n", ":2: 'x' is not a number"),
        ("a 1 2\nb 1 nan\n", ":2: the value nan is not finite"),
        ("a 1 2\nb 1e39 0\n", ":2: the value 1e39 is not finite"),
        ("3 2\na 1 2\nb 1 2\n", ":3: 2 vectors, the first line says 3"),
        ("a\n", ":1: a word without values"),
        ("\n", ": no vector in it"),
    ],
)
def test_faults(write, text, says):
    path = write("v.txt", text)
    with pytest.raises(FormatError) as caught:
        read_vectors(path, {"a", "b"})
    assert str(caught.value).startswith(f"{path}{says}")


def test_what_is_not_wanted_is_not_parsed(write):
    assert read_vectors(write("v.txt", "a 1 2\nb x y\n"), {"a"})[1].keys() == {"a"}
