"""The CRF against the enumeration of all label sequences, and against the reference."""

# N rows of all sequences, B sequences, T steps, L labels

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from birnn.errors import ConfigError, DataError, LengthError, ShapeError, UsageError
from birnn.kernels import isa
from birnn.nn import CRF
from birnn.ragged import Ragged
from birnn.reference import crf as reference
from birnn.reference.crf import Chain

LENGTHS = st.lists(st.integers(0, 4), max_size=4)
SEEDS = st.integers(0, 2**31)
CLOSE = {"rtol": 1e-10, "atol": 1e-10}


@pytest.fixture(params=["native", "torch"], autouse=True)
def engine(request, monkeypatch):
    """What runs the chain: the compiled kernels, or torch where they do not run."""
    if request.param == "torch":
        monkeypatch.setenv(isa.FORCE, isa.REFERENCE)
    elif isa.in_use() is None:
        pytest.skip("no compiled module")
    return request.param


def masks_of(labels, random):
    """Masks that forbid about a third, and that label 0 followed by itself always satisfies."""
    shapes = {"allowed": (labels, labels), "allowed_start": (labels,), "allowed_end": (labels,)}
    masks = {name: random.random(shape) > 0.35 for name, shape in shapes.items()}
    for mask in masks.values():
        mask[(0,) * mask.ndim] = True
    return masks


def case(labels, lengths, seed, masked=False):
    """A CRF in float64, emissions, and the same CRF's masks."""
    random = np.random.default_rng(seed)
    masks = masks_of(labels, random) if masked else {}
    crf = CRF(labels, **masks).double()
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.copy_(torch.from_numpy(random.standard_normal(parameter.shape)))
    rows = torch.from_numpy(2 * random.standard_normal((sum(lengths), labels)))
    return crf, Ragged(rows, np.array(lengths, np.int64)), masks


def chain_of(crf, masks):
    parts = (crf.transitions, crf.start, crf.end)
    return Chain.of(*(part.detach().numpy() for part in parts), **masks)


def legal_scores(rows, crf, masks):
    """Score of every label sequence that the masks allow, by the definition."""
    steps, labels = rows.shape
    if steps == 0:
        return {(): 0.0}
    found = {}
    for path in itertools.product(range(labels), repeat=steps):
        pairs = list(itertools.pairwise(path))
        if masks and not (
            masks["allowed_start"][path[0]]
            and masks["allowed_end"][path[-1]]
            and all(masks["allowed"][pair] for pair in pairs)
        ):
            continue
        score = crf.start[path[0]] + crf.end[path[-1]]
        score = score + sum(rows[t, label] for t, label in enumerate(path))
        found[path] = (score + sum(crf.transitions[pair] for pair in pairs)).item()
    return found


@pytest.mark.parametrize("masked", [False, True])
@settings(max_examples=12)
@given(labels=st.integers(1, 3), lengths=LENGTHS, seed=SEEDS)
def test_likelihood_marginals_and_best_path_by_enumeration(labels, lengths, seed, masked):
    crf, emissions, masks = case(labels, lengths, seed, masked)
    random = np.random.default_rng(seed)
    tables = [legal_scores(rows, crf, masks) for rows in emissions]
    gold = [list(table)[random.integers(len(table))] for table in tables]
    flat = torch.tensor([label for path in gold for label in path], dtype=torch.int64)
    nll = crf.negative_log_likelihood(emissions, flat)
    marginals = emissions.with_values(crf.marginals(emissions))
    best = emissions.with_values(crf.decode(emissions))
    for i, (table, path) in enumerate(zip(tables, gold, strict=True)):
        scores = np.array(list(table.values()))
        log_z = np.logaddexp.reduce(scores)
        np.testing.assert_allclose(nll[i].item(), log_z - table[path], atol=1e-9)
        expected = np.zeros((len(path), labels))
        for other, score in table.items():
            expected[range(len(other)), list(other)] += np.exp(score - log_z)
        np.testing.assert_allclose(list(marginals)[i].numpy(), expected, atol=1e-9)
        np.testing.assert_allclose(table[tuple(list(best)[i].tolist())], scores.max(), atol=1e-9)


@pytest.mark.parametrize("masked", [False, True])
@settings(max_examples=15)
@given(labels=st.integers(1, 6), lengths=st.lists(st.integers(0, 12), max_size=5), seed=SEEDS)
def test_agrees_with_the_reference(labels, lengths, seed, masked):
    crf, emissions, masks = case(labels, lengths, seed, masked)
    chain = chain_of(crf, masks)
    rows = emissions.values.clone().requires_grad_()
    # Always label 0: the masks of these tests allow it everywhere.
    gold = torch.zeros(sum(lengths), dtype=torch.int64)
    if not masked:
        gold = torch.from_numpy(np.random.default_rng(seed).integers(0, labels, sum(lengths)))
    nll = crf.negative_log_likelihood(Ragged(rows, emissions.lengths), gold)
    arrays = emissions.map(lambda values: values.numpy())
    expected = reference.gradient(arrays, gold.numpy(), chain)
    np.testing.assert_allclose(-nll.detach().numpy(), expected.log_likelihood, **CLOSE)
    nll.sum().backward()
    pairs = ((rows, "emissions"), *((getattr(crf, n), n) for n in ("transitions", "start", "end")))
    for tensor, name in pairs:
        grad = torch.zeros_like(tensor) if tensor.grad is None else tensor.grad
        np.testing.assert_allclose(-grad.numpy(), getattr(expected, name), **CLOSE)
    np.testing.assert_allclose(
        crf.marginals(emissions).numpy(), reference.marginals(arrays, chain), **CLOSE
    )
    path, score = reference.viterbi(arrays, chain)
    np.testing.assert_array_equal(crf.decode(emissions).numpy(), path.values)
    assert np.isfinite(score).all()


@pytest.mark.parametrize("masked", [False, True])
def test_gradients_are_central_differences(masked):
    crf, emissions, _ = case(3, [3, 0, 1, 4], 5, masked)
    gold = torch.zeros(8, dtype=torch.int64)
    names = ("transitions", "start", "end")

    def loss(rows, *scores):
        return torch.func.functional_call(
            _Likelihood(crf),
            {f"crf.{name}": score for name, score in zip(names, scores, strict=True)},
            (Ragged(rows, emissions.lengths), gold),
        )

    values = [emissions.values, *(getattr(crf, name).data for name in names)]
    assert torch.autograd.gradcheck(loss, [value.clone().requires_grad_() for value in values])


class _Likelihood(torch.nn.Module):
    def __init__(self, crf):
        super().__init__()
        self.crf = crf

    def forward(self, emissions, gold):
        return self.crf.negative_log_likelihood(emissions, gold)


def test_more_pairs_than_are_held_at_a_time(monkeypatch):
    crf, emissions, _ = case(3, [5, 9, 2], 2)
    gold = torch.zeros(16, dtype=torch.int64)
    grads = []
    for pairs in (2048, 3):
        monkeypatch.setattr("birnn.nn.chain.PAIRS", pairs)
        crf.zero_grad()
        crf.negative_log_likelihood(emissions, gold).sum().backward()
        grads.append(crf.transitions.grad.clone())
    torch.testing.assert_close(grads[0], grads[1], **CLOSE)


@settings(max_examples=10)
@given(lengths=st.lists(st.integers(0, 8), min_size=1, max_size=5), seed=SEEDS)
def test_a_sequence_does_not_depend_on_its_batch(lengths, seed):
    crf, emissions, _ = case(4, lengths, seed, masked=True)
    gold = torch.zeros(sum(lengths), dtype=torch.int64)
    nll = crf.negative_log_likelihood(emissions, gold)
    marginals = emissions.with_values(crf.marginals(emissions))
    best = emissions.with_values(crf.decode(emissions))
    for i, (shares, path) in enumerate(zip(marginals, best, strict=True)):
        alone = emissions.select([i])
        labels = gold[: len(path)]
        torch.testing.assert_close(crf.negative_log_likelihood(alone, labels)[0], nll[i], **CLOSE)
        torch.testing.assert_close(crf.marginals(alone), shares, **CLOSE)
        assert torch.equal(crf.decode(alone), path)


@pytest.mark.parametrize("scale", [1e3, 1e4])
@pytest.mark.parametrize("masked", [False, True])
def test_very_large_scores_have_finite_gradients(scale, masked):
    crf, emissions, _ = case(4, [6, 0, 3], 1, masked)
    crf = crf.float()
    rows = (emissions.values * scale).float().requires_grad_()
    gold = torch.zeros(9, dtype=torch.int64)
    nll = crf.negative_log_likelihood(Ragged(rows, emissions.lengths), gold)
    nll.sum().backward()
    for tensor in (rows, *crf.parameters()):
        assert tensor.grad.isfinite().all()
        # d log Z / d score is a probability: a sum of them is at most the number of rows.
        assert tensor.grad.abs().max() <= 9
    assert (nll >= 0).all()


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e5, 1e7])
def test_no_emission_is_strong_enough_to_break_a_constraint(scale):
    # Labels O, B, I: I may neither begin nor follow O, and every emission cries for it.
    allowed = np.array([[1, 1, 0], [1, 1, 1], [1, 1, 1]], bool)
    crf = CRF(3, allowed=allowed, allowed_start=np.array([1, 1, 0], bool))
    rows = torch.tensor([[0.4, 0.0, 1.0]]).repeat(5, 1) * scale
    emissions = Ragged(rows, np.array([3, 0, 2]))
    path, _ = reference.viterbi(
        emissions.map(lambda values: values.numpy()),
        Chain.of(
            np.zeros((3, 3)),
            np.zeros(3),
            np.zeros(3),
            allowed=allowed,
            allowed_start=np.array([True, True, False]),
        ),
    )
    assert crf.decode(emissions).tolist() == path.values.tolist() == [1, 2, 2, 1, 2]


def test_a_gold_sequence_that_is_not_allowed_has_a_finite_gradient():
    # Real data breaks its own scheme now and then; training must survive it.
    allowed = np.array([[True, False], [True, True]])
    crf = CRF(2, allowed=allowed)
    rows = torch.zeros(2, 2, requires_grad=True)
    loss = crf.negative_log_likelihood(Ragged(rows, np.array([2])), torch.tensor([0, 1])).sum()
    loss.backward()
    assert loss.isfinite()
    assert rows.grad.isfinite().all()
    assert crf.transitions.grad.isfinite().all()


def test_constraints_are_no_part_of_a_model():
    crf = CRF(2, allowed=np.eye(2, dtype=bool))
    assert {n: tuple(v.shape) for n, v in crf.state_dict().items()} == {
        "transitions": (2, 2),
        "start": (2,),
        "end": (2,),
    }


def test_a_new_crf_knows_nothing():
    emissions = Ragged(torch.zeros(3, 4), np.array([3, 0]))
    nll = CRF(4).negative_log_likelihood(emissions, torch.zeros(3, dtype=torch.int64))
    torch.testing.assert_close(nll, torch.tensor([3 * np.log(4.0), 0.0]).float())


@pytest.mark.parametrize("lengths", [[], [0], [0, 0]])
def test_a_batch_without_rows(lengths):
    crf, emissions, _ = case(3, lengths, 0)
    nll = crf.negative_log_likelihood(emissions, torch.zeros(0, dtype=torch.int64))
    assert nll.tolist() == [0.0] * len(lengths)
    assert crf.decode(emissions).tolist() == []
    assert crf.marginals(emissions).shape == (0, 3)
    nll.sum().backward()
    for parameter in crf.parameters():
        assert parameter.grad is None or not parameter.grad.any()


def test_nan_stays_in_its_sequence():
    crf, emissions, _ = case(3, [2, 3, 1], 4)
    clean = crf.negative_log_likelihood(emissions, torch.zeros(6, dtype=torch.int64))
    emissions.values[3] = float("nan")
    found = crf.negative_log_likelihood(emissions, torch.zeros(6, dtype=torch.int64))
    assert found.isnan().tolist() == [False, True, False]
    torch.testing.assert_close(found[[0, 2]], clean[[0, 2]], **CLOSE)


def test_gradients_of_gradients_are_central_differences():
    crf, emissions, _ = case(3, [3, 0, 1, 4], 5)
    gold = torch.tensor([0, 2, 1, 1, 0, 0, 2, 1])

    def loss(rows, *scores):
        named = dict(zip(("transitions", "start", "end"), scores, strict=True))
        return torch.func.functional_call(
            _Likelihood(crf),
            {f"crf.{name}": score for name, score in named.items()},
            (Ragged(rows, emissions.lengths), gold),
        )

    inputs = [emissions.values, crf.transitions.data, crf.start.data, crf.end.data]
    inputs = [part.clone().requires_grad_() for part in inputs]
    assert torch.autograd.gradgradcheck(loss, inputs)
    # And the gradient itself is the same with a graph and without.
    once = torch.autograd.grad(loss(*inputs).sum(), inputs)
    twice = torch.autograd.grad(loss(*inputs).sum(), inputs, create_graph=True)
    for one, other in zip(once, twice, strict=True):
        torch.testing.assert_close(one, other, **CLOSE)


def test_gradients_of_gradients_where_the_scores_are_frozen():
    crf, emissions, _ = case(3, [3, 2], 5)
    crf.requires_grad_(False)
    rows = emissions.values.clone().requires_grad_()
    nll = crf.negative_log_likelihood(Ragged(rows, emissions.lengths), torch.zeros(5).long())
    (once,) = torch.autograd.grad(nll.sum(), rows, create_graph=True)
    (twice,) = torch.autograd.grad(once.square().sum(), rows)
    assert twice.isfinite().all()
    assert twice.any()


BAD_LABELS = {
    "too few": (torch.tensor([0, 1, 2, 0]), r"one for each of 5 rows, got shape \(4,\)"),
    "too many": (torch.zeros(6, dtype=torch.int64), r"got shape \(6,\)"),
    "on two axes": (torch.zeros(5, 1, dtype=torch.int64), r"got shape \(5, 1\)"),
    "floats": (torch.zeros(5), r"got shape \(5,\) of torch.float32"),
    "bools": (torch.zeros(5, dtype=torch.bool), "of torch.bool"),
    "words": (["a"] * 5, "got list"),
    "nothing": (None, "got NoneType"),
    "beyond the last": (torch.tensor([0, 1, 2, 0, 3]), "from 0 to 3, for 3 labels .* 0 to 2"),
    "below 0": (torch.tensor([0, 1, 2, 0, -1]), "from -1 to 2, for 3 labels"),
    "of other lengths": (
        Ragged(torch.zeros(5, dtype=torch.int64), np.array([2, 3])),
        "2, 3 against 3, 2",
    ),
    "of padding too narrow": (torch.zeros(2, 2, dtype=torch.int64), r"lengths\[0\] is 3"),
}


@pytest.mark.parametrize("bad", BAD_LABELS)
def test_labels_that_do_not_fit_are_refused_in_one_line(bad):
    crf, emissions, _ = case(3, [3, 2], 4)
    labels, message = BAD_LABELS[bad]
    with pytest.raises(DataError, match=message) as found:
        crf.negative_log_likelihood(emissions, labels)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("kind", [torch.int32, torch.uint8, list, np.asarray])
def test_labels_of_any_whole_numbers(kind):
    crf, emissions, _ = case(3, [3, 2], 4)
    labels = torch.tensor([0, 1, 2, 0, 2])
    given = labels.to(kind) if isinstance(kind, torch.dtype) else kind(labels.tolist())
    expected = crf.negative_log_likelihood(emissions, labels)
    assert torch.equal(crf.negative_log_likelihood(emissions, given), expected)


BAD_EMISSIONS = {
    "list": [[[1.0, 2.0, 3.0]]],
    "array": np.zeros((2, 3, 3)),
    "ragged array": Ragged(np.zeros((5, 3)), np.array([3, 2])),
    "another width": torch.zeros(2, 3, 4),
    "no axis of labels": torch.zeros(2, 3),
    "integers": torch.zeros(2, 3, 3, dtype=torch.int64),
    "complex": torch.zeros(2, 3, 3, dtype=torch.complex64),
    "sparse": torch.zeros(2, 3, 3).to_sparse(),
    "nothing": None,
}


@pytest.mark.parametrize("bad", BAD_EMISSIONS)
def test_emissions_that_are_none_are_refused_in_one_line(bad):
    for call in (
        CRF(3).decode,
        CRF(3).marginals,
        lambda x: CRF(3).negative_log_likelihood(x, torch.zeros(6, dtype=torch.int64)),
    ):
        with pytest.raises(ShapeError, match="emissions are") as found:
            call(BAD_EMISSIONS[bad])
        assert "\n" not in str(found.value)


def test_emissions_in_every_form():
    crf, emissions, _ = case(3, [2, 4, 1], 4)
    gold = torch.tensor([0, 1, 2, 0, 2, 1, 1])
    nll = crf.negative_log_likelihood(emissions, gold)
    path, shares = crf.decode(emissions), crf.marginals(emissions)
    labels = emissions.with_values(gold)
    padded = emissions.to_padded(steps=5)
    padded[0, 2:] = float("nan")  # what stands in the padding is never read
    # -100, as of torch's losses, in the padding
    for own in (labels, labels.to_padded(fill=-100), labels.to_padded(fill=-100, steps=9), gold):
        assert torch.equal(crf.negative_log_likelihood(padded, own, [2, 4, 1]), nll)
    found = crf.decode(padded, torch.tensor([2, 4, 1]))
    assert torch.equal(found, emissions.with_values(path).to_padded(steps=5))
    expected = emissions.with_values(shares).to_padded(steps=5)
    assert torch.equal(crf.marginals(padded, [2, 4, 1]), expected)
    packed = emissions.to_packed()
    assert torch.equal(crf.negative_log_likelihood(packed, labels.to_packed()), nll)
    found = crf.decode(packed)
    assert torch.equal(found.data, emissions.with_values(path).to_packed().data)
    assert torch.equal(found.batch_sizes, packed.batch_sizes)
    jagged = emissions.to_jagged()
    assert torch.equal(crf.negative_log_likelihood(jagged, gold), nll)
    assert torch.equal(crf.marginals(jagged).values(), shares)
    with pytest.raises(UsageError, match="knows its lengths"):
        crf.decode(packed, [2, 4, 1])
    with pytest.raises(LengthError, match=r"lengths\[1\] is 9"):
        crf.decode(padded, [2, 9, 1])


def test_padded_emissions_without_lengths_are_full():
    crf, emissions, _ = case(3, [3, 3], 4)
    expected = crf.decode(emissions).reshape(2, 3)
    assert torch.equal(crf.decode(emissions.values.view(2, 3, 3)), expected)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 0}, "1 label or more"),
        ({"size": "3"}, "1 label or more"),
        ({"size": 3, "allowed": np.ones((2, 2), bool)}, r"a mask is \(3, 3\) of True and False"),
        ({"size": 3, "allowed_end": np.full(3, 0.5)}, "of torch.float64"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises((ConfigError, ShapeError), match=message):
        CRF(**settings)


@pytest.mark.parametrize(
    "allowed", [np.eye(2), np.eye(2, dtype=int), [[True, False], [False, True]]]
)
def test_a_mask_of_zeros_and_ones_is_one_of_bools(allowed):
    assert torch.equal(CRF(2, allowed=allowed).penalty, CRF(2, allowed=np.eye(2) > 0).penalty)


# ---------------------------------------------------------------------- dtypes

HALVES = [torch.bfloat16, torch.float16]


def narrowed(dtype):
    """A CRF in float32, its labels, and emissions in 16 bits with the same numbers in float32."""
    crf, emissions, _ = case(3, [2, 0, 3], 4)
    narrow = emissions.map(lambda values: values.to(dtype))
    return crf.float(), torch.tensor([0, 1, 2, 0, 2]), narrow, narrow.map(torch.Tensor.float)


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("backward_inside", [True, False])
def test_under_autocast_all_is_computed_in_float32(dtype, backward_inside):
    crf, gold, narrow, wide = narrowed(dtype)
    expected = crf.negative_log_likelihood(wide.map(torch.Tensor.requires_grad_), gold)
    d_rows, *d_scores = torch.autograd.grad(expected.sum(), [wide.values, *crf.parameters()])
    for emissions in (narrow, wide):
        rows = emissions.values.detach().requires_grad_()
        with torch.autocast("cpu", dtype=dtype):
            nll = crf.negative_log_likelihood(Ragged(rows, emissions.lengths), gold)
            assert torch.equal(crf.decode(emissions), crf.decode(wide))
            shares = crf.marginals(emissions)
        with torch.autocast("cpu", dtype=dtype, enabled=backward_inside):
            found = torch.autograd.grad(nll.sum(), [rows, *crf.parameters()])
        assert nll.dtype == shares.dtype == torch.float32
        assert torch.equal(nll, expected)
        assert torch.equal(shares, crf.marginals(wide))
        assert torch.equal(found[0], d_rows.to(rows.dtype))
        assert all(map(torch.equal, found[1:], d_scores))


@pytest.mark.parametrize("crf_dtype", [*HALVES, torch.float32, torch.float64])
@pytest.mark.parametrize("dtype", [*HALVES, torch.float32, torch.float64])
def test_emissions_and_crf_of_any_two_dtypes(crf_dtype, dtype):
    crf, gold, _, wide = narrowed(torch.bfloat16)
    crf = crf.to(crf_dtype)
    emissions = wide.map(lambda rows: rows.detach().to(dtype).requires_grad_())
    exact = CRF(3).double()
    exact.load_state_dict(crf.state_dict())
    same = emissions.map(lambda rows: rows.detach().double().requires_grad_())
    nll, expected = (
        c.negative_log_likelihood(e, gold) for c, e in ((crf, emissions), (exact, same))
    )
    # What is computed is right to float32; what is given has the emissions' digits.
    rounded = {"rtol": max(1e-5, torch.finfo(dtype).eps), "atol": 1e-5}
    assert nll.dtype == crf.marginals(emissions).dtype == dtype
    torch.testing.assert_close(nll.double(), expected, **rounded)
    assert torch.equal(crf.decode(emissions), exact.decode(same))
    nll.sum().backward()
    expected.sum().backward()
    assert emissions.values.grad.dtype == dtype
    for one, other in zip(crf.parameters(), exact.parameters(), strict=True):
        assert one.grad.dtype == crf_dtype
        near = max(1e-5, torch.finfo(crf_dtype).eps, torch.finfo(dtype).eps)
        torch.testing.assert_close(one.grad.double(), other.grad, rtol=near, atol=near)


def test_the_answer_has_the_dtype_of_the_emissions():
    crf, emissions, _ = case(3, [2, 3], 4)
    labels = torch.zeros(5, dtype=torch.int64)
    expected = crf.negative_log_likelihood(emissions, labels)
    for dtype, close in ((torch.float32, 1e-5), (torch.bfloat16, 0.1)):
        narrow = emissions.map(lambda values, to=dtype: values.to(to).requires_grad_())
        nll = crf.to(dtype).negative_log_likelihood(narrow, labels)
        assert nll.dtype == crf.marginals(narrow).dtype == dtype
        np.testing.assert_allclose(nll.detach().double(), expected.detach(), rtol=close, atol=close)
        nll.sum().backward()
        assert narrow.values.grad.dtype == dtype
        assert crf.transitions.grad.dtype == dtype
        crf.zero_grad()
