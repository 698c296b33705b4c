"""The kernels on several threads, for several callers at once: `make races` runs it.

The thread sanitizer reports what two threads touch without having met, and ends the process with a
status of its own; so this is for a build with that sanitizer alone, which BIRNN_NATIVE names.
torch is not here, whose threads it does not know.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator

import numpy as np

from birnn.engine import attention, crf, isa, recurrent
from birnn.engine.arrays import RowLayout
from birnn.engine.linear import Linear
from birnn.engine.packed_weights import input_products, pack
from birnn.ragged import Ragged
from birnn.reference.low_precision import MATRICES, Precision
from birnn.reference.scan import Weights
from birnn.reference.stack import GATES, CellName

THREADS = (2, 3, 4)
CALLERS = 3
CALLS = 10  # of each

# Cell, sequences, longest, inputs, hidden units, directions: threads share directions, sequences,
# or the hidden units of few sequences; 150 sequences are cut into blocks.
LAYERS: tuple[tuple[CellName, int, int, int, int, int], ...] = (
    ("lstm", 20, 30, 16, 64, 2),
    ("lstm", 1, 40, 16, 128, 1),
    ("lstm", 2, 30, 16, 256, 2),
    ("gru", 40, 9, 8, 48, 2),
    ("rnn_tanh", 150, 6, 8, 32, 1),
    ("rnn_relu", 3, 12, 8, 80, 1),
)
Work = Callable[[int], object]
random = np.random.default_rng(0)


def numbers(*shape: int) -> np.ndarray:
    """Small numbers, float32."""
    return (0.1 * random.standard_normal(shape)).astype(np.float32)


def weights_of(cell: CellName, inputs: int, hidden: int, directions: int) -> list[Weights]:
    """Weights of each direction."""
    rows = GATES[cell] * hidden
    shapes = (rows, inputs), (rows, hidden), (rows,), (rows,)
    return [Weights(*(numbers(*shape) for shape in shapes)) for _ in range(directions)]


def layers() -> Iterator[tuple[str, Work]]:
    """Forward and backward passes, with all that may be kept between them."""
    for cell, sequences, longest, inputs, hidden, directions in LAYERS:
        lengths = longest - np.arange(sequences) % longest  # of every kind, the longest first
        x, layout = numbers(lengths.sum(), inputs), RowLayout.ragged(lengths)
        weights = weights_of(cell, inputs, hidden, directions)
        for keep in ("everything", "gates", "states"):

            def work(threads, cell=cell, x=x, layout=layout, weights=weights, keep=keep):
                found = recurrent.forward(cell, x, layout, weights, keep=keep, threads=threads)
                recurrent.backward(
                    cell,
                    x,
                    layout,
                    weights,
                    None,
                    output=None if keep == "everything" else found.output,
                    saved=found.saved,
                    keep=keep,
                    d_output=np.ones_like(found.output),
                    d_final=[None] * len(found.final),
                    threads=threads,
                    wants_initial=True,
                )

            name = f"{cell} of {sequences} sequences, {hidden} units, {directions} directions"
            yield f"{name}, {keep} kept", work


def distinct_rows() -> Iterator[tuple[str, Work]]:
    """Rows by number, whose input products the threads form together."""
    table, layout = numbers(400, 16), RowLayout.ragged(np.full(20, 10))
    weights, which = weights_of("lstm", 16, 64, 1), random.integers(0, 400, 200)
    packed = pack("lstm", weights)

    def work(threads: int) -> None:
        products = input_products(packed, table, threads=threads)
        recurrent.forward_packed(packed, products, layout, numbers=which, threads=threads)

    yield "distinct rows", work


def in_low_precision(precision: Precision) -> Iterator[tuple[str, Work]]:
    """Layers of low precision, of rows and of rows by number; linear layers."""
    matrix = MATRICES[precision]
    for cell, sequences, longest, inputs, hidden, directions in LAYERS:
        lengths = longest - np.arange(sequences) % longest
        layout, which = RowLayout.ragged(lengths), random.integers(0, 40, lengths.sum())
        table = numbers(40, inputs)
        weights = [
            (matrix.of(w_ih), matrix.of(w_hh), b_ih, b_hh)
            for w_ih, w_hh, b_ih, b_hh in weights_of(cell, inputs, hidden, directions)
        ]

        def work(threads, cell=cell, table=table, layout=layout, which=which, weights=weights):
            packed = pack(cell, weights)
            recurrent.forward_packed(packed, table[which], layout, threads=threads)
            products = input_products(packed, table, threads=threads)
            recurrent.forward_packed(packed, products, layout, numbers=which, threads=threads)

        yield f"{precision}, {cell} of {sequences} sequences, {hidden} units", work
    linear, x = Linear(matrix.of(numbers(70, 40)), numbers(70)), numbers(500, 40)
    yield f"{precision}, linear", lambda threads: linear(x, threads=threads)


def chains() -> Iterator[tuple[str, Work]]:
    """Everything that a CRF is asked."""
    lengths = random.integers(0, 30, 64)
    emissions = Ragged(numbers(lengths.sum(), 20).astype(np.float64), lengths)
    chain = crf.chain_of(random.standard_normal((20, 20)), np.zeros(20), np.zeros(20))
    ones = np.ones(len(lengths))
    yield "log partition", lambda threads: crf.log_partition(emissions, chain, threads=threads)
    yield "marginals", lambda threads: crf.marginals(emissions, chain, threads=threads)
    yield "viterbi", lambda threads: crf.viterbi(emissions, chain, threads=threads)
    yield (
        "gradient",
        lambda threads: crf.log_partition_gradient(emissions, chain, ones, threads=threads),
    )


def attentions() -> Iterator[tuple[str, Work]]:
    """Attention and its gradients, both scores."""
    own = random.integers(0, 12, (2, 64))
    queries, keys, values = (
        numbers(own[0].sum(), 33),
        numbers(own[1].sum(), 33),
        numbers(own[1].sum(), 20),
    )
    for name, vector in (("dot", None), ("additive", numbers(33))):

        def work(threads, vector=vector):
            arguments = (queries, keys, values, *own)
            options = {"vector": vector, "threads": threads}
            found = attention.attend(*arguments, weights=True, **options)
            assert found.weights is not None
            return found, attention.attend_gradient(
                *arguments, weights=found.weights, d_contexts=found.contexts, **options
            )

        yield f"{name} attention", work


def products() -> Iterator[tuple[str, Work]]:
    """A linear layer."""
    linear, x = Linear(numbers(70, 40), numbers(70)), numbers(500, 40)
    yield "linear", lambda threads: linear(x, threads=threads)


def main() -> None:
    """Run everything on every engine; the sanitizer speaks up by itself."""
    module = isa.native_module()
    if module is None or module.__file__ != os.environ.get("BIRNN_NATIVE"):
        sys.exit("nothing would be found without the sanitizer: run `make races`")
    module.use_all_threads(True)
    everything = [*layers(), *distinct_rows(), *chains(), *attentions(), *products()]
    low: dict[Precision, list[tuple[str, Work]]] = {
        precision: list(in_low_precision(precision)) for precision in MATRICES
    }
    if "low" in sys.argv[1:]:
        everything = []
    levels = [level for level in isa.LEVELS if level != isa.REFERENCE and not isa.why_not(level)]
    for engine in levels:
        os.environ[isa.FORCE] = engine
        here = everything if engine in isa.available() else []
        for precision in MATRICES:
            if isa.active(precision).name == engine:
                here = here + low[precision]
        for name, work in here:
            for threads in THREADS:
                work(threads)

            def caller(work=work):
                for _ in range(CALLS):
                    work(THREADS[0])

            callers = [threading.Thread(target=caller) for _ in range(CALLERS)]
            for one in callers:
                one.start()
            for one in callers:
                one.join()
            print(f"{engine}: {name}", flush=True)


if __name__ == "__main__":
    main()
