"""Several processes as ``torchrun`` starts them, on one machine or many that share the build folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

PATIENCE = timedelta(hours=12)  # the others wait while the leader reads a text or evaluates
Result = TypeVar("Result")


def rank() -> int:
    return distributed.get_rank() if distributed.is_initialized() else 0


def size() -> int:
    return distributed.get_world_size() if distributed.is_initialized() else 1


def device() -> torch.device:
    """This process's GPU where there is one, else the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


@contextmanager
def joined() -> Iterator[None]:
    """Within, the processes of ``torchrun`` are a group (NCCL on GPUs, Gloo on CPUs); a lone process is just itself."""
    if "TORCHELASTIC_RUN_ID" not in os.environ or distributed.is_initialized():
        yield
        return
    if device().type == "cuda":
        torch.cuda.set_device(device())
    distributed.init_process_group("nccl" if device().type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def leader_first(action: Callable[[], Result]) -> Result:
    """What ``action`` returns; the others run it once the leader has, and find its files."""
    if size() == 1:
        return action()
    if rank() > 0:
        distributed.barrier()
    result = action()
    if rank() == 0:
        distributed.barrier()
    return result


def parallel(model: nn.Module) -> nn.Module:
    """``model``, or where there are several processes one that averages its gradients over them."""
    return model if size() == 1 else DistributedDataParallel(model, forward_sync_buffers=False)


def mean(value: float) -> float:
    """``value`` averaged over all processes."""
    if size() == 1:
        return value
    total = torch.tensor(value, dtype=torch.float64, device=device())
    distributed.all_reduce(total)
    return float(total) / size()
