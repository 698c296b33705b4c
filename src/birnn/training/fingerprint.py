"""What a run is made of: so that only the same run is gone on with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from birnn.data import Example


def describe(
    *,
    task: str,
    seed: int,
    recipe: Mapping[str, Any],
    train: Iterable[Example],
    dev: Iterable[Example],
    initial: Mapping[str, np.ndarray[Any, Any]],
) -> dict[str, Any]:
    """What decides the result of a run: its settings, and digests of its data.

    Args:
        task: What is learnt.
        seed: Of the run.
        recipe: Settings by section and key, as JSON holds them.
        train: Labelled examples.
        dev: Labelled examples that decide which weights are kept.
        initial: Tensors that start from the data, such as pretrained vectors.
    """
    start = hashlib.sha256()
    for name, tensor in sorted(initial.items()):
        start.update(f"{name} {tensor.dtype} {tensor.shape}".encode())
        start.update(np.ascontiguousarray(tensor).tobytes())
    settings = {
        f"{section}.{key}": value
        for section, values in recipe.items()
        for key, value in values.items()
    }
    return {
        "settings": {"task": task, "seed": seed, **settings},
        "data": {
            "training data": _digest(train),
            "dev data": _digest(dev),
            "pretrained vectors": start.hexdigest(),
        },
    }


def _digest(examples: Iterable[Example]) -> str:
    digest = hashlib.sha256()
    for example in examples:
        for part in (example.inputs, example.target):
            if isinstance(part, np.ndarray):
                digest.update(f"{part.dtype} {part.shape}".encode())
                digest.update(np.ascontiguousarray(part).tobytes())
            else:
                digest.update(f"{part!r}\n".encode())
    return digest.hexdigest()


def differences(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What two descriptions of runs differ in, in words.

    Example:
        >>> one = {"settings": {"seed": 1}, "data": {"dev data": "5f"}}
        >>> differences(one, {"settings": {"seed": 2}, "data": {"dev data": "c0"}})
        ['seed was 1, now 2', 'the dev data was another']
    """
    then, settings = earlier["settings"], now["settings"]
    changed = [
        f"{name} was {then.get(name)!r}, now {settings.get(name)!r}"
        for name in {**then, **settings}
        if then.get(name) != settings.get(name)
    ]
    data = earlier["data"]
    return changed + [
        f"the {name} was another" for name, digest in now["data"].items() if digest != data[name]
    ]
