"""Batches for the training loop: drawn anew each epoch, the same for the same seed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import lightning
import numpy as np

from birnn.data import batches
from birnn.inputs import Batch, Encoded
from birnn.training.module import DevBatch
from birnn.training.prepare import Prepared
from birnn.training.settings import TrainingSettings

DEV_TOKENS = 4000  # of a dev batch


class Batches:
    """Batches over one encoded set, made when they are asked for."""

    def __init__(self, encoded: Encoded, groups: list[np.ndarray[Any, Any]]) -> None:
        self._encoded = encoded
        self._groups = groups

    def __len__(self) -> int:
        """Number of batches."""
        return len(self._groups)

    def __iter__(self) -> Iterator[Batch]:
        """One batch after another."""
        for group in self._groups:
            yield self._encoded.batch(group)


class TrainingBatches(Batches):
    """Training batches as the task learns them, each with random numbers of its own.

    Args:
        prepared: The encoded sets.
        groups: Indices of each batch.
        seed: Names the stream of random numbers, with the number of the batch.
    """

    def __init__(
        self, prepared: Prepared, groups: list[np.ndarray[Any, Any]], seed: tuple[int, ...]
    ) -> None:
        super().__init__(prepared.train, groups)
        self._change = prepared.spec.head.training_batches(prepared.codec)
        self._seed = seed

    def __iter__(self) -> Iterator[Batch]:
        """One batch after another."""
        for number, batch in enumerate(super().__iter__()):
            yield self._change(batch, np.random.default_rng((*self._seed, number)))


class DevBatches(Batches):
    """Batches of the dev set, each with the targets that answers are compared with."""

    def __init__(self, prepared: Prepared, groups: list[np.ndarray[Any, Any]]) -> None:
        super().__init__(prepared.dev, groups)
        self._golds = prepared.dev_golds

    def __iter__(self) -> Iterator[Any]:
        """One batch after another, shortest sequences first."""
        for group, batch in zip(self._groups, super().__iter__(), strict=True):
            yield DevBatch(batch, [self._golds[i] for i in group])


class DataModule(lightning.LightningDataModule):
    """Draws the batches of each epoch from length buckets.

    Args:
        prepared: The encoded sets.
        settings: Size of a batch.
        seed: Of the draw; epoch e of seed s is always the same list of batches.
    """

    def __init__(self, prepared: Prepared, settings: TrainingSettings, *, seed: int) -> None:
        super().__init__()
        self._prepared = prepared
        self._settings = settings
        self._seed = seed

    def groups(self, epoch: int) -> list[np.ndarray[Any, Any]]:
        """Indices of each batch of an epoch."""
        return batches(
            self._prepared.train.sizes,
            tokens=self._settings.batch_tokens,
            sequences=self._settings.batch_sequences,
            seed=self._seed,
            epoch=epoch,
        )

    def train_dataloader(self) -> TrainingBatches:
        """The batches of the epoch that is about to start."""
        epoch = self.trainer.current_epoch if self.trainer is not None else 0
        return TrainingBatches(self._prepared, self.groups(epoch), (self._seed, epoch))

    def val_dataloader(self) -> DevBatches:
        """The dev set."""
        groups = batches(self._prepared.dev.lengths, tokens=DEV_TOKENS, seed=0, epoch=0)
        return DevBatches(self._prepared, groups)
