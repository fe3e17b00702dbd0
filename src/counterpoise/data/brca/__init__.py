"""BRCA: subtypes of breast cancer from three kinds of measurement, in the format of MOGONET."""

from counterpoise.data.brca.source import BRCA

__all__ = ["BRCA"]
