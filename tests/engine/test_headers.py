"""The headers of native/, each read alone, as an editor does it."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

NATIVE = Path(__file__).parents[2] / "native"
HEADERS = sorted(NATIVE.glob("*.h"))
COMPILER = shutil.which(os.environ.get("CXX") or "c++")
FLAGS = {"generic": [], "avx2": ["-march=x86-64-v3"], "avx512": ["-march=x86-64-v4"]}

pytestmark = pytest.mark.skipif(COMPILER is None, reason="there is no C++ compiler")


def is_kernel(header: Path) -> bool:
    return header.name == "isa.h" or '#include "isa.h"' in header.read_text()


KERNELS = [header for header in HEADERS if is_kernel(header)]
OTHERS = [header for header in HEADERS if not is_kernel(header)]


def compile_alone(header: Path, *flags: str) -> str:
    """What the compiler says of a file that includes this header and nothing else."""
    command = [COMPILER, "-std=c++17", "-fsyntax-only", "-Wall", "-Wextra", "-Wno-unused-function"]
    command += ["-fvisibility=hidden", *flags, "-include", str(header), "-x", "c++", os.devnull]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr


@pytest.mark.parametrize("isa", FLAGS)
@pytest.mark.parametrize("header", KERNELS, ids=lambda header: header.name)
def test_a_kernel_s_header_compiles_alone_for_each_instruction_set(header, isa):
    if isa != "generic" and platform.machine() not in {"x86_64", "AMD64"}:
        pytest.skip("the processor is of another kind")
    assert compile_alone(header, *FLAGS[isa]) == ""


@pytest.mark.parametrize("header", OTHERS, ids=lambda header: header.name)
def test_a_header_compiles_alone(header):
    text, flags = header.read_text(), []
    if "<nanobind/" in text or '"array_view.h"' in text:
        nanobind = importlib.util.find_spec("nanobind")
        flags = ["-isystem", needed(nanobind and Path(nanobind.origin).parent / "include")]
    if flags or "<Python.h>" in text or '"parallel.h"' in text:
        python = Path(sysconfig.get_path("include"))
        flags += ["-isystem", needed(python if (python / "Python.h").is_file() else None)]
    assert compile_alone(header, *flags) == ""


def needed(folder: Path | None) -> str:
    """A folder of headers that CI has; elsewhere the test does without where it is not there."""
    if folder is None and "CI" not in os.environ:
        pytest.skip("headers of Python or nanobind are not here: pip install -e '.[dev]'")
    assert folder is not None
    return str(folder)


def test_kernels_include_no_header_of_the_c_plus_plus_library():
    # Its templates would be shared between instruction sets by the linker: native/isa.h.
    allowed = {"#include <stddef.h>", "#include <stdint.h>"}
    for header in [*KERNELS, NATIVE / "kernels.h", NATIVE / "barrier.h"]:
        lines = header.read_text().splitlines()
        assert {line for line in lines if line.startswith("#include <")} <= allowed, header.name
