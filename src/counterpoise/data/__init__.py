"""Data sets: one contract, one folder each, heavy packages only when their data set is read."""

from counterpoise.data.ave import AVE
from counterpoise.data.avmnist import AVMNIST
from counterpoise.data.brca import BRCA
from counterpoise.data.cmu_mosei import CMUMOSEI, CMUMOSI
from counterpoise.data.contract import TARGET, Batch, Samples, Splits
from counterpoise.data.crema_d import CREMAD
from counterpoise.data.digits import Digits
from counterpoise.data.features import Features
from counterpoise.data.files.cache import CorruptFileError
from counterpoise.data.files.pickles import UnsafePickleError
from counterpoise.data.kinetics_sounds import KineticsSounds
from counterpoise.data.loaders import Loaders
from counterpoise.data.registry import SOURCES, load, register
from counterpoise.data.samples import SampleDataset
from counterpoise.data.shards import Shards
from counterpoise.data.source import DataSource
from counterpoise.data.stored import StoredDataset
from counterpoise.data.synthetic import Shift, Synthetic, Truth
from counterpoise.data.tasks import (
    Classification,
    MetricForm,
    MultiLabel,
    Regression,
    Segments,
    Task,
)
from counterpoise.data.tensors import MultimodalDataset
from counterpoise.data.ur_funny import URFunny

__all__ = [
    "AVE",
    "AVMNIST",
    "BRCA",
    "CMUMOSEI",
    "CMUMOSI",
    "CREMAD",
    "SOURCES",
    "TARGET",
    "Batch",
    "Classification",
    "CorruptFileError",
    "DataSource",
    "Digits",
    "Features",
    "KineticsSounds",
    "Loaders",
    "MetricForm",
    "MultiLabel",
    "MultimodalDataset",
    "Regression",
    "SampleDataset",
    "Samples",
    "Segments",
    "Shards",
    "Shift",
    "Splits",
    "StoredDataset",
    "Synthetic",
    "Task",
    "Truth",
    "URFunny",
    "UnsafePickleError",
    "load",
    "register",
]
