"""The compiled module with whatever one may hand it: an exception or the right answer, no crash.

Everything runs in processes of their own, so that a crash is a test that fails.
"""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from birnn.engine import isa, recurrent
from birnn.engine.arrays import RowLayout, aligned_empty
from birnn.engine.linear import Linear
from birnn.engine.packed_weights import input_products, pack
from grids import sampled

# Seed and number of trials: 4000 take about two seconds. 1001 has an array of no numbers that
# stands nowhere, which is taken.
RUNS = {0: 1500, 1: 1500, 1001: 4000}
MORE_RUNS = range(1002, 1012)
COMPILED = isa.available()[:-1]
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
FUZZ = Path(__file__).with_name("native_fuzz.py")

# Under a sanitizer a process has all addresses, and ends where memory cannot be had.
SANITIZED = bool({"ASAN_OPTIONS", "TSAN_OPTIONS"} & set(os.environ))


def run_alone(*command):
    """Runs a Python program, with the engine of the environment."""
    return subprocess.run(
        [sys.executable, *map(str, command)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=os.environ | ONE_THREAD | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


@pytest.mark.parametrize("seed", sampled(RUNS, [0]))
def test_no_call_crashes_or_gives_a_wrong_answer(engine, seed):
    found = run_alone(FUZZ, seed, RUNS[seed])
    assert found.returncode == 0, f"seed {seed}: {found.stderr[-3000:]}"


@pytest.mark.slow
def test_none_of_many_calls_crashes_or_gives_a_wrong_answer(engine):
    for seed in MORE_RUNS:
        found = run_alone(FUZZ, seed, 4000)
        assert found.returncode == 0, f"seed {seed}: {found.stderr[-3000:]}"


@pytest.mark.skipif(not COMPILED, reason="there is no compiled module")
def test_what_does_not_fit_in_low_precision_is_refused():
    native = isa.selected_engine("int8")
    isa.selected_engine("bf16")
    int8, bf16 = isa.PRECISION_NUMBERS["int8"], isa.PRECISION_NUMBERS["bf16"]
    x, y = np.ones((2, 3), np.float32), np.empty((2, 4), np.float32)
    values, scales = np.ones((4, 3), np.int8), np.ones(4, np.float32)
    packed = aligned_empty(native.linear_bytes(3, 4, int8), np.dtype(np.uint8))
    native.linear_pack(values, packed, scales)
    bits, other = values.astype(np.uint16), np.empty(native.linear_bytes(3, 4, bf16), np.uint8)
    weights = [values, values[:, :1], None, None]
    layer = aligned_empty(native.packed_bytes(2, 3, 1, int8), np.dtype(np.uint8)).reshape(1, -1)
    native.pack(2, weights, layer, [scales, scales])
    plan = native.Plan(np.array([2]), np.array([0]), np.arange(2), 2)
    output, h_n, c_n = (np.empty(shape, np.float32) for shape in ((2, 1), (1, 1, 1), (1, 1, 1)))

    def forward(x=x, weights=(), packed=layer, keep=0):
        more = (plan, None, list(weights), packed, None, None, keep, output, h_n, c_n, None, 1)
        native.layer_forward(2, x, *more, precision=int8)

    forward()
    native.linear(x, packed, None, y, 1, int8)
    wide, mixed = x.astype(np.float64), [values, np.ones((4, 1), np.float32), None, None]
    refused = [
        ("alone, come with scales", lambda: native.linear_pack(values, packed)),
        ("alone, come", lambda: native.linear_pack(bits, other, scales)),
        (r"scales has shape \(3\)", lambda: native.linear_pack(values, packed, scales[:3])),
        ("another dtype", lambda: native.linear_pack(values, packed, scales.astype(np.float64))),
        ("133144 is the most", lambda: native.linear_bytes(133_145, 1, int8)),
        ("133144 is the most", lambda: native.packed_bytes(2, 1, 133_145, int8)),
        ("reads float32", lambda: native.linear(wide, packed, None, y, 1, int8)),
        ("packed has shape", lambda: native.linear(x, packed, None, y, 1, bf16)),
        ("no such precision", lambda: native.linear(x, packed, None, y, 1, 4)),
        ("scales of two", lambda: native.pack(2, weights, layer, [scales])),
        ("weight_hh has another dtype", lambda: native.pack(2, mixed, layer, [scales, scales])),
        ("reads float32", lambda: forward(wide)),
        ("nothing is kept", lambda: forward(keep=1)),
        ("packed before", lambda: forward(packed=None, weights=weights)),
    ]
    for said, call in refused:
        with pytest.raises(ValueError, match=said):
            call()


def lstm(rows, inputs, hidden, directions=1):
    """Rows and weights of a layer of random numbers."""
    rng = np.random.default_rng(0)
    shapes = ((4 * hidden, inputs), (4 * hidden, hidden), (4 * hidden,), (4 * hidden,))
    weights = [
        tuple(rng.uniform(-1, 1, shape) / np.sqrt(hidden) for shape in shapes)
        for _ in range(directions)
    ]
    return rng.standard_normal((rows, inputs)), weights


def a_million_steps():
    steps, cut = 1_000_000, 600_001
    x, weights = lstm(steps, 1, 1)

    def run(rows, initial=None):
        layout = RowLayout.ragged(np.array([rows.shape[0]]))
        found = recurrent.forward("lstm", rows, layout, weights, initial, keep="gates")
        ones = np.ones_like(found.output)
        back = recurrent.backward(
            "lstm",
            rows,
            layout,
            weights,
            initial,
            output=found.output,
            saved=found.saved,
            keep="gates",
            d_output=ones,
            d_final=(None, None),
        )
        return found, back

    whole, back = run(x)
    # One direction can stop and go on from its state.
    first, _ = run(x[:cut])
    second, back_of_second = run(x[cut:], first.final)
    np.testing.assert_array_equal(np.concatenate([first.output, second.output]), whole.output)
    np.testing.assert_array_equal(second.final, whole.final)
    np.testing.assert_array_equal(back_of_second.x, back.x[cut:])
    assert np.isfinite(back.x).all()


@contextlib.contextmanager
def memory_limited(more):
    """The process gets at most so many bytes more."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def memory_that_cannot_be_had():
    # So wide that no memory of this size is kept from one call to the next.
    x, weights = lstm(5, 8, 1536)
    layout = RowLayout.ragged(np.array([2, 3]))
    kept = recurrent.forward("lstm", x, layout, weights, keep="states")
    rows, weight = np.ones((3, 4)), np.ones((1_000_000, 4))

    def forward():
        return recurrent.forward("lstm", x, layout, weights).output

    def backward():
        return recurrent.backward(
            "lstm",
            x,
            layout,
            weights,
            None,
            output=kept.output,
            saved=kept.saved,
            keep="states",
            d_output=None,
            d_final=(np.ones((1, 2, 1536)), None),
        ).x

    def linear():
        return Linear(weight)(rows)

    for call in (forward, backward, linear):
        told = "" if call is linear else "Split the batch"
        with memory_limited(16 << 20), pytest.raises(MemoryError, match=told):
            call()
        expected = call()
        np.testing.assert_array_equal(call(), expected)


def arrays_that_change_meanwhile():
    """Where the rows stand is read once, before the interpreter's lock is released."""
    native = isa.selected_engine()
    x, weights = lstm(4000, 64, 64, directions=2)
    flat = [part for one in weights for part in one]
    lengths, starts, steps = np.full(40, 100), np.arange(0, 4000, 100), np.arange(100)
    numbers = np.arange(4000)
    packed = pack("lstm", weights)
    products = input_products(packed, x).values
    for given in (None, numbers):
        way = ([], packed.data) if given is not None else (flat, None)
        answers = []
        for changes in (False, True):
            output, h_n, c_n = np.zeros((4000, 128)), np.zeros((2, 40, 64)), np.zeros((2, 40, 64))
            plan = native.Plan(lengths, starts, steps, 4000)
            rows = x if given is None else products
            arguments = (2, rows, plan, given, *way, None, None, 0)
            call = threading.Thread(
                target=native.layer_forward, args=(*arguments, output, h_n, c_n, None, 1)
            )
            arrays = (lengths, starts, steps, numbers)
            before = [array.copy() for array in arrays]
            call.start()
            while changes and call.is_alive():
                for array in arrays:
                    array[:] = 2**40
                time.sleep(0)
            call.join()
            for array, old in zip(arrays, before, strict=True):
                array[:] = old
            answers.append(output)
        np.testing.assert_array_equal(*answers)


ALONE = {
    function.__name__: function
    for function in (a_million_steps, memory_that_cannot_be_had, arrays_that_change_meanwhile)
}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("engine", sampled(COMPILED, COMPILED[:1]), indirect=True)
@pytest.mark.parametrize("name", sampled(ALONE, set(ALONE) - {"a_million_steps"}))
def test_alone(engine, name):
    if SANITIZED and "memory" in name:
        pytest.skip("under a sanitizer memory cannot be limited")
    found = run_alone(__file__, name)
    assert found.returncode == 0, found.stderr


if __name__ == "__main__":
    ALONE[sys.argv[1]]()
