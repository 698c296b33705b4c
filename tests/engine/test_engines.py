"""The engines among themselves: how far apart they are, and what their object files hold."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.engine import isa
from birnn.engine.linear import Linear

COMPILED = [name for name in isa.available() if name != isa.REFERENCE]

# Units in the last place of each answer's largest element, or of 1: rows and gradients given are of
# order 1, and what is smaller is a difference of such, or has been cut off by a slope 1 - h**2
# that has no more digits. AVX2 and AVX-512 add up the same fused products in the same order, so
# their bits are equal. The generic engine rounds every product; over 60 layers of up to 256 inputs
# and hidden units and 60 steps that made 57 at most, in the weights' gradients of the tanh cell.
# The layers here are smaller.
ULPS = {("avx2", "avx512"): 0, ("avx2", "generic"): 64, ("avx512", "generic"): 64}
PAIRS = [pair for pair in itertools.combinations(sorted(COMPILED), 2) if pair in ULPS]

OBJECTS = sorted(
    Path(__file__).parents[2].glob("build/*/CMakeFiles/_native.dir/native/isa_*.cpp.o")
)
# The engines that measure a peak of float32 by it; a processor of any kind may have none.
FUSING = [path for path in OBJECTS if path.name in ("isa_avx2.cpp.o", "isa_avx512.cpp.o")]


NEEDS_OBJDUMP = pytest.mark.skipif(
    not OBJECTS or shutil.which("objdump") is None,
    reason="the objects of an editable install are not under build/, or there is no objdump",
)


@pytest.fixture(scope="module")
def on_each():
    """``on_each(names, run)``: what ``run()`` gives on each of these engines."""

    def run_on_each(names, run):
        answers = []
        for name in names:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv(isa.FORCE, name)
                assert isa.active().name == name
                answers.append(run())
                assert isa.native_module().engine() == name
        return answers

    return run_on_each


def test_every_pair_of_engines_has_its_bound():
    assert len(PAIRS) == len(COMPILED) * (len(COMPILED) - 1) // 2


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
@given(data=st.data(), keep=st.sampled_from(["gates", "states", "everything"]))
def test_engines_agree_on_a_layer(on_each, layers, pair, data, keep):
    lengths = st.lists(st.integers(0, 20), max_size=12)
    size = data.draw(st.tuples(st.integers(1, 64), st.integers(1, 64)))
    layer = data.draw(layers(lengths=lengths, inputs=size[0], hidden=size[1]))
    one, other = on_each(pair, lambda: layer.run(keep=keep))
    assert one.keys() == other.keys()
    for name, part in one.items():
        assert ulps(part, other[name]) <= ULPS[pair], name


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
@given(data=st.data())
def test_engines_agree_on_a_linear_layer(on_each, pair, data):
    rows, inputs, outputs = (data.draw(st.integers(1, 70)) for _ in range(3))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    dtype = data.draw(st.sampled_from(["float32", "float64"]))
    x, weight = (rng.standard_normal(s).astype(dtype) for s in ((rows, inputs), (outputs, inputs)))
    one, other = on_each(pair, lambda: Linear(weight)(x))
    assert ulps(one, other) <= ULPS[pair]


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
@given(data=st.data(), dtype=st.sampled_from(["float32", "float64"]))
def test_engines_agree_over_the_whole_range_of_the_cells_functions(
    on_each, draw_layer, pair, data, dtype
):
    # One step from zeros of a cell whose weights pass its input on: the functions alone.
    cell = data.draw(st.sampled_from(["rnn_tanh", "lstm", "gru"]))
    layer = draw_layer(cell, [1], inputs=1, hidden=16, directions=1, dtype=dtype, initial=False)
    exponent = data.draw(st.floats(-40, 40))
    layer.x[:] = data.draw(st.sampled_from([1, -1])) * 2.0**exponent
    one, other = on_each(pair, layer.run)
    for name in ("output", "h_n"):
        assert ulps(one[name], other[name]) <= min(ULPS[pair], 4), name


@pytest.mark.skipif(
    not OBJECTS or shutil.which("nm") is None,
    reason="the objects of an editable install are not under build/, or there is no nm",
)
@pytest.mark.parametrize("path", OBJECTS, ids=lambda path: path.name)
def test_an_engine_s_object_shares_nothing_with_the_linker(path):
    # A function that two objects define is linked once, compiled for whichever processor: on
    # another it is an illegal instruction. Weak, unique and common symbols are of that kind.
    listed = subprocess.run(["nm", str(path)], capture_output=True, text=True, check=True).stdout
    symbols = re.findall(r"^[0-9a-f ]+ (\w) (\S+)$", listed, re.MULTILINE)
    name = re.fullmatch(r"isa_(\w+)\.cpp\.o", path.name).group(1)
    defined = [symbol for kind, symbol in symbols if kind.isupper() and kind != "U"]
    assert defined in ([f"birnn_engine_{name}"], [f"birnn_low_{name}"])
    assert not [symbol for kind, symbol in symbols if kind in "VvWwuCi"]
    # What is asked of others are C functions, no C++ library that came in with a header.
    assert not [symbol for kind, symbol in symbols if kind == "U" and symbol.startswith("_Z")]


# Instructions for low precision, and the levels whose kernels run them.
INSTRUCTIONS = {
    "ldtilecfg tilerelease tilezero tileloadd tilestored tdpbusd tdpbf16ps": {"amx"},
    "vpdpbusd": {"amx", "amx_emulated", "avx512_vnni", "avx2_vnni"},
    "vdpbf16ps": {"avx512_bf16"},
}
LIKE_THESE = re.compile(r"(ld|st)tilecfg|tile\w+|tdp\w+|vpdp\w+|vdpb\w+")


@NEEDS_OBJDUMP
@pytest.mark.parametrize("path", OBJECTS, ids=lambda path: path.name)
def test_instructions_are_in_the_kernels_of_their_level_and_nowhere_else(path):
    command = ["objdump", "--disassemble", "--no-show-raw-insn", str(path)]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    used = set(re.findall(r"^ *[0-9a-f]+:\t(?:\{\w+\} )?(\w+)", listed, re.MULTILINE))
    level = path.name.removeprefix("isa_").removesuffix(".cpp.o")
    expected = {
        name for names, levels in INSTRUCTIONS.items() if level in levels for name in names.split()
    }
    assert {name for name in used if LIKE_THESE.fullmatch(name)} == expected
    assert ("%zmm" in listed) == (level not in ("generic", "avx2", "avx2_vnni"))
    assert ("%ymm" in listed) == (level != "generic")


@NEEDS_OBJDUMP
@pytest.mark.parametrize("path", FUSING, ids=lambda path: path.name)
def test_the_measure_of_the_peak_does_all_that_it_counts(path):
    # A compiler that found one of its twelve chains to be constant left it out, and the peak was a
    # twelfth too high.
    command = ["objdump", "--disassemble", "--demangle", str(path)]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    measures = [
        part
        for part in listed.split("\n\n")
        if re.match(r".*<double .*::peak_operations<(float|double)>", part)
    ]
    assert len(measures) == 2
    for measure in measures:
        fused = len(re.findall(r"\bvfn?madd\w+p[sd]\b", measure))
        assert fused
        assert fused % 12 == 0


def ulps(one, other):
    """How far apart two arrays are, in units in the last place of the largest element or of 1."""
    largest = np.maximum(np.abs(one).max(initial=1.0), np.abs(other).max(initial=1.0))
    apart = np.abs(one.astype(np.float64) - other.astype(np.float64)).max(initial=0.0)
    return float(apart / np.spacing(largest.astype(one.dtype)))
