"""The training loop's step: loss, optimiser, schedule, and the score on the dev set."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor, nn

from birnn.errors import TrainingError
from birnn.inputs import Batch
from birnn.models import Network
from birnn.training.settings import TrainingSettings

# What weights are selected by. The accuracy of n labels is known to within about 1 / sqrt(n), so on
# a small dev set many epochs are as good as each other, and one lucky answer would select an early
# one. There the mean negative log-likelihood, which is less coarse, counts too.
SELECTION = "selection"
LIKELIHOOD_WEIGHT = 2.0  # times 1 / sqrt(n)
EPSILON = 1e-6  # what torch adds to a norm before it divides by it


class NotFinite(TrainingError):
    """Training met a number that is none.

    Args:
        what: What is not finite, with its value.
        epoch: Counted from 0.
        batch: Counted from 0; ``None`` after the last.
        remedy: What to do about it.
    """

    def __init__(self, what: str, *, epoch: int, batch: int | None, remedy: str) -> None:
        super().__init__(what)
        self.what, self.epoch, self.batch, self.remedy = what, epoch, batch, remedy

    def at(self, where: str) -> TrainingError:
        """The error as a user reads it.

        Args:
            where: Place of the first sequence of the batch, file and line; may be empty.
        """
        place = f"epoch {self.epoch + 1}"
        if self.batch is not None:
            place += f", batch {self.batch + 1}" + (f" (from {where} on)" if where else "")
        return TrainingError(f"{place}: {self.what}. {self.remedy}")


@dataclass(slots=True)
class DevBatch:
    """A batch with the targets that answers are compared with, unknown labels included."""

    batch: Batch
    gold: Sequence[Any]


class TrainingModule(lightning.LightningModule):
    """Trains a `Network` by AdamW with warm-up, decay and clipping.

    Args:
        network: The model.
        settings: Optimiser and schedule.
        steps: Steps of the whole run, for the schedule.
        seed: Of dropout; each epoch starts its own stream, so a resumed run is the same run.
        labels: Names of the labels; none where the task has none.
        scorer: Makes an empty scorer for the dev set.
        monitor: Result of the scorer that decides which weights are best.

    Source:
        Loshchilov & Hutter 2019, Decoupled Weight Decay Regularization; the cosine: 2017, SGDR:
        Stochastic Gradient Descent with Warm Restarts, without restarts.
    """

    def __init__(
        self,
        network: Network,
        settings: TrainingSettings,
        *,
        steps: int,
        seed: int,
        labels: Sequence[str],
        scorer: Any,
        monitor: str,
    ) -> None:
        super().__init__()
        self.network = network
        self.settings = settings
        self.steps = max(1, steps)
        self.seed = seed
        self.labels = labels
        self.new_scorer = scorer
        self.monitor = monitor
        self.scorer: Any = None
        self._rows = 0
        self._answers = 0
        self._loss: Tensor | float = 0.0  # summed over what the epoch's answers are to say
        self._clock = 0.0
        self._speed = 0.0
        self._likelihoods: list[float] = []  # negative logarithms
        self._batch = 0

    def transfer_batch_to_device(self, batch: Any, device: Any, dataloader_idx: int) -> Any:
        """Leave batches on the host: the model's inputs take each array where it is needed."""
        return batch

    def on_train_epoch_start(self) -> None:
        """Start the epoch's own stream of random numbers."""
        seed = self.seed * 1_000_003 + self.current_epoch
        # CUDA's generators are left alone by a run that does not use them.
        if self.device.type == "cpu":
            torch.default_generator.manual_seed(seed)
        else:
            torch.manual_seed(seed)
        self._rows, self._answers, self._loss = 0, 0, 0.0
        self._clock = time.perf_counter()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Mean loss of the batch."""
        self._batch = batch_idx
        self.network.advance(self.global_step / self.steps)
        loss = self.network.loss(batch)
        if not math.isfinite(value := float(loss.detach())):
            raise self._not_finite(f"the loss is {value}", batch=batch_idx)
        self._rows += batch.rows
        self._answers += batch.answers
        # Lightning's own mean over an epoch takes a tenth of the time of a step.
        self._loss += loss.detach() * batch.answers
        return loss

    def on_validation_epoch_start(self) -> None:
        """An empty scorer; the speed of training counts up to here."""
        self._speed = self._rows / max(1e-9, time.perf_counter() - self._clock)
        if not all(bool(torch.isfinite(p).all()) for p in self.network.parameters()):
            raise self._not_finite("a weight of the model is not finite", batch=None)
        self.scorer = self.new_scorer()
        self._likelihoods = []

    def validation_step(self, batch: DevBatch, batch_idx: int) -> None:
        """Score the answers to a dev batch."""
        found = self.network.answered(batch.batch, self.labels, batch.gold)
        if not found.finite:
            raise self._not_finite("an answer to the dev set is not finite", batch=None)
        for gold, predicted in zip(batch.gold, found.answers, strict=True):
            self.scorer.update(gold, predicted)
        self._likelihoods += found.likelihoods

    def on_validation_epoch_end(self) -> None:
        """Log the dev score, what weights are selected by, and the training speed."""
        score = float(self.scorer.result()[self.monitor])
        count = len(self._likelihoods)
        likelihood = float(np.mean(self._likelihoods)) / count**0.5 if count else 0.0
        self.log("loss", self._loss / max(1, self._answers), prog_bar=True, batch_size=1)
        self.log(f"dev_{self.monitor}", score, prog_bar=True, batch_size=1)
        self.log(SELECTION, score - LIKELIHOOD_WEIGHT * likelihood, batch_size=1)
        self.log("tokens_per_second", self._speed, prog_bar=True, batch_size=1)

    def configure_optimizers(self) -> Any:
        """AdamW; biases and other vectors take no weight decay."""
        trained = [p for p in self.network.parameters() if p.requires_grad]
        decayed = [p for p in trained if p.ndim > 1]
        spared = [p for p in trained if p.ndim <= 1]
        optimiser = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": self.settings.weight_decay},
                {"params": spared, "weight_decay": 0.0},
            ],
            lr=self.settings.learning_rate,
            betas=(0.9, 0.99),
            fused=True,
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, self._rate)
        return {
            "optimizer": optimiser,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the norm as torch does, and leave gradients alone that it would multiply by 1."""
        if gradient_clip_val is None:
            return
        own = [p for group in optimizer.param_groups for p in group["params"]]
        norm = nn.utils.get_total_norm([p.grad for p in own if p.grad is not None])
        if not math.isfinite(value := float(norm)):
            raise self._not_finite(f"the gradient's norm is {value}", batch=self._batch)
        if norm + EPSILON > gradient_clip_val:
            nn.utils.clip_grads_with_norm_(own, gradient_clip_val, norm)

    def _not_finite(self, what: str, *, batch: int | None) -> NotFinite:
        rate = self.settings.learning_rate
        return NotFinite(
            what,
            epoch=self.current_epoch,
            batch=batch,
            remedy=f"Lower training.learning_rate ({rate:g}) or training.clip "
            f"({self.settings.clip:g}), and look for numbers far from the others in the data.",
        )

    def _rate(self, step: int) -> float:
        """Share of the learning rate at a step: up to 1 in warm-up, then down by the schedule."""
        progress = step / self.steps
        if progress < self.settings.warmup:
            return max(progress / self.settings.warmup, 1 / self.steps)
        left = max(0.0, min(1.0, (1 - progress) / (1 - self.settings.warmup)))
        if self.settings.schedule == "cosine":
            left = (1 - math.cos(math.pi * left)) / 2
        final = self.settings.final_rate
        return final + (1 - final) * left
