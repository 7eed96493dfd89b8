"""Compiling ``kernels.cpp`` at its first use, into the user's cache."""

from __future__ import annotations

import ctypes
import functools
import warnings
from pathlib import Path

from spikegpt_hls.host.errors import HostError
from spikegpt_hls.host.library import library as compiled

SOURCE = Path(__file__).with_name("kernels.cpp")
#: No -ffast-math: infinities keep their meaning, and sums their order.
FLAGS = ("-std=c++17", "-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fopenmp")


@functools.cache
def library(real: str) -> ctypes.CDLL | None:
    """The kernels for ``float`` or ``double``; None, with a warning, where they cannot be compiled or loaded."""
    try:
        return compiled([SOURCE], (*FLAGS, f"-DReal={real}"))
    except (OSError, HostError) as error:
        warnings.warn(f"no compiled kernels, so plain PyTorch runs, several times slower: {error}", stacklevel=2)
        return None
