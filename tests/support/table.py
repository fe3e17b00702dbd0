"""The table of all methods: what each promises. To add a method is to add a row."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest
from torch import nn

import counterpoise as cp
from support.networks import NAMES


@dataclass(frozen=True)
class Row:
    """What a method promises. Entries are functions of the number of modalities.

    Attributes:
        make: At a strength that shows.
        neutral: At zero strength: trains as Joint, bit for bit. None: has no such setting.
        at_par: A setting in which equal modalities leave training unchanged. None: there is
            none, by its paper.
        encoders_only: A setting which leaves the gradients of all but encoders alone.
        effect: From (leader, follower), how far a step moves the encoder of the modality that
            is ahead and of the one that is behind, as ratios to Joint's, to whether that is
            what the paper says; of ``acting``.
        acting: The setting in which the effect is looked at. Default: ``make``.
        warm: Epochs that the method has seen when it is.
        lead: Steps an epoch of three of joint training before, for one to get ahead.
        parallel: A setting in which two processes train as one does. None: it draws at random
            in each process.
        keeps_logits: Whether the logits are the model's own in training.
        unused: Whether there are steps in which some parameters get no gradient, so that DDP has to
            be told to look for them.
        symmetric: Whether it is the same in whatever order the modalities are named. None: it
            takes turns in that order, or draws at random in it.
        single: Whether a batch is one step, so that a plain call will do. None: it makes several,
            each with encoders that get no gradient.
        moves_all: Whether every encoder moves in every epoch.
        refuses: Kinds of encoders that it cannot work with, and the error that says so.
    """

    make: Callable
    neutral: Callable | None = None
    at_par: Callable | None = None
    encoders_only: Callable | None = None
    effect: Callable | None = None
    acting: Callable | None = None
    warm: int = 3
    lead: int = 5
    parallel: Callable | None = None
    keeps_logits: bool = True
    unused: bool = False
    symmetric: bool | None = True
    single: bool | None = True
    moves_all: bool | None = True
    refuses: Mapping[str, type[Exception]] = field(default_factory=dict)


def same(ratio):
    return abs(ratio - 1) < 1e-6


class Teacher(nn.Module):
    """Features of six that are the mean of the batch's values; has no weights of any type."""

    def forward(self, x):
        return x.mean(dim=1, keepdim=True).expand(-1, 6)


def teachers(num_modalities):
    return {name: Teacher() for name in NAMES[:num_modalities]}


TABLE = {
    "Joint": Row(
        make=lambda M: cp.Joint(),
        neutral=lambda M: cp.Joint(),
        at_par=lambda M: cp.Joint(),
        encoders_only=lambda M: cp.Joint(),
        effect=lambda leader, follower: same(leader) and same(follower),
        parallel=lambda M: cp.Joint(),
    ),
    "AGM": Row(
        make=lambda M: cp.AGM(alpha=1.7),
        neutral=lambda M: cp.AGM(alpha=0.0),
        at_par=lambda M: cp.AGM(alpha=1.7),
        acting=lambda M: cp.AGM(alpha=0.5, reference=cp.references.NoReference()),
        effect=lambda leader, follower: leader < 1 < follower,
        parallel=lambda M: cp.AGM(alpha=1.7),
    ),
    "OGM": Row(
        make=lambda M: cp.OGM(alpha=0.5),
        neutral=lambda M: cp.OGM(alpha=0.0),
        at_par=lambda M: cp.OGM(alpha=0.5),
        encoders_only=lambda M: cp.OGM(alpha=0.5),
        effect=lambda leader, follower: leader < 0.6 and same(follower),
        parallel=lambda M: cp.OGM(alpha=0.5),
    ),
    "OGMGE": Row(  # its noise has no strength of its own and is there at par
        make=lambda M: cp.OGMGE(alpha=0.5),
        encoders_only=lambda M: cp.OGMGE(alpha=0.5),
        effect=lambda leader, follower: 1 < leader < follower,
    ),
    "OPM": Row(
        make=lambda M: cp.OPM(0.5, 0.5),
        neutral=lambda M: cp.OPM(probability=0.0),
        at_par=lambda M: cp.OPM(0.5, 0.5),
        effect=lambda leader, follower: leader < follower and follower > 1,
        keeps_logits=False,
    ),
    "MLB": Row(
        make=lambda M: cp.MLB(alpha=1.0, beta_max=3.0),
        neutral=lambda M: cp.MLB(alpha=0.0, weight=0.0),
        at_par=lambda M: cp.MLB(weight=0.0),
        encoders_only=lambda M: cp.MLB(weight=0.0),
        acting=lambda M: cp.MLB(weight=0.0),
        effect=lambda leader, follower: leader < 1 < follower,
        parallel=lambda M: cp.MLB(alpha=1.0, beta_max=3.0),
    ),
    "CGGM": Row(  # rho scales all encoders alike even at par
        make=lambda M: cp.CGGM(),
        at_par=lambda M: cp.CGGM(rho=M / (M - 1), direction=0.0),
        encoders_only=lambda M: cp.CGGM(direction=0.0),
        acting=lambda M: cp.CGGM(rho=M / (M - 1), direction=0.0),
        warm=0,  # at its first step accuracy itself is what was gained
        lead=25,
        effect=lambda leader, follower: leader < 1 < follower,
        parallel=lambda M: cp.CGGM(direction=0.0),
    ),
    "MMPareto": Row(  # adds the modalities' losses, which count at par too
        make=lambda M: cp.MMPareto(),
        neutral=lambda M: cp.MMPareto(gamma=1.0, weight=0.0),
        encoders_only=lambda M: cp.MMPareto(weight=0.0),
        effect=lambda leader, follower: 1.5 < leader < follower,
        parallel=lambda M: cp.MMPareto(),
    ),
    "PMR": Row(
        make=lambda M: cp.PMR(),
        neutral=lambda M: cp.PMR(alpha=0.0, entropy=0.0),
        at_par=lambda M: cp.PMR(),
        encoders_only=lambda M: cp.PMR(),
        acting=lambda M: cp.PMR(entropy=0.0),
        effect=lambda leader, follower: same(leader) and not same(follower),
        parallel=lambda M: cp.PMR(),
        refuses={"recurrent": TypeError},
    ),
    "UnimodalLoss": Row(
        make=lambda M: cp.UnimodalLoss(),
        neutral=lambda M: cp.UnimodalLoss(weights=0.0),
        effect=lambda leader, follower: 1 < leader < follower,
        parallel=lambda M: cp.UnimodalLoss(),
    ),
    "MSES": Row(
        make=lambda M: cp.MSES(patience=1),
        neutral=lambda M: cp.MSES(patience=1000),
        encoders_only=lambda M: cp.MSES(patience=1),
        acting=lambda M: cp.MSES(patience=1, smoothing=0.0),
        effect=lambda leader, follower: same(leader) and follower == 0,
        warm=14,  # until the other one's loss rises
        parallel=lambda M: cp.MSES(patience=1),
    ),
    "MSLR": Row(
        make=lambda M: cp.MSLR(window=1),
        neutral=lambda M: cp.MSLR(mode="keep"),
        encoders_only=lambda M: cp.MSLR(window=1),
        acting=lambda M: cp.MSLR(),
        warm=6,  # a window and one
        effect=lambda leader, follower: leader > max(1, follower),  # its accuracy rises
        parallel=lambda M: cp.MSLR(window=1),
    ),
    "GBlend": Row(
        make=lambda M: cp.GBlend(super_epoch=1, later=1),
        neutral=lambda M: cp.GBlend(weights=[0.0] * M + [1.0]),
        acting=lambda M: cp.GBlend(weights=[0.0] + [1.0] * M),
        effect=lambda leader, follower: same(leader) and follower > 1,
        parallel=lambda M: cp.GBlend(),
    ),
    "DGL": Row(  # no encoder hears of the joint loss
        make=lambda M: cp.DGL(),
        effect=lambda leader, follower: leader < follower,
        parallel=lambda M: cp.DGL(),
    ),
    "ARL": Row(  # factors add up to M + 1 even at par
        make=lambda M: cp.ARL(),
        encoders_only=lambda M: cp.ARL(gamma=0.0),
        acting=lambda M: cp.ARL(gamma=0.0),
        effect=lambda leader, follower: 1 < leader < follower,
        parallel=lambda M: cp.ARL(),
    ),
    "UMT": Row(
        make=lambda M: cp.UMT(teachers(M), weight=1.0),
        neutral=lambda M: cp.UMT(teachers(M), weight=0.0),
        encoders_only=lambda M: cp.UMT(teachers(M), weight=1.0),
        parallel=lambda M: cp.UMT(teachers(M), weight=1.0),
        refuses={"recurrent": ValueError},
    ),
    "LFM": Row(
        make=lambda M: cp.LFM("learned"),
        parallel=lambda M: cp.LFM(),
    ),
    "CML": Row(  # its subsets are drawn at random, in each process and by number of modality
        make=lambda M: cp.CML(),
        symmetric=None,
    ),
    "InfoReg": Row(
        make=lambda M: cp.InfoReg(),
        encoders_only=lambda M: cp.InfoReg(weight=0.0),
        parallel=lambda M: cp.InfoReg(),
    ),
    "MCR": Row(  # shuffles at random, in each process and one modality after the other
        make=lambda M: cp.MCR(),
        symmetric=None,
    ),
    "MLA": Row(
        make=lambda M: cp.MLA(2),
        keeps_logits=False,
        symmetric=None,  # a step for each, one after the other
        single=None,
        refuses={"recurrent": ValueError},
    ),
    "ReconBoost": Row(
        make=lambda M: cp.ReconBoost(stage=1),
        effect=lambda leader, follower: follower == 0 and leader > 0,  # it is the first one's turn
        warm=0,
        parallel=lambda M: cp.ReconBoost(stage=1),
        unused=True,  # `boost`, where one is trained alone
        symmetric=None,  # turns go by the order
        moves_all=None,
    ),
    "Remix": Row(
        make=lambda M: cp.Remix(warm_up=1),
        keeps_logits=False,
        symmetric=None,  # a step for each, one after the other
        single=None,
    ),
    "Relearning": Row(
        make=lambda M: cp.Relearning(every=1),
        neutral=lambda M: cp.Relearning(every=1, strength=0.0),
        encoders_only=lambda M: cp.Relearning(every=1),
        parallel=lambda M: cp.Relearning(every=1),
    ),
    "Windowed": Row(
        make=lambda M: cp.Windowed(cp.AGM(alpha=1.7), 1, 99),
        neutral=lambda M: cp.Windowed(cp.MLB(), 99),
        at_par=lambda M: cp.Windowed(cp.AGM(alpha=1.7), 1, 99),
        encoders_only=lambda M: cp.Windowed(cp.OGM(alpha=0.5), 1, 99, unit="steps"),
        parallel=lambda M: cp.Windowed(cp.AGM(alpha=1.7), 1, 99),
    ),
    "Chain": Row(
        make=lambda M: cp.chain(cp.UnimodalLoss(), cp.AGM(alpha=1.7)),
        neutral=lambda M: cp.chain(cp.UnimodalLoss(weights=0.0), cp.AGM(alpha=0.0)),
        encoders_only=lambda M: cp.chain(cp.MSLR(window=1), cp.OGM(alpha=0.5)),
        acting=lambda M: cp.chain(
            cp.UnimodalLoss(), cp.AGM(alpha=0.5, reference=cp.references.NoReference())
        ),
        effect=lambda leader, follower: leader < follower and follower > 1,
        parallel=lambda M: cp.chain(cp.UnimodalLoss(), cp.OGM(alpha=0.5)),
    ),
}


def rows(*promises):
    """Parametrise a test by the methods that make all of some promises, all by default."""
    chosen = {n: r for n, r in TABLE.items() if all(getattr(r, p) is not None for p in promises)}
    return pytest.mark.parametrize("row", chosen.values(), ids=chosen.keys())
