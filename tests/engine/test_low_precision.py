"""Kernels of int8 and bfloat16: equal to the specification to the bit on every instruction set.

What is emulated here runs in NumPy on any processor; kernels run where their instructions are.
"""

# R rows, K inputs, O outputs, N rows of all sequences, H hidden units

from __future__ import annotations

import itertools
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from emulation import assert_same, emulated_layer, sums_of
from hypothesis import example, given
from hypothesis import strategies as st

from birnn.engine import PackedStack, isa, recurrent
from birnn.engine.arrays import RowLayout
from birnn.engine.linear import Linear
from birnn.engine.packed_weights import input_products, pack
from birnn.errors import BirnnError
from birnn.ragged import Ragged
from birnn.reference import GATES, Stack, StackState, initialise
from birnn.reference.low_precision import MATRICES, Bf16Matrix
from grids import sampled

F = np.float32
CELLS = sorted(GATES)
ENGINES = [
    (precision, level)
    for precision in sorted(MATRICES)
    for level in (*isa.available(precision)[:-1], "amx_emulated")
    if isa.why_not(level) is None
]

# Around the groups of k that instructions take, and around vectors and panels.
INPUTS = [1, 2, 3, 4, 5, 31, 32, 33, 63, 64, 65, 200]
BATCHES = [1, 2, 5, 6, 7, 16, 17, 33]


@pytest.fixture(scope="module", params=ENGINES, ids="-".join)
def low(request):
    """A precision, on an engine that is forced and proven to be the one that runs."""
    precision, level = request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(isa.FORCE, level)
        assert isa.active(precision).name == level
        yield precision
        assert isa.active(precision).name == level


def fuses(precision):
    """Whether a product cannot leave float32's range before it is added."""
    return precision == "int8" or isa.active("bf16").name != "generic"


def rows_of_all_kinds(rng, precision, rows, columns):
    """Rows of numbers, and among them of zeros, denormal numbers, outliers; none infinite."""
    x = rng.standard_normal((rows, columns)) * 10.0 ** rng.uniform(-3, 3, (rows, 1))
    kind = rng.integers(0, 12, rows) if fuses(precision) else rng.integers(2, 12, rows)
    x[kind == 0] *= 1e-39
    x[kind == 1] *= 1e-36
    x[kind == 2] = 0
    x[kind == 3, 0] = 1e30
    x[kind == 4] = np.rint(x[kind == 4])  # ties
    return x.astype(F)


def weights_of(rng, precision, rows, columns):
    weights = rng.uniform(-1, 1, (rows, columns)) * 10.0 ** rng.uniform(-2, 1, (rows, 1))
    weights[rng.random(rows) < 0.1] = 0
    return MATRICES[precision].of(weights.astype(F))


def drawn_layer(
    precision, cell, lengths, inputs, hidden, *, directions=2, biases=True, initial=True, seed=0
):
    """Rows, weights of each direction and initial states."""
    rng = np.random.default_rng(seed)
    lengths, gates = np.asarray(lengths, np.int64), GATES[cell] * hidden

    def bias():
        return rng.standard_normal(gates).astype(F) if biases else None

    weights = [
        (
            weights_of(rng, precision, gates, inputs),
            weights_of(rng, precision, gates, hidden),
            bias(),
            bias(),
        )
        for _ in range(directions)
    ]
    states = tuple(
        rng.standard_normal((directions, len(lengths), hidden)).astype(F)
        for _ in range(2 if cell == "lstm" else 1)
    )
    x = rows_of_all_kinds(rng, precision, int(lengths.sum()), inputs)
    return x, lengths, weights, states if initial else None


def check_layer(cell, x, lengths, weights, initial, *, threads=(1, 2), numbers=None):
    """The kernels against the emulation: whole rows, rows by number, both numbers of threads."""
    written_out = x if numbers is None else x[numbers]
    output, final = emulated_layer(cell, written_out, lengths, weights, initial)
    layout = RowLayout.ragged(lengths)
    packed = pack(cell, weights)
    for count in threads:
        found = recurrent.forward_packed(packed, written_out, layout, initial, threads=count)
        assert_same(found.output, output, f"output, {count} threads")
        for name, part, expected in zip("hc", found.final, final, strict=False):
            assert_same(part, expected, f"final {name}, {count} threads")
        if numbers is not None:
            products = input_products(packed, x, threads=count)
            by_number = recurrent.forward_packed(
                packed, products, layout, initial, numbers=numbers, threads=count
            )
            assert_same(by_number.output, output, f"output by number, {count} threads")


# The emulation itself: in float32 it is the kernels that it takes the cells' functions from.
@pytest.mark.parametrize("level", [e for e in isa.available()[:-1] if e != "generic"])
@pytest.mark.parametrize("cell", CELLS)
def test_the_emulation_of_float32_is_its_kernels(cell, level, draw_layer, monkeypatch):
    monkeypatch.setenv(isa.FORCE, level)
    layer = draw_layer(cell, [3, 1, 0, 4], inputs=9, hidden=13, dtype="float32")
    for initial in (layer.initial, None):
        check_layer(cell, layer.x, layer.layout.lengths, layer.weights, initial)


@given(
    rows=st.sampled_from([0, *BATCHES, 20, 31, 49]),
    inputs=st.sampled_from(INPUTS),
    outputs=st.sampled_from([1, 3, 15, 16, 17, 33, 64, 65, 100]),
    biased=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
@example(rows=33, inputs=200, outputs=130, biased=True, seed=1)
@example(rows=1, inputs=65, outputs=65, biased=False, seed=2)
def test_a_linear_layer_is_the_product_of_the_specification(
    low, rows, inputs, outputs, biased, seed
):
    rng = np.random.default_rng(seed)
    x, matrix = rows_of_all_kinds(rng, low, rows, inputs), weights_of(rng, low, outputs, inputs)
    bias = rng.standard_normal(outputs).astype(F) if biased else None
    start = np.zeros(outputs, F) if bias is None else bias
    expected = sums_of(x, matrix, start)
    layer = Linear(matrix, bias)
    for threads in (1, 2):
        assert_same(layer(x, threads=threads), expected, f"{threads} threads")


# Every operand that there can be: an instruction has its own mind on denormal numbers.
@pytest.mark.parametrize("inputs", [1, 2, 3, 33])
def test_sums_whatever_the_bits_are(low, inputs):
    rng = np.random.default_rng(inputs)
    fused = fuses(low)

    def bits(*shape, least, spread):
        """Numbers of any exponent, or of so many from one on; 127 is that of 1."""
        some = rng.integers(0, 2**32, shape, np.uint32)
        near = (some & 0x807FFFFF) | rng.integers(least, least + spread, shape, np.uint32) << 23
        return np.where(fused & (rng.random(shape) < 0.5), some, near).view(F)

    # Sums about the smallest normal number, of operands about its root.
    least = 0 if fused else 100
    matrix = np.nan_to_num(bits(100, inputs, least=least, spread=80), nan=0, posinf=1, neginf=1)
    if low == "bf16":  # denormal ones too, which rounding does not make
        matrix = Bf16Matrix((matrix.view(np.uint32) >> 16).astype(np.uint16))
    else:
        matrix = MATRICES[low].of(matrix)
    x = np.concatenate(
        [bits(100, inputs, least=least, spread=80), bits(100, inputs, least=60 + least, spread=8)]
    )
    bias = bits(100, least=least, spread=30)
    with np.errstate(all="ignore"):
        assert_same(Linear(matrix, bias)(x), sums_of(x, matrix, bias))


SOME_LENGTHS = [[1], [3], [2, 0, 1], [0, 0], [], [2] * 5 + [1], [1, 2, 3, 0, 2, 1, 2]]


@pytest.mark.parametrize("cell", CELLS)
@given(
    lengths=st.sampled_from(SOME_LENGTHS),
    inputs=st.sampled_from(INPUTS[:-1]),
    hidden=st.integers(1, 40),
    directions=st.integers(1, 2),
    biases=st.booleans(),
    initial=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
@example([3, 1, 2, 0, 2, 2, 1], 33, 19, 2, True, True, 1)
@example([2, 1], 64, 32, 2, True, False, 2)
def test_a_layer_is_the_specification_step_by_step(
    low, cell, lengths, inputs, hidden, directions, biases, initial, seed
):
    layer = drawn_layer(
        low,
        cell,
        lengths,
        inputs,
        hidden,
        directions=directions,
        biases=biases,
        initial=initial,
        seed=seed,
    )
    check_layer(cell, *layer)


# All batches with all inputs, and among them all widths of a panel of hidden units and its parts.
@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS)
def test_layers_of_all_shapes(low, cell):
    for number, (inputs, batch) in enumerate(itertools.product(INPUTS, BATCHES)):
        lengths = [2 - i % 3 for i in range(batch)]
        hidden = 1 + 7 * number % 40
        check_layer(cell, *drawn_layer(low, cell, lengths, inputs, hidden, seed=number))
    for batch in (1, 7, 17):
        check_layer(cell, *drawn_layer(low, cell, [2] * batch, 65, 200, seed=batch))


@pytest.mark.parametrize("initial", sampled([False, True], [True]))
@pytest.mark.parametrize("cell", sampled(CELLS, ["gru"]))
def test_rows_by_number_are_the_rows_written_out(low, cell, initial):
    lengths = np.array([5, 0, 3, 1])
    x, _, weights, states = drawn_layer(low, cell, lengths, 33, 20, initial=initial)
    numbers = np.array([2, 0, 0, 1, 3, 3, 2, 1, 0])
    check_layer(cell, x[:4], lengths, weights, states, numbers=numbers)


# Many sequences that run in blocks, chunks of steps, and hidden units that threads share.
@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS)
def test_blocks_chunks_and_shared_units(low, cell):
    rng = np.random.default_rng(3)
    for lengths, inputs, hidden in (
        (rng.integers(0, 4, 300), 17, 33),
        ([9 if cell == "rnn_relu" else 150, 3], 40, 24),  # whose states would overflow
        ([7], 65, 200),
        ([4, 3, 0, 4], 200, 136),
    ):
        layer = drawn_layer(low, cell, lengths, inputs, hidden, seed=4)
        check_layer(cell, *layer, threads=(1, 2, 3))


@pytest.mark.parametrize("cell", CELLS)
def test_a_sequence_has_the_same_bits_in_any_batch(low, cell):
    lengths = np.array([4, 0, 7, 1, 3, 5, 5, 2] * 3)
    x, _, weights, initial = drawn_layer(low, cell, lengths, 37, 21)
    whole = recurrent.forward(cell, x, RowLayout.ragged(lengths), weights, initial, threads=2)
    order = np.random.default_rng(5).permutation(len(lengths))[:13]
    of_row = np.repeat(np.arange(len(lengths)), lengths)
    for some in (order, order[:1], order[3:5]):
        rows = np.concatenate([np.flatnonzero(of_row == i) for i in some]).astype(np.int64)
        part = recurrent.forward(
            cell,
            x[rows],
            RowLayout.ragged(lengths[some]),
            weights,
            tuple(state[:, some] for state in initial),
            threads=1,
        )
        assert_same(part.output, whole.output[rows])
        for state, expected in zip(part.final, whole.final, strict=True):
            assert_same(state, np.ascontiguousarray(expected[:, some]))


@pytest.mark.parametrize("batch_first", [True, False])
def test_rows_of_padding_are_not_read(low, batch_first):
    lengths, steps = np.array([4, 0, 6, 1, 3, 5, 5]), 8
    x, _, weights, initial = drawn_layer(low, "lstm", lengths, 21, 18)
    ragged = recurrent.forward("lstm", x, RowLayout.ragged(lengths), weights, initial)
    layout = RowLayout.padded(lengths, steps=steps, batch_first=batch_first)
    step = np.arange(len(x)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    places = np.repeat(layout.starts, lengths) + layout.steps[step]
    padded = np.full((layout.rows, 21), np.nan, F)
    padded[places] = x
    found = recurrent.forward("lstm", padded, layout, weights, initial, threads=2)
    assert_same(found.output[places], ragged.output)
    assert not np.delete(found.output, places, axis=0).any()


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_in_its_sequence(low, wrong):
    lengths = np.array([3, 2, 4, 3, 1, 2, 2])
    x, _, weights, _ = drawn_layer(low, "lstm", lengths, 20, 17, initial=False)
    layout = RowLayout.ragged(lengths)
    before = recurrent.forward("lstm", x, layout, weights).output
    x[6, 3] = wrong  # the second step of the third sequence
    after = recurrent.forward("lstm", x, layout, weights).output
    others = np.repeat(np.arange(7), lengths) != 2
    assert_same(after[others], before[others])
    if low == "int8":  # with bfloat16 gates of an infinite sum are 0 or 1
        assert np.isnan(after[6:9, :17]).all()
        assert np.isnan(after[5:7, 17:]).all()
    output, _ = emulated_layer("lstm", x, lengths, weights)
    assert_same(after, output)


@pytest.mark.parametrize("merge", sampled(["concat", "sum", "project"], ["project"]))
def test_a_stack_is_its_layers(low, merge):
    stack = Stack("gru", 6, 12, num_layers=2, merge=merge, residual=True)
    parameters = {
        name: MATRICES[low].of(array.astype(F)) if array.ndim == 2 else array.astype(F)
        for name, array in initialise(stack, 1, scheme="torch").items()
    }
    rng = np.random.default_rng(2)
    lengths = np.array([3, 0, 2])
    x = Ragged(rng.standard_normal((5, 6)).astype(F), lengths)
    initial = StackState(rng.standard_normal((4, 3, 12)).astype(F))
    found = PackedStack(parameters, stack).run(x, initial)
    rows = x.values
    for layer in range(2):
        weights = [
            tuple(parameters[f"{part}_l{layer}{suffix}"] for part in WEIGHTS)
            for suffix in stack.suffixes(layer)
        ]
        states = (initial.h[stack.states_of(layer)],)
        both, final = emulated_layer("gru", rows, lengths, weights, states)
        if merge == "project":
            name = f"merge_l{layer}"
            weight, bias = parameters[f"{name}.weight"], parameters[f"{name}.bias"]
            merged = sums_of(both, weight, bias)
        else:
            merged = both if merge == "concat" else both[:, :12] + both[:, 12:]
        rows = merged + rows if stack.adds_input(layer) else merged
        assert_same(found.state.h[stack.states_of(layer)], final[0])
    assert_same(found.output.values, rows)


WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def test_nothing_is_kept_for_a_backward_pass(low):
    x, lengths, weights, initial = drawn_layer(low, "gru", [2], 3, 4)
    with pytest.raises(BirnnError, match=r"dequantised\(\)"):
        recurrent.forward("gru", x, RowLayout.ragged(lengths), weights, initial, keep="gates")


SWITCHES = {
    "float32": list(isa.available()[:-1]),
    **{precision: [level for p, level in ENGINES if p == precision] for precision in MATRICES},
}


# Weights packed for one engine must never be read by another, though as many bytes: another thread
# may choose one between any two lines.
@pytest.mark.skipif(not ENGINES, reason="no compiled module")
@pytest.mark.parametrize("precision", ["float32", "int8", "bf16"])
def test_an_engine_that_changes_while_others_run(precision, monkeypatch):
    rng = np.random.default_rng(0)
    levels = SWITCHES[precision]
    low = MATRICES[precision].of if precision in MATRICES else np.asarray
    stack = Stack("gru", 8, 64, num_layers=2)
    parameters = {
        name: low(array.astype(F)) if array.ndim == 2 else array.astype(F)
        for name, array in initialise(stack, 1, scheme="torch").items()
    }
    packed, linear = (
        PackedStack(parameters, stack),
        Linear(low(rng.standard_normal((64, 64)).astype(F))),
    )
    table, x = rng.standard_normal((5, 8)).astype(F), rng.standard_normal((3, 64)).astype(F)
    numbers = Ragged(rng.integers(0, 5, 5), np.array([3, 0, 2]))
    calls = {
        "linear": lambda: linear(x, threads=1).tobytes(),
        "stack": lambda: packed.run(numbers.map(table.__getitem__)).output.values.tobytes(),
        "table": lambda: packed.run(numbers, table=packed.prepare(table)).output.values.tobytes(),
    }
    answers = {name: set() for name in calls}
    for level in levels:
        monkeypatch.setenv(isa.FORCE, level)
        for name, call in calls.items():
            answers[name].add(call())
    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    found = {name: set() for name in calls}
    stop = threading.Event()

    def run(name):
        while not stop.is_set():
            found[name].add(calls[name]())

    try:
        with ThreadPoolExecutor(len(calls)) as pool:
            running = [pool.submit(run, name) for name in calls]
            for count in range(300):
                monkeypatch.setenv(isa.FORCE, levels[count % len(levels)])
                time.sleep(0.0003)
            stop.set()
            for one in running:
                one.result()
    finally:
        stop.set()
        sys.setswitchinterval(switch)
    for name in calls:
        assert found[name]
        assert found[name] <= answers[name], name
    last = os.environ[isa.FORCE]
    assert isa.selected_engine(precision).engine(isa.PRECISION_NUMBERS[precision]) == last
