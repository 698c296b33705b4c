"""The CRF against the enumeration of all label sequences, and against the reference."""

# N rows of all sequences, B sequences, T steps, L labels

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from crf_cases import CLOSE, case
from hypothesis import given, settings
from hypothesis import strategies as st

from birnn.nn import CRF
from birnn.ragged import Ragged
from birnn.reference import crf as reference
from birnn.reference.crf import Chain

pytestmark = pytest.mark.usefixtures("crf_engine")

LENGTHS = st.lists(st.integers(0, 4), max_size=4)
SEEDS = st.integers(0, 2**31)


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
        monkeypatch.setattr("birnn.nn._engine.chain_on_torch.PAIRS", pairs)
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


TRANSFORMS = {
    "gradient": lambda f, x: torch.func.grad(f)(x),
    "tangent": lambda f, x: torch.func.jvp(f, (x,), (x.cos(),))[1],
    "hessian": lambda f, x: torch.func.hessian(f)(x),
    "many at a time": lambda f, x: torch.autograd.functional.hessian(f, x, vectorize=True),
    "mapped": lambda f, x: torch.vmap(f)(torch.stack([x, x + 1])),
}


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch's own use of it
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_transforms_of_torch(transform):
    crf, emissions, _ = case(3, [3, 0, 2], 4)
    gold = torch.tensor([0, 1, 2, 0, 2])

    def loss(rows):
        return crf.negative_log_likelihood(Ragged(rows, emissions.lengths), gold).sum()

    # By the definition, over all label sequences.
    def slow(rows):
        total = torch.zeros((), dtype=torch.float64)
        for part, own in zip(rows.split([3, 2]), gold.split([3, 2]), strict=True):
            scores = []
            for path in itertools.product(range(3), repeat=part.shape[0]):
                steps = crf.start[path[0]] + crf.end[path[-1]]
                steps = steps + sum(crf.transitions[pair] for pair in itertools.pairwise(path))
                scores.append(steps + sum(part[t, label] for t, label in enumerate(path)))
            index = sum(label * 3**t for t, label in enumerate(reversed(own.tolist())))
            total = total + torch.stack(scores).logsumexp(0) - scores[index]
        return total

    run = TRANSFORMS[transform]
    x = emissions.values
    torch.testing.assert_close(run(loss, x), run(slow, x), **CLOSE)


def test_gradients_of_many_losses_at_a_time():
    crf, emissions, _ = case(3, [3, 0, 2], 4)
    nll = crf.negative_log_likelihood(emissions, torch.tensor([0, 1, 2, 0, 2]))
    parameters = list(crf.parameters())
    each = [torch.autograd.grad(one, parameters, retain_graph=True) for one in nll]
    eye = torch.eye(3, dtype=torch.float64)
    found = torch.autograd.grad(nll, parameters, eye, is_grads_batched=True)
    for together, alone in zip(found, zip(*each, strict=True), strict=True):
        torch.testing.assert_close(together, torch.stack(alone), **CLOSE)
