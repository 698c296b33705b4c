"""What the tests of the kernels share: engines that are forced, and one layer to run on them."""

# R rows of the array, N rows of all sequences, B sequences, D inputs, H hidden units

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import strategies as st

from birnn.engine import isa, recurrent
from birnn.engine.arrays import RowLayout
from birnn.engine.packed_weights import input_products, pack
from birnn.ragged import Ragged
from birnn.reference import GATES, Stack, StackState, bidirectional

COMPILED = [name for name in isa.available() if name != isa.REFERENCE]

# The numerical contract's: outputs are of order 1, gradients are compared to the largest of them.
TOLERANCES = {"float64": 1e-10, "float32": 1e-5}

WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


@pytest.fixture(scope="module", params=COMPILED)
def engine(request):
    """The name of a compiled engine that is forced, and proven to have run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(isa.FORCE, request.param)
        assert isa.selected_engine().engine() == request.param
        yield request.param
        # Another engine may have been forced in between: what runs now is this one again.
        assert isa.active().name == isa.selected_engine().engine() == request.param


@pytest.fixture(autouse=True)
def all_threads_work():
    """Calls run on all threads that are asked for, however small and whoever else is at work."""
    native = isa.native_module()
    if native is None:
        yield
        return
    native.use_all_threads(True)
    yield
    native.use_all_threads(False)


@pytest.fixture
def forced(monkeypatch):
    """``forced(name)``: from here on this engine runs."""

    def force(name):
        monkeypatch.setenv(isa.FORCE, name)
        assert isa.active().name == name

    return force


@dataclasses.dataclass(frozen=True)
class Layer:
    """One layer, a batch for it, and gradients to send back through it."""

    cell: str
    x: np.ndarray
    layout: RowLayout
    weights: list
    initial: tuple | None
    d_output: np.ndarray
    d_final: tuple

    @property
    def dtype(self):
        return self.x.dtype.name

    @property
    def directions(self):
        return len(self.weights)

    @property
    def hidden(self):
        return self.weights[0][1].shape[1]

    @property
    def rows(self):
        """Row of the array at which each row of the ragged batch stands, (N,)."""
        lengths = self.layout.lengths
        step = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return np.repeat(self.layout.starts, lengths) + self.layout.steps[step]

    def forward(self, **options):
        return recurrent.forward(
            self.cell, self.x, self.layout, self.weights, self.initial, **options
        )

    def forward_by_number(self, numbers, *, threads=None):
        """The same over the products of x, which these are the numbers of."""
        packed = pack(self.cell, self.weights)
        products = input_products(packed, self.x, threads=threads)
        return recurrent.forward_packed(
            packed, products, self.layout, self.initial, numbers=numbers, threads=threads
        )

    def run(self, *, keep="gates", threads=None, **wants):
        """Every answer by its name: forward, then backward."""
        forward = self.forward(keep=keep, threads=threads)
        backward = recurrent.backward(
            self.cell,
            self.x,
            self.layout,
            self.weights,
            self.initial,
            output=None if keep == "everything" else forward.output,
            saved=forward.saved,
            keep=keep,
            d_output=self.d_output,
            d_final=self.d_final,
            threads=threads,
            **wants,
        )
        answers = {"output": forward.output, "d_x": backward.x}
        answers |= zip(("h_n", "c_n"), forward.final, strict=False)
        answers |= zip(("d_h_0", "d_c_0"), backward.initial, strict=False)
        for direction, parts in enumerate(backward.weights):
            named = zip(WEIGHTS, parts, strict=True)
            answers |= {f"d_{name} {direction}": part for name, part in named}
        return {name: part for name, part in answers.items() if part is not None}

    def expected(self):
        """The same by the reference in float64."""
        stack = Stack(self.cell, self.x.shape[1], self.hidden, bidirectional=self.directions == 2)
        parameters, absent = {}, set()
        for direction, suffix in enumerate(stack.suffixes(0)):
            names = bidirectional.direction_names(0, suffix)
            for name, part in zip(names, self.weights[direction], strict=True):
                shape = stack.shapes()[name]
                parameters[name] = np.zeros(shape) if part is None else part.astype(np.float64)
                if part is None:
                    absent.add(name)
        x = Ragged(self.x[self.rows].astype(np.float64), self.layout.lengths)
        zeros = StackState.zeros(stack, len(x), np.dtype(np.float64)).parts
        initial = zeros if self.initial is None else [part.astype(float) for part in self.initial]
        outcome, saved = bidirectional.run_saving(x, parameters, stack, StackState(*initial))
        d_state = [
            z if d is None else d.astype(float) for z, d in zip(zeros, self.d_final, strict=True)
        ]
        d_output = np.zeros((x.values.shape[0], stack.output_size))
        if self.d_output is not None:
            d_output += self.d_output[self.rows]
        d_x, d_weights, d_initial = bidirectional.gradients(
            saved, d_output, d_state=StackState(*d_state)
        )
        answers = {"output": outcome.output.values, "d_x": d_x}
        answers |= zip(("h_n", "c_n"), outcome.state.parts, strict=False)
        answers |= zip(("d_h_0", "d_c_0"), d_initial.parts, strict=False)
        for direction, suffix in enumerate(stack.suffixes(0)):
            for short, name in zip(WEIGHTS, bidirectional.direction_names(0, suffix), strict=True):
                if name not in absent:
                    answers[f"d_{short} {direction}"] = d_weights[name]
        return answers

    def select(self, order):
        """The same with these sequences in this order; the rows lie one after another."""
        order = np.asarray(order, np.int64)
        edges = np.cumsum(self.layout.lengths) - self.layout.lengths
        lengths = self.layout.lengths[order]
        of = [self.rows[edges[i] : edges[i] + self.layout.lengths[i]] for i in order]
        rows = np.concatenate([np.zeros(0, np.int64), *of])

        def states(parts):
            return parts and tuple(part if part is None else part[:, order] for part in parts)

        return dataclasses.replace(
            self,
            x=self.x[rows],
            layout=RowLayout.ragged(lengths),
            initial=states(self.initial),
            d_output=None if self.d_output is None else self.d_output[rows],
            d_final=states(self.d_final),
        )

    def place(self, layout):
        """The same rows where ``layout`` puts them, NaN in between."""
        moved = dataclasses.replace(self, layout=layout)

        def spread(array):
            if array is None:
                return None
            to = np.full((layout.rows, array.shape[1]), np.nan, array.dtype)
            to[moved.rows] = array[self.rows]
            return to

        return dataclasses.replace(moved, x=spread(self.x), d_output=spread(self.d_output))

    def agree(self, found, expected):
        """Assert that answers are equal within the contract's tolerance."""
        assert found.keys() == expected.keys()
        tolerance = TOLERANCES[self.dtype]
        for name, part in found.items():
            assert part.dtype == self.dtype, name
            largest = np.abs(expected[name]).max(initial=1.0)
            np.testing.assert_allclose(
                part, expected[name], rtol=tolerance, atol=tolerance * largest, err_msg=name
            )


@pytest.fixture(scope="session")
def draw_layer():
    """``draw_layer(cell, lengths, ...)``: a layer of random numbers, its rows one after another."""

    def draw(
        cell,
        lengths,
        *,
        inputs=3,
        hidden=4,
        directions=2,
        dtype="float64",
        biases=True,
        initial=True,
        seed=0,
    ):
        rng = np.random.default_rng(seed)
        lengths = np.asarray(lengths, np.int64)
        rows, gates, bound = int(lengths.sum()), GATES[cell] * hidden, 1 / np.sqrt(hidden)
        shapes = ((gates, inputs), (gates, hidden), (gates,), (gates,))

        def normal(*shape):
            return rng.standard_normal(shape).astype(dtype)

        weights = [
            tuple(rng.uniform(-bound, bound, shape).astype(dtype) for shape in shapes)
            for _ in range(directions)
        ]
        if not biases:
            weights = [(*one[:2], None, None) for one in weights]
        states = [
            normal(directions, len(lengths), hidden) for _ in range(2 if cell == "lstm" else 1)
        ]
        return Layer(
            cell,
            normal(rows, inputs),
            RowLayout.ragged(lengths),
            weights,
            tuple(states) if initial else None,
            normal(rows, directions * hidden),
            tuple(normal(*state.shape) for state in states),
        )

    return draw


@pytest.fixture(scope="session")
def layers(draw_layer):
    """``layers(lengths=..., **options)``: a strategy of layers; options fix what is drawn."""

    def strategy(lengths=None, **options):
        choices = {
            "cell": st.sampled_from(sorted(GATES)),
            "lengths": st.lists(st.integers(0, 7), max_size=6) if lengths is None else lengths,
            # Fewer and more than the vectors of all engines and their tiles.
            "inputs": st.sampled_from([1, 2, 5, 17]),
            "hidden": st.sampled_from([1, 2, 3, 8, 17, 33]),
            "directions": st.integers(1, 2),
            "dtype": st.sampled_from(sorted(TOLERANCES)),
            "biases": st.booleans(),
            "initial": st.booleans(),
            "seed": st.integers(0, 2**32 - 1),
        }
        choices |= {name: st.just(value) for name, value in options.items()}
        return st.builds(draw_layer, **choices)

    return strategy


@pytest.fixture(scope="session")
def same_bits():
    """``same_bits(found, expected)``: assert that arrays, or answers by name, have equal bits."""

    def same(found, expected, name=""):
        if isinstance(found, dict):
            assert found.keys() == expected.keys()
            for key in found:
                same(found[key], expected[key], key)
            return
        assert found.shape == expected.shape, name
        assert found.dtype == expected.dtype, name
        assert found.tobytes() == expected.tobytes(), f"{name} differs in its bits"

    return same
