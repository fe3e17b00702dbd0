"""AV-MNIST: handwritten digits with spoken ones, as built from the originals."""

from counterpoise.data.avmnist.source import AVMNIST

__all__ = ["AVMNIST"]
