"""CRFs of random scores, with what they are tried on."""

# N rows of all sequences, B sequences, L labels

from __future__ import annotations

import numpy as np
import torch

from birnn.nn import CRF
from birnn.ragged import Ragged

CLOSE = {"rtol": 1e-10, "atol": 1e-10}


def masks_of(labels, random):
    """Masks that forbid about a third, and that label 0 followed by itself always satisfies."""
    shapes = {"allowed": (labels, labels), "allowed_start": (labels,), "allowed_end": (labels,)}
    masks = {name: random.random(shape) > 0.35 for name, shape in shapes.items()}
    for mask in masks.values():
        mask[(0,) * mask.ndim] = True
    return masks


def case(labels, lengths, seed, masked=False):
    """A CRF in float64, emissions, and the same CRF's masks."""
    random = np.random.default_rng(seed)
    masks = masks_of(labels, random) if masked else {}
    crf = CRF(labels, **masks).double()
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.copy_(torch.from_numpy(random.standard_normal(parameter.shape)))
    rows = torch.from_numpy(2 * random.standard_normal((sum(lengths), labels)))
    return crf, Ragged(rows, np.array(lengths, np.int64)), masks
