"""Copies of a model to look at: in eval mode, without gradients, weights of their own."""

from __future__ import annotations

import torch

from birnn.bundle import Bundle
from birnn.bundle.spec import Encoder, Spec
from birnn.inputs import Vectors
from birnn.models import Network, build
from birnn.nn import BiRNN
from birnn.reference.stack import Stack
from birnn.tasks import Tags


def network(bundle: Bundle) -> Network:
    """The model of a bundle in torch, ready to answer."""
    labels = bundle.vocabularies.get("labels")
    # A fresh model draws random weights: that is no reason to move the caller's random numbers.
    with torch.inference_mode(False), torch.random.fork_rng(devices=[]):
        model = build(bundle.spec, labels=labels)
        model.load_tensors(bundle.tensors)
    return model.eval().requires_grad_(False)


def encoder(model: BiRNN) -> BiRNN:
    """A stack with the same weights, on the same device in the same dtype.

    Example:
        >>> stack = BiRNN("gru", 3, 4, num_layers=2, dropout=0.5)
        >>> x = torch.ones(1, 5, 3)
        >>> torch.equal(encoder(stack)(x).output, stack.eval()(x).output)
        True
    """
    with torch.inference_mode(False), torch.random.fork_rng(devices=[]):
        copy = BiRNN.from_stack(model.stack)
        weights = {name: weight.detach().clone() for name, weight in model.state_dict().items()}
        like = weights["weight_ih_l0"]
        copy.to(device=like.device, dtype=like.dtype).load_state_dict(weights)
    return copy.eval().requires_grad_(False)


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
