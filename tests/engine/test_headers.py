"""The headers of native/, each read alone, as an editor does it; and what parallel.h promises."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

NATIVE = Path(__file__).parents[2] / "native"
HEADERS = sorted(NATIVE.glob("*.h"))
COMPILER = shutil.which(os.environ.get("CXX") or "c++")
FLAGS = {
    "generic": [],
    "avx2": ["-march=x86-64-v3"],
    "avx512": ["-march=x86-64-v4"],
    "amx": ["-march=x86-64-v4", "-mavx512vnni", "-DBIRNN_TILES=1"],
    "amx_emulated": ["-march=x86-64-v4", "-mavx512vnni", "-DBIRNN_TILES=2"],
}

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


# Each for one instruction set; what includes all of them for each.
@pytest.mark.parametrize(
    ("header", "isa"),
    [
        *((header, "avx2") for header in KERNELS if not header.name.startswith("tile")),
        *((NATIVE / "kernel_table.h", isa) for isa in ("generic", "avx512")),
        *((NATIVE / "tile_product.h", isa) for isa in ("amx", "amx_emulated")),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_kernel_s_header_compiles_alone(header, isa):
    if isa != "generic" and platform.machine() not in {"x86_64", "AMD64"}:
        pytest.skip("the processor is of another kind")
    assert compile_alone(header, *FLAGS[isa]) == ""


@pytest.mark.parametrize("header", OTHERS, ids=lambda header: header.name)
def test_a_header_compiles_alone(header):
    text, flags = header.read_text(), []
    if any(name in text for name in ("<nanobind/", '"array_view.h"', '"array_checks.h"')):
        nanobind = importlib.util.find_spec("nanobind")
        flags = ["-isystem", needed(nanobind and Path(nanobind.origin).parent / "include")]
    if flags or "<Python.h>" in text or '"parallel.h"' in text:
        flags += ["-isystem", python_headers()]
    assert compile_alone(header, *flags) == ""


def python_headers() -> str:
    folder = Path(sysconfig.get_path("include"))
    return needed(folder if (folder / "Python.h").is_file() else None)


def needed(folder: Path | None) -> str:
    if folder is None:
        pytest.skip("headers of Python or nanobind are not here: pip install -e '.[dev]'")
    return str(folder)


def test_kernels_include_no_header_of_the_c_plus_plus_library():
    # Its templates would be shared between instruction sets by the linker: native/isa.h.
    allowed = {"#include <stddef.h>", "#include <stdint.h>"}
    for header in [*KERNELS, NATIVE / "kernels.h", NATIVE / "barrier.h"]:
        lines = header.read_text().splitlines()
        assert {line for line in lines if line.startswith("#include <")} <= allowed, header.name


RAISES = """
#include "parallel.h"

#include <stdexcept>

// Four tasks on two threads, one of which throws: what, how many others ran, who holds the lock.
static PyObject* run(PyObject*, PyObject*) {
  std::atomic<int> done{0};
  try {
    birnn::run_parallel({2, false}, 4, [&](std::int64_t index, int) {
      if (PyGILState_Check()) throw std::logic_error("a task holds the lock");
      if (index == 1) throw std::runtime_error("of task 1");
      ++done;
    });
  } catch (const std::exception& error) {
    birnn::stop_threads();
    return Py_BuildValue("(sii)", error.what(), done.load(), PyGILState_Check());
  }
  Py_RETURN_NONE;
}

static PyMethodDef methods[] = {{"run", run, METH_NOARGS, nullptr}, {nullptr, nullptr, 0, nullptr}};
static PyModuleDef module = {PyModuleDef_HEAD_INIT, "raises", nullptr, -1, methods};
PyMODINIT_FUNC PyInit_raises() { return PyModule_Create(&module); }
"""


@pytest.mark.skipif(sys.platform != "linux", reason="modules are linked in another way")
def test_what_a_task_throws_reaches_the_caller_with_the_lock(tmp_path):
    flags = ["-std=c++17", "-shared", "-fPIC", "-pthread", "-I", str(NATIVE)]
    flags += ["-isystem", python_headers()]
    (tmp_path / "raises.cpp").write_text(RAISES)
    sources = [tmp_path / "raises.cpp", NATIVE / "pool.cpp", NATIVE / "spin_wait.cpp"]
    command = [COMPILER, *flags, *map(str, sources), "-o", str(tmp_path / "raises.so"), "-ldl"]
    subprocess.run(command, check=True)
    program = "import raises; print(raises.run())"
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    # The other three ran to their end.
    assert ran.stdout.strip() == "('of task 1', 3, 1)"
