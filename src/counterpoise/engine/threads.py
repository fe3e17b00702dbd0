"""What belongs to PyTorch as a whole is changed by one thread at a time."""

from threading import RLock

PROCESS_WIDE = RLock()
"""Held while default type, random state or functions of PyTorch are not what they ordinarily are:
threads that each train a model would give them back in another order than they took them."""
