"""Attention as a layer: the reference's answers on the native engine and on torch's operations."""

# N query rows, M memory rows, H width of a query, W of a memory row

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from birnn.engine import isa
from birnn.errors import ConfigError, LengthError, ShapeError
from birnn.nn import Attention
from birnn.nn._engine import attention_ops
from birnn.ragged import Ragged
from birnn.reference import attention as reference

SIZES = {"additive": (3, 4, 5), "general": (3, 4, None), "dot": (4, 4, None)}
KINDS = pytest.mark.parametrize("kind", sorted(SIZES))
BATCHES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5)), max_size=4)
SEEDS = st.integers(0, 2**31)
CLOSE = {"rtol": 1e-10, "atol": 1e-10}


@pytest.fixture(params=["native", "torch"])
def runs_on(request, monkeypatch):
    """The native engine, and torch's operations as without it."""
    if request.param == "torch":
        monkeypatch.setenv(isa.FORCE, isa.REFERENCE)
    return request.param


def case(kind, batch, seed=0, dtype=torch.float64):
    """A layer, and ragged queries and memory that want gradients."""
    torch.manual_seed(seed)
    attention = Attention(*SIZES[kind][:2], kind, SIZES[kind][2]).to(dtype)
    own = np.array(batch, np.int64).reshape(-1, 2)
    queries, memory = (
        Ragged(torch.randn(int(lengths.sum()), width, dtype=dtype, requires_grad=True), lengths)
        for lengths, width in zip(own.T, SIZES[kind][:2], strict=True)
    )
    return attention, queries, memory


def gradients(attention, queries, memory, d_contexts, d_weights):
    """Contexts, weights and all gradients, by name."""
    contexts, weights = attention(queries, memory, weights=True)
    parameters = dict(attention.named_parameters())
    wanted = {"queries": queries.values, "memory": memory.values} | parameters
    found = torch.autograd.grad(
        [contexts.values, weights],
        list(wanted.values()),
        [d_contexts, d_weights],
        allow_unused=True,
        materialize_grads=True,
    )
    answers = {"contexts": contexts.values, "weights": weights}
    return answers | dict(zip(wanted, found, strict=True))


def given_back(contexts_of, queries, memory, seed):
    random = np.random.default_rng(seed)
    shapes = (
        (queries.values.shape[0], memory.values.shape[1]),
        (int(queries.lengths @ memory.lengths),),
    )
    return [torch.from_numpy(random.standard_normal(shape)).to(contexts_of) for shape in shapes]


@KINDS
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batch=BATCHES, seed=SEEDS)
def test_agrees_with_the_reference(runs_on, kind, batch, seed):
    attention, queries, memory = case(kind, batch, seed)
    d_contexts, d_weights = given_back(torch.float64, queries, memory, seed)
    found = gradients(attention, queries, memory, d_contexts, d_weights)
    parameters = {name: part.detach().numpy() for name, part in attention.named_parameters()}
    assert {n: p.shape for n, p in parameters.items()} == reference.shapes(kind, *SIZES[kind])
    rows = [part.map(lambda values: values.detach().numpy()) for part in (queries, memory)]
    expected = reference.run(kind, parameters, *rows)._asdict()
    gradient = reference.gradients(
        kind, parameters, *rows, d_contexts.numpy(), d_weights_P=d_weights.numpy()
    )
    expected |= {"queries": gradient.queries, "memory": gradient.memory} | gradient.parameters
    assert found.keys() == expected.keys()
    for name, part in found.items():
        np.testing.assert_allclose(part.detach(), expected[name], **CLOSE, err_msg=name)
    alone = attention(queries, memory)
    assert torch.equal(alone.values, found["contexts"])
    assert (alone.lengths == queries.lengths).all()


@KINDS
def test_float32_is_float64_but_for_its_digits(runs_on, kind):
    attention, queries, memory = case(kind, [(4, 7), (1, 0), (0, 2), (3, 3)])
    given = given_back(torch.float64, queries, memory, 1)
    wide = gradients(attention, queries, memory, *given)
    rows = [part.map(lambda x: x.detach().float().requires_grad_()) for part in (queries, memory)]
    narrow = gradients(attention.float(), *rows, *(part.float() for part in given))
    for name, part in narrow.items():
        assert part.dtype == torch.float32, name
        torch.testing.assert_close(part.double(), wide[name], rtol=1e-5, atol=1e-5)


@KINDS
def test_native_and_torch_agree_and_have_no_nan(kind, monkeypatch):
    # The empty source has queries, and the full one has none.
    attention, queries, memory = case(kind, [(2, 0), (3, 4), (0, 3), (1, 1)])
    given = given_back(torch.float64, queries, memory, 2)
    native = gradients(attention, queries, memory, *given)
    monkeypatch.setenv(isa.FORCE, isa.REFERENCE)
    other = gradients(attention, queries, memory, *given)
    for name, part in native.items():
        assert part.isfinite().all(), name
        torch.testing.assert_close(part, other[name], rtol=1e-6, atol=1e-6)
    assert not native["contexts"][:2].any()


@KINDS
@pytest.mark.parametrize("batch", [[], [(0, 0)], [(2, 0), (1, 0)], [(0, 3)]])
def test_nothing_to_read_or_nobody_to_read_it(runs_on, kind, batch):
    attention, queries, memory = case(kind, batch)
    given = given_back(torch.float64, queries, memory, 3)
    for name, part in gradients(attention, queries, memory, *given).items():
        assert not part.any(), name


# Each difference by itself takes seconds; a random combination of them finds what is wrong too.
@pytest.mark.parametrize("combined", [True, pytest.param(False, marks=pytest.mark.slow)])
@KINDS
def test_gradients_and_their_gradients_are_central_differences(runs_on, kind, combined):
    attention, queries, memory = case(kind, [(2, 2), (1, 0)])
    names = [name for name, _ in attention.named_parameters()]

    def call(query_rows, memory_rows, *parameters):
        arguments = (queries.with_values(query_rows), memory.with_values(memory_rows))
        contexts, weights = torch.func.functional_call(
            attention, dict(zip(names, parameters, strict=True)), arguments, {"weights": True}
        )
        return contexts.values, weights

    inputs = [queries.values, memory.values, *attention.parameters()]
    assert torch.autograd.gradcheck(call, inputs, fast_mode=combined)
    assert torch.autograd.gradgradcheck(call, inputs, fast_mode=combined)


@KINDS
def test_under_vmap(kind):
    attention, queries, memory = case(kind, [(2, 3), (1, 0), (3, 2)], dtype=torch.float32)
    expected = attention(queries, memory).values
    many = torch.stack([queries.values, 2 * queries.values])
    mapped = torch.vmap(lambda rows: attention(queries.with_values(rows), memory).values)(many)
    twice = attention(queries.with_values(2 * queries.values), memory).values
    torch.testing.assert_close(mapped, torch.stack([expected, twice]))


# torch's own code, where it makes graphs, which takes seconds.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*lru_cache:UserWarning")
def test_in_a_graph_without_a_break():
    attention, queries, memory = case("additive", [(2, 3), (1, 0), (3, 2)])
    torch._dynamo.reset()
    compiled = torch.compile(attention, backend="aot_eager", fullgraph=True)
    for batch in ([(2, 3), (1, 0), (3, 2)], [(1, 1), (2, 4)]):
        _, queries, memory = case("additive", batch, 1)
        inputs = (queries.values, memory.values, *attention.parameters())
        expected, found = (call(queries, memory).values for call in (attention, compiled))
        torch.testing.assert_close(found, expected)
        for one, other in zip(
            torch.autograd.grad(found.square().sum(), inputs),
            torch.autograd.grad(expected.square().sum(), inputs),
            strict=True,
        ):
            torch.testing.assert_close(one, other)


def test_operators_pass_torch_s_own_checks():
    _, queries, memory = case("dot", [(2, 3), (1, 0), (3, 2)])
    lengths = torch.from_numpy(queries.lengths), torch.from_numpy(memory.lengths)
    rows = (queries.values, memory.values, memory.values.detach().clone().requires_grad_())
    for vector in (None, torch.randn(4, dtype=torch.float64, requires_grad=True)):
        for keep in (False, True):
            arguments = (*rows, *lengths, vector, keep)
            tests = ("test_schema", "test_autograd_registration", "test_faketensor")
            torch.library.opcheck(attention_ops._attention, arguments, test_utils=tests)


def test_rows_of_16_bits_are_computed_in_32():
    attention, queries, memory = case("additive", [(2, 3), (1, 2)], dtype=torch.float32)
    expected = attention(queries, memory).values
    half = [part.map(lambda rows: rows.detach().bfloat16()) for part in (queries, memory)]
    found, weights = attention.bfloat16()(*half, weights=True)
    assert found.values.dtype == torch.bfloat16
    assert weights.dtype == torch.float32
    torch.testing.assert_close(found.values.float(), expected, rtol=0.05, atol=0.05)
    attention.float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = attention(queries, half[1])
    torch.testing.assert_close(mixed.values.float(), expected, rtol=0.05, atol=0.05)


def test_what_does_not_fit_is_refused():
    attention, queries, memory = case("general", [(2, 3)])
    with pytest.raises(ShapeError, match=r"queries .* are rows 3 wide .* got rows 4"):
        attention(memory, memory)
    with pytest.raises(ShapeError, match=r"memory of this attention .* of torch.float32"):
        attention(queries, memory.map(lambda rows: rows.float()))
    with pytest.raises(ShapeError, match="attention takes Ragged rows, got Tensor"):
        attention(queries.values, memory)
    with pytest.raises(LengthError, match="queries are of 1 sources, memory of 2"):
        attention(queries, Ragged(memory.values, np.array([1, 2])))
    with pytest.raises(ConfigError, match="dot attention multiplies rows of equal width"):
        Attention(3, 4, "dot")
