"""The equations in NumPy, forward and backward: the specification of every engine."""

from birnn.reference.bidirectional import Outcome, Saved, StackState, gradients, run, run_saving
from birnn.reference.cells import CELLS, Cell
from birnn.reference.initialise import initialise
from birnn.reference.low_precision import PRECISIONS, Bf16Matrix, Int8Matrix, Matrix, Precision
from birnn.reference.merge import MERGES, Merge
from birnn.reference.stack import GATES, MERGE_WIDTH, CellName, Direction, MergeName, Stack

__all__ = [
    "CELLS",
    "GATES",
    "MERGES",
    "MERGE_WIDTH",
    "PRECISIONS",
    "Bf16Matrix",
    "Cell",
    "CellName",
    "Direction",
    "Int8Matrix",
    "Matrix",
    "Merge",
    "MergeName",
    "Outcome",
    "Precision",
    "Saved",
    "Stack",
    "StackState",
    "gradients",
    "initialise",
    "run",
    "run_saving",
]
