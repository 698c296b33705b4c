"""Attention of a decoder's rows over the encoder's rows of their own source, without padding."""

# N decoder rows, M encoder rows, B sources, P pairs of a decoder row and an encoder row of its
# source, H width of a decoder row, W of an encoder row, A hidden units of the additive kind

from __future__ import annotations

from typing import Literal, overload

import torch
from torch import Tensor, nn

from birnn.errors import LengthError, ShapeError
from birnn.nn._engine import attention_ops
from birnn.nn._engine.linear_ops import linear
from birnn.nn._engine.private_torch import autocasts, without_autocast
from birnn.nn.conversions import ragged_rows
from birnn.ragged import Ragged
from birnn.reference.attention import AttentionKind, shapes


class Attention(nn.Module):
    """Each query row reads a weighted mean of its source's rows.

    ``score = h . m`` (dot), ``weight h . m`` (general), or
    ``vector . tanh(query.weight h + key.weight m + key.bias)`` (additive), for a query row h and a
    row m of the source's memory; weights are the softmax of a query's scores over its own source.

    Args:
        query_size: Width H of a query: of a decoder's hidden state.
        memory_size: Width W of a memory row: of an encoder's output.
        kind: ``additive`` (Bahdanau), ``dot`` or ``general`` (Luong).
        size: Hidden units A of the additive kind; None for the others.

    Raises:
        ConfigError: A kind that does not exist, or sizes that do not fit it.

    Source:
        Bahdanau et al. 2015, Neural Machine Translation by Jointly Learning to Align and
        Translate, appendix A.1.2; Luong et al. 2015, Effective Approaches to Attention-based
        Neural Machine Translation, section 3.1.

    Example:
        >>> import numpy as np
        >>> attention = Attention(8, 6, "additive", 5)
        >>> queries = Ragged(torch.zeros(4, 8), np.array([3, 1]))
        >>> memory = Ragged(torch.ones(7, 6), np.array([2, 5]))
        >>> attention(queries, memory).values.shape
        torch.Size([4, 6])
    """

    def __init__(
        self,
        query_size: int,
        memory_size: int,
        kind: AttentionKind = "additive",
        size: int | None = None,
    ) -> None:
        super().__init__()
        shape_of = shapes(kind, query_size, memory_size, size)
        self.query_size, self.memory_size, self.kind, self.size = (
            query_size,
            memory_size,
            kind,
            size,
        )
        if size is not None:
            self.query = nn.Linear(query_size, size, bias=False)
            self.key = nn.Linear(memory_size, size)
            self.vector = nn.Parameter(torch.empty(size))
        elif kind == "general":
            self.weight = nn.Parameter(torch.empty(shape_of["weight"]))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights, uniform within 1 over the square root of what each sum adds up."""
        if self.size is not None:
            self.query.reset_parameters()
            self.key.reset_parameters()
            nn.init.uniform_(self.vector, -(self.size**-0.5), self.size**-0.5)
        elif self.kind == "general":
            nn.init.uniform_(self.weight, -(self.query_size**-0.5), self.query_size**-0.5)

    def keys(self, memory: Ragged[Tensor]) -> Tensor:
        """What each row of the memory is compared with a query by, (M, A).

        Steps that read one memory after another make it once.
        """
        rows = ragged_rows(memory, "attention").values
        self._check_rows("memory", rows, self.memory_size)
        return rows if self.size is None else linear(rows, self.key.weight, self.key.bias)

    @overload
    def forward(
        self,
        queries: Ragged[Tensor],
        memory: Ragged[Tensor],
        *,
        keys: Tensor | None = None,
        weights: Literal[False] = False,
    ) -> Ragged[Tensor]: ...

    @overload
    def forward(
        self,
        queries: Ragged[Tensor],
        memory: Ragged[Tensor],
        *,
        keys: Tensor | None = None,
        weights: Literal[True],
    ) -> tuple[Ragged[Tensor], Tensor]: ...

    def forward(
        self,
        queries: Ragged[Tensor],
        memory: Ragged[Tensor],
        *,
        keys: Tensor | None = None,
        weights: bool = False,
    ) -> Ragged[Tensor] | tuple[Ragged[Tensor], Tensor]:
        """The context of each query row.

        Args:
            queries: Decoder rows (N, H), grouped by source: all of a target, one step, or the
                hypotheses of a beam; any number for each source.
            memory: Encoder rows of the same sources, (M, W).
            keys: What `keys` made of the memory; None: it is made here.
            weights: Whether to give the weights too.

        Returns:
            Contexts (N, W), zeros where a source has no rows; with ``weights`` also these, (P,):
            one for each row of the query's source, query after query. They have gradients.

        Raises:
            ShapeError: No ragged rows, or rows of another width or dtype than the parameters.
            LengthError: Queries and memory of different numbers of sources.
        """
        queries, memory = ragged_rows(queries, "attention"), ragged_rows(memory, "attention")
        if len(queries) != len(memory):
            raise LengthError(
                f"queries are of {len(queries)} sources, memory of {len(memory)}. "
                "Give a length 0 to a source without queries."
            )
        self._check_rows("queries", queries.values, self.query_size)
        query_NA, vector_A = queries.values, None
        key_MA = self.keys(memory) if keys is None else keys
        if self.size is not None:
            query_NA, vector_A = linear(query_NA, self.query.weight), self.vector
        elif self.kind == "general":
            query_NA = linear(query_NA, self.weight)
        parts = [query_NA, key_MA, memory.values, *([] if vector_A is None else [vector_A])]
        wide = torch.float32
        for part in parts:
            wide = torch.promote_types(wide, part.dtype)
        query_NA, key_MA, value_MW, *vector = (part.to(wide) for part in parts)
        with without_autocast(query_NA):
            contexts_NW, weights_P = attention_ops.attend(
                query_NA,
                key_MA,
                value_MW,
                queries.lengths,
                memory.lengths,
                *vector,
                weights=weights,
            )
        found = queries.with_values(contexts_NW.to(memory.values.dtype))
        return found if weights_P is None else (found, weights_P)

    def _check_rows(self, name: str, rows: Tensor, size: int) -> None:
        like = next(self.parameters(), rows).dtype
        if rows.shape[1] != size or not (rows.dtype == like or autocasts(rows)):
            raise ShapeError(
                f"{name} of this attention are rows {size} wide of {like}, got rows "
                f"{rows.shape[1]} wide of {rows.dtype}"
            )

    def extra_repr(self) -> str:
        """The arguments it was made with."""
        own = f"{self.query_size}, {self.memory_size}, kind={self.kind!r}"
        return own if self.size is None else f"{own}, size={self.size}"
