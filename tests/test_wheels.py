"""What wheels are built from: settings that the build reads, and no processor of the builder."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

import wheels

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def test_every_python_has_a_wheel_and_later_ones_share_one() -> None:
    project, tool = SETTINGS["project"], SETTINGS["tool"]
    oldest = re.fullmatch(r">=3\.(\d+)", project["requires-python"])
    shared = re.fullmatch(r"cp3(\d+)", tool["scikit-build"]["wheel"]["py-api"])
    assert oldest
    assert shared
    own = range(int(oldest[1]), int(shared[1]) + 1)
    assert tool["cibuildwheel"]["build"] == [f"cp3{minor}-*" for minor in own]


def test_the_build_is_for_every_processor() -> None:
    text = (ROOT / "CMakeLists.txt").read_text("utf-8")
    assert "native" not in re.findall(r"-m(?:arch|tune|cpu)=([\w-]+)", text)
    # Flags of a processor stand at the files of one instruction set alone, or in a variable or a
    # function that sets them there.
    flagged = {"avx512_flags", "ARGN"}
    seen = set()
    for command, arguments in re.findall(r"^ *(\w+)\(([^()]*)\)", text, re.MULTILINE):
        words = arguments.replace('"', " ").split()
        if "-march=" in arguments or flagged & set(re.findall(r"\w+", arguments)):
            seen.add(command)
            known = {
                "set": words[0] == "avx512_flags",
                "foreach": words == ["flag", "IN", "LISTS", "ARGN"],
                "add_low_precision": re.fullmatch(r"\w+", words[0]),
                "set_source_files_properties": re.fullmatch(
                    r"native/isa_(avx2|avx512|\$\{name\})\.cpp", words[0]
                ),
            }
            assert known[command], (command, words[0])
    assert len(seen) == 4


def test_the_workflow_builds_on_each_system() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/wheels.yml").read_text("utf-8"))
    systems = workflow["jobs"]["wheel"]["strategy"]["matrix"]["system"]
    assert {name.partition("-")[0] for name in systems} == {"ubuntu", "macos", "windows"}
    assert workflow["jobs"]["publish"]["permissions"] == {"id-token": "write"}
    assert set(workflow["jobs"]["publish"]["needs"]) == set(workflow["jobs"]) - {"publish"}


def test_the_tests_of_a_wheel_are_some_of_each_room() -> None:
    chosen = wheels.chosen()
    assert {path.split("/")[1] for path in chosen} == set(wheels.ROOMS)
    for path in chosen:
        assert "import torch" not in (ROOT / path).read_text("utf-8")
