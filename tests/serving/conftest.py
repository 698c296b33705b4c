"""Models behind an app, and a client that asks it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from serving_models import model_of
from starlette.testclient import TestClient

from birnn.runtime import Predictor
from birnn.serving import app


@pytest.fixture(scope="session")
def models() -> dict[str, Predictor]:
    """``ner``, ``review``, ``spell``: they read texts. ``motion`` reads vectors."""
    return {
        "ner": model_of("words", "tags"),
        "review": model_of("words", "label"),
        "spell": model_of("symbols", "sequence"),
        "motion": model_of("vectors", "label"),
    }


@pytest.fixture
def client(models: dict[str, Predictor]) -> Iterator[TestClient]:
    """Of an app with all models."""
    with TestClient(app(models)) as made:
        yield made
