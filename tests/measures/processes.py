"""Metrics fed in two spawned processes; in a module that children can import."""

import torch
from torch import distributed

from counterpoise.measures import modality_metrics

ROWS, CUT = 13, 5


def metrics():
    return modality_metrics(2, probabilities=(0.0, 0.7))


def update(collection, rows):
    """Add some rows of one batch of coalition logits."""
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(4, ROWS, 3, generator=generator)
    target = torch.randint(3, (ROWS,), generator=generator)
    collection.update(logits[:, rows], target[rows])


def work(rank, folder):
    """One process of two: the first has the rows before the cut."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2
    )
    collection = metrics()
    update(collection, slice(0, CUT) if rank == 0 else slice(CUT, ROWS))
    torch.save(collection.compute(), f"{folder}/{rank}.pt")
    distributed.destroy_process_group()
