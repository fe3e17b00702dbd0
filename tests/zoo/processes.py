"""Two processes that see different data; in a module that children can import."""

from copy import deepcopy

import torch
from torch import distributed

from zoo.judging import KINDS, cast, distance, made, wrap

STEPS = 10


def work(rank, folder, names, level):
    """One process of two: the first sees one batch again and again, the other the later ones."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2
    )
    torch.save({name: steps(KINDS[name], level, rank) for name in names}, f"{folder}/{rank}.pt")
    distributed.barrier()  # nobody leaves while the other is still talking
    distributed.destroy_process_group()


def steps(kind, level, rank):
    """Return, of each step, how many passes the model made and how far responses are off."""
    model = made(kind, torch.float64)
    whole = wrap(deepcopy(model), kind, "inputs")
    balanced = wrap(model, kind, level)
    calls = []
    model.register_forward_pre_hook(lambda *_: calls.append(1))
    record = []
    for step in range(STEPS):
        batch = cast(kind.batch(step + 1 if rank else 0), torch.float64)
        calls.clear()
        given = {**batch.inputs, **batch.others, "target": batch.target}
        responses = balanced(**given).responses
        record.append((len(calls), distance(responses, whole(**given).responses)))
    return record
