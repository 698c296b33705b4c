"""``birnn push``, and addresses in the place of folders."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hub_server import IN_UPLOADS, Hub, standing_in

pytestmark = pytest.mark.filterwarnings(IN_UPLOADS)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with standing_in(tmp_path / "cache") as hub:
        yield hub


def test_an_address_stands_where_a_folder_does(
    hub: Hub, trained: Callable[[str], Path], files: Path, call: Callable[..., Any], tmp_path: Path
) -> None:
    folder = trained("tagger")
    pushed = call("push", folder, "ada/tagger", "--private", "--message", "First", "--json")
    [told] = pushed.objects
    assert told == {
        "address": f"hf://ada/tagger@{hub.repositories['ada/tagger'].branches['main']}",
        "url": f"{hub.endpoint}/ada/tagger",
        "private": True,
    }
    assert hub.repositories["ada/tagger"].messages[-1] == "First"
    address, data = told["address"], files / "dev.tsv"
    for command in (["predict", "--json"], ["evaluate", "--json"], ["explain", "--json"]):
        given = ["the dog barks" if command[0] == "explain" else data]
        ours = call(command[0], folder, *given, *command[1:])
        theirs = call(command[0], address, *given, *command[1:])
        assert theirs.status == ours.status == 0, theirs
        for mine, its in zip(ours.objects, theirs.objects, strict=True):
            timed = {"seconds", "tokens_per_second"}
            assert {k: v for k, v in its.items() if k not in timed} == {
                k: v for k, v in mine.items() if k not in timed
            }
    again = call("push", address, "ada/copy")
    assert again.out == f"hf://ada/copy@{hub.repositories['ada/copy'].branches['main']}\n"
    assert again.err == f"public: {hub.endpoint}/ada/copy\n"


def test_mistakes_get_one_line(hub: Hub, call: Callable[..., Any], tmp_path: Path) -> None:
    told = call("predict", "hf://ada/nothing", "-", stdin=b"a b\n")
    assert (told.status, told.complaint.startswith("birnn: hf://ada/nothing: is not on")) == (
        1,
        True,
    )
    assert call("predict", "hf://nothing", "-", stdin=b"a b\n").status == 2
    assert call("push", tmp_path / "nothing", "ada/tagger").complaint.endswith(
        "there is no such folder. Give a folder that `birnn train` wrote."
    )
    told = call("push", tmp_path, "a tagger")
    assert (told.status, "is no name of a model on the Hub" in told.complaint) == (2, True)
