"""hls4ml finds this through the entry point ``hls4ml.backends``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def register(*, register_backend: Callable[..., Any], register_writer: Callable[..., Any]) -> None:
    """Add the backend ``SpikeRTL`` to hls4ml; the writer first, because a backend looks its writer up."""
    from spikegpt_hls.hls.rtl.backend import SpikeRTLBackend, SpikeRTLWriter

    register_writer("SpikeRTL", SpikeRTLWriter)
    register_backend("SpikeRTL", SpikeRTLBackend)
