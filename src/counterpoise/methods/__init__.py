"""Methods of balancing, one a file, under the contract of :mod:`counterpoise.methods.method`."""

from counterpoise.methods.agm import AGM, discrepancy_ratio
from counterpoise.methods.joint import Joint
from counterpoise.methods.method import Method, Signals

__all__ = ["AGM", "Joint", "Method", "Signals", "discrepancy_ratio"]
