"""Data of known truth: every share of the label's information is a setting."""

from counterpoise.data.synthetic.synthetic import Shift, Synthetic
from counterpoise.data.synthetic.truth import Truth

__all__ = ["Shift", "Synthetic", "Truth"]
