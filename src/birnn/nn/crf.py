"""Linear-chain conditional random field on ragged emissions."""

# N rows of all sequences, B sequences, L labels

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from birnn.errors import ConfigError, ShapeError
from birnn.nn._engine import chain_ops
from birnn.nn._engine.chain_ops import check_labels
from birnn.nn._engine.private_torch import autocasts, without_autocast
from birnn.nn.conversions import RaggedConversion, as_ragged
from birnn.ragged import Lengths, Ragged

FORBIDDEN = -1e4  # added to a forbidden score: no path survives it, and no inf - inf arises


class CRF(nn.Module):
    """Scores a whole sequence of labels: emissions, transitions, start and end.

    ``score(y) = start[y_0] + sum_t emission[t, y_t] + sum_t transitions[y_t-1, y_t] + end[y_T-1]``

    Emissions come as `Ragged` rows (N, L); padded (B, T, L) with ``lengths``; ``PackedSequence``;
    or a nested tensor of jagged layout. All is computed in float32 at least, under autocast and in
    a module of 16 bits as well; gradients have the dtype of what they are of.

    Args:
        size: Labels L.
        allowed: Which label may follow which, (L, L) bool [from, to]; all by default.
        allowed_start: Which labels may begin a sequence, (L,).
        allowed_end: Which labels may end one, (L,).

    Raises:
        ConfigError: Fewer than one label.
        ShapeError: A mask of another shape, or of anything but 0 and 1.

    Source:
        Lafferty et al. 2001, Conditional Random Fields; Sutton & McCallum 2012, section 4.1.

    Example:
        >>> crf = CRF(2)
        >>> emissions = torch.tensor([[[5.0, 0.0], [0.0, 5.0]]])
        >>> crf.decode(emissions, lengths=[2]).tolist()
        [[0, 1]]
    """

    penalty: Tensor
    start_penalty: Tensor
    end_penalty: Tensor

    def __init__(
        self, size: int, *, allowed: Any = None, allowed_start: Any = None, allowed_end: Any = None
    ) -> None:
        super().__init__()
        if not isinstance(size, int) or size < 1:
            raise ConfigError(f"a CRF has 1 label or more, got size {size!r}")
        self.transitions = nn.Parameter(torch.zeros(size, size))
        self.start = nn.Parameter(torch.zeros(size))
        self.end = nn.Parameter(torch.zeros(size))
        for name, mask, shape in (
            ("penalty", allowed, (size, size)),
            ("start_penalty", allowed_start, (size,)),
            ("end_penalty", allowed_end, (size,)),
        ):
            allow = torch.ones(shape, dtype=torch.bool) if mask is None else _mask(mask, shape)
            penalty = torch.zeros(shape).masked_fill(~allow, FORBIDDEN)
            self.register_buffer(name, penalty, persistent=False)

    def negative_log_likelihood(self, emissions: Any, labels: Any, lengths: Any = None) -> Tensor:
        """``log Z - score(labels)`` of each sequence, (B,); 0 for a sequence of length 0.

        It has gradients, and gradients of gradients.

        Args:
            emissions: Scores of the labels at each step.
            labels: True label of each row, (N,) whole numbers; or in the form of the emissions,
                where what stands in padding is never read.
            lengths: Length of each sequence, (B,), for padded emissions; ``None``: all are full.

        Returns:
            (B,), in the emissions' dtype; under autocast in float32 at least.

        Raises:
            ShapeError: Emissions that are not L scores a row, or labels that do not fit them.
            LengthError: Lengths that do not fit the emissions.
        """
        batch = self._converted(emissions, lengths).batch
        rows, scores = self._widened(batch.values)
        gold_N = _label_rows(labels, batch).to(rows.device, torch.int64)
        with without_autocast(rows):
            each_B = chain_ops.negative_log_likelihood(rows, batch.lengths, gold_N, *scores)
        return each_B.to(_answer_dtype(batch.values))

    @torch.no_grad()
    def marginals(self, emissions: Any, lengths: Any = None) -> Any:
        """Probability of each label at each step given the whole sequence.

        Args:
            emissions: Scores of the labels at each step.
            lengths: Length of each sequence, (B,), for padded emissions; ``None``: all are full.

        Returns:
            Rows (N, L) for `Ragged` emissions; else in their form, zeros in padding.

        Raises:
            ShapeError: Emissions that are not L scores a row.
            LengthError: Lengths that do not fit the emissions.
        """
        found = self._converted(emissions, lengths)
        rows, scores = self._widened(found.batch.values)
        with without_autocast(rows):
            shares_NL = chain_ops.marginals(rows, found.batch.lengths, *scores)
        shares_NL = shares_NL.to(_answer_dtype(found.batch.values))
        return shares_NL if isinstance(emissions, Ragged) else found.restore(shares_NL)

    @torch.no_grad()
    def decode(self, emissions: Any, lengths: Any = None) -> Any:
        """The best allowed label sequence of each sequence (Viterbi).

        Args:
            emissions: Scores of the labels at each step.
            lengths: Length of each sequence, (B,), for padded emissions; ``None``: all are full.

        Returns:
            Labels (N,) for `Ragged` emissions; else in their form, (B, T) for padded ones, with 0
            in padding.

        Raises:
            ShapeError: Emissions that are not L scores a row.
            LengthError: Lengths that do not fit the emissions.
        """
        found = self._converted(emissions, lengths)
        # A sum of -inf is -inf: here no emission, however large, buys what is forbidden.
        rows, scores = self._widened(found.batch.values, forbidden=-torch.inf)
        with without_autocast(rows):
            labels_N = chain_ops.best_path(rows, found.batch.lengths, *scores)
        return labels_N if isinstance(emissions, Ragged) else found.restore(labels_N)

    def _converted(self, emissions: Any, lengths: Any) -> RaggedConversion:
        found = as_ragged(emissions, lengths, what="emissions")
        rows, size = found.batch.values, self.start.shape[0]
        if rows.ndim != 2 or rows.shape[1] != size or not rows.is_floating_point():
            raise ShapeError(
                f"emissions are {size} floating-point scores in a row, one for each label, got "
                f"rows of shape {tuple(rows.shape[1:])} of {rows.dtype}"
            )
        return found

    def _widened(
        self, rows_NL: Tensor, forbidden: float | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Rows, transitions, start and end in one dtype, with what is forbidden so far down."""
        wide = torch.promote_types(rows_NL.dtype, self.transitions.dtype)
        wide = torch.promote_types(wide, torch.float32)
        scores = []
        for name, penalty in (
            ("transitions", self.penalty),
            ("start", self.start_penalty),
            ("end", self.end_penalty),
        ):
            score, off = getattr(self, name).to(wide), penalty.to(wide)
            down = score + off if forbidden is None else score.masked_fill(off < 0, forbidden)
            scores.append(down)
        return rows_NL.to(wide), scores


def _answer_dtype(rows: Tensor) -> torch.dtype:
    """The emissions', but float32 at least where autocast would have a loss in it."""
    return torch.promote_types(rows.dtype, torch.float32) if autocasts(rows) else rows.dtype


def _mask(mask: Any, shape: tuple[int, ...]) -> Tensor:
    found = torch.as_tensor(mask)
    if found.shape != shape or not bool(((found == 0) | (found == 1)).all()):
        raise ShapeError(
            f"a mask is {shape} of True and False, got shape {tuple(found.shape)} of {found.dtype}"
        )
    return found.bool()


def _label_rows(labels: Any, batch: Ragged[Tensor]) -> Tensor:
    """Labels of the rows, (N,), of labels in any form."""
    if not isinstance(labels, Tensor | Ragged | PackedSequence):
        try:
            labels = torch.as_tensor(labels)
        except (TypeError, ValueError, RuntimeError):
            raise ShapeError(
                f"labels are whole numbers (N,), one for each row, got {type(labels).__name__}"
            ) from None
    padded = isinstance(labels, Tensor) and not labels.is_nested
    if not padded or (labels.ndim == 2 and labels.shape[0] == len(batch)):
        own = as_ragged(labels, batch.lengths if padded else None, what="labels").batch
        if not np.array_equal(own.lengths, batch.lengths):
            raise ShapeError(
                "labels have other lengths than the emissions: "
                f"{_brief(own.lengths)} against {_brief(batch.lengths)}"
            )
        labels = own.values
    rows: Tensor = labels
    check_labels(rows, batch.values.shape[0])
    return rows


def _brief(lengths: Lengths) -> str:
    text = ", ".join(map(str, lengths[:8].tolist()))
    return f"{text}, ..." if lengths.shape[0] > 8 else text
