"""One direction against two, on any data: trials, their comparison, a test of significance."""

from birnn.errors import require

require("torch", extra="train")
require("lightning", extra="train")

from birnn.metrics.significance import (
    McNemar,
    PairedPermutation,
    mcnemar,
    paired_permutation,
)
from birnn.studies.compare.comparison import COMPARED, Comparison, compare
from birnn.studies.compare.contest import Contest
from birnn.studies.compare.metric import Spread
from birnn.studies.compare.trials import WAYS, Trial, TrialPlan, run_trial, run_trials, way_of

__all__ = [
    "COMPARED",
    "WAYS",
    "Comparison",
    "Contest",
    "McNemar",
    "PairedPermutation",
    "Spread",
    "Trial",
    "TrialPlan",
    "compare",
    "mcnemar",
    "paired_permutation",
    "run_trial",
    "run_trials",
    "way_of",
]
