"""Mean states of an encoder's last layer over data, used for mean ablation by explanations.

A bundle carries them, so that a model can be explained where its data is not.
"""

# N rows of all sequences, B sequences, H hidden units, D directions

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from birnn.bundle.spec import FINAL_STATES
from birnn.inputs import Batch
from birnn.models.network import Network
from birnn.ragged import Ragged

Array = npt.NDArray[np.float64]


class StateSums:
    """Sums of states in float64, batch by batch, and their means.

    Example:
        >>> sums = StateSums()
        >>> sums.add([torch.tensor([[1.0], [3.0]])], [torch.tensor([[3.0]])])
        >>> sums.rows.tolist(), sums.last.tolist(), sums.steps, sums.sequences
        ([[2.0]], [[3.0]], 2, 1)
    """

    def __init__(self) -> None:
        self._rows: Any = 0.0
        self._last: Any = 0.0
        self._final: list[Any] = [0.0, 0.0]
        self.steps = 0
        self.sequences = 0

    def add(self, halves_NH: Sequence[Tensor], last_BH: Sequence[Tensor]) -> None:
        """Count a batch: the states of each direction, and its final ones."""
        self._rows = self._rows + _sums(halves_NH)
        self._last = self._last + _sums(last_BH)
        self.steps += halves_NH[0].shape[0]
        self.sequences += last_BH[0].shape[0]

    def add_final(self, parts_KBH: Sequence[Tensor]) -> None:
        """Count the final states of all layers and directions of a batch that `add` counted."""
        for at, part in enumerate(parts_KBH):
            self._final[at] = self._final[at] + part.double().sum(dim=1).cpu().numpy()

    @property
    def final(self) -> dict[str, Array]:
        """Mean final state of all layers and directions, h and c, as far as these were counted."""
        return {
            name: part / max(1, self.sequences)
            for name, part in zip(FINAL_STATES, self._final, strict=True)
            if isinstance(part, np.ndarray)
        }

    @property
    def rows(self) -> Array:
        """Mean state of each direction over all steps, (D, H)."""
        return np.asarray(self._rows / max(1, self.steps))

    @property
    def last(self) -> Array:
        """Mean final state of each direction over the sequences, (D, H)."""
        return np.asarray(self._last / max(1, self.sequences))


@torch.no_grad()
def mean_states(network: Network, batches: Iterable[Batch]) -> dict[str, npt.NDArray[np.float32]]:
    """The tensors of ``spec.mean_states()``.

    Args:
        network: The model, in eval mode.
        batches: Data; sequences without steps count for nothing.

    Returns:
        ``rows`` and ``last``, (D, H), and what else a head needs; nothing where there is not one
        step.
    """
    sums = StateSums()
    directions = network.spec.stack.directions_of(-1)
    for batch in batches:
        rows = Ragged(network.inputs(batch.inputs), batch.lengths)
        out = network.encoder(network.encoder_rows(rows))
        halves = [out.forward.values, *([] if out.backward is None else [out.backward.values])]
        filled = torch.from_numpy(batch.lengths > 0).to(out.state.h.device)
        sums.add(halves, [final[filled] for final in out.state.h[-directions:]])
        if network.spec.head.reads_final_states:
            states = [out.state.h, *([] if out.state.c is None else [out.state.c])]
            sums.add_final([part[:, filled] for part in states])
    if not sums.steps:
        return {}
    found = {"rows": sums.rows, "last": sums.last} | sums.final
    return {name: means.astype(np.float32) for name, means in found.items()}


def _sums(parts: Sequence[Tensor]) -> Array:
    return np.stack([part.double().sum(dim=0).cpu().numpy() for part in parts])
