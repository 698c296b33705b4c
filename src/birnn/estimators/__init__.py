"""scikit-learn's interface: a tagger, a classifier and a regressor with ``fit`` and ``predict``."""

from birnn.errors import require

require("sklearn", extra="sklearn")

from birnn.estimators.pooled import BiRNNClassifier, BiRNNRegressor
from birnn.estimators.tagger import BiRNNTagger

__all__ = ["BiRNNClassifier", "BiRNNRegressor", "BiRNNTagger"]
