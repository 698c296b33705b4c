"""Attention on torch's operations: sources and their queries padded, scores of padding masked.

For the devices, dtypes and transforms that the native engine does not run, and for gradients of
gradients.
"""

# N query rows, M key rows, B sources that have both, Q and S most query and key rows of one of
# them, P pairs of a query row and a key row of its source, A width of queries and keys, V of values

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from birnn.ragged import Lengths

Places = npt.NDArray[np.int64]


def attend(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    query_lengths: Lengths,
    key_lengths: Lengths,
    vector: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Contexts (N, V) and weights (P,); see `birnn.engine.attention.attend`.

    Example:
        >>> rows = torch.tensor([[0.0], [2.0]])
        >>> attend(torch.zeros(1, 1), rows, rows, np.array([1]), np.array([2]), None)
        (tensor([[1.]]), tensor([0.5000, 0.5000]))
    """
    both = (query_lengths > 0) & (key_lengths > 0)
    # Without the sources that lack one: a softmax over nothing would be NaN, and have such
    # gradients.
    query_BQ = _padded_places(query_lengths, both)
    key_BS = _padded_places(key_lengths, both)
    (count, most), longest = query_BQ.shape, key_BS.shape[1]
    query_BQA, key_BSA = _take(queries, query_BQ), _take(keys, key_BS)
    if vector is None:
        score_BQS = query_BQA @ key_BSA.transpose(1, 2)
    else:
        score_BQS = (query_BQA[:, :, None] + key_BSA[:, None]).tanh() @ vector
    absent = torch.from_numpy(key_BS == keys.shape[0]).to(queries.device)
    score_BQS = score_BQS.masked_fill(absent[:, None], -torch.inf)
    weight_BQS = score_BQS.softmax(dim=2) if longest else score_BQS
    context_BQV = weight_BQS @ _take(values, key_BS)
    # Where each query stands in padding, one row more for those that have no keys.
    place_N = np.full(queries.shape[0], count * most)
    present_BQ = query_BQ < queries.shape[0]
    place_N[query_BQ[present_BQ]] = np.flatnonzero(present_BQ)
    context_NV = _rows(context_BQV.flatten(0, 1), place_N)
    present_BQS = present_BQ[:, :, None] & (key_BS < keys.shape[0])[:, None]
    place_P = torch.from_numpy(np.flatnonzero(present_BQS)).to(queries.device)
    return context_NV, weight_BQS.flatten().index_select(0, place_P)


def _padded_places(lengths: Lengths, chosen: npt.NDArray[np.bool_]) -> Places:
    """Row of each step of the chosen sequences, (B, T); in padding the number of all rows."""
    first, own = (np.cumsum(lengths) - lengths)[chosen], lengths[chosen]
    step = np.arange(own.max(initial=0))
    return np.where(step < own[:, None], first[:, None] + step, lengths.sum())


def _take(rows: Tensor, places: Places) -> Tensor:
    """Rows at places of two axes; zeros at the place after the last."""
    return _rows(rows, places.ravel()).reshape(*places.shape, rows.shape[1])


def _rows(rows: Tensor, places: Any) -> Tensor:
    padded = torch.cat([rows, rows.new_zeros(1, *rows.shape[1:])])
    return padded.index_select(0, torch.from_numpy(places).to(rows.device))
