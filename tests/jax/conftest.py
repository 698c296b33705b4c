"""JAX in float64, where a test asks for it."""

from __future__ import annotations

import jax
import pytest


@pytest.fixture
def x64():
    """JAX in float64, in this test alone."""
    with jax.enable_x64(True):
        yield
