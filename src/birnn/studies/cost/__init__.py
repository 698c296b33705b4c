"""What one direction, two, and two at half width cost: counted, and measured."""

from birnn.errors import require

require("torch", extra="train")

from birnn.studies.cost.count import Bytes, Flops, Parameters
from birnn.studies.cost.measure import Measured
from birnn.studies.cost.report import CostReport, Entry, write
from birnn.studies.cost.run import cost

__all__ = ["Bytes", "CostReport", "Entry", "Flops", "Measured", "Parameters", "cost", "write"]
