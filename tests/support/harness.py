"""A training loop that serves every place at which a method may act."""

from copy import deepcopy
from io import BytesIO

import torch
from torch.nn import functional as F

import counterpoise as cp
from support.additive import Additive
from support.networks import CrossAttention, Late, MaxOut, batch
from support.wrapping import wrap_parts

FUSIONS = {"late": Late, "maxout": MaxOut, "attention": CrossAttention, "additive": Additive}


def network(fusion="maxout", num_modalities=3, *, dtype=torch.float64, **options):
    torch.manual_seed(5)
    return FUSIONS[fusion](num_modalities, **options).to(dtype)


def wrap(model, method, level="inputs", **options):
    """Wrap with everything named that the model has: encoders, and heads if it is additive."""
    heads = getattr(model, "head_paths", None)
    names = options.pop("names", model.names)
    return wrap_parts(
        model, names, method, encoders=model.encoders, heads=heads, coalitions=level, **options
    )


def data_of(model, rows=9):
    """Return a function from a seed to a batch for the model."""
    dtype = next(model.parameters()).dtype
    return lambda seed: batch(len(model.names), rows, dtype=dtype, seed=seed)


class Run:
    """Trains a wrapped model by SGD, its branches at the rates that the method says.

    The batch of step i is ``data(i)``; validation after each epoch is on ``data(1000)``.
    """

    def __init__(self, balanced, data=None, *, lr=0.1, momentum=0.9):
        self.balanced, self.lr = balanced, lr
        self.data = data_of(balanced.model) if data is None else data
        groups = balanced.parameter_groups()
        self.optimizer = torch.optim.SGD(groups, lr=lr, momentum=momentum)
        self.num_steps = self.num_epochs = 0
        self.outs = []

    def epochs(self, count, steps=2):
        for _ in range(count):
            self.start_epoch()
            self.steps(steps)
            self.end_epoch()
        return self

    def start_epoch(self):
        self.balanced.method.set_epoch(self.num_epochs)
        rates = self.balanced.method.learning_rates()
        for group in self.optimizer.param_groups:
            if rates is not None and group["modality"] is not None:
                index = self.balanced.modalities.index(group["modality"])
                group["lr"] = self.lr * float(rates[index])

    def steps(self, count=1):
        for _ in range(count):
            torch.default_generator.manual_seed(self.num_steps)  # others take a stack trace each
            for out in self.outputs():
                self.optimizer.zero_grad()
                self.outs.append(out)
                out.loss.backward()
                gradients = [p.grad for p in self.balanced.parameters() if p.grad is not None]
                if all(
                    g.to_dense().isfinite().all() for g in gradients
                ):  # else skipped, as scalers do
                    self.optimizer.step()
            self.num_steps += 1
        return self

    def outputs(self):
        """The steps that a batch is; of most methods one, a plain call."""
        if "substeps" not in self.balanced.method.places():
            yield self.forward()
            return
        inputs, target = self.data(self.num_steps)
        yield from self.balanced.steps(**inputs, target=target)

    def forward(self, module=None):
        inputs, target = self.data(self.num_steps)
        return (self.balanced if module is None else module)(**inputs, target=target)

    def end_epoch(self):
        inputs, target = self.data(1000)
        out = self.balanced.eval().respond(**inputs, target=target)
        self.balanced.train()
        own = out.unimodal_logits
        evaluation = cp.Evaluation(
            epoch=self.num_epochs,
            loss=float(out.loss),
            accuracy=float(out.logits.argmax(1).eq(target).double().mean()),
            unimodal_loss=torch.stack([F.cross_entropy(each, target) for each in own]),
            unimodal_accuracy=own.argmax(2).eq(target).double().mean(1),
        )
        batch = {**self.data(0)[0], "target": self.data(0)[1]}
        self.balanced.on_epoch([batch], [{**inputs, "target": target}])
        self.balanced.on_validation(evaluation)
        self.num_epochs += 1

    @property
    def weights(self):
        return {name: p.detach().clone() for name, p in self.balanced.model.named_parameters()}

    def saved(self):
        """Return all state as bytes, as a checkpoint would."""
        file = BytesIO()
        parts = (self.balanced, self.optimizer)
        counts = (self.num_steps, self.num_epochs)
        torch.save(([part.state_dict() for part in parts], counts), file)
        file.seek(0)
        return file

    def load(self, file):
        states, (self.num_steps, self.num_epochs) = torch.load(file)
        for part, state in zip((self.balanced, self.optimizer), states, strict=True):
            part.load_state_dict(state)
        return self


def method_state(balanced):
    return {name: value.clone() for name, value in balanced.method.state_dict().items()}


def movements(run, reference):
    """Take a step from the same weights by both runs; compare how far the encoders move.

    Returns:
        By modality, the length of the run's step over that of the reference's.
    """
    moved = []
    reference.balanced.model.load_state_dict(deepcopy(run.balanced.model.state_dict()))
    reference.num_steps = run.num_steps
    for each in (run, reference):
        before = each.weights
        each.start_epoch()
        each.steps(1)
        moved.append({name: w - before[name] for name, w in each.weights.items()})
    ratios = []
    for name in run.balanced.modalities:
        lengths = [
            sum(d.square().sum() for key, d in each.items() if key.startswith(f"{name}.")).sqrt()
            for each in moved
        ]
        ratios.append(float(lengths[0] / lengths[1]))
    return ratios
