"""Methods of balancing, one a file, under the contract of :mod:`counterpoise.methods.method`."""

from counterpoise.methods.agm import AGM, discrepancy_ratio
from counterpoise.methods.joint import Joint
from counterpoise.methods.method import Evaluation, Method, Signals

__all__ = ["AGM", "Evaluation", "Joint", "Method", "Signals", "discrepancy_ratio"]
