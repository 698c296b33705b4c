"""What a CRF takes and what it refuses: forms, labels, settings and dtypes."""

# N rows of all sequences, B sequences, T steps, L labels

from __future__ import annotations

import numpy as np
import pytest
import torch
from crf_cases import case

from birnn.errors import ConfigError, DataError, LengthError, ShapeError, UsageError
from birnn.nn import CRF
from birnn.ragged import Ragged

pytestmark = pytest.mark.usefixtures("crf_engine")

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
