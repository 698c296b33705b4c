"""Attention on every engine: the reference's answers, the same bits, faults in front."""

# N query rows, M key rows, B sources, P pairs, A width of a query and a key, V width of a value

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from birnn.engine import attention, isa
from birnn.errors import LengthError, ShapeError
from birnn.ragged import Ragged
from birnn.reference import attention as reference

COMPILED = [name for name in isa.available() if name != isa.REFERENCE]
SEEDS = st.integers(0, 2**32 - 1)
# Fewer and more queries and keys than a tile of the kernels has, and than they take at a time.
BATCHES = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=7)
# Fewer and more than the vectors of all engines and their tiles.
WIDTHS = st.sampled_from([1, 3, 8, 16, 17, 35, 70])
TOLERANCES = {"float64": 1e-10, "float32": 1e-5}
PER_ENGINE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
NAMES = ("contexts", "weights", "d_queries", "d_keys", "d_values", "d_vector")


@pytest.fixture(params=isa.available())
def engine(request, monkeypatch):
    """Each engine that is here, forced."""
    monkeypatch.setenv(isa.FORCE, request.param)
    assert isa.active().name == request.param
    return request.param


@pytest.fixture(params=COMPILED)
def compiled(request, monkeypatch):
    """Each compiled engine, forced."""
    monkeypatch.setenv(isa.FORCE, request.param)
    return isa.selected_engine()


class Case:
    """Random queries, keys, values and vector, and gradients to send back."""

    def __init__(self, batch, widths, seed, *, additive, dtype="float64", scale=1.0):
        random = np.random.default_rng(seed)

        def normal(*shape):
            return random.standard_normal(shape).astype(dtype)

        self.query_lengths, self.key_lengths = np.array(batch, np.int64).reshape(-1, 2).T
        rows, keys = int(self.query_lengths.sum()), int(self.key_lengths.sum())
        self.width, self.value_width = widths
        self.queries = normal(rows, self.width) * np.asarray(scale / self.width**0.5, dtype)
        self.keys, self.values = normal(keys, self.width), normal(keys, self.value_width)
        self.vector = normal(self.width) / np.asarray(self.width**0.5, dtype) if additive else None
        self.d_contexts = normal(rows, self.value_width)
        self.d_weights = normal(int(self.query_lengths @ self.key_lengths))

    @property
    def arguments(self):
        return self.queries, self.keys, self.values, self.query_lengths, self.key_lengths

    def answers(self, threads=None):
        found = attention.attend(*self.arguments, vector=self.vector, weights=True, threads=threads)
        gradient = attention.attend_gradient(
            *self.arguments,
            vector=self.vector,
            weights=found.weights,
            d_contexts=self.d_contexts,
            d_weights=self.d_weights,
            threads=threads,
        )
        return dict(zip(NAMES, (*found, *gradient), strict=True))

    def expected(self):
        queries = Ragged(self.queries, self.query_lengths)
        keys = Ragged(self.keys, self.key_lengths)
        found = reference.attend(queries, keys, self.values, vector_A=self.vector)
        gradient = reference.attend_gradient(
            queries,
            keys,
            self.values,
            self.d_contexts,
            vector_A=self.vector,
            d_weights_P=self.d_weights,
        )
        return dict(zip(NAMES, (*found, *gradient), strict=True))

    def regrouped(self, sources, queries):
        """The same with these sources, and of each these of its own queries."""
        other = object.__new__(Case)
        other.__dict__ |= self.__dict__
        keys = Ragged(np.arange(self.keys.shape[0]), self.key_lengths).select(sources)
        other.key_lengths = keys.lengths
        other.keys, other.values = self.keys[keys.values], self.values[keys.values]
        firsts = (np.cumsum(self.query_lengths) - self.query_lengths)[sources]
        rows = [first + np.array(own, np.int64) for first, own in zip(firsts, queries, strict=True)]
        other.rows = np.concatenate([np.zeros(0, np.int64), *rows])
        other.query_lengths = np.array([len(own) for own in queries], np.int64)
        other.queries, other.d_contexts = self.queries[other.rows], self.d_contexts[other.rows]
        places = self.places
        found = [places[row] for row in other.rows]
        other.pairs = np.concatenate([np.zeros(0, np.int64), *found])
        other.d_weights = self.d_weights[other.pairs]
        return other

    @property
    def places(self):
        """Where the weights of each query stand."""
        counts = np.repeat(self.key_lengths, self.query_lengths)
        stops = np.cumsum(counts)
        return [np.arange(stop - count, stop) for stop, count in zip(stops, counts, strict=True)]


@PER_ENGINE
@given(
    batch=BATCHES,
    widths=st.tuples(WIDTHS, WIDTHS),
    seed=SEEDS,
    additive=st.booleans(),
    dtype=st.sampled_from(sorted(TOLERANCES)),
)
def test_every_engine_is_the_reference(engine, batch, widths, seed, additive, dtype):
    case = Case(batch, widths, seed, additive=additive, dtype=dtype)
    found, expected = case.answers(), case.expected()
    tolerance = TOLERANCES[dtype]
    for name, part in found.items():
        if part is None:
            assert expected[name] is None
            continue
        assert part.dtype == dtype, name
        atol = tolerance * np.abs(expected[name]).max(initial=1.0)
        np.testing.assert_allclose(part, expected[name], tolerance, atol, err_msg=name)
    contexts = attention.attend(*case.arguments, vector=case.vector)
    assert contexts.weights is None
    assert contexts.contexts.tobytes() == found["contexts"].tobytes()


# Widths of keys and values: every kind of tile, whole and not.
EVERY_TILE = [(1, 70), (3, 35), (8, 17), (17, 8), (35, 3), (70, 16), (35, 70)]


# All are tried: of what Hypothesis draws, most is too small for a tile and its rest.
@pytest.mark.parametrize("widths", EVERY_TILE)
@pytest.mark.parametrize("additive", [False, True])
@pytest.mark.parametrize("dtype", sorted(TOLERANCES))
def test_a_query_has_the_same_bits_in_every_grouping(engine, dtype, additive, widths):
    for seed in range(2):
        random = np.random.default_rng(seed)
        batch = random.integers(0, 12, (4, 2))
        case = Case(batch, widths, seed, additive=additive, dtype=dtype)
        whole = case.answers(threads=2)
        for _ in range(3):
            sources = random.integers(0, len(batch), 4)
            counts = [random.integers(0, 9) if batch[source][0] else 0 for source in sources]
            queries = [
                random.integers(0, max(batch[source][0], 1), count)
                for source, count in zip(sources, counts, strict=True)
            ]
            other = case.regrouped(sources, queries)
            found = other.answers(threads=1)
            for name in ("contexts", "d_queries"):
                assert found[name].tobytes() == whole[name][other.rows].tobytes(), name
            assert found["weights"].tobytes() == whole["weights"][other.pairs].tobytes()


@pytest.mark.parametrize("widths", EVERY_TILE)
@pytest.mark.parametrize("additive", [False, True])
@pytest.mark.parametrize("dtype", sorted(TOLERANCES))
def test_a_source_has_the_same_bits_in_every_batch_on_any_threads(engine, dtype, additive, widths):
    random = np.random.default_rng(3)
    batch = random.integers(0, 12, (9, 2))
    case = Case(batch, widths, 3, additive=additive, dtype=dtype)
    one = case.answers(threads=1)
    for threads in (2, 3):
        for name, part in case.answers(threads=threads).items():
            assert part is one[name] is None or part.tobytes() == one[name].tobytes(), name
    order = random.permutation(9)
    moved = case.regrouped(order, [list(range(batch[source][0])) for source in order])
    found = moved.answers()
    for name in ("d_keys", "d_values"):
        rows = Ragged(one[name], case.key_lengths).select(order)
        assert found[name].tobytes() == rows.values.tobytes(), name


@pytest.mark.parametrize("additive", [False, True])
@pytest.mark.parametrize("dtype", sorted(TOLERANCES))
def test_nan_in_one_source_stays_in_it(engine, additive, dtype):
    case = Case([(3, 5)] * 3, (17, 9), 0, additive=additive, dtype=dtype)
    clean = case.answers()
    case.keys[6, 3] = np.nan
    found = case.answers()
    here = {"queries": slice(3, 6), "keys": slice(5, 10), "weights": slice(15, 30)}
    for name, rows in (
        ("contexts", here["queries"]),
        ("weights", here["weights"]),
        ("d_queries", here["queries"]),
        ("d_keys", here["keys"]),
        ("d_values", here["keys"]),
    ):
        assert np.isnan(found[name][rows]).any(axis=-1).all(), name
        outside = np.delete(np.arange(len(found[name])), rows)
        assert found[name][outside].tobytes() == clean[name][outside].tobytes(), name


@pytest.mark.parametrize("dtype", sorted(TOLERANCES))
@pytest.mark.parametrize("count", [1, 4, 5, 40])
def test_infinities_are_as_the_reference_has_them(engine, dtype, count):
    random = np.random.default_rng(count)
    keys = random.standard_normal((count, 2)).astype(dtype)
    queries = np.array([[1, 0], [np.inf, 1], [-np.inf, 0], [0, np.nan], [1e30, 0]], dtype)
    kinds = [("no key", keys), ("one key", keys.copy()), ("all keys", np.full_like(keys, -np.inf))]
    kinds[1][1][count // 2, 0] = -np.inf
    for vector in (None, np.array([2, 1], dtype), np.array([np.inf, 1], dtype)):
        for name, own in kinds:
            arguments = (queries, own, keys, [5], [count])
            found = attention.attend(*arguments, vector=vector, weights=True)
            expected = reference.attend(
                Ragged(queries, np.array([5])),
                Ragged(own, np.array([count])),
                keys,
                vector_A=vector,
            )
            for part, right in zip(found, expected, strict=True):
                np.testing.assert_allclose(part, right, 1e-5, 1e-5, err_msg=name)


def test_large_scores_overflow_nothing(engine):
    case = Case([(4, 6)], (16, 5), 0, additive=False, dtype="float32", scale=1e4)
    found, expected = case.answers(), case.expected()
    # The largest score takes all; the others' weights are what is left in float64.
    np.testing.assert_allclose(found["weights"], expected["weights"], atol=1e-2)
    assert all(np.isfinite(part).all() for part in found.values() if part is not None)
    np.testing.assert_allclose(found["weights"].reshape(4, 6).sum(axis=1), 1, rtol=1e-6)


def test_gradients_without_contexts_or_weights(engine):
    case = Case([(2, 3), (0, 2), (3, 0)], (5, 7), 0, additive=True)
    weights = attention.attend(*case.arguments, vector=case.vector, weights=True).weights

    def gradient(**given):
        found = attention.attend_gradient(
            *case.arguments, vector=case.vector, weights=weights, **given
        )
        return np.concatenate([part.ravel() for part in found])

    both = gradient(d_contexts=case.d_contexts, d_weights=case.d_weights)
    # The gradient is linear in what is given.
    apart = gradient(d_contexts=case.d_contexts) + gradient(
        d_contexts=None, d_weights=case.d_weights
    )
    np.testing.assert_allclose(both, apart, rtol=1e-12, atol=1e-12)
    assert not gradient(d_contexts=None).any()


def test_rows_that_do_not_fit_are_refused():
    rows = np.zeros((3, 2))
    refused = [
        ((rows[0], rows, rows, [3], [3]), {}, r"queries are rows .* got shape \(2,\)"),
        ((rows, rows[:, :0], rows, [3], [3]), {}, r"keys are rows .* got shape \(3, 0\)"),
        ((rows, np.zeros((3, 5)), rows, [3], [3]), {}, "keys are 5 wide, the queries 2"),
        ((rows, rows, rows[:2], [3], [3]), {}, "2 values for 3 keys"),
        ((rows.astype(int), rows, rows, [3], [3]), {}, "queries are int64. Make"),
        ((rows, rows.astype("f4"), rows, [3], [3]), {}, "keys is float32, the queries are float64"),
        ((rows, rows, rows, [3], [3]), {"vector": np.zeros(3)}, r"2 wide it is \(2,\)"),
        ((rows, rows, rows, [3], [3, 0]), {}, "query_lengths are of 1 sources, key_lengths of 2"),
    ]
    for arguments, options, message in refused:
        with pytest.raises(ShapeError, match=message):
            attention.attend(*arguments, **options)
    with pytest.raises(LengthError, match="query_lengths sum to 2, there are 3 query rows"):
        attention.attend(rows, rows, rows, [2], [3])
    with pytest.raises(LengthError, match=r"lengths\[0\] is -1"):
        attention.attend(rows, rows, rows, [-1, 4], [3, 0])
    with pytest.raises(
        ShapeError, match=r"weights has shape \(8,\).*d_contexts has shape \(3, 3\)"
    ):
        attention.attend_gradient(
            rows, rows, rows, [3], [3], weights=np.zeros(8), d_contexts=np.zeros((3, 3))
        )


def test_memory_that_cannot_be_had_is_told(monkeypatch):
    def no_room(*arguments):
        raise MemoryError

    native = SimpleNamespace(attention_forward=no_room, attention_backward=no_room)
    monkeypatch.setattr(isa, "selected_engine", lambda: native)
    case = Case([(2, 3), (1, 7)], (2, 2), 0, additive=False)
    with pytest.raises(MemoryError, match=r"sources of up to 7 rows\. Cut"):
        case.answers()
    with pytest.raises(MemoryError, match=r"sources of up to 7 rows\. Cut"):
        attention.attend_gradient(*case.arguments, weights=case.d_weights, d_contexts=None)


@pytest.mark.parametrize("offsets", [[0, 3, 2], [0, 2], [1, 3], [], [0, 1, 2, 3], [0, 2**62, 3]])
def test_offsets_that_do_not_fit_the_rows_are_refused(compiled, offsets):
    rows, right, wrong = np.zeros((3, 2)), np.array([0, 1, 3]), np.array(offsets, np.int64)
    for both in ((right, wrong), (wrong, right)):
        with pytest.raises(ValueError, match="offsets"):
            compiled.attention_forward(rows, rows, rows, None, *both, rows.copy(), None, 1)


def test_a_vector_and_its_gradient_come_together(compiled):
    rows, vector, edges = np.zeros((3, 2)), np.zeros(2), np.array([0, 3])
    outputs = [rows.copy() for _ in range(3)]
    for one, other in ((None, vector), (vector, None)):
        with pytest.raises(ValueError, match="d_vector"):
            compiled.attention_backward(
                rows, rows, rows, one, edges, edges, np.zeros(9), None, None, *outputs, other, 1
            )
