"""`BiRNN` on every form of batch: each is answered as the ragged rows in it."""

from __future__ import annotations

import pytest
import torch

from birnn.nn import BiRNN
from birnn.ragged import Ragged
from birnn.reference import GATES, MERGE_WIDTH

CELLS = sorted(GATES)
CLOSE = {"rtol": 1e-10, "atol": 1e-10}

FORMS = {
    "padded": (lambda batch: (batch.to_padded(steps=7), batch.lengths), Ragged.from_padded),
    "packed": (lambda batch: (batch.to_packed(),), None),
    "jagged": (lambda batch: (batch.to_jagged(),), None),
    "ragged": (lambda batch: (batch,), None),
}


@pytest.mark.parametrize("form", sorted(FORMS))
def test_rows_leave_by_the_door_they_came_in(draw, randomised, form):
    encoder = randomised(BiRNN("gru", 3, 4, num_layers=2, merge="sum"))
    batch = draw([2, 5, 1], 3)
    expected = encoder(batch)
    found = encoder(*FORMS[form][0](batch))
    for name in ("output", "forward", "backward"):
        rows, wanted = getattr(found, name), getattr(expected, name)
        if form == "padded":
            assert rows.shape[:2] == (3, 7)
            back = Ragged.from_padded(rows, batch.lengths)
            assert not rows[0, 2:].any()
        elif form == "packed":
            assert isinstance(rows, torch.nn.utils.rnn.PackedSequence)
            back = Ragged.from_packed(rows)
        elif form == "jagged":
            assert rows.layout == torch.jagged
            back = Ragged.from_jagged(rows)
        else:
            back = rows
        torch.testing.assert_close(back.values, wanted.values, **CLOSE)
        assert back.lengths.tolist() == [2, 5, 1]
    torch.testing.assert_close(found.final, expected.final, **CLOSE)


def test_padded_without_lengths_is_full(draw, randomised):
    encoder = randomised(BiRNN("lstm", 3, 4))
    x = torch.randn(2, 4, 3, dtype=torch.float64)
    assert torch.equal(encoder(x).output, encoder(x, [4, 4]).output)


@pytest.mark.parametrize("cell", CELLS)
def test_padding_is_never_read(draw, randomised, cell):
    encoder = randomised(BiRNN(cell, 3, 4, num_layers=2))
    batch = draw([2, 0, 5], 3)
    expected = encoder(batch)
    padded = batch.to_padded(fill=float("nan")).requires_grad_()
    found = encoder(padded, batch.lengths)
    assert torch.equal(
        Ragged.from_padded(found.output, batch.lengths).values, expected.output.values
    )
    assert torch.equal(found.final, expected.final)
    found.output.sum().backward()
    assert padded.grad.isfinite().all()
    assert not padded.grad[0, 2:].any()
    assert all(parameter.grad.isfinite().all() for parameter in encoder.parameters())


@pytest.mark.parametrize("merge", sorted(MERGE_WIDTH))
@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("form", ["padded", "packed", "jagged"])
def test_every_form_is_answered_and_trained_as_ragged_rows(draw, randomised, merge, residual, form):
    # Twice as wide as hidden: with concat the residual adds from the first layer on.
    encoder = BiRNN("lstm", 8, 4, num_layers=3, merge=merge, residual=residual, dropout=0.4)
    randomised(encoder)
    batch = draw([2, 5, 1], 8)
    arguments = FORMS[form][0](batch)
    if form == "padded":
        padded = arguments[0].clone()
        padded[0, 2:] = padded[2, 1:] = float("nan")
        arguments = (padded, arguments[1])
    answers = []
    for given_form in ((batch,), arguments):
        torch.manual_seed(1)
        found = encoder(*given_form)
        rows = found.output
        if form == "padded" and given_form is arguments:
            assert not rows[0, 2:].any()
            assert not rows[2, 1:].any()
            rows = Ragged.from_padded(rows, batch.lengths)
        elif form == "packed" and given_form is arguments:
            rows = Ragged.from_packed(rows)
        elif form == "jagged" and given_form is arguments:
            rows = Ragged.from_jagged(rows)
        loss = rows.values.sin().sum() + found.final.cos().sum()
        answers.append([rows.values, found.final, *torch.autograd.grad(loss, encoder.parameters())])
    for one, other in zip(*answers, strict=True):
        torch.testing.assert_close(one, other, **CLOSE)
