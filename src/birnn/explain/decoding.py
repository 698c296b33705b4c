"""How an answer came about in the head: attention weights; marginals and the runner-up of tags."""

# T steps, L labels

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from birnn.explain.inspected import Array, InspectedModel, Model, array
from birnn.explain.reading import Reading
from birnn.ragged import Ragged
from birnn.reference import crf
from birnn.reference.crf import Chain


def attention(model: Model | Reading, sequence: Any = None) -> Array | None:
    """Weight of each step in the head's attention, (T,), which sum to 1.

    Args:
        model: A whole model, as for `Reading.of`.
        sequence: As ``predict`` takes one; of a reading its own.

    Returns:
        None where the head pools without attention, or does not pool.

    Raises:
        ConfigError: A bare `BiRNN`.
        DataError: A sequence that the model cannot read, or one without steps.

    Example:
        >>> from birnn.bundle import Bundle, Encoder, Label, Spec, Symbols
        >>> spec = Spec(
        ...     inputs=Symbols(size=3, dim=2),
        ...     encoder=Encoder(hidden_size=2),
        ...     head=Label(size=2, pooling="attention", attention_size=3),
        ... )
        >>> tensors = {name: np.zeros(s, np.float32) for name, s in spec.tensors().items()}
        >>> bundle = Bundle(spec, {"symbols": ("<unk>", "A", "C"), "labels": ("x", "y")}, tensors)
        >>> attention(bundle, "ACCA").tolist()
        [0.25, 0.25, 0.25, 0.25]
    """
    reading = Reading.of(model, sequence)
    head = reading.model.head
    if getattr(head, "attention", None) is None:
        return None
    with torch.no_grad():
        return array(head.attention.weights(reading.merged()[0]))


@dataclass(frozen=True, slots=True, eq=False)
class Decoding:
    """The two best tag sequences of a tagger, and how sure it is of each tag.

    Args:
        marginals: Probability of each label at each step, over all tag sequences, (T, L).
        best: Numbers of the labels of the best tag sequence, (T,): what the model answers.
        runner_up: Those of the second best, (T,); None where only one is allowed.
        score: Score of the best: emissions, and with a CRF transitions, start and end.
        runner_up_score: Score of the second best; minus infinity where there is none.
        log_probability: Logarithm of the best one's probability.
        runner_up_log_probability: The same of the second best.
        labels: Names of the labels.
        crf: Whether the tags are a chain, or each is chosen for itself.
    """

    marginals: Array
    best: Array
    runner_up: Array | None
    score: float
    runner_up_score: float
    log_probability: float
    runner_up_log_probability: float
    labels: tuple[str, ...]
    crf: bool

    @property
    def lead(self) -> float:
        """How far the best score is above the second: the logarithm of their odds."""
        return self.score - self.runner_up_score


def decoding(model: Model | Reading, sequence: Any = None) -> Decoding | None:
    """Marginals, the best and the second best tag sequence of one sequence.

    A tagger without a CRF is one whose transitions are all 0: its marginals are the softmax of
    each step, and its runner-up differs where it was least sure.

    Args:
        model: A whole model, as for `Reading.of`.
        sequence: As ``predict`` takes one; of a reading its own.

    Returns:
        None where the model is no tagger: gaps of a text are filled each for itself.

    Raises:
        ConfigError: A bare `BiRNN`.
        DataError: A sequence that the model cannot read, or one without steps.

    Source:
        Marginals by forward-backward: Lafferty et al. 2001, Conditional Random Fields, section 3;
        the two best by n-best Viterbi.

    Example:
        >>> from birnn.bundle import Bundle, Encoder, Spec, Symbols, Tags
        >>> spec = Spec(
        ...     inputs=Symbols(size=3, dim=2),
        ...     encoder=Encoder(hidden_size=2),
        ...     head=Tags(size=2, decoder="crf"),
        ... )
        >>> tensors = {name: np.zeros(s, np.float32) for name, s in spec.tensors().items()}
        >>> bundle = Bundle(spec, {"symbols": ("<unk>", "A", "C"), "labels": ("x", "y")}, tensors)
        >>> found = decoding(bundle, "AC")
        >>> found.marginals.tolist(), found.lead, round(math.exp(found.log_probability), 6)
        ([[0.5, 0.5], [0.5, 0.5]], 0.0, 0.25)
    """
    reading = Reading.of(model, sequence)
    inspected = reading.model
    if not inspected.tags or reading.asked is not None:
        return None
    emissions = Ragged(array(reading.scores).astype(np.float64), reading.rows.lengths)
    chain = _chain(inspected)
    [partition] = crf.log_partition(emissions, chain).tolist()
    [paths] = crf.nbest(emissions, chain, 2)
    (best, score), (second, second_score) = (*paths, (None, -math.inf))[:2]
    assert best is not None, "a scheme always allows one tag sequence"
    return Decoding(
        crf.marginals(emissions, chain),
        best,
        second,
        score,
        second_score,
        score - partition,
        second_score - partition,
        inspected.labels,
        inspected.head.crf is not None,
    )


def _chain(inspected: InspectedModel) -> Chain:
    """The scores that neighbouring tags get; zeros without a CRF."""
    chain = inspected.head.crf
    if chain is None:
        size = len(inspected.labels)
        return Chain.of(np.zeros((size, size)), np.zeros(size), np.zeros(size))
    # What is forbidden has a penalty.
    return Chain.of(
        *(array(scores) for scores in (chain.transitions, chain.start, chain.end)),
        allowed=array(chain.penalty) == 0,
        allowed_start=array(chain.start_penalty) == 0,
        allowed_end=array(chain.end_penalty) == 0,
    )
