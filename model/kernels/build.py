"""Compiling a folder of C++ at its first use, into the user's cache."""

from __future__ import annotations

import ctypes
import functools
import warnings
from pathlib import Path

from spikegpt_hls.host.errors import HostError
from spikegpt_hls.host.library import library as compiled

FOLDER = Path(__file__).parent
#: No -ffast-math: infinities keep their meaning, and sums their order.
FLAGS = ("-std=c++17", "-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fopenmp")


@functools.cache
def library(real: str, folder: Path = FOLDER) -> ctypes.CDLL | None:
    """The kernels of ``folder`` for ``real``, float or double; None, with a warning, where there can be none."""
    try:
        sources, headers = sorted(folder.glob("*.cpp")), sorted(folder.glob("*.h"))
        return compiled(sources, (*FLAGS, f"-DReal={real}"), headers)
    except (OSError, HostError) as error:
        warnings.warn(f"no compiled kernels, so plain PyTorch runs, several times slower: {error}", stacklevel=2)
        return None
