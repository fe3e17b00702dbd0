"""Networks of the paper a second time, slow and plain: loops over samples, segments and heads.

Each takes the parameters of the module that it is compared with, and shares no code with it.
Nothing is dropped here: modules are compared in eval mode, or built without dropout.
"""

import math

import torch


def agree(module, forward, inputs, tolerance=1e-9):
    """Compare values and gradients, by every parameter and input, of a module and its twin.

    Args:
        module: Without dropout or in eval mode; called with ``inputs`` as its only argument.
        forward: The twin: from the parameters by name and ``inputs`` to a list of tensors.
        inputs: Tensors in lists or mappings.
        tolerance: Of the largest absolute difference.
    """
    leaves = [leaf for leaf in _leaves(inputs) if leaf.is_floating_point()]
    parameters = dict(module.named_parameters())
    sources = [leaf.requires_grad_() for leaf in leaves] + list(parameters.values())
    output = module(inputs)
    found, expected = _leaves(output), forward(parameters, inputs)
    assert len(found) == len(expected)
    torch.manual_seed(139)
    weights = [torch.randn_like(each) for each in found]
    pairs = []
    for values in (found, expected):
        total = sum((value * weight).sum() for value, weight in zip(values, weights, strict=True))
        pairs.append(torch.autograd.grad(total, sources, allow_unused=True))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=tolerance)
    names = [*(f"input {i}" for i in range(len(leaves))), *parameters]
    for name, one, other in zip(names, *pairs, strict=True):
        assert one is not None, name
        assert other is not None, name
        assert one.abs().sum() > 0, name
        difference = (one - other).abs().max()
        assert difference <= tolerance, f"{name}: {difference}"


def versions(tree):
    """Pair each tensor of a nested output with the number of in-place changes until now."""
    return [(leaf, leaf._version) for leaf in _leaves(tree)]


def _leaves(tree):
    if tree is None or isinstance(tree, torch.Tensor):
        return [] if tree is None else [tree]
    children = tree.values() if isinstance(tree, dict) else tree
    return [leaf for child in children for leaf in _leaves(child)]


def linear(p, name, x):
    y = x @ p[f"{name}.weight"].T
    return y + p[f"{name}.bias"] if f"{name}.bias" in p else y


def layer_norm(p, name, x, eps):
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / (centred.square().mean(-1, keepdim=True) + eps).sqrt()
    return scaled * p[f"{name}.weight"] + p[f"{name}.bias"]


def relu(x):
    return torch.where(x > 0, x, torch.zeros_like(x))


def lstm(p, name, x, suffix="", backwards=False):
    """Run over one sequence (T, D): the states (T, H)."""
    width = p[f"{name}.weight_hh_l0{suffix}"].shape[1]
    h = c = x.new_zeros(width)
    states = [None] * len(x)
    for t in reversed(range(len(x))) if backwards else range(len(x)):
        gates = (
            p[f"{name}.weight_ih_l0{suffix}"] @ x[t]
            + p[f"{name}.bias_ih_l0{suffix}"]
            + p[f"{name}.weight_hh_l0{suffix}"] @ h
            + p[f"{name}.bias_hh_l0{suffix}"]
        )
        i, f, g, o = (gates[k * width : (k + 1) * width] for k in range(4))
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        states[t] = h
    return torch.stack(states)


def bilstm(p, name, x):
    return torch.cat([lstm(p, name, x), lstm(p, name, x, "_reverse", backwards=True)], dim=1)


# -- the transformer that is read at its first state -----------------------------------------------


def first_state(p, inputs, num_layers, num_heads):
    """The first token's state (B, width) after layers of attention, sample by sample."""
    states = []
    for sample in inputs:
        x = linear(p, "embed", sample)
        width = x.shape[1]
        for i in range(num_layers):
            name = f"layers.{i}"
            joined = x @ p[f"{name}.self_attn.in_proj_weight"].T
            q, k, v = (joined + p[f"{name}.self_attn.in_proj_bias"]).split(width, dim=1)
            found = linear(p, f"{name}.self_attn.out_proj", _attention(q, k, v, num_heads))
            x = layer_norm(p, f"{name}.norm1", x + found, 1e-5)
            changed = linear(p, f"{name}.linear2", relu(linear(p, f"{name}.linear1", x)))
            x = layer_norm(p, f"{name}.norm2", x + changed, 1e-5)
        states.append(x[0])
    return [torch.stack(states)]


def _attention(q, k, v, num_heads):
    """Multi-head attention, head by head and query by query: (Q, width)."""
    size = q.shape[1] // num_heads
    heads = []
    for h in range(num_heads):
        part = slice(h * size, (h + 1) * size)
        rows = []
        for query in q[:, part]:
            exponentials = (k[:, part] @ query / math.sqrt(size)).exp()
            rows.append(exponentials @ v[:, part] / exponentials.sum())
        heads.append(torch.stack(rows))
    return torch.cat(heads, dim=1)


# -- positive sample propagation -------------------------------------------------------------------


def propagation(p, features, threshold):
    """Logits (B, T, C) and similarities (B, T), clip by clip and segment by segment."""
    guide, maps = features
    logits, similarities = [], []
    for b in range(len(guide["guide"])):
        attended = [
            _attend(p, g, m, k)
            for g, m, k in zip(guide["guide"][b], maps["maps"][b], maps["keys"][b], strict=True)
        ]
        projected = linear(p, "project.1", linear(p, "project.0", torch.stack(attended)))
        a, v = _propagate(p, guide["states"][b], bilstm(p, "lstm", projected), threshold)
        hidden = relu(linear(p, "head.0", 0.5 * (a + v)))
        logits.append(linear(p, "head.2", hidden))
        similarities.append(
            torch.stack([(x @ y) / (x.norm() * y.norm()) for x, y in zip(a, v, strict=True)])
        )
    return [torch.stack(logits), torch.stack(similarities)]


def _attend(p, guide, places, keys):
    offsets = linear(p, "attention.offset", relu(linear(p, "attention.guide", guide)))
    scores = []
    for place in range(len(places)):
        units = linear(p, "attention.place", keys[place]) + offsets[place]
        scores.append(linear(p, "attention.score", units.tanh())[0])
    exponentials = torch.stack(scores).exp()
    return sum(e * place for e, place in zip(exponentials, places, strict=True)) / sum(exponentials)


def _propagate(p, a, v, threshold):
    keys_a = relu(linear(p, "propagation.first.compare", a))
    keys_v = relu(linear(p, "propagation.second.compare", v))
    given_a = relu(linear(p, "propagation.first.give", a))
    given_v = relu(linear(p, "propagation.second.give", v))
    new_a, new_v = [], []
    for t in range(len(a)):
        own = [relu(keys_v[t] @ key) / math.sqrt(a.shape[1]) for key in keys_a]
        new_v.append(v[t] + _gated_sum(own, given_a, threshold))
        own = [relu(keys_a[t] @ key) / math.sqrt(a.shape[1]) for key in keys_v]
        new_a.append(a[t] + _gated_sum(own, given_v, threshold))
    outs = []
    for name, new in (("first", new_a), ("second", new_v)):
        out = relu(linear(p, f"propagation.{name}.out", torch.stack(new)))
        outs.append(layer_norm(p, "propagation.norm", out, 1e-6))
    return outs


def _gated_sum(betas, given, threshold):
    total = sum(betas) + 1e-8
    shares = [beta / total for beta in betas]
    kept = [share if share > threshold else 0 * share for share in shares]
    total = sum(kept) + 1e-8
    return sum(share / total * each for share, each in zip(kept, given, strict=True))


# -- joint encoding --------------------------------------------------------------------------------


def joint_encoding(p, features, num_blocks, num_heads):
    """Logits (B, C), sample by sample."""
    logits = []
    for b in range(len(features[0]["tokens"])):
        x, y = (feature["tokens"][b] for feature in features)
        keep_x, keep_y = (feature["mask"][b] for feature in features)
        for i in range(num_blocks):
            if i:
                keep_x, keep_y = torch.ones_like(keep_x), torch.ones_like(keep_y)
            name = f"blocks.{i}"
            found_x = _feed(
                p, f"{name}.first_change", _sum(p, f"{name}.first", x, x, keep_x, num_heads)
            )
            found_y = _sum(p, f"{name}.second", y, y, keep_y, num_heads)
            found_y = _sum(p, f"{name}.guided", found_y, x, keep_x, num_heads)
            found_y = _feed(p, f"{name}.second_change", found_y)
            x, y = x + found_x, y + found_y
            if i < num_blocks - 1:
                x = _refine(p, f"{name}.refine.0", x, keep_x)
                y = _refine(p, f"{name}.refine.1", y, keep_y)
        read = [
            linear(p, f"read.{m}.2", _glimpses(p, f"read.{m}.0", z, torch.ones_like(keep_x))[0])
            for m, z in enumerate((x, y))
        ]
        logits.append(linear(p, "head", layer_norm(p, "norm", read[0] + read[1], 1e-6)))
    return [torch.stack(logits)]


def _network(p, name, x):
    return linear(p, f"{name}.3", relu(linear(p, f"{name}.0", x)))


def _feed(p, name, x):
    return layer_norm(p, f"{name}.norm", x + _network(p, f"{name}.network", x), 1e-6)


def _sum(p, name, queries, keys, keep, num_heads):
    """Attention of queries to the keys that are kept, with its residual sum and norm."""
    q = linear(p, f"{name}.attention.query", queries)
    k, v = linear(p, f"{name}.attention.key_value", keys[keep]).chunk(2, dim=1)
    found = linear(p, f"{name}.attention.out", _attention(q, k, v, num_heads))
    return layer_norm(p, f"{name}.norm", queries + found, 1e-6)


def _glimpses(p, name, x, keep):
    scores = _network(p, f"{name}.score", x[keep])
    weights = [column.exp() / column.exp().sum() for column in scores.T]
    return torch.stack([weight @ x[keep] for weight in weights])


def _refine(p, name, x, keep):
    return layer_norm(p, f"{name}.norm", x + _glimpses(p, f"{name}.glimpses", x, keep), 1e-6)
