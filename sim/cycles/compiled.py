"""Compiling ``network.cpp`` at its first use, into the user's cache."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path

from spikegpt_hls.host import library as host
from spikegpt_hls.host.errors import HostError
from spikegpt_hls.sim.errors import SimulationError

SOURCE = Path(__file__).with_name("network.cpp")
HEADERS = sorted(Path(__file__).parent.glob("*.h"))
FLAGS = ("-std=c++17", "-O2")

_int, _ints, _network = ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p
#: Arguments behind the network, and what comes back, of every function of ``network.cpp``.
SIGNATURES = {
    "add_channel": ((), None),
    "add_pipe": ((_ints, _int, _ints, _int, _int, _int, _int, _int), None),
    "add_expand": ((_int,) * 6, None),
    "add_normalize": ((_int,) * 4, None),
    "add_fold": (((_int,) * 10) + (_ints, _ints, _int, _int), None),
    "add_ring": ((_int,) * 7, None),
    "add_island": ((_ints, _ints, _int, _int, _ints, _int), None),
    "add_pace": ((_ints, _int, _ints, _int), None),
    "add_row_linear": ((_int, _int, _ints, _int, _int, _ints, _int, _ints, _int), None),
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
    try:
        loaded = host.library([SOURCE], FLAGS, HEADERS)
    except HostError as error:
        raise SimulationError(f"the cycle simulator cannot be compiled: {error}") from error
    loaded.network_new.restype = _network
    for name, (arguments, result) in SIGNATURES.items():
        function = getattr(loaded, name)
        function.argtypes, function.restype = (_network, *arguments), result
    return loaded
