"""One run on several processes: who this one is, its share of every batch, and what all must agree on.

Under `torchrun` every process runs the same code. A batch of the config is the batch of all of them together, so that
the number of processes changes the speed and not the run.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

T = TypeVar("T")


def resolve_parallel(name: str) -> str:
    """What `name` means here: "auto" is ddp under torchrun, else none.

    Raises:
        ValueError: ddp or fsdp without torchrun; none with it, where every process would train the same.
    """
    launched = int(os.environ.get("WORLD_SIZE", "1")) > 1
    if name == "auto":
        return "ddp" if launched else "none"
    if name != "none" and not launched:
        raise ValueError(f"parallel {name!r} needs processes: start it as torchrun --nproc-per-node 2 -m adamw_lab fit "
                         "…; allowed here: auto, none")
    if name == "none" and launched:
        raise ValueError("parallel 'none' under torchrun would train the same run in every process; allowed here: "
                         "auto, ddp, fsdp")
    return name


@contextmanager
def world(parallel: str, device: str) -> Iterator[None]:
    """Inside, the processes know each other; NCCL between GPUs, Gloo between CPUs.

    Raises:
        ConnectionError: another process ended.
    """
    if parallel == "none" or dist.is_initialized():
        yield
        return
    on_cuda = torch.device(device).type == "cuda"
    if on_cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    # Gloo beside NCCL: what the processes ask each other at every step lies on the CPU and waits for no GPU.
    dist.init_process_group("cpu:gloo,cuda:nccl" if on_cuda else "gloo")
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "gloo" not in str(error):
            raise
        raise ConnectionError(f"process {rank()} of {size()} lost another one, which ended or cannot be reached; the "
                              "same command goes on from the last checkpoint of its run_dir") from error
    finally:
        dist.destroy_process_group()
    # Gloo's threads may still hold the last tensors, and need the interpreter to let go of them: one that ends
    # meanwhile is aborted, its run done and all. Nothing tells when they have.
    time.sleep(0.2)


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def size() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def synchronized(model: nn.Module, parallel: str, device: str) -> nn.Module:
    """The same model, its batch normalization over the batch of all processes where torch can: on CUDA."""
    if parallel == "none" or torch.device(device).type != "cuda":
        return model
    return nn.SyncBatchNorm.convert_sync_batchnorm(model)


def share(model: nn.Module, parallel: str) -> nn.Module:
    """What the forward pass is to call: the model, replicated or sharded over the processes.

    `fully_shard` shards every part that has parameters of its own children, then the model, in place.
    """
    if parallel == "ddp":
        return DistributedDataParallel(model)
    if parallel == "fsdp":
        for child in model.children():
            if any(True for _ in child.parameters()):
                fully_shard(child)
        fully_shard(model)
    return model


def own_part(inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, float, int]:
    """This process's part of a batch (inputs, targets, weight, copies).

    The mean of all parts' mean losses, each times its weight, is the batch's. Where some would get less than two, which
    batch normalization needs, all get the whole batch; `copies` says how many have this part.
    """
    n, parts = len(targets), size()
    if parts == 1 or n < 2 * parts:
        return inputs, targets, 1.0, parts
    mine = [part[rank()] for part in (inputs.tensor_split(parts), targets.tensor_split(parts))]
    return mine[0], mine[1], len(mine[1]) * parts / n, 1


def agree(values: Tensor) -> Tensor:
    """The mean of a tensor over the processes."""
    if size() == 1:
        return values
    values = values.clone()
    dist.all_reduce(values)
    return values / size()


def together(*flags: bool) -> list[bool]:
    """Each flag, raised if any process raises it."""
    if size() == 1:
        return list(flags)
    return [bool(x) for x in total(torch.tensor([float(flag) for flag in flags])).tolist()]


def share_buffers(model: nn.Module) -> None:
    """Give every process the first one's buffers: the statistics of batch normalization, which each has of its own."""
    if size() > 1:
        for buffer in model.buffers():
            dist.broadcast(buffer, src=0)


def first_alone(work: Callable[[], T]) -> T:
    """What `work` returns here; the first process does it before the others."""
    result = work() if rank() == 0 else None
    if size() > 1:
        dist.barrier()
    return result if rank() == 0 else work()


def total(values: Tensor) -> Tensor:
    """The sum of a tensor over the processes."""
    return agree(values) * size()


def gathered(state: Any) -> Any:
    """The same state with every sharded tensor whole; all processes must call it."""
    if isinstance(state, DTensor):
        return state.full_tensor()
    if isinstance(state, Mapping):
        return {key: gathered(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(gathered(value) for value in state)
    return state


def load_model(model: nn.Module, state: dict[str, Tensor]) -> None:
    """Load a whole state into a model that may be sharded."""
    like = model.state_dict()
    model.load_state_dict({name: _as(like[name], tensor) for name, tensor in state.items()})


def load_optimizer(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Load a whole state into an optimizer whose parameters may be sharded."""
    params = [p for group in optimizer.param_groups for p in group["params"]]
    states = {i: {name: _as(params[i], value) for name, value in values.items()}
              for i, values in state["state"].items()}
    optimizer.load_state_dict({**state, "state": states})


def _as(like: Tensor, value: Any) -> Any:
    """`value` sharded as `like` is, if it is a tensor of its shape."""
    if isinstance(like, DTensor) and isinstance(value, Tensor) and value.shape == like.shape:
        return distribute_tensor(value, like.device_mesh, like.placements, src_data_rank=None)
    return value
