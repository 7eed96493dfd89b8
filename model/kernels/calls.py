"""Calling the compiled kernels: contiguous tensors by address, sizes as integers."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from spikegpt_hls.model.kernels import build

REALS = {torch.float32: "float", torch.float64: "double"}


def available(dtype: torch.dtype) -> bool:
    """Whether there are kernels for tensors of this type."""
    return dtype in REALS and build.library(REALS[dtype]) is not None


def call(kernel: str, sizes: Sequence[int], *tensors: Tensor | Sequence[Tensor]) -> None:
    """The first tensor tells the type; all are contiguous, and have the shapes that the kernel expects."""
    function = _function(kernel, tensors[0].dtype, len(sizes) + 1, len(tensors))  # type: ignore[union-attr]
    addresses = [x.data_ptr() if isinstance(x, Tensor) else _addresses(x) for x in tensors]
    function(*sizes, torch.get_num_threads(), *addresses)


@functools.cache
def _function(kernel: str, dtype: torch.dtype, sizes: int, tensors: int) -> Callable[..., None]:
    function: Any = getattr(build.library(REALS[dtype]), kernel)
    function.argtypes = [ctypes.c_long] * sizes + [ctypes.c_void_p] * tensors  # ctypes would pass integers in 32 bits
    function.restype = None
    return function  # type: ignore[no-any-return]


def _addresses(tensors: Sequence[Tensor]) -> Any:
    return (ctypes.c_void_p * len(tensors))(*(tensor.data_ptr() for tensor in tensors))


def rows(x: Tensor, sequences: Tensor) -> Tensor:
    """``x`` as (B, C), one row per sequence of ``sequences`` (B, T, C)."""
    return expanded(x, (sequences.shape[0], sequences.shape[2]))


def expanded(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """``x`` in this shape, contiguous; itself where it is so already, which costs next to nothing to see."""
    return (x if x.shape == shape else x.expand(shape)).contiguous()


def like(x: Tensor) -> Tensor:
    return torch.empty(x.shape, dtype=x.dtype)


def new_rows(x: Tensor, count: int) -> Tensor:
    """Room for ``count`` times (B, C)."""
    return torch.empty((count, x.shape[0], x.shape[2]), dtype=x.dtype)
