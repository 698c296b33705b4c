"""What a model knew and why it answered so: numbers, figures of them, and a page that shows them.

>>> import numpy as np
>>> from birnn.explain import flow
>>> from birnn.nn import BiRNN
>>> flow(BiRNN("gru", 3, 4), np.eye(3)).context().forward <= 2
True
"""

from birnn.explain.attribution import Attribution, Occlusion, integrated_gradients, occlusion
from birnn.explain.decision import Background, Decision, decide
from birnn.explain.decoding import Decoding, attention, decoding
from birnn.explain.explanation import Explanation, explanation
from birnn.explain.flow import Context, Flow, affordable, by_distance, context_length, flow
from birnn.explain.gates import Gates, Saturation, gates, saturation
from birnn.explain.parts import (
    Code,
    Notes,
    Picture,
    Section,
    Sentence,
    Sentences,
    Strip,
    Strips,
    Table,
    Text,
    Tiles,
    Words,
)
from birnn.explain.reading import Reading
from birnn.explain.report import render, write
from birnn.explain.states import Correlation, Segment, States, correlation, layout, states
from birnn.explain.subject import Subject

__all__ = [
    "Attribution",
    "Background",
    "Code",
    "Context",
    "Correlation",
    "Decision",
    "Decoding",
    "Explanation",
    "Flow",
    "Gates",
    "Notes",
    "Occlusion",
    "Picture",
    "Reading",
    "Saturation",
    "Section",
    "Segment",
    "Sentence",
    "Sentences",
    "States",
    "Strip",
    "Strips",
    "Subject",
    "Table",
    "Text",
    "Tiles",
    "Words",
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
    "render",
    "saturation",
    "states",
    "write",
]
