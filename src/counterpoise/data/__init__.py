"""Data sets: one contract, one file each, heavy packages only when their data set is built."""

from counterpoise.data.avmnist import AVMNIST
from counterpoise.data.contract import TARGET, Batch, MultimodalDataset, Splits
from counterpoise.data.crema_d.source import CREMAD
from counterpoise.data.digits import Digits
from counterpoise.data.features import Features
from counterpoise.data.registry import SOURCES, load, register
from counterpoise.data.source import DataSource
from counterpoise.data.synthetic import Shift, Synthetic, Truth

__all__ = [
    "AVMNIST",
    "CREMAD",
    "SOURCES",
    "TARGET",
    "Batch",
    "DataSource",
    "Digits",
    "Features",
    "MultimodalDataset",
    "Shift",
    "Splits",
    "Synthetic",
    "Truth",
    "load",
    "register",
]
