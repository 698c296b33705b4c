"""Metrics of predictions: accuracy, span F1, macro F1, regression, edit-distance rates, BLEU, chrF.

A scorer is updated sequence by sequence; results are plain Python numbers. A ratio over nothing
(precision without a prediction) is 0.
"""

from birnn.metrics.confusion import ConfusionMatrix, confusion_matrix
from birnn.metrics.edits import alignment, edit_distance
from birnn.metrics.label_sets import LabelSetScorer
from birnn.metrics.labels import LabelScorer, TagScorer, named_counts
from birnn.metrics.resampling import Statistics, difference_intervals, intervals
from birnn.metrics.sequences import SequenceScorer
from birnn.metrics.values import ValueScorer

__all__ = [
    "ConfusionMatrix",
    "LabelScorer",
    "LabelSetScorer",
    "SequenceScorer",
    "Statistics",
    "TagScorer",
    "ValueScorer",
    "alignment",
    "confusion_matrix",
    "difference_intervals",
    "edit_distance",
    "intervals",
    "named_counts",
]
