"""All methods under DDP in two spawned processes; in a module that children can import."""

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

import counterpoise as cp
from counterpoise.methods.shared.evidence import scaled_confidences
from support.harness import Run, network, wrap
from support.networks import batch
from support.table import TABLE

ROWS = 14


class Part(Run):
    """Trains on some rows of each batch, through another module."""

    def __init__(self, balanced, rows, module=None):
        super().__init__(balanced)
        self.rows, self.module = rows, module

    def forward(self):
        inputs, target = batch(3, ROWS, seed=self.num_steps)
        module = self.balanced if self.module is None else self.module
        return module(**{n: x[self.rows] for n, x in inputs.items()}, target=target[self.rows])


def trained(name, rows, *, distribute):
    """Return the weights and coefficients that a method of the table comes to."""
    row = TABLE[name]
    make = row.parallel or row.make
    balanced = wrap(network(norm=False), make(3))
    module = None
    if distribute:
        module = DistributedDataParallel(balanced, find_unused_parameters=row.unused)
    run = Part(balanced, rows, module)
    run.epochs(2)
    return {"weights": run.weights, "coefficients": torch.stack([o.coefficients for o in run.outs])}


def join(rank, folder):
    """Become one process of two."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2
    )


def work(rank, folder):
    """One process of two: it has one half of the rows."""
    join(rank, folder)
    half = slice(rank * ROWS // 2, (rank + 1) * ROWS // 2)
    names = [name for name, row in TABLE.items() if row.single]  # a plain call is what DDP wraps
    found = {name: trained(name, half, distribute=True) for name in names}
    torch.save(found, f"{folder}/{rank}")
    distributed.barrier()  # nobody leaves while the other is still talking
    distributed.destroy_process_group()


def regression(rows=slice(None)):
    """Signals of a regression with errors of 10 and more, and from the third sample on of 100."""
    errors = torch.tensor([[10.0, 11, 100, 101], [10.01, 11.01, 100, 100]]).unsqueeze(2)[:, rows]
    target = torch.zeros_like(errors[0])
    return cp.Signals(None, target, unimodal_logits=errors, score=cp.scores.SquaredError())


def regress(rank, folder):
    """One process of two: what it makes of its half of the regression's samples."""
    join(rank, folder)
    found = scaled_confidences(regression(slice(2 * rank, 2 * rank + 2)))
    torch.save(found, f"{folder}/{rank}")
    distributed.destroy_process_group()
