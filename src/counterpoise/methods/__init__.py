"""Methods of balancing, one a file, under the contract of :mod:`counterpoise.methods.method`."""

from counterpoise.methods.agm import AGM, discrepancy_ratio
from counterpoise.methods.cggm import CGGM
from counterpoise.methods.composition import Chain, chain
from counterpoise.methods.gblend import GBlend, blend_weights
from counterpoise.methods.joint import Joint
from counterpoise.methods.method import Evaluation, Method, Needs, Signals, answers
from counterpoise.methods.mlb import MLB
from counterpoise.methods.mmpareto import MMPareto, pareto_weights
from counterpoise.methods.mses import MSES
from counterpoise.methods.mslr import MSLR
from counterpoise.methods.ogm import OGM, OGMGE
from counterpoise.methods.opm import OPM
from counterpoise.methods.pmr import PMR
from counterpoise.methods.unimodal import UnimodalLoss
from counterpoise.methods.window import Windowed

__all__ = [
    "AGM",
    "CGGM",
    "MLB",
    "MSES",
    "MSLR",
    "OGM",
    "OGMGE",
    "OPM",
    "PMR",
    "Chain",
    "Evaluation",
    "GBlend",
    "Joint",
    "MMPareto",
    "Method",
    "Needs",
    "Signals",
    "UnimodalLoss",
    "Windowed",
    "answers",
    "blend_weights",
    "chain",
    "discrepancy_ratio",
    "pareto_weights",
]
