"""Methods of balancing, one a file, under the contract of :mod:`counterpoise.methods.method`."""

from counterpoise.methods.agm import AGM, discrepancy_ratio
from counterpoise.methods.arl import ARL
from counterpoise.methods.cggm import CGGM
from counterpoise.methods.cml import CML
from counterpoise.methods.composition import Chain, chain
from counterpoise.methods.dgl import DGL
from counterpoise.methods.gblend import GBlend, blend_weights
from counterpoise.methods.inforeg import InfoReg
from counterpoise.methods.joint import Joint
from counterpoise.methods.lfm import LFM
from counterpoise.methods.mcr import MCR
from counterpoise.methods.method import Evaluation, Features, Method, Needs, Signals, answers
from counterpoise.methods.mla import MLA
from counterpoise.methods.mlb import MLB
from counterpoise.methods.mmpareto import MMPareto, pareto_weights
from counterpoise.methods.mses import MSES
from counterpoise.methods.mslr import MSLR
from counterpoise.methods.ogm import OGM, OGMGE
from counterpoise.methods.opm import OPM
from counterpoise.methods.pmr import PMR
from counterpoise.methods.reconboost import ReconBoost
from counterpoise.methods.relearning import Relearning
from counterpoise.methods.remix import Remix
from counterpoise.methods.tasks import check_task
from counterpoise.methods.umt import UMT
from counterpoise.methods.unimodal import UnimodalLoss
from counterpoise.methods.window import Windowed

__all__ = [
    "AGM",
    "ARL",
    "CGGM",
    "CML",
    "DGL",
    "LFM",
    "MCR",
    "MLA",
    "MLB",
    "MSES",
    "MSLR",
    "OGM",
    "OGMGE",
    "OPM",
    "PMR",
    "UMT",
    "Chain",
    "Evaluation",
    "Features",
    "GBlend",
    "InfoReg",
    "Joint",
    "MMPareto",
    "Method",
    "Needs",
    "ReconBoost",
    "Relearning",
    "Remix",
    "Signals",
    "UnimodalLoss",
    "Windowed",
    "answers",
    "blend_weights",
    "chain",
    "check_task",
    "discrepancy_ratio",
    "pareto_weights",
]
