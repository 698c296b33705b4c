"""Compiled kernels of birnn: see native/.

An ``Array`` is one of NumPy, or of a library with DLPack's exchange table (torch from 2.10 on).
What is read is copied where it does not stand row after row; what is written has to stand so. All
are checked.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Integers = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Doubles = npt.NDArray[np.float64]

compiler: str

vendor: str
"""Of the processor, as CPUID tells it; empty where none does."""

features: list[str]
"""Of the processor, as far as kernels ask for them and the system saves their registers."""

def levels() -> list[tuple[str, list[str], str]]:
    """Instruction sets, best first: name, precisions, and what is missing for it here."""

def tiles_refused() -> str:
    """Why the system keeps AMX's tiles from this process; empty where it grants them."""

def choose_engine(name: str, precision: int = 0) -> None:
    """Run a precision on one of `levels`."""

def engine(precision: int = 0) -> str:
    """The engine in use for a precision; empty where none was chosen."""

def set_threads(threads: int) -> None:
    """Threads of a call that asks for none."""

def threads_worth(wanted: int) -> int:
    """How many of the wanted threads would work on a call now."""

def use_all_threads(always: bool) -> None:
    """All threads that are asked for work on each call, however small; for tests."""

def stop_threads() -> None:
    """End the threads that wait for work."""

# Whoever has packed weights names the engine that reads them: another thread may choose one at any
# time. Without a name it is the one in use.

def packed_bytes(cell: int, inputs: int, hidden: int, precision: int, engine: str = "") -> int:
    """Bytes of the packed weights of one direction."""

def pack(
    cell: int,
    weights: Sequence[Array | None],
    packed: Bytes,
    scales: Sequence[Array] = (),
    engine: str = "",
) -> None:
    """Pack the weights of all directions into (directions, packed_bytes) uint8.

    In int8 they come with the scales of both matrices of each direction; bf16 is uint16.
    """

def saved_elements(cell: int, rows: int, hidden: int, keep: int, wide: bool) -> int:
    """Elements that one direction keeps for the backward pass."""

def product_width(cell: int, hidden: int, precision: int, engine: str = "") -> int:
    """Elements of a row's input product in one direction."""

def input_products(
    cell: int,
    x: Array,
    hidden: int,
    packed: Bytes,
    products: Array,
    threads: int,
    openmp: bool = False,
    precision: int = 0,
    engine: str = "",
) -> None:
    """What rows add to the gates' sums in all directions: (rows, directions * product_width)."""

class Plan:
    """How a ragged batch is divided into blocks, steps and chunks of steps."""

    places: int
    """Rows in which sequences stand."""

    def __init__(
        self, lengths: Integers, starts: Integers | None, steps: Integers | None, rows: int
    ) -> None:
        """Without ``starts`` and ``steps`` the sequences stand one after another."""

def layer_forward(
    cell: int,
    x: Array,
    plan: Plan,
    numbers: Integers | None,
    weights: Sequence[Array | None],
    packed: Bytes | None,
    h0: Array | None,
    c0: Array | None,
    keep: int,
    output: Array,
    h_n: Array,
    c_n: Array | None,
    saved: Array | None,
    threads: int,
    openmp: bool = False,
    precision: int = 0,
    engine: str = "",
) -> None:
    """One layer, forward; with ``numbers`` x are input products, and ``packed`` is needed.

    Where the precision is neither bf16 nor int8 it is x's; with these ``packed`` is needed.
    """

def layer_backward(
    cell: int,
    x: Array,
    plan: Plan,
    weights: Sequence[Array | None],
    h0: Array | None,
    c0: Array | None,
    output: Array | None,
    saved: Array | None,
    keep: int,
    d_output: Array | None,
    d_h_n: Array | None,
    d_c_n: Array | None,
    d_x: Array | None,
    d_weights: Sequence[Array | None],
    d_h0: Array | None,
    d_c0: Array | None,
    threads: int,
    openmp: bool = False,
) -> None:
    """One layer, backward."""

def linear_bytes(inputs: int, outputs: int, precision: int, engine: str = "") -> int:
    """Bytes of the packed weights of a linear layer."""

def linear_pack(
    weight: Array, packed: Bytes, scales: Array | None = None, engine: str = ""
) -> None:
    """Pack the weights (outputs, inputs) of a linear layer; in int8 they come with scales."""

def linear(
    x: Array,
    packed: Bytes,
    bias: Array | None,
    y: Array,
    threads: int,
    precision: int = 0,
    engine: str = "",
) -> None:
    """The linear layer: y = x w^T + bias."""

def lend(size: int) -> Bytes:
    """Memory for an array of so many bytes, on a cache line, not cleared."""

def lent_and_back() -> int:
    """Bytes that came back and wait for the next loan."""

def peak_rate(precision: int, threads: int) -> float:
    """Operations that the products' instruction of a precision does in a second."""

def chain_sums(
    emissions: Doubles,
    offsets: Integers,
    transitions: Doubles,
    start: Doubles,
    end: Doubles,
    log_partition: Doubles | None,
    marginals: Doubles | None,
    weight: Doubles | None,
    d_emissions: Doubles | None,
    d_transitions: Doubles | None,
    d_start: Doubles | None,
    d_end: Doubles | None,
    threads: int,
    openmp: bool = False,
) -> None:
    """Sums over all tag sequences, and their gradients; what is None is not asked for."""

def chain_paths(
    emissions: Doubles,
    offsets: Integers,
    transitions: Doubles,
    start: Doubles,
    end: Doubles,
    tags: Integers,
    scores: Doubles,
    threads: int,
    openmp: bool = False,
) -> None:
    """The best tag sequences."""

def chain_spans(
    emissions: Doubles,
    offsets: Integers,
    transitions: Doubles,
    start: Doubles,
    end: Doubles,
    sequences: Integers,
    starts: Integers,
    stops: Integers,
    span_types: Integers,
    types: Integers,
    first: Bytes,
    begins: Bytes,
    continues: Bytes,
    marginals: Doubles,
    probabilities: Doubles,
    threads: int,
    openmp: bool = False,
) -> None:
    """Marginals of labels, and probabilities of spans that labels mark."""

def attention_forward(
    queries: Array,
    keys: Array,
    values: Array,
    vector: Array | None,
    query_offsets: Integers,
    key_offsets: Integers,
    contexts: Array,
    weights: Array | None,
    threads: int,
    openmp: bool = False,
) -> None:
    """Contexts and weights of attention over the key rows of each query's source."""

def attention_backward(
    queries: Array,
    keys: Array,
    values: Array,
    vector: Array | None,
    query_offsets: Integers,
    key_offsets: Integers,
    weights: Array,
    d_contexts: Array | None,
    d_weights: Array | None,
    d_queries: Array,
    d_keys: Array,
    d_values: Array,
    d_vector: Array | None,
    threads: int,
    openmp: bool = False,
) -> None:
    """Gradients of attention, from the weights of the forward pass."""
