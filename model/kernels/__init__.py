"""Kernels that compute what a plain function of tensors computes, faster; the plain function stays their oracle."""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Callable
from importlib.util import find_spec
from types import ModuleType
from typing import TypeVar

import torch
from torch import Tensor

from spikegpt_hls.model.errors import ModelError

#: ``torch``: plain functions everywhere.
VARIABLE = "SPIKEGPT_KERNELS"
F = TypeVar("F", bound=Callable[..., object])


def accelerated(plain: F) -> F:
    """``plain``, replaced at every call by the kernel of its name, where the tensors' device and type have one."""

    @functools.wraps(plain)
    def fastest(*arguments: object) -> object:
        return getattr(_kernels(arguments), plain.__name__, plain)(*arguments)

    return fastest  # type: ignore[return-value]


def in_full_precision(x: Tensor) -> Tensor:
    """``x`` in float32 or float64: what a recurrence adds up over time, half precision would lose."""
    return x if x.dtype == torch.float64 else x.float()


def plain_everywhere() -> bool:
    """Whether the user asked to do without kernels; ModelError where the variable says anything else."""
    chosen = os.environ.get(VARIABLE)
    if chosen and chosen != "torch":
        raise ModelError(f"{VARIABLE} is {chosen!r}: 'torch' is the only value it knows")
    return bool(chosen)


def _kernels(arguments: tuple[object, ...]) -> ModuleType | None:
    if plain_everywhere():
        return None
    tensors = [x for x in arguments if isinstance(x, Tensor)]
    device, dtype = tensors[0].device.type, tensors[0].dtype
    if dtype not in (torch.float32, torch.float64):
        return None
    if any(x.dtype != dtype or x.device.type != device for x in tensors):
        return None
    return _for_cpu(dtype) if device == "cpu" else _for_cuda() if device == "cuda" else None


@functools.cache
def _for_cpu(dtype: torch.dtype) -> ModuleType | None:
    from spikegpt_hls.model.kernels import calls, compiled

    return compiled if calls.available(dtype) else None


@functools.cache
def _for_cuda() -> ModuleType | None:
    if find_spec("triton") is None:  # PyTorch for CUDA brings it where it exists
        return None
    return importlib.import_module("spikegpt_hls.model.kernels.triton_scans")
