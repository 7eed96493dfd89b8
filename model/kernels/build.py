"""Compiling a folder of C++ at its first use, into the user's cache."""

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

FOLDER = Path(__file__).parent
COMPILER = "g++"
#: No -ffast-math: infinities keep their meaning, and sums their order.
FLAGS = ("-std=c++17", "-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fopenmp", "-shared", "-fPIC")


@functools.cache
def library(real: str, folder: Path = FOLDER) -> ctypes.CDLL | None:
    """The kernels of ``folder`` for ``real``, float or double; None, with a warning, where there can be none."""
    try:
        return ctypes.CDLL(str(compile_once(real, user_cache_path("spikegpt-hls") / "kernels", folder)))
    except (OSError, subprocess.CalledProcessError, ModelError) as error:
        reason = getattr(error, "stderr", None) or str(error)
        warnings.warn(f"no compiled kernels, so plain PyTorch runs, several times slower: {reason}", stacklevel=2)
        return None


def compile_once(real: str, cache: Path, folder: Path = FOLDER) -> Path:
    """The shared library for these sources, compiler and CPU; processes that build it at once write the same file."""
    sources, headers = sorted(folder.glob("*.cpp")), sorted(folder.glob("*.h"))
    text = b"".join(path.read_bytes() for path in sources + headers)
    key = hashlib.sha256(text + repr(FLAGS).encode() + _compiler_and_cpu()).hexdigest()
    path = cache / f"{key[:32]}-{real}.so"
    if not path.is_file():
        with TemporaryDirectory() as work:
            built = Path(work) / path.name
            _run(f"-DReal={real}", *FLAGS, *map(str, sources), "-o", str(built))
            write_atomically(path, built.read_bytes())
    return path


def _compiler_and_cpu() -> bytes:
    """The macros that the compiler predefines: its version, and the instructions of the CPU it runs on."""
    return _run("-march=native", "-dM", "-E", "-x", "c++", "/dev/null").encode()


def _run(*arguments: str) -> str:
    return subprocess.run([COMPILER, *arguments], check=True, capture_output=True, text=True).stdout
