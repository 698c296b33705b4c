"""One direction against two, on any data: trials, their comparison, a test of significance."""

from birnn.experiments.compare.comparison import TASKS, Comparison, Spread, compare
from birnn.experiments.compare.contest import Contest
from birnn.experiments.compare.significance import McNemar, mcnemar
from birnn.experiments.compare.trials import WAYS, Plan, Trial, run_trial, run_trials, way_of

__all__ = [
    "TASKS",
    "WAYS",
    "Comparison",
    "Contest",
    "McNemar",
    "Plan",
    "Spread",
    "Trial",
    "compare",
    "mcnemar",
    "run_trial",
    "run_trials",
    "way_of",
]
