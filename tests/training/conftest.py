"""Toy problems, and recipes that learn them in a second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from birnn.data import Example
from birnn.training.fit import FitResult, run_training
from birnn.training.module import TrainingModule
from birnn.training.recipe import Recipe
from birnn.training.sets import DataSources
from birnn.training.workspace import Workspace

TINY = {
    "inputs.symbol_dim": 6,
    "inputs.word_dim": 4,
    "inputs.min_count": 1,
    "inputs.character_hidden": 0,
    "inputs.surface_dim": 0,
    "encoder.cell": "lstm",
    "encoder.hidden_size": 8,
    "encoder.num_layers": 1,
    "dropout.inputs": 0.1,
    "dropout.output": 0.1,
    "training.epochs": 3,
    "training.batch_tokens": 60,
    "training.batch_sequences": 16,
    "training.ema": 0.0,
    "training.label_smoothing": 0.0,
    "training.learning_rate": 0.02,
    "training.device": "cpu",
}


def look_ahead(count: int, seed: int = 0) -> list[Example]:
    """Tags that only what comes next decides; now and then a sequence of length 0."""
    random = np.random.default_rng(seed)
    examples = []
    for _ in range(count):
        symbols = tuple(str(s) for s in random.choice(["a", "b"], size=random.integers(0, 9)))
        tags = tuple("yes" if s == "a" else "no" for s in (*symbols[1:], "b")[: len(symbols)])
        examples.append(Example(symbols, tags))
    return examples


def tiny_recipe(task: Any = "tagger", **changes: Any) -> Recipe:
    """A small recipe; ``training__epochs=5`` sets ``training.epochs``."""
    named = {name.replace("__", "."): value for name, value in changes.items()}
    return Recipe.load(task).with_settings(TINY | named)


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    """One thread; and what a test draws or seeds is nobody else's business."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        yield
    torch.set_num_threads(threads)


@pytest.fixture
def score_as(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``score_as([0.3, 0.8])``: dev scores by epoch, whatever the model answers."""

    def patch(scores: list[float], monitor: str = "accuracy") -> None:
        start = TrainingModule.on_validation_epoch_start

        def begin(self: TrainingModule) -> None:
            start(self)
            self.scorer = SimpleNamespace(
                update=lambda gold, answer: None,
                result=lambda: {monitor: scores[self.current_epoch]},
            )

        monkeypatch.setattr(TrainingModule, "on_validation_epoch_start", begin)

    return patch


def train_into(
    out: Path,
    task: Any,
    train: Any,
    dev: Any,
    recipe: Recipe,
    *,
    resume: bool = False,
    overwrite: bool = False,
    **options: Any,
) -> FitResult:
    """A run from examples to the folder of a bundle, as `birnn.train` does it."""
    with Workspace.open(out, resume=resume, overwrite=overwrite) as workspace:
        sources = DataSources(train, dev)
        return run_training(task, sources, recipe, workspace, **({"quiet": True} | options))


@pytest.fixture(scope="session")
def into() -> Callable[..., FitResult]:
    return train_into


@pytest.fixture(scope="session")
def tags_ahead() -> Callable[..., list[Example]]:
    return look_ahead


@pytest.fixture(scope="session")
def tiny() -> Callable[..., Recipe]:
    return tiny_recipe
