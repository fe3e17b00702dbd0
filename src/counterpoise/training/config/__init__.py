"""How a recipe comes together: packaged files, layers over them, options on top."""

from counterpoise.training.config.packaged import find, names, read

__all__ = ["find", "names", "read"]
