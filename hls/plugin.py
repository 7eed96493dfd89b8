"""hls4ml finds this through the entry point ``hls4ml.backends``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
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
    sys.meta_path[:0] = [_OnnxHandlers(), _Profiling()]


class _OnnxHandlers(MetaPathFinder):
    """Finds nothing: it waits for the first import of a handler, the last thing that ``hls4ml.converters`` does."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: Any = None) -> None:
        if name.startswith("hls4ml.converters.onnx."):
            from spikegpt_hls.hls.frontend.register import read_sequences

            sys.meta_path.remove(self)
            read_sequences()


class _Profiling(MetaPathFinder, Loader):
    """Finds ``hls4ml.model.profiling``, and tells it of our layers once it is there."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: Any = None) -> ModuleSpec | None:
        if name != "hls4ml.model.profiling":
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            self.theirs, spec.loader = spec.loader, self
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.theirs.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        from spikegpt_hls.hls.frontend.profiling import by_parameter

        self.theirs.exec_module(module)
        by_parameter(module)
