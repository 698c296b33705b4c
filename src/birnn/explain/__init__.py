"""What a model knew and why it answered so: numbers, figures of them, and a page that shows them.

>>> import numpy as np
>>> from birnn.explain import flow
>>> from birnn.nn import BiRNN
>>> flow(BiRNN("gru", 3, 4), np.eye(3)).context().forward <= 2
True
"""

from birnn.explain.ablation import Background, Decision, decide
from birnn.explain.attribution import Attribution, Occlusion, integrated_gradients, occlusion
from birnn.explain.decoding import Decoding, attention, decoding
from birnn.explain.explanation import Explanation, explanation
from birnn.explain.flow import Context, Flow, affordable, by_distance, context_length, flow
from birnn.explain.gates import Gates, Saturation, gates, saturation
from birnn.explain.inspected import Subject
from birnn.explain.reading import Reading
from birnn.explain.states import Correlation, Segment, States, correlation, layout, states

__all__ = [
    "Attribution",
    "Background",
    "Context",
    "Correlation",
    "Decision",
    "Decoding",
    "Explanation",
    "Flow",
    "Gates",
    "Occlusion",
    "Reading",
    "Saturation",
    "Segment",
    "States",
    "Subject",
    "affordable",
    "attention",
    "by_distance",
    "context_length",
    "correlation",
    "decide",
    "decoding",
    "explanation",
    "flow",
    "gates",
    "integrated_gradients",
    "layout",
    "occlusion",
    "saturation",
    "states",
]
