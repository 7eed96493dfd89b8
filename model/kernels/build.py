"""Compiling ``kernels.cpp`` at its first use, into the user's cache."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import subprocess
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

from platformdirs import user_cache_path

from spikegpt_hls.model.errors import ModelError
from spikegpt_hls.model.files import write_atomically

SOURCE = Path(__file__).with_name("kernels.cpp")
COMPILER = "g++"
#: No -ffast-math: infinities keep their meaning, and sums their order.
FLAGS = ("-std=c++17", "-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fopenmp", "-shared", "-fPIC")


@functools.cache
def library(real: str) -> ctypes.CDLL | None:
    """The kernels for ``float`` or ``double``; None, with a warning, where they cannot be compiled or loaded."""
    try:
        return ctypes.CDLL(str(compile_once(real, user_cache_path("spikegpt-hls") / "kernels")))
    except (OSError, subprocess.CalledProcessError, ModelError) as error:
        reason = getattr(error, "stderr", None) or str(error)
        warnings.warn(f"no compiled kernels, so plain PyTorch runs, several times slower: {reason}", stacklevel=2)
        return None


def compile_once(real: str, cache: Path) -> Path:
    """The shared library for this source, compiler and CPU; processes that build it at once write the same file."""
    key = hashlib.sha256(SOURCE.read_bytes() + repr(FLAGS).encode() + _compiler_and_cpu()).hexdigest()
    path = cache / f"{key[:32]}-{real}.so"
    if not path.is_file():
        with TemporaryDirectory() as folder:
            built = Path(folder) / path.name
            _run(f"-DReal={real}", *FLAGS, str(SOURCE), "-o", str(built))
            write_atomically(path, built.read_bytes())
    return path


def _compiler_and_cpu() -> bytes:
    """The macros that the compiler predefines: its version, and the instructions of the CPU it runs on."""
    return _run("-march=native", "-dM", "-E", "-x", "c++", "/dev/null").encode()


def _run(*arguments: str) -> str:
    return subprocess.run([COMPILER, *arguments], check=True, capture_output=True, text=True).stdout
