"""Exponential moving average of the weights (EMA), which the dev score and the bundle use."""

from __future__ import annotations

import lightning
import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

Pairs = tuple[list[Tensor], list[Tensor]]  # the same tensors, of the average and of the model


class AveragedWeights(WeightAveraging):
    """Exponential moving average of the weights, swapped in for each validation and at the end.

    Args:
        decay: Decay that the average grows to, in (0, 1), see `Average`.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(use_buffers=False)
        self._decay = decay

    def setup(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str
    ) -> None:
        """Begin the average where the weights begin."""
        if stage == "fit":
            self._average_model = Average(pl_module, self._decay)


class Average(AveragedModel):
    """A copy of a model with the average of its weights.

    The decay of step n is ``min(decay, (1 + n) / (10 + n))``: a short memory first, so that the
    random start is soon forgotten. The first step's weights are taken as they are.

    Args:
        model: Whose weights are averaged, the same one at each step.
        decay: Decay that the average grows to, in (0, 1).

    Source:
        Polyak & Juditsky 1992; the growing decay is that of TensorFlow's
        ``ExponentialMovingAverage(num_updates=...)``.

    Example:
        >>> model = nn.Linear(1, 1, bias=False)
        >>> average = Average(model, 0.9)
        >>> for value in (1.0, 2.0):
        ...     _ = nn.init.constant_(model.weight, value)
        ...     average.update_parameters(model)
        >>> round(average.module.weight.item(), 4)  # the decay of step 1 is 2 / 11
        1.8182
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__(model, use_buffers=False)
        self._decay = decay
        self._weight_pairs: Pairs | None = None
        self._buffer_pairs: Pairs = ([], [])

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Take the model's weights into the average, and its buffers as they are.

        Torch's own looks for them in all modules at each step, which takes longer than averaging
        a million weights.
        """
        if self._weight_pairs is None:
            # Lightning moves the model to its device after the average is made.
            self.module.to(next(model.parameters()).device)
            self._weight_pairs = list(self.module.parameters()), list(model.parameters())
            self._buffer_pairs = list(self.module.buffers()), list(model.buffers())
        steps = int(self.n_averaged)
        decay = min(self._decay, (1 + steps) / (10 + steps)) if steps else 0.0
        torch._foreach_lerp_(*self._weight_pairs, 1 - decay)
        if self._buffer_pairs[0]:
            torch._foreach_copy_(*self._buffer_pairs)
        self.n_averaged += 1
