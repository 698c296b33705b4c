"""What one direction, two, and two at half width cost: counted, and measured."""

from birnn.experiments.cost.count import Bytes, Flops, Parameters
from birnn.experiments.cost.measure import Measured
from birnn.experiments.cost.report import CostReport, Entry, cost

__all__ = ["Bytes", "CostReport", "Entry", "Flops", "Measured", "Parameters", "cost"]
