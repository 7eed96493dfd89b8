"""Calling the compiled kernels: contiguous tensors by address, sizes as integers."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
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
    library = build.library(REALS[tensors[0].dtype])  # type: ignore[union-attr]
    function = getattr(library, kernel)
    if function.argtypes is None:  # ctypes would pass integers in 32 bits
        function.argtypes = [ctypes.c_long] * (len(sizes) + 1) + [ctypes.c_void_p] * len(tensors)
    function(*sizes, torch.get_num_threads(), *map(_pointer, tensors))


def _pointer(tensors: Tensor | Sequence[Tensor]) -> Any:
    if isinstance(tensors, Tensor):
        return tensors.data_ptr()
    return (ctypes.c_void_p * len(tensors))(*(tensor.data_ptr() for tensor in tensors))


def rows(x: Tensor, sequences: Tensor) -> Tensor:
    """``x`` as (B, C), one row per sequence of ``sequences`` (B, T, C)."""
    return x.expand(sequences.shape[0], sequences.shape[2]).contiguous()


def like(x: Tensor) -> Tensor:
    return torch.empty(x.shape, dtype=x.dtype)


def new_rows(x: Tensor, count: int) -> Tensor:
    """Room for ``count`` times (B, C)."""
    return torch.empty((count, x.shape[0], x.shape[2]), dtype=x.dtype)
