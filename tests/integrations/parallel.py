"""Training by accelerate in two spawned processes; in a module that children can import."""

import os
import socket

import pytest
import torch
from accelerate import Accelerator
from torch import distributed
from torch.distributed.fsdp import fully_shard

import counterpoise as cp
from counterpoise.core.coalitions import exact_plan
from integrations.towers import ENCODERS, Plain, table, tensors

ROWS, STEPS = 14, 5
UNEQUAL = [slice(0, 9), slice(9, 14)]
WEIGHTS = [2 * 9 / 14, 2 * 5 / 14]  # gradients are means over processes


def wrapped(method=None):
    torch.manual_seed(13)
    method = cp.AGM(alpha=20.0, clamp=10.0) if method is None else method
    return cp.Balanced(Plain().double(), ENCODERS, method)


def batches(rows=slice(None)):
    """Some rows of each batch."""
    for step in range(STEPS):
        batch = {name: value[rows] for name, value in tensors(table(ROWS, seed=step)).items()}
        target = batch.pop("labels")
        yield {"target": target, **{name: value.double() for name, value in batch.items()}}


def train(balanced, module, optimiser, rows, backward):
    for batch in batches(rows):
        optimiser.zero_grad()
        out = module(**batch)
        backward(out.loss)
        optimiser.step()
    return out


def weights(model):
    """The weights as plain tensors, whole ones of sharded ones."""
    return {
        name: p.full_tensor() if hasattr(p, "full_tensor") else p.detach()
        for name, p in model.named_parameters()
    }


def free_port():
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return chosen.getsockname()[1]


def half(rank):
    return slice(rank * ROWS // 2, (rank + 1) * ROWS // 2)


def by_accelerate(rank, folder, port):
    """One process of two, as `accelerate launch` would start it."""
    torch.set_num_threads(1)
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE="2",
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
        ACCELERATE_USE_CPU="true",
    )
    accelerator = Accelerator(cpu=True)
    balanced = wrapped()
    optimiser = torch.optim.SGD(balanced.parameter_groups(), lr=0.1)
    module, optimiser = accelerator.prepare(balanced, optimiser)
    assert type(module).__name__ == "DistributedDataParallel"
    out = train(balanced, module, optimiser, half(rank), accelerator.backward)
    save(folder, rank, balanced, out, half(rank))
    accelerator.end_training()


def by_fsdp(rank, folder, port):
    """One process of two with parameters sharded, FSDP of the second kind."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2
    )
    balanced = wrapped()
    fully_shard(balanced, mesh=distributed.device_mesh.init_device_mesh("cpu", (2,)))
    optimiser = torch.optim.SGD(balanced.parameter_groups(), lr=0.1)
    out = train(balanced, balanced, optimiser, half(rank), lambda loss: loss.backward())
    save(folder, rank, balanced, out, half(rank))
    distributed.barrier()
    distributed.destroy_process_group()


def by_fsdp_apart(rank, folder, port):
    """The same with encoders sharded for themselves, batches of other sizes, and one of NaN.

    Each pass of an encoder then gathers its weights: processes that made other passes would wait
    for each other for ever.
    """
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2
    )
    balanced = sharded_apart(wrapped())
    optimiser = torch.optim.SGD(balanced.parameter_groups(), lr=0.1)
    first = next(batches(UNEQUAL[rank]))
    modality = next(iter(ENCODERS))
    if rank == 1:
        first[modality] = torch.full_like(first[modality], float("nan"))
    balanced(**first)  # the inspection is of what the first process has
    balanced.method.num_steps.zero_()
    out = train(
        balanced, balanced, optimiser, UNEQUAL[rank], lambda loss: (loss * WEIGHTS[rank]).backward()
    )
    save(folder, rank, balanced, out, UNEQUAL[rank])
    for method in (cp.OGM(), cp.MMPareto(), cp.LFM("learned"), cp.Relearning()):
        with pytest.raises(
            RuntimeError, match=r"should be whole in a step; .* fully_shard\(balanced\)"
        ):
            sharded_apart(wrapped(method))(**first)
    distributed.barrier()
    distributed.destroy_process_group()


def sharded_apart(balanced):
    mesh = distributed.device_mesh.init_device_mesh("cpu", (2,))
    for path in ENCODERS.values():
        fully_shard(balanced.model.get_submodule(path), mesh=mesh)
    fully_shard(balanced, mesh=mesh)
    return balanced


def looked_at(balanced, rows):
    """What a wrapper tells between steps, where no call of it has gathered its parameters."""
    batch = next(batches(rows))
    inputs = {name: batch[name] for name in balanced.modalities}
    balanced.validate(**inputs)
    values = balanced.coalition_values(exact_plan(len(inputs)), **inputs)
    features = balanced._features(batches(rows), batches(rows)).train
    return balanced.evaluate(batches(rows)).loss, [values.sum(dim=0), *features]


def save(folder, rank, balanced, out, rows):
    loss, looks = looked_at(balanced, rows)
    torch.save(
        {
            "weights": weights(balanced.model),
            "coefficients": out.coefficients,
            "running": balanced.method.running_scores,
            "loss": loss,
            "looks": looks,
        },
        f"{folder}/{rank}.pt",
    )
