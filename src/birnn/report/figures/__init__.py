"""Figures of measured numbers, in one style.

Each function takes numbers and returns a `matplotlib.figure.Figure`; none takes a model and none
keeps state. They are made of three primitives, `bars`, `line` and `heatmap`, but for the drawings
of a model (`blueprint`, `unrolled`) and of causality (`no_generation`). `alt_text` says what
a figure shows.
"""

from birnn.report.figures.alignment import attention_matrix
from birnn.report.figures.blueprint import blueprint
from birnn.report.figures.causality import no_generation
from birnn.report.figures.comparisons import (
    BOUND,
    accuracy_by_group,
    accuracy_by_position,
    cost_bars,
    scores_by_seed,
)
from birnn.report.figures.confusion import confusion_matrix
from birnn.report.figures.decisions import (
    attribution,
    attribution_over_time,
    deciding_by_position,
    deciding_direction,
)
from birnn.report.figures.flow import flow, influence_by_distance, influence_on_position
from birnn.report.figures.heads import attention_weights, tag_marginals
from birnn.report.figures.learning import learning_curves, training_losses
from birnn.report.figures.series import TagRow, series
from birnn.report.figures.style import (
    HALVES,
    INK,
    READERS,
    Reader,
    alt_text,
    capital,
    describe,
    in_house_style,
)
from birnn.report.figures.tokens import named
from birnn.report.figures.units import (
    activations,
    correlation_histogram,
    gate_saturation,
    output_states,
    state_norms,
    unit_correlation,
)
from birnn.report.figures.unrolled import unrolled

__all__ = [
    "BOUND",
    "HALVES",
    "INK",
    "READERS",
    "Reader",
    "TagRow",
    "accuracy_by_group",
    "accuracy_by_position",
    "activations",
    "alt_text",
    "attention_matrix",
    "attention_weights",
    "attribution",
    "attribution_over_time",
    "blueprint",
    "capital",
    "confusion_matrix",
    "correlation_histogram",
    "cost_bars",
    "deciding_by_position",
    "deciding_direction",
    "describe",
    "flow",
    "gate_saturation",
    "in_house_style",
    "influence_by_distance",
    "influence_on_position",
    "learning_curves",
    "named",
    "no_generation",
    "output_states",
    "scores_by_seed",
    "series",
    "state_norms",
    "tag_marginals",
    "training_losses",
    "unit_correlation",
    "unrolled",
]
