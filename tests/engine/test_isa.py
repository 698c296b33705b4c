"""Which engine runs: visible, never lowered in silence."""

from __future__ import annotations

import importlib.util
import re
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest

from birnn.engine import isa
from birnn.engine.linear import Linear
from birnn.engine.packed_weights import pack
from birnn.engine.stack import run
from birnn.errors import EngineError
from birnn.ragged import Ragged
from birnn.reference import Stack, initialise

CPUINFO = Path("/proc/cpuinfo")
ABSENT = [
    "sse9",
    "Reference",
    *(name for name in isa.LEVELS if isa.why_not(name) is not None),
]


@pytest.fixture
def import_module(monkeypatch):
    """``import_module(importer)``: the compiled module is what this gives, or why there is none."""

    def replace(importer):
        monkeypatch.setattr(isa, "importlib", SimpleNamespace(import_module=importer))
        monkeypatch.setattr(isa, "atexit", SimpleNamespace(register=lambda function: None))
        forget()

    def forget():
        for cached in (
            isa._import_native,
            isa._levels,
            isa._name_for,
            isa._warn_no_native_engine,
        ):
            cached.cache_clear()

    yield replace
    monkeypatch.undo()
    forget()


@pytest.fixture
def no_compiled_module(import_module):
    """``no_compiled_module(error)``: importing the compiled module raises this."""

    def fail(error):
        def broken(name):
            raise error

        import_module(broken)

    return fail


FLOATS, LOW = ["float32", "float64"], ["int8", "bf16"]


class OtherProcessor:
    """A compiled module of a processor with everything, but for what a test takes away."""

    def __init__(self, vendor="GenuineIntel", refused="", **missing):
        self.vendor, self.refused, self.asked = vendor, refused, 0
        kernels = {
            "amx": LOW,
            "avx512_bf16": ["bf16"],
            "avx512_vnni": ["int8"],
            "avx512": FLOATS + LOW,
            "avx2_vnni": ["int8"],
            "avx2": FLOATS + LOW,
            "generic": FLOATS + LOW,
            "amx_emulated": LOW,
        }
        self.known = [
            (name, [] if name in missing else precisions, missing.get(name, ""))
            for name, precisions in kernels.items()
        ]
        self.chosen = {}

    def levels(self):
        return self.known

    def tiles_refused(self):
        self.asked += 1
        return self.refused

    def choose_engine(self, name, precision):
        self.chosen[precision] = name

    def engine(self, precision):
        return self.chosen.get(precision, "")

    def stop_threads(self):
        raise AssertionError


@pytest.fixture
def other_processor(import_module, monkeypatch):
    """``other_processor(...)``: birnn runs on an `OtherProcessor`; it is returned."""

    def run_on(**options):
        monkeypatch.delenv(isa.FORCE, raising=False)
        other = OtherProcessor(**options)
        import_module(lambda name: other)
        return other

    return run_on


def test_the_best_engine_runs_unless_one_is_forced(monkeypatch):
    monkeypatch.delenv(isa.FORCE, raising=False)
    assert isa.active().name == isa.available()[0]
    assert isa.active().detail == isa.LEVELS[isa.available()[0]].detail


def test_an_empty_setting_forces_nothing(monkeypatch):
    monkeypatch.setenv(isa.FORCE, "")
    assert isa.active().name == isa.available()[0]


@pytest.mark.parametrize("name", isa.available())
def test_every_engine_that_is_here_can_be_forced(forced, name):
    forced(name)
    assert isa.active().name == name
    assert (isa.selected_engine() is None) == (name == isa.REFERENCE)


@pytest.mark.skipif(isa.native_module() is None, reason="no compiled module")
def test_asking_what_would_run_chooses_nothing(monkeypatch):
    monkeypatch.delenv(isa.FORCE, raising=False)
    native = isa.selected_engine()
    best = native.engine()
    monkeypatch.setenv(isa.FORCE, "generic")
    assert isa.active().name == "generic"
    assert native.engine() == best
    assert isa.selected_engine().engine() == "generic"


def test_what_is_compiled_is_here_best_first():
    order = list(isa.LEVELS)
    assert sorted(isa.available(), key=order.index) == list(isa.available())
    if isa.native_module() is not None:
        assert "generic" in isa.available()


@pytest.mark.parametrize("name", ABSENT)
def test_an_engine_that_is_not_here_is_refused_and_what_there_is_named(monkeypatch, name):
    monkeypatch.setenv(isa.FORCE, name)
    stack = Stack("gru", 1, 1)
    calls = [
        isa.active,
        lambda: run(Ragged(np.ones((1, 1)), np.array([1])), initialise(stack, 0), stack),
        lambda: pack("gru", [(np.ones((3, 1)), np.ones((3, 1)), None, None)]),
        lambda: Linear(np.ones((1, 1)))(np.ones((1, 1))),
    ]
    for call in calls:
        with pytest.raises(EngineError, match=f"{isa.FORCE} is '{name}', which is not here") as e:
            call()
        assert any(known in str(e.value) for known in isa.available())


def test_a_refusal_names_the_levels_of_every_precision(monkeypatch):
    here = {name for precision in get_args(isa.Precision) for name in isa.available(precision)}
    for given in ("nonsense", *isa.not_here()):
        monkeypatch.setenv(isa.FORCE, given)
        with pytest.raises(EngineError) as refused:
            isa.active()
        told = re.split(r"[ ,;:.]+", str(refused.value))
        assert here <= set(told)
        assert not (set(isa.not_here()) - {given}) & set(told)
    for name in here:
        for typo in (name.upper(), f"{name}x", name.replace("_", "-") + "."):
            monkeypatch.setenv(isa.FORCE, typo)
            with pytest.raises(
                EngineError, match=rf"which is not here: did you mean {name}\? Unset"
            ):
                isa.active()


@pytest.mark.skipif(isa.native_module() is None, reason="no compiled module")
@pytest.mark.skipif(not CPUINFO.exists(), reason="no /proc/cpuinfo on this system")
def test_the_module_sees_what_the_system_sees_of_the_processor():
    # Linux hides what it does not save the registers of, as the module does.
    lines = CPUINFO.read_text().split("\n\n")[0].splitlines()
    told = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    native = isa.native_module()
    asked = {"fma", "f16c", "bmi1", "bmi2", "abm", "avx2", "avx_vnni", "avx512f", "avx512bw"}
    asked |= {"avx512cd", "avx512dq", "avx512vl", "avx512_vnni", "avx512_bf16"}
    asked |= {"amx_tile", "amx_int8", "amx_bf16"}
    assert native.vendor == told.get("vendor_id", "")
    assert set(native.features) == asked & set(told.get("flags", "").split())


@pytest.mark.skipif(isa.native_module() is None, reason="no compiled module")
def test_who_has_a_level_has_the_one_below_it():
    levels = {
        name: (precisions, missing) for name, precisions, missing in isa.native_module().levels()
    }
    assert set(levels) <= set(isa.LEVELS)
    for name, (precisions, missing) in levels.items():
        base = isa.LEVELS[name].base
        if base and not missing:
            assert not levels[base][1], (name, base)
        assert precisions or missing
    assert levels["generic"] == (["float32", "float64", "bf16", "int8"], "")


@pytest.mark.skipif(isa.native_module() is None, reason="no compiled module")
def test_tiles_are_granted_only_where_the_processor_has_them():
    native = isa.native_module()
    refused = native.tiles_refused()
    assert native.tiles_refused() == refused  # the system is asked once
    if "amx_tile" not in native.features:
        assert refused
    if refused:
        with pytest.raises(ValueError, match="has no engine amx"):
            native.choose_engine("amx", isa.PRECISION_NUMBERS["int8"])


@pytest.mark.skipif(isa.native_module() is None, reason="no compiled module")
def test_the_module_runs_no_kernels_that_are_not_here():
    native = isa.native_module()
    before = native.engine()
    for name, precisions, missing in native.levels():
        for precision, number in isa.PRECISION_NUMBERS.items():
            if missing or precision not in precisions:
                with pytest.raises(ValueError, match=f"has no engine {name}"):
                    native.choose_engine(name, number)
    for number in (-1, 4):
        with pytest.raises(ValueError, match="no such precision"):
            native.choose_engine(before, number)
    assert native.engine() == before


# Best first, by processors that exist.
PROCESSORS = {
    "Sapphire Rapids": (
        {"avx2_vnni": "not told"},
        ["amx", "avx512_vnni", "avx512", "avx2", "generic"],
        ["amx", "avx512", "avx512_bf16", "avx2", "generic"],
    ),
    "Cooper Lake": (
        {"amx": "no tiles", "avx2_vnni": "no"},
        ["avx512_vnni", "avx512", "avx2", "generic"],
        ["avx512", "avx512_bf16", "avx2", "generic"],
    ),
    "Zen 4": (
        {"vendor": "AuthenticAMD", "amx": "no tiles", "avx2_vnni": "no"},
        ["avx512_vnni", "avx512", "avx2", "generic"],
        ["avx512_bf16", "avx512", "avx2", "generic"],
    ),
    "Alder Lake": (
        dict.fromkeys(["amx", "avx512_bf16", "avx512_vnni", "avx512"], "no AVX-512"),
        ["avx2_vnni", "avx2", "generic"],
        ["avx2", "generic"],
    ),
}


@pytest.mark.parametrize("name", PROCESSORS)
def test_the_best_kernels_of_each_precision_by_processor_and_maker(other_processor, name):
    options, int8, bf16 = PROCESSORS[name]
    native = other_processor(**options)
    assert isa.available("int8") == (*int8, isa.REFERENCE)
    assert isa.available("bf16") == (*bf16, isa.REFERENCE)
    assert isa.available() == (
        *[n for n in int8 if n in ("avx512", "avx2", "generic")],
        "reference",
    )
    for precision in get_args(isa.Precision):
        best = isa.available(precision)[0]
        assert isa.active(precision).name == best
        assert isa.selected_engine(precision) is native
        assert native.chosen[isa.PRECISION_NUMBERS[precision]] == best


@pytest.mark.parametrize(
    ("level", "runs"),
    [
        ("amx", ("avx512", "amx", "amx")),
        ("avx512_bf16", ("avx512", "avx512_bf16", "avx512_vnni")),
        ("avx512_vnni", ("avx512", "avx512", "avx512_vnni")),
        ("avx512", ("avx512", "avx512", "avx512")),
        ("amx_emulated", ("avx512", "amx_emulated", "amx_emulated")),
        ("avx2_vnni", ("avx2", "avx2", "avx2_vnni")),
        ("avx2", ("avx2", "avx2", "avx2")),
        ("generic", ("generic", "generic", "generic")),
        ("reference", ("reference", "reference", "reference")),
    ],
)
def test_a_forced_level_is_the_most_that_any_precision_runs_on(
    other_processor, monkeypatch, level, runs
):
    # On Intel's, too, where it is not chosen for bf16, AVX-512 BF16 can be forced.
    other_processor()
    monkeypatch.setenv(isa.FORCE, level)
    precisions = ("float32", "bf16", "int8")
    assert tuple(isa.active(precision).name for precision in precisions) == runs
    assert (isa.selected_engine("int8") is None) == (level == isa.REFERENCE)


def test_a_system_that_refuses_tiles_is_told_of(other_processor, monkeypatch):
    other_processor(refused="arch_prctl: Operation not permitted")
    why = "the system refuses AMX's tiles.*arch_prctl: Operation not permitted"
    assert "amx" not in isa.available("int8")
    assert isa.active("bf16").name == "avx512"
    assert re.search(why, isa.why_not("amx"))
    assert isa.not_here() == {"amx": isa.why_not("amx")}
    monkeypatch.setenv(isa.FORCE, "amx")
    for precision in get_args(isa.Precision):
        with pytest.raises(EngineError, match=f"BIRNN_ISA is 'amx', which is not here: {why}"):
            isa.active(precision)


@pytest.mark.parametrize("options", [{}, {"amx": "this processor or its system has no amx_tile"}])
def test_tiles_are_asked_for_only_where_they_would_run(other_processor, options):
    native = other_processor(**options)
    isa.selected_engine()
    assert isa.available() == ("avx512", "avx2", "generic", "reference")
    assert native.asked == 0
    isa.selected_engine("int8")
    assert (native.asked > 0) == (not options)


def test_kernels_that_a_build_lacks_are_named_so(other_processor, monkeypatch):
    other_processor(avx512_vnni="this build has no kernels for it", amx_emulated="likewise")
    assert isa.not_here() == {"avx512_vnni": "this build has no kernels for it"}
    monkeypatch.setenv(isa.FORCE, "avx512_vnni")
    with pytest.raises(EngineError, match="not here: this build has no kernels for it"):
        isa.active("int8")


def test_levels_of_another_kind_of_processor_are_named_so(other_processor, monkeypatch):
    native = other_processor()
    native.known = [(name, *rest) for name, *rest in native.known if name == "generic"]
    monkeypatch.setenv(isa.FORCE, "avx2")
    with pytest.raises(EngineError, match="not here: it is of another kind of processor"):
        isa.active()
    assert isa.not_here() == {}


def test_the_native_module_is_here_or_its_absence_explained():
    installed = importlib.util.find_spec("birnn.engine._native") is not None
    assert (isa.native_module() is not None) == installed
    assert (isa.why_no_native() is None) == installed


def test_without_the_native_module_the_reference_runs_and_says_what_to_do(
    monkeypatch, no_compiled_module
):
    monkeypatch.delenv(isa.FORCE, raising=False)
    no_compiled_module(ModuleNotFoundError("No module named 'birnn.engine._native'"))
    assert isa.available() == (isa.REFERENCE,)
    with pytest.warns(RuntimeWarning, match=r"slower than they could.*Install a C\+\+ compiler"):
        assert isa.selected_engine() is None
    with warnings.catch_warnings(action="error"):
        assert isa.selected_engine() is None  # told once
        assert isa.active().name == isa.REFERENCE
    assert np.__version__ in isa.active().detail
    with pytest.raises(EngineError, match=r"Install a C\+\+ compiler"):
        pack("gru", [(np.ones((3, 1)), np.ones((3, 1)), None, None)])
    monkeypatch.setenv(isa.FORCE, "generic")
    with pytest.raises(EngineError, match="compiled module is not installed"):
        isa.active()


def test_a_native_module_that_does_not_load_says_why(no_compiled_module):
    no_compiled_module(ImportError("libstdc++ is too old"))
    assert isa.native_module() is None
    assert "libstdc++ is too old" in str(isa.why_no_native())
