"""Work for other processes; in a module that they can import, and quickly."""

import torch


def square(number):
    """Return the square, and how many threads there are to compute it with."""
    return number**2, torch.get_num_threads()
