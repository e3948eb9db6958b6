"""What two processes do together, run as a script: `python worker.py FOLDER`. Each writes what it found to FOLDER.

A script, not a function of the test file, since spawned processes import it anew.
"""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from adamw_lab.optim import AdamWAdv, AdamWPrune, AdamWSPAM

WORLD, STEPS = 2, 12
PRUNING = dict(target_sparsity=0.6, begin_step=2, end_step=9, update_every=3)
OPTIMIZERS = {
    "adv": lambda params: AdamWAdv(params, lr=0.02, clip_norm=0.05, total_steps=40),
    "spam": lambda params: AdamWSPAM(params, lr=0.02, theta=1.5, spike_sigma=0.5, spike_decay=(0.0, 0.0)),
    "prune": lambda params: AdamWPrune(params, lr=0.02, **PRUNING),
    "prune_adv_layer": lambda params: AdamWPrune(params, lr=0.02, base="adamwadv", clip_norm=0.05, total_steps=40,
                                                 scope="layer", **PRUNING),
    "prune_spam_ties": lambda params: AdamWPrune(params, lr=0.02, base="adamwspam", importance=lambda w, m, v:
                                                 torch.ones_like(w), **PRUNING),
    "prune_random": lambda params: AdamWPrune(params, lr=0.02, importance="random", **PRUNING),
    "prune_regrow": lambda params: AdamWPrune(params, lr=0.02, regrow=0.2, importance="magnitude", **PRUNING),
}
# (placement of a parameter, of its gradient), as a step over a mesh may leave them
PLACED = {"alike": (Shard(0), Shard(0)), "not yet summed": (Replicate(), Partial()),
          "sharded and not yet summed": (Shard(0), Partial()), "whole": (Shard(0), Replicate()),
          "sharded otherwise": (Shard(0), Shard(1))}


def build_model() -> nn.Sequential:
    """Layers that two ranks share unevenly; of the last, the second rank holds nothing."""
    torch.manual_seed(1)
    layers = (nn.Linear(7, 13), nn.Tanh(), nn.Linear(13, 5), nn.Tanh(), nn.Linear(5, 1))
    return nn.Sequential(*layers).double()


def sharded_model() -> nn.Sequential:
    model, mesh = build_model(), init_device_mesh("cpu", (WORLD,))
    for layer in model:
        if isinstance(layer, nn.Linear):
            fully_shard(layer, mesh=mesh)
    return fully_shard(model, mesh=mesh)


def train(model, optimizer, first, last, share=slice(None)):
    """Steps `first` to `last` on this process's share of each batch; every fifth batch has a spike."""
    for i in range(first, last):
        generator = torch.Generator().manual_seed(i)
        x = torch.randn(8, 7, generator=generator, dtype=torch.float64)[share]
        optimizer.zero_grad()
        loss = (model(x) - x.sum(1, keepdim=True)).square().mean() * (30.0 if i % 5 == 4 else 1.0)
        loss.backward()
        optimizer.step()


def whole(x):
    return x.detach().full_tensor() if hasattr(x, "full_tensor") else x.detach().clone()


def describe(model, optimizer):
    """Everything that must agree, as whole tensors: parameters, state with its masks, counters, telemetry."""
    params = list(model.parameters())
    keys = ("exp_avg", "exp_avg_sq")
    found = {
        "params": [whole(p) for p in params],
        "steps": [float(optimizer.state[p]["step"]) for p in params],
        "state": {key: [whole(optimizer.state[p][key]) for p in params] for key in keys},
        "pruned": [torch.signbit(whole(optimizer.state[p]["exp_avg_sq"])) for p in params],
        "norms": [whole(group["norms"]) for group in optimizer.param_groups],
        "counts": [[float(group[name]) for name in ("group_step", "reset_step", "norms_seen", "spikes", "resets")]
                   for group in optimizer.param_groups],
        "telemetry": {name: float(number) for name, number in optimizer.telemetry().items()},
    }
    found["clipped_here"] = found["telemetry"].pop("elements_clipped", 0.0)  # of this rank's shards
    if isinstance(optimizer, AdamWPrune):
        found["sparsity"] = optimizer.sparsity()
        found["masks"] = [whole(mask) for mask in optimizer.masks().values()]
    return found


def weight_after(placed=None, rank=0):
    """A weight after four steps that clip, prune and regrow, its gradients placed as `placed` says; None: whole."""
    generator = torch.Generator().manual_seed(3)
    weight, *grads = (torch.randn(4, 6, generator=generator, dtype=torch.float64) for _ in range(5))
    mesh = placed and init_device_mesh("cpu", (WORLD,))
    p = nn.Parameter(distribute_tensor(weight, mesh, [placed[0]]) if placed else weight)
    optimizer = AdamWPrune([p], lr=0.1, base="adamwadv", clip_norm=0.5, total_steps=9, regrow=0.3, begin_step=1,
                           end_step=4, update_every=1, target_sparsity=0.4, schedule="linear")
    for g in grads:
        if not placed:
            p.grad = g
        elif placed[1].is_partial():
            p.grad = DTensor.from_local(g * (rank + 1) / 3, mesh, [placed[1]])
        else:
            p.grad = distribute_tensor(g, mesh, [placed[1]])
        optimizer.step()
    return whole(p)


def norm_of(gradients, rank):
    """The norm that a step finds of gradients sharded by rows, each given by rank."""
    mesh = init_device_mesh("cpu", (WORLD,))
    params = []
    for parts in gradients:
        shape = (sum(len(part) for part in parts), *parts[0].shape[1:])
        p = nn.Parameter(distribute_tensor(torch.ones(shape, dtype=parts[0].dtype), mesh, [Shard(0)]))
        p.grad = DTensor.from_local(parts[rank], mesh, [Shard(0)], run_check=False, shape=p.shape, stride=p.stride())
        params.append(p)
    optimizer = AdamWAdv(params, clip_norm=1.0, total_steps=9)
    optimizer.step()
    return float(optimizer.telemetry()["grad_norm"]), [bool(whole(p).isfinite().all()) for p in params]


def norms(rank):
    """Half precision, where the norm itself would overflow; and a layout that on one rank alone the flat kernel cannot
    serve, so that the ranks sort their gradients into different buckets."""
    half = [torch.full((32, 64), 2000.0, dtype=torch.float16)] * WORLD
    odd = [torch.full((1, 2), 3.0).t(), torch.full((1, 1), 3.0)]
    return {"half": norm_of([half], rank), "layouts": norm_of([odd, [torch.full((2, 2), 4.0)] * WORLD], rank)}


def under_ddp(name, rank):
    model = DistributedDataParallel(build_model())
    optimizer = OPTIMIZERS[name](model.parameters())
    train(model, optimizer, 0, STEPS, share=slice(rank, None, WORLD))
    return describe(model, optimizer)


def under_fsdp(name, rank):
    model = sharded_model()
    optimizer = OPTIMIZERS[name](model.parameters())
    train(model, optimizer, 0, STEPS, share=slice(rank, None, WORLD))
    return describe(model, optimizer)


def checkpointed(name, rank, folder):
    """Train, save, load into fresh ones (which distributed checkpointing steps once), and let both train on."""
    share = slice(rank, None, WORLD)
    model = sharded_model()
    optimizer = OPTIMIZERS[name](model.named_parameters())
    train(model, optimizer, 0, STEPS, share)
    saved = describe(model, optimizer)
    weights, state = get_state_dict(model, optimizer)
    dcp.save({"model": weights, "optimizer": state}, checkpoint_id=folder / name)

    fresh = sharded_model()
    other = OPTIMIZERS[name](fresh.named_parameters())
    before = [whole(p) for p in fresh.parameters()]
    weights, state = get_state_dict(fresh, other)
    initialized = describe(fresh, other)
    target = {"model": weights, "optimizer": state}
    dcp.load(target, checkpoint_id=folder / name)
    set_state_dict(fresh, other, model_state_dict=target["model"], optim_state_dict=target["optimizer"])
    loaded = describe(fresh, other)
    for m, o in ((model, optimizer), (fresh, other)):
        train(m, o, STEPS, STEPS + 4, share)
    return {"saved": saved, "before": before, "initialized": initialized, "loaded": loaded,
            "continued": describe(model, optimizer), "continued_after_load": describe(fresh, other)}


def main(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=WORLD)
    found = {"ddp": {name: under_ddp(name, rank) for name in OPTIMIZERS},
             "fsdp": {name: under_fsdp(name, rank) for name in OPTIMIZERS},
             "norms": norms(rank),
             "placed": {name: weight_after(placed, rank) for name, placed in PLACED.items()},
             "checkpoint": {name: checkpointed(name, rank, folder) for name in ("adv", "spam", "prune")}}
    torch.save(found, folder / f"rank{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    torch.multiprocessing.spawn(main, args=(Path(sys.argv[1]),), nprocs=WORLD)
