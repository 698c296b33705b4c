"""The same bits: in any batch, in any order, on any number of threads, at any time.

All threads that are asked for work on each call, however small it is. `threads_are_used` shows that
without that they do where there is enough to do.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.engine import isa, recurrent
from birnn.engine.arrays import RowLayout
from birnn.reference import GATES
from grids import sampled

CELLS = sorted(GATES)
THREADS = [1, 2, 3]
KEEPS = sampled(["gates", "states", "everything"], ["gates"])
COMPILED = isa.available()[:-1]
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

# Work for several threads, in several chunks of steps.
ENOUGH = {"inputs": 64, "hidden": 64}
ENOUGH_ROWS = 100


@pytest.fixture(scope="session")
def big_layers(draw_layer):
    """Strategy: layers that run on threads, in blocks of many steps and many chunks."""
    lengths = st.lists(st.integers(0, 40), min_size=1, max_size=12).map(
        lambda some: [*some, ENOUGH_ROWS - min(ENOUGH_ROWS, sum(some))]
    )
    return st.builds(
        draw_layer,
        st.sampled_from(CELLS),
        lengths,
        inputs=st.just(ENOUGH["inputs"]),
        hidden=st.sampled_from([64, 65, 71]),
        directions=st.integers(1, 2),
        dtype=st.sampled_from(["float32", "float64"]),
        initial=st.booleans(),
        seed=st.integers(0, 2**32 - 1),
    )


@given(
    data=st.data(),
    threads=st.permutations(THREADS),
    keep=st.sampled_from(["gates", "states", "everything"]),
)
def test_a_sequence_has_the_same_bits_in_any_batch(
    engine, big_layers, same_bits, data, threads, keep
):
    layer = data.draw(big_layers)
    count = len(layer.layout.lengths)
    order = data.draw(st.lists(st.integers(0, count - 1), unique=True, max_size=count))
    part = layer.select(order)
    whole, found = layer.run(threads=threads[0], keep=keep), part.run(threads=threads[1], keep=keep)
    of_row = np.repeat(np.arange(count), layer.layout.lengths)
    rows = np.concatenate([np.flatnonzero(of_row == i) for i in order] or [[]]).astype(np.int64)
    for name in ("output", "d_x"):
        same_bits(found[name], whole[name][rows], name)
    for name in ("h_n", "c_n", "d_h_0", "d_c_0"):
        if name in whole:
            same_bits(found[name], whole[name][:, order], name)


@given(data=st.data(), threads=st.permutations(THREADS))
def test_a_row_by_its_number_has_the_bits_that_it_has_written_out(
    engine, big_layers, same_bits, data, threads
):
    layer = data.draw(big_layers)
    rows = layer.x.shape[0]
    numbers = np.array(data.draw(st.lists(st.integers(0, 9), min_size=rows, max_size=rows)))
    written_out = dataclasses.replace(layer, x=layer.x[numbers]).forward(threads=threads[0])
    by_number = dataclasses.replace(layer, x=layer.x[:10])
    found = by_number.forward_by_number(numbers, threads=threads[1])
    same_bits(found.output, written_out.output)
    for part, expected in zip(found.final, written_out.final, strict=True):
        same_bits(part, expected)


@given(data=st.data(), keep=st.sampled_from(["gates", "states", "everything"]))
def test_threads_change_no_bit(engine, big_layers, same_bits, data, keep):
    layer = data.draw(big_layers)
    alone = layer.run(threads=1, keep=keep)
    for threads in data.draw(st.permutations(THREADS)):
        same_bits(layer.run(threads=threads, keep=keep), alone)


@pytest.mark.parametrize("cell", CELLS)
def test_blocks_and_chunks_change_no_bit(engine, draw_layer, same_bits, cell):
    # Three blocks of sequences, the first of them with several chunks of steps.
    lengths = np.random.default_rng(1).integers(0, 9, 300)
    layer = draw_layer(cell, lengths, inputs=17, hidden=33, dtype="float32")
    alone = layer.run(threads=1)
    for threads in (2, 3, 7):
        same_bits(layer.run(threads=threads), alone)
    order = np.random.default_rng(2).permutation(300)[:150]
    of_row = np.repeat(np.arange(300), lengths)
    rows = np.concatenate([np.flatnonzero(of_row == i) for i in order])
    found = layer.select(order).run(threads=3)
    for name in ("output", "d_x"):
        same_bits(found[name], alone[name][rows], name)


def without_initial(layer, whole, **options):
    """The answers where nobody asks for the initial states' gradients, found and expected."""
    rest = {name: part for name, part in whole.items() if name not in ("d_h_0", "d_c_0")}
    return layer.run(wants_initial=False, **options), rest


@pytest.mark.parametrize("keep", KEEPS)
@pytest.mark.parametrize("lengths", [[40], [17, 0, 23], [3, 150, 1, 90, 2], [9] * 13 + [4]])
@pytest.mark.parametrize("cell", CELLS)
def test_hidden_units_that_threads_share_have_the_same_bits(
    engine, draw_layer, same_bits, cell, lengths, keep
):
    # Few sequences of many hidden units: these are shared.
    for hidden, dtype, directions, threads in (
        (130, "float32", 1, 2),
        (200, "float64", 1, 3),
        (128, "float32", 2, 5),
    ):
        layer = draw_layer(
            cell, lengths, inputs=19, hidden=hidden, directions=directions, dtype=dtype
        )
        alone = layer.run(threads=1, keep=keep)
        same_bits(layer.run(threads=threads, keep=keep), alone)
        same_bits(layer.forward(threads=threads).output, alone["output"])
        same_bits(*without_initial(layer, alone, threads=threads, keep=keep))


@pytest.mark.parametrize("cell", CELLS)
def test_products_that_are_summed_in_one_go_have_the_same_bits(engine, draw_layer, same_bits, cell):
    # Of 40 sequences a step's two products are summed in one go, of one they are not.
    layer = draw_layer(cell, [5] * 30 + [17] * 10, inputs=21, hidden=35)
    together = layer.forward(threads=1).output
    ends = np.cumsum([0] + [5] * 30 + [17] * 10)
    for number in (0, 29, 30, 39):
        alone = layer.select([number]).forward(threads=1).output
        same_bits(alone, together[ends[number] : ends[number + 1]])
    for threads in (2, 3):
        same_bits(layer.forward(threads=threads).output, together)


@pytest.mark.parametrize("keep", KEEPS)
def test_directions_in_turn_have_the_same_bits(engine, draw_layer, same_bits, keep):
    # Weights of more than the 16 MiB at which the directions run one after another.
    layer = draw_layer("lstm", [3, 0, 6], inputs=7, hidden=530)
    alone = layer.run(threads=1, keep=keep)
    layer.agree(alone, layer.expected())
    for threads in (2, 3):
        same_bits(layer.run(threads=threads, keep=keep), alone)
        same_bits(*without_initial(layer, alone, threads=threads, keep=keep))


@pytest.mark.parametrize(("cell", "hidden"), [("lstm", 516), ("gru", 600)])
def test_weights_that_are_fetched_ahead_are_those_that_are_read(
    engine, draw_layer, same_bits, cell, hidden
):
    # Recurrent weights of more than 4 MiB, and steps of several tiles; alone a sequence has one.
    layer = draw_layer(cell, [2] * 14, inputs=3, hidden=hidden, dtype="float32")
    together = layer.forward(threads=1)
    for which in (0, 13):
        alone = layer.select([which]).forward(threads=1)
        same_bits(alone.output, together.output[2 * which : 2 * which + 2])
    same_bits(layer.forward(threads=2).output, together.output)


@pytest.mark.parametrize("cell", CELLS)
def test_calls_from_many_threads_at_once_give_the_same_bits(engine, draw_layer, same_bits, cell):
    layer = draw_layer(cell, [30, 0, 25, 40, 5], **ENOUGH)
    expected = layer.run(threads=1)
    begin = threading.Barrier(4)

    def call(which):
        begin.wait()
        return [layer.run(threads=1 + (which + i) % 3) for i in range(6)]

    with ThreadPoolExecutor(4) as callers:
        for answers in callers.map(call, range(4)):
            for found in answers:
                same_bits(found, expected)


# What follows runs in a process of its own: it forks, or counts threads. The pool of threads is
# tested for itself in test_threads.py.


def threads_of_process():
    """Threads of this process as the system counts them."""
    return sum(1 for _ in Path("/proc/self/task").iterdir())


def lstm_of_enough_work():
    """A call that is worth three threads; it gives the digest of its bits."""
    rng = np.random.default_rng(0)
    shapes = ((256, 64), (256, 64), (256,), (256,))
    weights = [tuple(rng.standard_normal(shape) / 8 for shape in shapes) for _ in range(2)]
    x, layout = rng.standard_normal((100, 64)), RowLayout.ragged(np.array([40, 35, 25]))

    def call(threads=3):
        found = recurrent.forward("lstm", x, layout, weights, threads=threads)
        return hashlib.sha256(found.output.tobytes()).hexdigest()

    return call


def threads_are_used():
    call, before = lstm_of_enough_work(), threads_of_process()
    call(1)
    assert threads_of_process() == before
    call(3)
    assert threads_of_process() == before + 2


def few_sequences_use_threads():
    rng = np.random.default_rng(0)
    shapes = ((1024, 64), (1024, 256), (1024,), (1024,))
    weights = [tuple(rng.standard_normal(shape) / 8 for shape in shapes)]
    before = threads_of_process()
    for lengths in ([0], [1], [30]):
        x = rng.standard_normal((sum(lengths), 64))
        recurrent.forward("lstm", x, RowLayout.ragged(np.array(lengths)), weights, threads=2)
        assert threads_of_process() == before + (lengths == [30])


def children_give_the_same_bits():
    isa.native_module().use_all_threads(True)
    call = lstm_of_enough_work()
    expected = call()
    done = threading.Event()

    def work():
        while not done.is_set():
            call()

    # Forked while threads of the parent are at work, and hold what locks there are.
    worker = threading.Thread(target=work)
    worker.start()
    children = [child_that_calls(call, expected) for _ in range(12)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    done.set()
    worker.join()
    assert codes == [0] * len(codes), codes


def child_that_calls(call, expected):
    """A fork whose exit status is 0 where its calls give the same bits on threads of its own."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            same = threads_of_process() == 1 and {call(2), call(3), call(3)} == {expected}
            status = 0 if same and threads_of_process() == 3 else 1
        finally:
            os._exit(status)
    return child


ALONE = {
    function.__name__: function
    for function in (threads_are_used, few_sequences_use_threads, children_give_the_same_bits)
}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts threads in /proc")
@pytest.mark.parametrize("engine", sampled(COMPILED, COMPILED[:1]), indirect=True)
@pytest.mark.parametrize("name", ALONE)
def test_alone(engine, name):
    found = subprocess.run(
        # Newer Pythons warn of forks with threads about; that is what is tested.
        [sys.executable, "-W", "ignore", __file__, name],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | ONE_THREAD | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert found.returncode == 0, found.stderr


if __name__ == "__main__":
    ALONE[sys.argv[1]]()
