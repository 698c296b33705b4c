"""The chain's operators: what torch asks of one, and the same bits in every batch."""

# N rows of all sequences, B sequences, L labels

from __future__ import annotations

import numpy as np
import pytest
import torch

from birnn.engine import isa
from birnn.errors import ShapeError
from birnn.nn._engine import chain_ops
from birnn.ragged import Ragged

pytestmark = pytest.mark.skipif(isa.selected_engine() is None, reason="torch's chain runs here")


@pytest.fixture
def threads():
    """Torch's setting of threads, as it was when the test is over."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def arguments(lengths, labels=4, dtype=torch.float64):
    """What the operator takes: emissions, lengths, labels, transitions, start, end."""
    random = np.random.default_rng(labels)
    shapes = ((sum(lengths), labels), (labels, labels), (labels,), (labels,))
    rows, *scores = (
        torch.from_numpy(random.standard_normal(shape)).to(dtype).requires_grad_()
        for shape in shapes
    )
    gold = torch.from_numpy(random.integers(0, labels, sum(lengths)))
    return rows, torch.tensor(lengths, dtype=torch.int64), gold, *scores


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("lengths", [[3, 0, 5], [0], [1]])
def test_torch_finds_no_fault_with_the_operators(lengths, dtype):
    given = arguments(lengths, dtype=dtype)
    torch.library.opcheck(torch.ops.birnn.chain_likelihood.default, given)
    plain = [part.detach() for part in given]
    weights = torch.ones(len(lengths), dtype=dtype)
    torch.library.opcheck(torch.ops.birnn.chain_likelihood_gradients.default, (weights, *plain))


def test_a_compiled_graph_holds_the_operator():
    rows, lengths, *rest = arguments([3, 0, 5])
    loss = torch.compile(
        lambda *given: torch.ops.birnn.chain_likelihood(*given).mean(),
        fullgraph=True,
        backend="aot_eager",
    )
    found = torch.autograd.grad(loss(rows, lengths, *rest), rows)
    expected = torch.ops.birnn.chain_likelihood(rows, lengths, *rest).mean()
    assert torch.equal(found[0], torch.autograd.grad(expected, rows)[0])


@pytest.mark.parametrize("spoil", ["short", "float", "out of range"])
def test_labels_that_do_not_fit_are_refused_by_the_operators(spoil):
    rows, lengths, gold, *scores = (part.detach() for part in arguments([3, 2]))
    gold = {"short": gold[:4], "float": gold.double(), "out of range": gold + 4}[spoil]
    with pytest.raises(ShapeError, match="labels are"):
        torch.ops.birnn.chain_likelihood(rows, lengths, gold, *scores)
    ones = torch.ones(2, dtype=torch.float64)
    with pytest.raises(ShapeError, match="labels are"):
        torch.ops.birnn.chain_likelihood_gradients(ones, rows, lengths, gold, *scores)


@pytest.mark.parametrize("labels", [1, 8, 19])
def test_the_bits_depend_on_neither_batch_nor_threads(threads, labels):
    lengths = [5, 0, 31, 8, 60, 1, 44, 2, 37, 50, 12, 40] * 4
    rows, _, gold, *scores = arguments(lengths, labels)
    emissions, labelled = (Ragged(part, np.array(lengths)) for part in (rows, gold))

    def answers(order):
        batch = emissions.select(order).map(lambda part: part.detach().requires_grad_())
        given = batch.values, batch.lengths
        nll = chain_ops.negative_log_likelihood(*given, labelled.select(order).values, *scores)
        gradient, *shared = torch.autograd.grad(nll.sum(), [batch.values, *scores])
        of_rows = (
            gradient,
            chain_ops.marginals(*given, *scores),
            chain_ops.best_path(*given, *scores),
        )
        return nll, [batch.with_values(part.detach()).to_list() for part in of_rows], shared

    everything = list(range(len(lengths)))
    threads(1)
    nll, of_rows, shared = answers(everything)
    for order in ([4], [47], [2, 0, 2, 11], everything[::-1]):
        some_nll, some_rows, _ = answers(order)
        assert torch.equal(some_nll, nll[order])
        for one, other in zip(some_rows, of_rows, strict=True):
            for place, i in enumerate(order):
                assert torch.equal(one[place], other[i])
    for count in (2, 3):
        threads(count)
        other_nll, other_rows, other_shared = answers(everything)
        assert torch.equal(other_nll, nll)
        pairs = [*zip(of_rows, other_rows, strict=True), (shared, other_shared)]
        for one, other in pairs:
            assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
