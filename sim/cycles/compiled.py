"""Compiling ``network.cpp`` at its first use, into the user's cache."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from platformdirs import user_cache_path

from spikegpt_hls.sim.errors import SimulationError

SOURCE = Path(__file__).with_name("network.cpp")
HEADER = Path(__file__).with_name("actors.h")
COMPILER = "g++"
FLAGS = ("-std=c++17", "-O2", "-shared", "-fPIC")

_int, _ints, _network = ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p
#: Arguments behind the network, and what comes back, of every function of ``network.cpp``.
SIGNATURES = {
    "add_channel": ((), None),
    "add_pipe": ((_ints, _int, _ints, _int, _int, _int, _int, _int), None),
    "add_expand": ((_int,) * 6, None),
    "add_normalize": ((_int,) * 4, None),
    "add_fold": (((_int,) * 7) + (_ints,), None),
    "add_member": ((_int,) * 9, None),
    "add_sink": ((_int, _ints, _int), None),
    "add_generation": ((_int,) * 5, None),
    "connect": ((), None),
    "run": ((_int, _ints, _int), None),
    "size": ((_int, _int), _int),
    "last": ((_int, _int, _int), ctypes.POINTER(_int)),
    "forget": ((_int,) * 4, None),
    "period": ((_int, _int, _int, ctypes.POINTER(_int)), _int),
    "network_free": ((), None),
}


@cache
def library() -> ctypes.CDLL:
    """The compiled actors; SimulationError where there is no compiler for them."""
    loaded = ctypes.CDLL(str(_compiled(user_cache_path("spikegpt-hls") / "cycles")))
    loaded.network_new.restype = _network
    for name, (arguments, result) in SIGNATURES.items():
        function = getattr(loaded, name)
        function.argtypes, function.restype = (_network, *arguments), result
    return loaded


def _compiled(folder: Path) -> Path:
    """The shared library of these sources; processes that build it at once write the same file."""
    settings = repr((FLAGS, platform.machine(), platform.libc_ver())).encode()
    key = hashlib.sha256(HEADER.read_bytes() + SOURCE.read_bytes() + settings)
    path = folder / f"{key.hexdigest()[:32]}.so"
    if path.is_file():
        return path
    if shutil.which(COMPILER) is None:
        raise SimulationError(f"the cycle simulator needs {COMPILER}, which is not on the PATH")
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder) as partial:
        built = Path(partial) / path.name
        done = subprocess.run([COMPILER, *FLAGS, str(SOURCE), "-o", str(built)], capture_output=True, text=True)
        if done.returncode:
            raise SimulationError(f"the cycle simulator does not compile: {done.stderr.strip().splitlines()[0]}")
        os.replace(built, path)
    return path
