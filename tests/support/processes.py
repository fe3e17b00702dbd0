"""Training under DDP in spawned processes; in a module that children can import."""

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

import counterpoise as cp
from support.networks import MaxOut, batch
from support.wrapping import gradients, wrap

ROWS = 14


def network(dtype=torch.float64):
    """A network without batch-norm, the same in every process."""
    torch.manual_seed(5)
    return MaxOut(3, norm=False).to(dtype)


def train(balanced, module, parts, *, lr, broken=False):
    """Take a step on some rows of each joined batch; return what came out of each."""
    optimiser = torch.optim.SGD(balanced.parameters(), lr=lr)
    dtype = next(balanced.parameters()).dtype
    record = []
    for step, rows in enumerate(parts):
        inputs, target = batch(3, ROWS, seed=step, dtype=dtype)
        if broken and step == 1:
            inputs["eye"][-1] = float("nan")  # a row of the last process
        optimiser.zero_grad()
        out = module(**{name: x[rows] for name, x in inputs.items()}, target=target[rows])
        out.loss.backward()
        record.append(
            {
                "scores": out.scores,
                "coefficients": out.coefficients,
                "running": balanced.method.running_scores.clone(),
                "gradients": gradients(balanced.model),
            }
        )
        optimiser.step()
    try:
        balanced.method.check()
        complaint = ""
    except FloatingPointError as error:
        complaint = str(error)
    return {"steps": record, "complaint": complaint}


def work(rank, folder, level, cuts, dtype, options):
    """One process of two: at each step the first has the rows before the cut."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2
    )
    balanced = wrap(network(dtype), level, cp.AGM(alpha=1.7, clamp=10.0))
    parts = [slice(0, cut) if rank == 0 else slice(cut, ROWS) for cut in cuts]
    record = train(balanced, DistributedDataParallel(balanced), parts, **options)
    torch.save(record, f"{folder}/{rank}.pt")
    distributed.barrier()  # nobody leaves while the other is still talking
    distributed.destroy_process_group()
