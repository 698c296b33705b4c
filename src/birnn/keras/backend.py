"""Keras on a backend that is installed."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from birnn.errors import ConfigError, MissingExtra, Tell, log_notice, nearest, require

VARIABLE = "KERAS_BACKEND"
DType = Literal["float32", "float64"]

# Named as the package that each needs; one of the first three is chosen.
BACKENDS = ("torch", "jax", "tensorflow", "numpy", "openvino")
CHOSEN = BACKENDS[:3]


def load_keras(tell: Tell = log_notice) -> Any:
    """The module ``keras``, on a backend that is installed.

    Keras takes its backend from ``KERAS_BACKEND`` or its own settings, else TensorFlow, and cannot
    change it once it is imported. Where nothing is set and what it would take is not installed,
    torch is chosen, or else JAX.

    Args:
        tell: Takes a notice of the backend that was chosen.

    Returns:
        The module.

    Raises:
        MissingExtra: Keras or all of its backends are not installed, or the one that is set.
        ConfigError: Keras has no such backend.

    Example:
        >>> load_keras().backend.backend() in BACKENDS
        True
    """
    if "keras" in sys.modules or not _installed("keras"):
        return require("keras", extra="keras")
    named = os.environ.get(VARIABLE)
    wanted = named or _usual()
    if wanted not in BACKENDS:
        where = VARIABLE if named else "the backend in keras.json"
        raise ConfigError(f"{where} is {wanted!r}: {nearest(wanted, BACKENDS)}")
    if _installed(wanted):
        return require("keras", extra="keras")
    if named:
        raise MissingExtra(
            f"{VARIABLE} is {named}, which is not installed: pip install {named}, or set "
            "it to another"
        )
    chosen = next((name for name in CHOSEN if _installed(name)), None)
    if chosen is None:
        raise MissingExtra(
            f"Keras needs one of {', '.join(CHOSEN)} beneath it, and none is installed: "
            "pip install torch"
        )
    # Keras reads the variable once, when it is imported; child processes keep what they had.
    os.environ[VARIABLE] = chosen
    try:
        module = require("keras", extra="keras")
    finally:
        del os.environ[VARIABLE]
    tell(f"Keras runs on {chosen}, as {wanted} is not installed; {VARIABLE} chooses another")
    return module


@contextmanager
def precision(keras: Any, dtype: DType) -> Iterator[None]:
    """Layers made meanwhile have weights and results of ``dtype``.

    Args:
        keras: The module.
        dtype: ``float32`` or ``float64``.

    Raises:
        ConfigError: ``float64`` on torch or JAX. Keras rounds the operands of every sum and
            product to 32 bits there.
    """
    backend = keras.backend.backend()
    if keras.backend.result_type(dtype, dtype) != dtype:
        raise ConfigError(
            f"dtype is {dtype}, and Keras on {backend} rounds to 32 bits whatever is set. "
            f"Set {VARIABLE}=tensorflow, or leave dtype out."
        )
    config = keras.config
    before = config.floatx(), config.dtype_policy()
    # Layers take their type from the policy, which Keras makes once, of what it was at first.
    config.set_floatx(dtype)
    config.set_dtype_policy(dtype)
    try:
        yield
    finally:
        config.set_floatx(before[0])
        config.set_dtype_policy(before[1])


def _usual() -> str:
    """The backend in Keras' own settings."""
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    try:
        return str(json.loads((home / "keras.json").read_text("utf-8"))["backend"])
    except (OSError, ValueError, KeyError, TypeError):
        return "tensorflow"


def _installed(package: str) -> bool:
    return package in sys.modules or importlib.util.find_spec(package) is not None
