"""Copies of a model to look at: in eval mode, without gradients, weights of their own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from birnn.bundle import Bundle
from birnn.bundle.spec import Encoder, Spec, Tags, Vectors
from birnn.models import Network, build
from birnn.nn import BiRNN
from birnn.reference.stack import Stack


def network(bundle: Bundle) -> Network:
    """The model of a bundle in torch, ready to answer."""
    labels = bundle.vocabularies.get("labels")
    # A fresh model draws random weights: that is no reason to move the caller's random numbers.
    with torch.inference_mode(False), torch.random.fork_rng(devices=[]):
        model = build(bundle.spec, labels=labels)
        model.load_tensors(bundle.tensors)
    return model.eval().requires_grad_(False)


def layers(encoder: BiRNN) -> tuple[BiRNN, ...]:
    """The layers of a stack, each as a stack of its own, on the same device in the same dtype.

    Example:
        >>> stack = BiRNN("gru", 3, 4, num_layers=2)
        >>> first, second = layers(stack)
        >>> x = torch.ones(1, 5, 3)
        >>> torch.equal(second(first(x).output).output, stack(x).output)
        True
    """
    found = []
    for at in range(encoder.stack.num_layers):
        width = encoder.stack.layer_input_size(at)
        alone = replace(encoder.stack, input_size=width, num_layers=1)
        with torch.inference_mode(False), torch.random.fork_rng(devices=[]):
            layer = BiRNN.from_stack(alone)
            weights = {
                name: _weight(encoder, name.replace("_l0", f"_l{at}")).detach().clone()
                for name in alone.shapes()
            }
            like = weights["weight_ih_l0"]
            layer.to(device=like.device, dtype=like.dtype).load_state_dict(weights)
        found.append(layer.eval().requires_grad_(False))
    return tuple(found)


def description(stack: Stack) -> Spec:
    """A `BiRNN` as a model of vectors; its head is part of a description and is never asked."""
    encoder = Encoder(
        cell=stack.cell,
        hidden_size=stack.hidden_size,
        num_layers=stack.num_layers,
        bidirectional=stack.bidirectional,
        merge=stack.merge,
        residual=stack.residual,
    )
    return Spec(inputs=Vectors(size=stack.input_size), encoder=encoder, head=Tags(size=1))


def _weight(encoder: BiRNN, name: str) -> Tensor:
    found: Any = encoder
    for part in name.split("."):
        found = getattr(found, part)
    weight: Tensor = found
    return weight
