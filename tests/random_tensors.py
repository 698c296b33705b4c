"""Random tensors for a spec: a model in no need of training."""

from __future__ import annotations

import numpy as np

from birnn.bundle import Spec


def random_tensors(
    spec: Spec, random: np.random.Generator, size: float = 0.7
) -> dict[str, np.ndarray]:
    """Tensors of a model, larger than fresh ones, so that answers differ; scales are above 0.

    Args:
        spec: The model.
        random: Where they are drawn from.
        size: Their standard deviation.
    """
    tensors = {
        name: (random.standard_normal(shape) * size).astype(np.float32)
        for name, shape in spec.tensors().items()
    }
    for name in {"inputs.scale", "head.scale"} & set(tensors):
        tensors[name] = np.abs(tensors[name]) + np.float32(0.5)
    return tensors
