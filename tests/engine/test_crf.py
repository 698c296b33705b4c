"""The CRF's calls on every engine: the reference's answers, the same bits, faults in front."""

# N rows of all sequences, B sequences, L labels

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from birnn.engine import crf, isa
from birnn.errors import ConfigError, ShapeError
from birnn.ragged import Ragged
from birnn.reference import crf as reference

COMPILED = [name for name in isa.available() if name != isa.REFERENCE]
SEEDS = st.integers(0, 2**32 - 1)
LENGTHS = st.lists(st.integers(0, 12), max_size=12)
CLOSE = {"rtol": 1e-10, "atol": 1e-10}
MASKS = ("allowed", "allowed_start", "allowed_end")
PER_ENGINE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


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


def draw(labels, lengths, seed, *, masked=0.0, scale=1.0):
    """A batch and a chain; `masked` is the share that is not allowed."""
    random = np.random.default_rng(seed)
    lengths = np.array(lengths, np.int64)
    emissions = Ragged(scale * random.standard_normal((int(lengths.sum()), labels)), lengths)
    shapes = ((labels, labels), (labels,), (labels,))
    scores = [random.standard_normal(shape) for shape in shapes]
    masks = [random.random(shape) >= masked for shape in shapes]
    return emissions, crf.chain_of(*scores, **dict(zip(MASKS, masks, strict=True)))


def answers(emissions, chain, weights, threads=1):
    """Everything that can be asked, as arrays."""
    paths = crf.viterbi(emissions, chain, threads=threads)
    return (
        crf.log_partition(emissions, chain, threads=threads),
        crf.marginals(emissions, chain, threads=threads),
        paths.tags.values,
        paths.scores,
        *crf.log_partition_gradient(emissions, chain, weights, threads=threads),
    )


@PER_ENGINE
@given(
    labels=st.integers(1, 40),
    lengths=LENGTHS,
    seed=SEEDS,
    masked=st.sampled_from([0.0, 0.4, 0.9]),
    scale=st.sampled_from([0.1, 3.0, 100.0]),
)
def test_every_engine_is_the_reference(engine, labels, lengths, seed, masked, scale):
    emissions, chain = draw(labels, lengths, seed, masked=masked, scale=scale)
    log_partition = crf.log_partition(emissions, chain)
    np.testing.assert_allclose(log_partition, reference.log_partition(emissions, chain), **CLOSE)
    marginals = crf.marginals(emissions, chain)
    np.testing.assert_allclose(marginals, reference.marginals(emissions, chain), **CLOSE)
    found, expected = crf.viterbi(emissions, chain), reference.viterbi(emissions, chain)
    np.testing.assert_array_equal(found.tags.values, expected.tags.values)
    np.testing.assert_array_equal(found.scores, expected.scores)


@PER_ENGINE
@given(labels=st.integers(1, 20), lengths=LENGTHS, seed=SEEDS, masked=st.sampled_from([0.0, 0.4]))
def test_the_gradient_counts_what_is_expected(engine, labels, lengths, seed, masked):
    # The reference's likelihood of some tags has the gradient: their counts less the expected ones.
    emissions, chain = draw(labels, lengths, seed, masked=masked)
    tags = np.random.default_rng(seed).integers(0, labels, emissions.values.shape[0])
    likelihood = reference.gradient(emissions, tags, chain)
    counts = crf.ExpectedCounts(*(np.zeros_like(part) for part in likelihood[1:]))
    for path, rows in zip(
        emissions.with_values(tags), emissions.with_values(counts.emissions), strict=True
    ):
        if len(path):
            counts.start[path[0]] += 1
            counts.end[path[-1]] += 1
        for label, row in zip(path, rows, strict=True):
            row[label] += 1
        for pair in itertools.pairwise(path):
            counts.transitions[pair] += 1
    found = crf.log_partition_gradient(emissions, chain, np.ones(len(lengths)))
    for name, part in found._asdict().items():
        expected = getattr(counts, name) - getattr(likelihood, name)
        np.testing.assert_allclose(part, expected, **CLOSE, err_msg=name)


def test_the_gradient_is_weighted(engine):
    emissions, chain = draw(4, [5, 0, 1, 8], 3, masked=0.2)
    weights = np.array([2.0, 5.0, -0.5, 0.0])
    found = crf.log_partition_gradient(emissions, chain, weights)
    alone = [
        crf.log_partition_gradient(emissions.select([i]), chain, weights[[i]]) for i in range(4)
    ]
    np.testing.assert_array_equal(
        found.emissions, np.concatenate([part.emissions for part in alone])
    )
    for name in ("transitions", "start", "end"):
        total = sum(getattr(part, name) for part in alone)
        np.testing.assert_allclose(getattr(found, name), total, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("labels", [1, 7, 8, 9, 33])
def test_a_sequence_has_the_same_bits_in_every_batch(engine, labels):
    emissions, chain = draw(labels, [5, 31, 0, 1, 17, 2], labels, masked=0.1)
    weights = np.random.default_rng(0).standard_normal(6)
    order = [4, 0, 3, 3, 1, 2, 5]
    together = answers(emissions, chain, weights)
    others = answers(emissions.select(order), chain, weights[order])
    for i, edge in enumerate(emissions.offsets[:-1]):
        alone = answers(emissions.select([i]), chain, weights[[i]])
        rows = slice(edge, edge + emissions.lengths[i])
        place = order.index(i)
        start = emissions.lengths[order[:place]].sum()
        rows_there = slice(start, start + emissions.lengths[i])
        for of_row, part, there, single in zip(
            (False, True, True, False, True), together, others, alone, strict=False
        ):
            here = part[rows] if of_row else part[[i]]
            elsewhere = there[rows_there] if of_row else there[[place]]
            assert single.tobytes() == here.tobytes() == elsewhere.tobytes()


@settings(PER_ENGINE, max_examples=8)
@given(seed=SEEDS, labels=st.integers(15, 30), count=st.integers(8, 50))
def test_the_bits_do_not_depend_on_the_threads(compiled, seed, labels, count):
    lengths = np.random.default_rng(seed).integers(0, 60, count)
    emissions, chain = draw(labels, lengths, seed, masked=0.1)
    weights = np.random.default_rng(seed).standard_normal(count)
    single = answers(emissions, chain, weights)
    for threads in (2, 3):
        for part, expected in zip(answers(emissions, chain, weights, threads), single, strict=True):
            assert part.tobytes() == expected.tobytes()


@pytest.mark.skipif(len(COMPILED) < 2, reason="one compiled engine has none to agree with")
def test_the_engines_agree_pairwise(monkeypatch):
    emissions, chain = draw(23, [40, 3, 0, 12], 1, masked=0.2)
    found = []
    for name in COMPILED:
        monkeypatch.setenv(isa.FORCE, name)
        found.append(answers(emissions, chain, np.ones(4)))
    for one, other in itertools.combinations(found, 2):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15)


def test_a_label_whose_only_way_in_is_hopeless(engine):
    # exp(-2000) is no double: were label 1 computed relative to label 0, it would be lost.
    stay = np.eye(2, dtype=bool)
    emissions = Ragged(np.array([[2000.0, 0.0], [0.0, 0.5], [0.0, 0.0]]), np.array([3]))
    zeros = np.zeros(2)
    chain = crf.chain_of(
        np.zeros((2, 2)), zeros, zeros, allowed=stay, allowed_end=np.array([False, True])
    )
    np.testing.assert_allclose(crf.log_partition(emissions, chain), [0.5], rtol=1e-15)
    np.testing.assert_allclose(crf.marginals(emissions, chain), [[0, 1]] * 3, atol=1e-15)
    gradient = crf.log_partition_gradient(emissions, chain, np.array([3.0]))
    np.testing.assert_allclose(gradient.transitions, [[0, 0], [0, 6]], atol=1e-14)
    np.testing.assert_allclose(gradient.start, [0, 3], atol=1e-14)
    np.testing.assert_allclose(gradient.end, [0, 3], atol=1e-14)


@pytest.mark.parametrize("offset", [1e4, -1e4])
def test_large_scores_neither_overflow_nor_vanish(engine, offset):
    # A constant on every emission of a step moves the partition by it and no marginal.
    emissions, chain = draw(4, [6, 3], 6)
    moved = emissions.map(lambda values: values + offset)
    np.testing.assert_allclose(
        crf.log_partition(moved, chain),
        crf.log_partition(emissions, chain) + offset * emissions.lengths,
        rtol=1e-12,
    )
    np.testing.assert_allclose(
        crf.marginals(moved, chain), crf.marginals(emissions, chain), atol=1e-9
    )


@pytest.mark.parametrize("scale", [1e3, 1e4])
def test_extreme_scores_have_a_sure_path(engine, scale):
    emissions, chain = draw(9, [7, 0, 20], 3, masked=0.3, scale=scale)
    np.testing.assert_allclose(
        crf.log_partition(emissions, chain), reference.log_partition(emissions, chain), rtol=1e-13
    )
    # The reference rounds scores of 1e5 to 1e-11; we compare no closer.
    np.testing.assert_allclose(
        crf.marginals(emissions, chain), reference.marginals(emissions, chain), atol=1e-8
    )


def test_where_nothing_is_allowed(engine):
    emissions, _ = draw(2, [3, 1, 0], 7)
    never = np.zeros((2, 2), dtype=bool)
    chain = crf.chain_of(np.zeros((2, 2)), np.zeros(2), np.zeros(2), allowed=never)
    partition = crf.log_partition(emissions, chain)
    assert partition[0] == -np.inf
    assert np.isfinite(partition[1])
    assert partition[2] == 0
    assert not crf.marginals(emissions, chain)[:3].any()
    assert crf.viterbi(emissions, chain).scores[0] == -np.inf
    gradient = crf.log_partition_gradient(emissions, chain, np.ones(3))
    assert not gradient.emissions[:3].any()
    assert not gradient.transitions.any()
    np.testing.assert_allclose(gradient.start.sum(), 1, rtol=1e-12)


def test_among_equals_the_lower_label_wins(engine):
    zeros = crf.chain_of(np.zeros((19, 19)), np.zeros(19), np.zeros(19))
    emissions = Ragged(np.zeros((4, 19)), np.array([4]))
    assert crf.viterbi(emissions, zeros).tags.values.tolist() == [0, 0, 0, 0]
    # 5, 12 and 17 are best, and stand in different lanes of different vectors.
    emissions.values[:, [5, 12, 17]] = 1.0
    assert crf.viterbi(emissions, zeros).tags.values.tolist() == [5, 5, 5, 5]


@PER_ENGINE
@given(labels=st.integers(1, 12), seed=SEEDS, where=st.integers(0, 10))
@np.errstate(invalid="ignore")
def test_nan_and_infinity_stay_in_their_sequence(engine, labels, seed, where):
    emissions, chain = draw(labels, [4, 3, 4], seed, masked=0.2)
    clean = answers(emissions, chain, np.ones(3))
    random = np.random.default_rng(seed)
    special = random.choice([np.nan, np.inf, -np.inf])
    emissions.values[where, random.integers(labels)] = special
    found = answers(emissions, chain, np.ones(3))
    struck = int(emissions.sequence_of_row[where])
    others = [i for i in range(3) if i != struck]
    rows = emissions.sequence_of_row != struck
    for of_row, one, other in zip((False, True, True, False, True), clean, found, strict=False):
        keep = rows if of_row else others
        np.testing.assert_array_equal(other[keep], one[keep])
    expected = reference.log_partition(emissions, chain)
    np.testing.assert_allclose(found[0], expected, rtol=1e-12)
    path = reference.viterbi(emissions, chain)
    np.testing.assert_array_equal(found[2], path.tags.values)
    np.testing.assert_array_equal(found[3], path.scores)


def test_a_long_sequence(compiled):
    # Without scores between neighbours the partition is the sum over the rows.
    rows = np.random.default_rng(0).standard_normal((300_000, 2))
    emissions = Ragged(rows, np.array([300_000]))
    chain = crf.chain_of(np.zeros((2, 2)), np.zeros(2), np.zeros(2))
    expected = np.logaddexp(rows[:, 0], rows[:, 1])
    np.testing.assert_allclose(crf.log_partition(emissions, chain), expected.sum(), rtol=1e-12)
    shares = np.exp(rows - expected[:, None])
    np.testing.assert_allclose(crf.marginals(emissions, chain), shares, atol=1e-9)
    assert (crf.viterbi(emissions, chain).tags.values == rows.argmax(axis=1)).all()


@pytest.mark.parametrize("lengths", [[], [0], [0, 0]])
def test_a_batch_without_rows(engine, lengths):
    emissions, chain = draw(3, lengths, 0)
    assert crf.log_partition(emissions, chain).tolist() == [0.0] * len(lengths)
    assert crf.marginals(emissions, chain).shape == (0, 3)
    assert crf.viterbi(emissions, chain).scores.tolist() == [0.0] * len(lengths)
    assert [len(found) for found in crf.nbest(emissions, chain, k=2)] == [1] * len(lengths)
    gradient = crf.log_partition_gradient(emissions, chain, np.ones(len(lengths)))
    assert not any(part.any() for part in gradient)


def test_emissions_of_any_float_and_layout(engine):
    emissions, chain = draw(5, [3, 2], 4)
    single = emissions.map(lambda values: values.astype(np.float32))
    double = single.map(lambda values: values.astype(np.float64))
    expected = crf.marginals(double, chain)
    assert expected.dtype == np.float64
    np.testing.assert_array_equal(crf.marginals(single, chain), expected)
    for turned in (np.asfortranarray, lambda values: values.astype(">f8")):
        np.testing.assert_array_equal(crf.marginals(double.map(turned), chain), expected)


def test_nbest_is_the_reference(engine):
    emissions, chain = draw(3, [4, 0, 2], 2, masked=0.2)
    expected = reference.nbest(emissions, chain, 3)
    found = crf.nbest(emissions, chain, k=3)
    assert [[(t.tolist(), s) for t, s in one] for one in found] == [
        [(t.tolist(), s) for t, s in one] for one in expected
    ]
    with pytest.raises(ConfigError, match="k is 0"):
        crf.nbest(emissions, chain, k=0)


# ------------------------------------------------------------------ faults


def test_everything_that_is_wrong_with_a_chain_is_named_at_once():
    with pytest.raises(ShapeError) as caught:
        crf.chain_of(
            np.zeros((2, 3)), np.zeros(2, np.int64), np.zeros(1), allowed_start=np.ones(2, np.int64)
        )
    message = str(caught.value)
    assert "transitions has shape (2, 3) of float64, for 2 labels it is (2, 2)" in message
    assert "start has shape (2,) of int64" in message
    assert "end has shape (1,)" in message
    assert "allowed of start has shape (2,) of int64, it must be (2,) of bool" in message


@pytest.mark.parametrize("call", [crf.log_partition, crf.marginals, crf.viterbi])
def test_emissions_must_be_scores_of_the_chain_s_labels(call):
    _, chain = draw(3, [], 0)
    with pytest.raises(ShapeError, match="one score for each label"):
        call(Ragged(np.zeros(4), np.array([4])), chain)
    with pytest.raises(ShapeError, match="emissions are int64"):
        call(Ragged(np.zeros((4, 3), np.int64), np.array([4])), chain)
    with pytest.raises(ShapeError, match=r"transitions has shape \(3, 3\), for 2 labels"):
        call(Ragged(np.zeros((4, 2)), np.array([4])), chain)


def test_weights_must_be_one_for_each_sequence():
    emissions, chain = draw(3, [2, 1], 0)
    with pytest.raises(ShapeError, match=r"weights have shape \(3,\) of float64, for 2 sequences"):
        crf.log_partition_gradient(emissions, chain, np.ones(3))


def test_memory_that_cannot_be_had_is_told(monkeypatch):
    def no_room(*arguments):
        raise MemoryError

    native = SimpleNamespace(chain_sums=no_room, chain_paths=no_room)
    monkeypatch.setattr(isa, "selected_engine", lambda: native)
    emissions, chain = draw(3, [5, 2], 0)
    for call in (crf.log_partition, crf.marginals, crf.viterbi):
        with pytest.raises(MemoryError, match=r"3 labels over 5 steps\. Cut"):
            call(emissions, chain)


@settings(PER_ENGINE, max_examples=200)
@given(data=st.data())
def test_no_argument_brings_the_compiled_functions_down(compiled, data):
    arrays = {
        "emissions": np.zeros((6, 3)),
        "offsets": np.array([0, 4, 6]),
        "transitions": np.zeros((3, 3)),
        "start": np.zeros(3),
        "end": np.zeros(3),
    }
    sums = {
        "log_partition": np.zeros(2),
        "marginals": np.zeros((6, 3)),
        "weight": np.zeros(2),
        "d_emissions": np.zeros((6, 3)),
        "d_transitions": np.zeros((3, 3)),
        "d_start": np.zeros(3),
        "d_end": np.zeros(3),
    }
    paths = {"tags": np.zeros(6, np.int64), "scores": np.zeros(2)}
    function, outputs = data.draw(
        st.sampled_from([(compiled.chain_sums, sums), (compiled.chain_paths, paths)])
    )
    arguments = {**arrays, **outputs, "threads": 2}
    name = data.draw(st.sampled_from(sorted({**arrays, **outputs})))
    good = arguments[name]
    longer = np.zeros([extent + 1 for extent in good.shape], good.dtype)
    bad = {
        "shape": longer,
        "axes": good[None],
        "dtype": good.astype(np.float32),
        "strides": longer[tuple(slice(None, -1) for _ in good.shape)].T.repeat(2, 0)[::2].T,
        "empty": good[:0],
        "scalar": np.zeros((), good.dtype),
        "object": "emissions",
        "frozen": None,
    }
    kind = data.draw(st.sampled_from(sorted(bad)))
    arguments[name] = bad[kind]
    is_read = name not in outputs or name == "weight"
    if kind == "strides" and is_read and name != "offsets":
        function(**arguments)  # copied where it cannot be read as it stands
        found = {output: array.copy() for output, array in outputs.items()}
        function(**arguments | {name: np.ascontiguousarray(bad[kind])})
        assert all((found[output] == array).all() for output, array in outputs.items())
        return
    if kind == "frozen":
        if is_read:
            return
        arguments[name] = good.copy()
        arguments[name].setflags(write=False)
    with pytest.raises((ValueError, TypeError)):
        function(**arguments)


@pytest.mark.parametrize(
    "offsets", [[0, 7, 6], [0, 4], [1, 6], [-1, 6], [0, 2**62, 6], [], [0, 4, 6, 9]]
)
def test_offsets_that_do_not_fit_the_rows_are_refused(compiled, offsets):
    scores = (np.zeros((3, 3)), np.zeros(3), np.zeros(3))
    tags, best = np.zeros(6, np.int64), np.zeros(max(len(offsets) - 1, 0))
    with pytest.raises(ValueError, match="offsets"):
        compiled.chain_paths(np.zeros((6, 3)), np.array(offsets, np.int64), *scores, tags, best, 1)
