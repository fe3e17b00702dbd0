"""Blending under DDP in spawned processes; in a module that children can import."""

import gc

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

import counterpoise as cp
from counterpoise.methods.gblend import GBlend
from support.additive import additive
from support.networks import batch

ROWS = 14


def train(balanced, module, parts):
    """Run steps on some rows of each joined batch, an epoch each; return blends and sums."""
    record = []
    for epoch, rows in enumerate(parts):
        inputs, target = batch(2, ROWS, seed=epoch)
        loss = module(**{n: x[rows] for n, x in inputs.items()}, target=target[rows]).loss
        loss.backward()
        sums = balanced.method.loss_sums.clone()
        losses = torch.tensor([0.9, 0.8], dtype=torch.float64) / (epoch + 1)
        balanced.on_validation(cp.Evaluation(epoch, 0.7 / (epoch + 1), 0.5, losses, losses))
        record.append({"sums": sums, "blend": balanced.method.blend.clone()})
    return record


def blending():
    return additive(2, method=GBlend(super_epoch=1, later=1), norm=False).double()


def work(rank, folder):
    """One process of two: the first has the first 3 rows, the second the others."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2
    )
    balanced = blending()
    parts = [slice(0, 3) if rank == 0 else slice(3, ROWS)] * 3
    torch.save(train(balanced, DistributedDataParallel(balanced), parts), f"{folder}/{rank}.pt")
    gc.collect()  # of DDP, whose cycles would keep the group's threads past its end
    distributed.destroy_process_group()
