"""hls4ml finds this through the entry point ``hls4ml.backends``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from typing import Any


def register(
    *, register_backend: Callable[..., Any], register_writer: Callable[..., Any], backend: type[Any] | None = None
) -> None:
    """Add the backend ``SpikeRTL`` to hls4ml; the writer first, because a backend looks its writer up.

    hls4ml is half imported here: what reads ONNX is told of our models when its handlers are imported.
    """
    from spikegpt_hls.hls.rtl.backend import SpikeRTLBackend, SpikeRTLWriter

    register_writer("SpikeRTL", SpikeRTLWriter)
    register_backend("SpikeRTL", backend or SpikeRTLBackend)
    sys.meta_path.insert(0, _OnnxHandlers())


class _OnnxHandlers(MetaPathFinder):
    """Finds nothing: it waits for the first import of a handler, the last thing that ``hls4ml.converters`` does."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: Any = None) -> None:
        if name.startswith("hls4ml.converters.onnx."):
            from spikegpt_hls.hls.frontend.register import read_sequences

            sys.meta_path.remove(self)
            read_sequences()
