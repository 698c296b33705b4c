"""The error tree against its drawing, and the two doors beside it."""

from __future__ import annotations

import ast
import inspect
import json
import re
import subprocess
import sys
import unicodedata

import pytest

from birnn import errors
from birnn.errors import BirnnError, DirectionError, MissingExtra, escaped, nearest, require

CONTROL = {"Cc", "Cs", "Zl", "Zp"}
DIRECTING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def drawn():
    """Name of each error, its parent and its exit status, as the docstring draws them."""
    status, parents, found = 1, [], {}
    for line in errors.__doc__.split("```")[1].strip().splitlines():
        match = re.match(r"^([│├└─ ]*)(\w+)", line)
        depth = len(match[1]) // 4
        parents = [*parents[:depth], match[2]]
        stated = re.search(r"\(exit status (\d+)\)", line)
        if depth <= 1:
            status = int(stated[1]) if stated else 1
        found[match[2]] = (parents[-2] if depth else "Exception", status)
    return found


def test_the_tree_is_the_one_that_is_drawn():
    classes = {
        name: value
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, BaseException)
    }
    built = {
        name: (value.__bases__[0].__name__, value.exit_status) for name, value in classes.items()
    }
    assert built == drawn()


@pytest.mark.parametrize("name", sorted(drawn()))
def test_every_error_says_itself_in_one_line(name):
    error = getattr(errors, name)("lengths[3] is 9, x has 7 steps")
    assert isinstance(error, BirnnError)
    assert str(error) == "lengths[3] is 9, x has 7 steps"


def test_nothing_that_steers_a_terminal_or_breaks_a_line_is_left():
    every = [chr(point) for point in range(sys.maxunicode + 1)]
    steering = [c for c in every if unicodedata.category(c) in CONTROL]
    steering += [c for c in every if unicodedata.bidirectional(c) in DIRECTING]
    assert len(steering) > 2000
    for c in steering:
        shown = escaped(f"a{c}b")
        assert shown.isascii()
        assert shown.isprintable()
        # Nothing is lost: Python reads the same out of it.
        assert ast.literal_eval(f"'{shown}'") == f"a{c}b"
        document = escaped(json.dumps([f"a{c}b"], ensure_ascii=False), as_json=True)
        assert document.isascii()
        assert document.isprintable()
        assert json.loads(document) == [f"a{c}b"]


@pytest.mark.parametrize(
    "text",
    [
        "naïve",
        "\u092e\u0947\u0902",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "\U0001f469\u200d\U0001f467",
        "\u65e5\u3000\u8a9e",
        "back\\slash",
    ],
)
def test_what_languages_and_emoji_need_stays(text):
    assert escaped(text) == text


@pytest.mark.parametrize("name", sorted(drawn()))
def test_an_error_escapes_what_names_bring_along(name):
    error = getattr(errors, name)("label '\x1b]0;owned\x07\u202e': 1\n2")
    assert str(error) == "label '\\x1b]0;owned\\x07\\u202e': 1\\n2"


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("UsageError", ValueError),
        ("DataError", ValueError),
        ("DirectionError", ValueError),
        ("MissingExtra", ImportError),
        ("OutputError", OSError),
        ("EngineError", RuntimeError),
    ],
)
def test_errors_are_also_the_builtin_that_callers_expect(name, builtin):
    assert issubclass(getattr(errors, name), builtin)


def test_a_direction_error_says_what_why_and_what_instead():
    error = DirectionError.of("streaming", instead="one half", unread="are the answer")
    assert isinstance(error, DirectionError)
    asked, why, instead = str(error).replace(": ", ". ").split(". ")
    assert asked.startswith("streaming needs one direction")
    assert why.startswith("the backward half")
    assert why.endswith("steps t+1 to the last, which are the answer")
    assert instead == "Use one half."


def test_require_gives_the_module():
    assert require("json.decoder", extra="train") is sys.modules["json.decoder"]


def test_require_names_the_extra():
    with pytest.raises(
        MissingExtra, match=r"this needs nowhere\.deep: pip install 'birnn\[plots\]'"
    ):
        require("nowhere.deep", extra="plots")


def test_require_does_not_hide_what_an_installed_module_lacks(tmp_path, monkeypatch):
    # "birnn[train]" would be the wrong remedy: the module is there, something below it is not.
    (tmp_path / "halfway_there.py").write_text("import something_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="something_that_is_not_there") as caught:
        require("halfway_there", extra="train")
    assert not isinstance(caught.value, MissingExtra)


def test_require_passes_on_what_a_module_says_it_needs(tmp_path, monkeypatch):
    # As jax does where there is no jaxlib.
    (tmp_path / "half_there.py").write_text("raise ModuleNotFoundError('half needs halflib.')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtra, match=r"^half needs halflib: pip install 'birnn\[jax\]'$"):
        require("half_there", extra="jax")


def test_nearest_names_the_closest_spelling_or_all():
    assert nearest("hiden", ["hidden", "cell"]) == "did you mean hidden?"
    assert nearest("q", {"b", "a"}) == "known: a, b"


ROOMS = """
import importlib, pkgutil, sys
sys.modules |= dict.fromkeys(sys.argv[1:])
import birnn
from birnn.errors import MissingExtra
told = []
for room in pkgutil.walk_packages(birnn.__path__, "birnn.", onerror=lambda name: None):
    if room.ispkg:
        try:
            importlib.import_module(room.name)
        except MissingExtra as error:
            told.append(f"{room.name}: {error}")
for name in ("accelerate", "decelerate"):
    try:
        getattr(birnn, name)
    except MissingExtra as error:
        told.append(f"birnn.{name}: {error}")
print(*told, sep="\\n")
"""


def test_without_any_extra_each_room_is_there_or_says_what_to_install() -> None:
    extras = ("torch", "lightning", "jax", "flax", "keras", "h5py", "onnx", "onnxruntime")
    extras += ("matplotlib", "sklearn", "spacy", "fastapi", "uvicorn", "huggingface_hub")
    done = subprocess.run(
        [sys.executable, "-c", ROOMS, *extras],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    train = "this needs torch: pip install 'birnn[train]'"
    rooms = ("nn", "models", "explain", "demos", "studies.compare", "accelerate", "decelerate")
    assert {name: told[f"birnn.{name}"] for name in rooms} == dict.fromkeys(rooms, train)
    assert told["birnn.estimators"] == "this needs sklearn: pip install 'birnn[sklearn]'"
    assert told["birnn.spacy"] == "this needs spacy: pip install 'birnn[spacy]'"
    assert told["birnn.serving"] == "this needs fastapi: pip install 'birnn[serve]'"
    assert told["birnn.jax"] == "this needs jax: pip install 'birnn[jax]'"
    assert not {"birnn.runtime", "birnn.export", "birnn.importing", "birnn.engine"} & set(told)
