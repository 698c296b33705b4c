from __future__ import annotations

import gzip
import io
import os
import sys

import pytest

from birnn.data.source import Source
from birnn.errors import FormatError


def test_gzip_and_plain_give_the_same_lines(write):
    text = "\ufeffone\r\ntwo\n\nthrée"
    plain = write("a.txt", text)
    packed = write("a.txt.gz", gzip.compress(text.encode()))
    expected = ["one", "two", "", "thrée"]
    assert list(Source.from_path(plain).lines()) == expected
    assert list(Source.from_path(packed).lines()) == expected
    assert Source.from_path(packed).content() == plain.read_bytes()


def test_only_newlines_end_lines():
    # str.splitlines would cut at each of these
    text = "a\u2028b\x0bc\x85d\n"
    assert list(Source.from_text(text).lines()) == [text[:-1]]


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("ä\nb\n".encode())))
    source = Source.from_path("-")
    assert list(source.lines()) == ["ä", "b"]
    assert not sys.stdin.buffer.closed
    assert source.where(3) == "standard input:3"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.conll", b"", "empty"),
        ("latin.conll", b"ok\nok\ncaf\xe9\n", ":3: not UTF-8: byte 0xe9 at byte 4"),
        ("plain.gz", b"not packed", "not gzip"),
        ("cut.gz", gzip.compress(os.urandom(4000))[:2000], "ends early"),
        ("flipped.gz", gzip.compress(b"a\n" * 9)[:-8] + bytes(8), "not gzip, or damaged"),
    ],
    ids=["empty", "latin", "plain", "cut", "flipped"],  # the bytes hold the time of day
)
def test_faults_name_the_file(write, name, content, says):
    path = write(name, content)
    with pytest.raises(FormatError, match="^" + str(path)) as caught:
        list(Source.from_path(path).lines())
    assert says in str(caught.value)


def test_missing_and_directory(tmp_path):
    with pytest.raises(FormatError, match="no such file"):
        Source.from_path(tmp_path / "nowhere.tsv")
    with pytest.raises(FormatError, match="is a directory"):
        Source.from_path(tmp_path)


def test_unreadable(write, monkeypatch):
    path = write("a.tsv", "x")
    # permissions do not bind the superuser, under whom tests may run
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(FormatError, match="may not be read"):
        Source.from_path(path)


def test_an_error_of_the_disk_is_named():
    def fails():
        raise OSError(5, "Input/output error")

    with pytest.raises(FormatError, match="disk: cannot be read: Input/output error"):
        Source("disk", fails).content()
