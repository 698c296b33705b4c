"""What a model knew and why it answered so: numbers, figures of them, and a page that shows them.

>>> import numpy as np
>>> from birnn.explain import flow
>>> from birnn.nn import BiRNN
>>> flow(BiRNN("gru", 3, 4), np.eye(3)).context().forward <= 2
True
"""

from birnn.errors import require

require("torch", extra="train")

from birnn.explain.ablation import Ablation, MeanStates, mean_ablation
from birnn.explain.attribution import Attribution, Occlusion, integrated_gradients, occlusion
from birnn.explain.decoding import Decoding, attention, decoding
from birnn.explain.explanation import Explanation, explanation
from birnn.explain.flow import Context, Flow, affordable, by_distance, context_length, flow
from birnn.explain.gates import Gates, Saturation, gates, saturation
from birnn.explain.inspected import InspectedModel
from birnn.explain.reading import Reading
from birnn.explain.states import (
    Correlation,
    OutputColumns,
    States,
    correlation,
    output_columns,
    states,
)
from birnn.explain.unrolled import ComputationGraph, computation_graph, inputs_read, unrolled

__all__ = [
    "Ablation",
    "Attribution",
    "ComputationGraph",
    "Context",
    "Correlation",
    "Decoding",
    "Explanation",
    "Flow",
    "Gates",
    "InspectedModel",
    "MeanStates",
    "Occlusion",
    "OutputColumns",
    "Reading",
    "Saturation",
    "States",
    "affordable",
    "attention",
    "by_distance",
    "computation_graph",
    "context_length",
    "correlation",
    "decoding",
    "explanation",
    "flow",
    "gates",
    "inputs_read",
    "integrated_gradients",
    "mean_ablation",
    "occlusion",
    "output_columns",
    "saturation",
    "states",
    "unrolled",
]
