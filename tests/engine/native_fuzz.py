"""Right calls of the compiled module, and everything that can be wrong with them.

A program of its own, so that a crash is seen: ``python native_fuzz.py SEED TRIALS``. Each trial
spoils some arguments of a call; what comes of it has to be an exception, or the answer that the
same numbers give in plain arrays, and nothing may be written outside of the arrays. The last line
on standard error names the trial; ``python native_fuzz.py SEED TRIALS FIRST`` begins with it.
"""

from __future__ import annotations

import faulthandler
import os
import resource
import sys
from pathlib import Path

import numpy as np
from foreign_arrays import CUDA, Capsuled, Foreign, wearable

from birnn.engine import isa
from birnn.engine.arrays import RaggedLayout, RowLayout
from birnn.reference.low_precision import PRECISIONS

GUARD = 256  # bytes before and behind each array, which nobody may touch
UNTOUCHED = 0xA5

ODD = [np.nan, np.inf, -np.inf, 1e30, -1e30, 1e-38, 1e-42, 0.0, -0.0]

LOW = (np.dtype(np.uint16), np.dtype(np.int8))  # of weights in bf16 and int8

REFUSALS = (ValueError, TypeError, MemoryError, BufferError)

# Read by nanobind, which knows capsules and no tables.
INTEGERS = {"lengths", "starts", "steps", "numbers", "offsets", "query_offsets", "key_offsets"}
INTEGERS |= {"sequences", "stops", "span_types", "types", "first", "begins", "continues"}

DTYPES = ["f4", "f8", "f2", ">f4", ">f8", "i8", "i4", "u1", "?", "c8", "O"]
NUMBERS = [-(2**63), -(2**31), -1, 0, 1, 2, 3, 4, 5, 2**24, 2**24 + 1, 2**31, 2**62, 2**63 - 1]
OUTPUTS = (
    *("output", "h_n", "c_n", "saved", "d_x", "d_weights", "d_h0", "d_c0", "packed", "y", "tags"),
    *("scores", "log_partition", "marginals", "d_emissions", "d_transitions", "d_start", "d_end"),
    *(
        "probabilities",
        "products",
        "contexts",
        "weights",
        "d_queries",
        "d_keys",
        "d_values",
        "d_vector",
    ),
)


# Of each precision by its number: all that are here, that which is for proofs as well.
ENGINES = [
    [
        name
        for name, precisions, missing in isa.native_module().levels()
        if precision in precisions and not missing and isa.why_not(name) is None
    ]
    for precision in isa.PRECISION_NUMBERS
]


class Fuzz:
    """Calls of the compiled module that are right, and what can be wrong with them."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.native = isa.selected_engine()
        for precision in PRECISIONS:
            isa.selected_engine(precision)
        self.guarded = []

    def some(self, *choices):
        return choices[self.rng.integers(len(choices))]

    def array(self, *shape, dtype=None):
        """Random numbers between guards."""
        dtype = np.dtype(dtype or self.dtype)
        count = int(np.prod(shape)) * dtype.itemsize
        memory = np.full(count + 2 * GUARD, UNTOUCHED, np.uint8)
        self.guarded.append(memory)
        inner = memory[GUARD : GUARD + count].view(dtype).reshape(shape)
        if dtype in LOW:
            inner[...] = self.rng.integers(-127, 128, shape)
        elif dtype.kind != "f":
            inner[...] = 0
        else:
            inner[...] = self.rng.standard_normal(shape)
            if inner.size and self.rng.random() < 0.1:
                inner.flat[self.rng.integers(inner.size)] = self.some(*ODD)
        return inner

    def precision(self, low):
        """Draws the dtypes of rows and weights, and the engine; the number of the precision."""
        number = self.some(*(range(4) if low else range(2)))
        self.engine = self.some("", *ENGINES[number])
        self.dtype = "float64" if number == 1 else "float32"
        self.weights_dtype = {2: "uint16", 3: "int8"}.get(number, self.dtype)
        return number

    def integers(self, values):
        array = self.array(len(values), dtype=np.int64)
        array[:] = values
        return array

    def guards_hold(self):
        return all(
            (memory[:GUARD] == UNTOUCHED).all() and (memory[-GUARD:] == UNTOUCHED).all()
            for memory in self.guarded
        )

    def layer(self, low=False):
        """What forward and backward have in common; forward may be of low precision."""
        some, rng = self.some, self.rng
        self.number = self.precision(low)
        self.cell, self.directions = int(rng.integers(4)), some(1, 2)
        inputs, self.hidden = some(1, 3, 8, 17, 40, 65), some(1, 2, 5, 16, 33)
        lengths = np.sort(rng.integers(0, some(2, 5, 30), some(0, 1, 3, 7, 20)))[::-1].astype(
            np.int64
        )
        steps = int(lengths.max(initial=0)) + some(0, 1)
        layout = some(
            RowLayout.ragged(lengths),
            RowLayout.padded(lengths, steps=steps),
            RowLayout.padded(lengths, steps=steps, batch_first=False),
        )
        self.count, self.rows, self.places = len(lengths), layout.rows, int(lengths.sum())
        gates = (1, 1, 4, 3)[self.cell] * self.hidden
        weights = []
        for _ in range(self.directions):
            weights += [
                self.array(gates, columns, dtype=self.weights_dtype)
                for columns in (inputs, self.hidden)
            ]
            weights += [self.array(gates) if some(0, 1) else None for _ in range(2)]
        return {
            "cell": self.cell,
            "x": self.array(self.rows, inputs),
            **self.places_of(layout),
            "weights": weights,
            "h0": self.state() if some(0, 1) else None,
            "c0": self.state() if self.cell == 2 and some(0, 1) else None,
            "keep": some(1, 2, 3),
            "threads": some(1, 2, 3),
        }

    def places_of(self, layout):
        """Arguments of a plan, and of the layers in the place of one: `called` makes it of them."""
        stands_alone = isinstance(layout, RaggedLayout) and self.some(True, False)
        return {
            "lengths": self.integers(layout.lengths),
            "starts": None if stands_alone else self.integers(layout.starts),
            "steps": None if stands_alone else self.integers(layout.steps),
            "rows": layout.rows,
        }

    def state(self):
        return self.array(self.directions, self.count, self.hidden)

    def outcome(self):
        return self.array(self.rows, self.directions * self.hidden)

    def saved(self, keep):
        wide = self.dtype == "float64"
        each = self.native.saved_elements(self.cell, self.places, self.hidden, keep, wide)
        return self.array(self.directions * each)

    def layer_forward(self):
        call = self.layer(low=True)
        low = self.number > 1
        call["keep"] = 0 if low else self.some(0, call["keep"])
        if call["keep"]:
            self.engine = ""
        memory = self.cell == 2
        packed, numbers = None, None
        if low or self.engine or self.some(0, 1):
            packed = self.packed_weights(call)
            call["weights"] = []
        if packed is not None and call["keep"] == 0 and self.some(0, 1):
            entries = self.some(1, 4) if self.rows else self.some(0, 1, 4)
            numbers = self.integers(self.rng.integers(0, max(entries, 1), self.rows))
            call["x"] = self.products(entries)
        return call | {
            "numbers": numbers,
            "packed": packed,
            "output": self.outcome(),
            "h_n": self.state(),
            "c_n": self.state() if memory else None,
            "saved": self.saved(call["keep"]) if call["keep"] else None,
            "precision": self.number,
            "engine": self.engine,
        }

    def packed_weights(self, call):
        width, of = call["x"].shape[-1], (self.number, self.engine)
        size = self.native.packed_bytes(self.cell, width, self.hidden, *of)
        packed = self.array(self.directions, size, dtype=np.uint8)
        scales = self.scales(call["weights"])
        self.native.pack(self.cell, call["weights"], packed, scales, self.engine)
        return packed

    def scales(self, weights):
        """Of every matrix, in int8 alone."""
        return [
            self.array(len(matrix), dtype=np.float32)
            for matrix in weights
            if matrix is not None and matrix.dtype == np.int8
        ]

    def products(self, rows):
        width = self.native.product_width(self.cell, self.hidden, self.number, self.engine)
        return self.array(rows, self.directions * width)

    def input_products(self):
        call = self.layer(low=True)
        rows = self.some(0, 1, 4)
        return {
            "cell": self.cell,
            "x": self.array(rows, call["x"].shape[-1]),
            "hidden": self.hidden,
            "packed": self.packed_weights(call),
            "products": self.products(rows),
            "threads": call["threads"],
            "precision": self.number,
            "engine": self.engine,
        }

    def product_width(self):
        return {"cell": 2, "hidden": 4, "precision": self.precision(True), "engine": self.engine}

    def layer_backward(self):
        call = self.layer()
        memory = self.cell == 2
        d_weights = [None if w is None else self.array(*w.shape) for w in call["weights"]]
        return call | {
            "output": None if call["keep"] == 3 and self.some(0, 1) else self.outcome(),
            "saved": self.saved(call["keep"]),
            "d_output": self.some(self.outcome(), None),
            "d_h_n": self.some(self.state(), None),
            "d_c_n": self.state() if memory and self.some(0, 1) else None,
            "d_x": self.some(self.array(*call["x"].shape), None),
            "d_weights": self.some(d_weights, []),
            "d_h0": self.some(self.state(), None),
            "d_c0": self.some(self.state(), None) if memory else None,
        }

    def pack(self):
        call = self.layer(low=True)
        return {
            "cell": self.cell,
            "weights": call["weights"],
            "packed": self.packed_weights(call),
            "scales": self.scales(call["weights"]),
            "engine": self.engine,
        }

    def Plan(self):
        call = self.layer()
        return {name: call[name] for name in ("lengths", "starts", "steps", "rows")}

    def packed_bytes(self):
        layer = {"cell": 2, "inputs": 3, "hidden": 4}
        return layer | {"precision": self.precision(True), "engine": self.engine}

    def saved_elements(self):
        return {"cell": 2, "rows": 3, "hidden": 4, "keep": 1, "wide": True}

    def linear_bytes(self):
        layer = {"inputs": 3, "outputs": 4}
        return layer | {"precision": self.precision(True), "engine": self.engine}

    def linear_pack(self):
        self.number = self.precision(True)
        outputs, inputs = self.some(1, 5, 70), self.some(1, 9, 64, 130)
        size = self.native.linear_bytes(inputs, outputs, self.number, self.engine)
        weight = self.array(outputs, inputs, dtype=self.weights_dtype)
        return {
            "weight": weight,
            "packed": self.array(size, dtype=np.uint8),
            "scales": next(iter(self.scales([weight])), None),
            "engine": self.engine,
        }

    def linear(self):
        packed = self.linear_pack()
        self.native.linear_pack(**packed)
        outputs, inputs = packed["weight"].shape
        rows = self.some(0, 1, 50, 100)
        return {
            "x": self.array(rows, inputs),
            "packed": packed["packed"],
            "bias": self.some(self.array(outputs), None),
            "y": self.array(rows, outputs),
            "threads": self.some(1, 3),
            "precision": self.number,
            "engine": self.engine,
        }

    def chain(self):
        self.dtype = "float64"
        self.labels = self.some(1, 2, 5, 20)
        lengths = self.rng.integers(0, 9, self.some(0, 1, 6, 20))
        self.count, self.rows = len(lengths), int(lengths.sum())
        return {
            "emissions": self.array(self.rows, self.labels),
            "offsets": self.integers([0, *np.cumsum(lengths)]),
            "transitions": self.array(self.labels, self.labels),
            "start": self.array(self.labels),
            "end": self.array(self.labels),
            "threads": self.some(1, 3),
        }

    def chain_sums(self):
        call, labels = self.chain(), self.labels
        wanted = {
            "log_partition": self.array(self.count),
            "marginals": self.array(self.rows, labels),
            "weight": self.array(self.count),
            "d_emissions": self.array(self.rows, labels),
            "d_transitions": self.array(labels, labels),
            "d_start": self.array(labels),
            "d_end": self.array(labels),
        }
        if self.some(0, 1):
            wanted |= dict.fromkeys(list(wanted)[2:])
        return call | wanted

    def chain_paths(self):
        call = self.chain()
        return call | {
            "tags": self.array(self.rows, dtype=np.int64),
            "scores": self.array(self.count),
        }

    def chain_spans(self):
        call, labels = self.chain(), self.labels
        lengths = np.diff(call["offsets"])
        sequences = np.repeat(np.arange(self.count), np.minimum(lengths, 2))
        starts = self.rng.integers(0, lengths[sequences])
        stops = self.rng.integers(starts, lengths[sequences]) + 1
        flags = {"dtype": np.uint8}
        return call | {
            "sequences": self.integers(sequences),
            "starts": self.integers(starts),
            "stops": self.integers(stops),
            "span_types": self.integers(self.rng.integers(0, 3, len(starts))),
            "types": self.integers(self.rng.integers(-1, 3, labels)),
            "first": self.array(labels, **flags),
            "begins": self.array(labels * labels, **flags),
            "continues": self.array(labels * labels, **flags),
            "marginals": self.array(self.rows, labels),
            "probabilities": self.array(len(starts)),
        }

    def attention(self):
        """What forward and backward have in common."""
        some = self.some
        self.dtype = some("float32", "float64")
        width, self.value_width = some(1, 3, 16, 33), some(1, 5, 16)
        sources = some(0, 1, 6, 20)
        queries, keys = self.rng.integers(0, 12, (2, sources))
        self.pairs = int(queries @ keys)
        return {
            "queries": self.array(int(queries.sum()), width),
            "keys": self.array(int(keys.sum()), width),
            "values": self.array(int(keys.sum()), self.value_width),
            "vector": some(self.array(width), None),
            "query_offsets": self.integers([0, *np.cumsum(queries)]),
            "key_offsets": self.integers([0, *np.cumsum(keys)]),
            "threads": some(1, 3),
        }

    def attention_forward(self):
        call = self.attention()
        return call | {
            "contexts": self.array(call["queries"].shape[0], self.value_width),
            "weights": self.some(self.array(self.pairs), None),
        }

    def attention_backward(self):
        call = self.attention()
        d_contexts = self.array(call["queries"].shape[0], self.value_width)
        outputs = {
            f"d_{name}": None if call[name] is None else self.array(*call[name].shape)
            for name in ("queries", "keys", "values", "vector")
        }
        return call | {
            "weights": self.array(self.pairs),
            "d_contexts": self.some(d_contexts, None),
            "d_weights": self.some(self.array(self.pairs), None),
            **outputs,
        }

    def lend(self):
        return {"size": self.some(0, 1, 1000, 3 << 20)}

    def choose_engine(self):
        return {"name": self.native.engine()}

    def set_threads(self):
        return {"threads": 1}

    def spoil(self, value):
        """Something else in the place of an argument, near to it or far."""
        if isinstance(value, list) and value:
            at = int(self.rng.integers(len(value)))
            changed = [*value[:at], self.spoil(value[at]), *value[at + 1 :]]
            return self.some(changed, changed, changed, value[:-1], [*value, value[0]], None, 5)
        if isinstance(value, np.ndarray) and self.rng.random() < 0.95:
            return self.spoil_array(value)
        if isinstance(value, int) and self.rng.random() < 0.8:
            return self.some(*NUMBERS)
        if wearable(value) and self.some(0, 1):
            return self.lie(value)
        return self.some(None, [], "text", 1.5, b"bytes", object(), -1, self.array(2, dtype="f4"))

    def spoil_array(self, array):
        some = self.some
        axis = int(self.rng.integers(array.ndim))
        twice = np.repeat(array, 2, axis=axis)
        half = [slice(None)] * array.ndim
        half[axis] = slice(None, None, 2)
        bytes_behind = np.frombuffer(b"\0" + array.tobytes(), np.uint8)[1:].copy()
        shifted = np.empty(bytes_behind.size + 1, np.uint8)[1:]
        shifted[:] = bytes_behind
        read_only = array.copy()
        read_only.flags.writeable = False
        spoilt = [
            twice,
            twice[tuple(half)],  # the right shape, but not contiguous
            np.flip(array, axis),
            array.T,
            np.asfortranarray(array),
            np.take(array, [], axis=axis),
            np.delete(array, 0, axis=axis) if array.shape[axis] else array[None],
            array[None],
            array.ravel(),
            array.astype(some(*DTYPES)),
            read_only,
            shifted.view(array.dtype).reshape(array.shape),  # at an odd address
            np.broadcast_to(array[..., :1], array.shape) if array.size else array,
            array.tolist(),
            memoryview(array),
        ]
        values = array.copy()
        if array.size:
            odd = NUMBERS[:-1] if array.dtype.kind == "i" else [np.nan, np.inf, -np.inf, 1e30, 0]
            if array.dtype in LOW:
                values.flat[self.rng.integers(array.size)] = some(0, 1, 127)
            elif array.dtype.kind in "if":
                values.flat[self.rng.integers(array.size)] = some(*odd)
        return values if self.rng.random() < 0.4 else some(*spoilt)

    def disguise(self, call):
        """Some arrays as another library's, known by DLPack alone."""
        return {
            key: self.coat(value, *([Capsuled] if key in INTEGERS else [Foreign, Capsuled]))
            for key, value in call.items()
        }

    def coat(self, value, *kinds):
        if isinstance(value, list):
            return [self.coat(item, *kinds) for item in value]
        if not wearable(value) or self.rng.random() < 0.5:
            return value
        plain = value.flags.c_contiguous
        strides = not plain or self.some(0, 1)
        return self.some(*kinds)(value, offset=self.some(0, 8, 64), strides=strides)

    def lie(self, array):
        """What no such library may say."""
        wrong = self.some(
            *({"lanes": 2}, {"bits": 4}, {"device_type": CUDA}, {"fails": True}),
            *({"code": 3}, {"code": 4}, {"data": None, "byte_offset": 0}),
        )
        return self.some(Foreign, Capsuled)(array, **wrong)


CALLS = [n for n in vars(Fuzz) if n[0] != "_" and hasattr(isa.native_module(), n)]
# There is more to get wrong in the larger ones.
CALLS += 3 * ["layer_forward", "layer_backward", "chain_sums", "chain_spans", "linear"]
CALLS += 3 * ["attention_backward"]


def trial(seed, number):
    """One spoilt call; what is wrong with what came of it, or None."""
    fuzz = Fuzz([seed, number])
    name = fuzz.some(*CALLS)
    call = getattr(fuzz, name)()
    spoilt = fuzz.rng.choice(list(call), size=fuzz.some(0, 1, 1, 1, 2, 3))
    call |= {key: fuzz.spoil(call[key]) for key in spoilt}
    print(seed, number, name, *spoilt, file=sys.stderr, flush=True)
    plain = {key: copied(value) for key, value in call.items()}
    given = call if fuzz.rng.random() < 0.5 else fuzz.disguise(call)
    try:
        try:
            answer = called(fuzz.native, name, given)
        except REFUSALS as error:
            return f"{name} is right, and refused: {error}" if not len(spoilt) else None
        if not fuzz.guards_hold():
            return f"{name} has written outside of its arrays"
        if name in ("peak_rate", "lend", "set_threads") or shares_rows(plain):
            return None
        again = called(fuzz.native, name, plain)
        same = repr(answer) == repr(again) and all(
            same_bits(call[key], plain[key]) for key in OUTPUTS if key in call
        )
        return None if same else f"{name} gives something else than with plain arrays"
    finally:
        fuzz.native.set_threads(1)


def called(native, name, call):
    """The answer; where the rows of sequences stand goes into a plan."""
    if name == "Plan":
        return native.Plan(**call).places
    if "lengths" in call:
        places = {key: call[key] for key in ("lengths", "starts", "steps", "rows")}
        call = {key: value for key, value in call.items() if key not in places}
        call["plan"] = native.Plan(**places)
    return getattr(native, name)(**call)


def copied(value):
    """The same numbers in memory as NumPy hands it out."""
    if isinstance(value, list):
        return [copied(item) for item in value]
    if isinstance(value, Foreign):
        value = value.array  # a lie that was taken: that no numbers stand nowhere
    if isinstance(value, np.ndarray | memoryview):
        return np.array(value, order="C", copy=True)
    return value


def same_bits(one, other):
    if isinstance(one, list):
        return all(same_bits(*pair) for pair in zip(one, other, strict=True))
    if isinstance(one, np.ndarray | memoryview):
        return np.asarray(one).tobytes() == other.tobytes()
    return True


def shares_rows(call):
    """Whether sequences stand in the same rows: then the last to be written there is seen."""
    if "lengths" not in call or call["starts"] is None:
        return False
    taken = [
        row
        for start, length in zip(call["starts"].tolist(), call["lengths"].tolist(), strict=True)
        for row in (start + call["steps"][:length]).tolist()
    ]
    return len(set(taken)) < len(taken)


def limit_memory(more):
    """From here on the process gets at most so many bytes more."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main(seed, trials, first=0):
    faulthandler.enable()
    # Under a sanitizer a process has all addresses, and ends where memory cannot be had.
    if not {"ASAN_OPTIONS", "TSAN_OPTIONS"} & set(os.environ):
        limit_memory(2**30)
    for number in range(first, trials):
        fault = trial(seed, number)
        if fault is not None:
            sys.exit(f"trial {number} of seed {seed}: {fault}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
