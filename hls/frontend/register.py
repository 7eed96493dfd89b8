"""Everything of ours that hls4ml has to know, told once."""

from __future__ import annotations

from functools import cache


@cache
def register() -> None:
    """Layers, ONNX handlers, passes, and the kernels of the Vitis backend. Calling it again does nothing.

    Not for hls4ml's plugin hook, which runs while hls4ml is half imported: there, ``layers.register_layers`` is safe.
    """
    import hls4ml  # noqa: F401  all of it, so that plugins are loaded before anything is looked up

    from spikegpt_hls.hls.frontend.handlers import register_handlers
    from spikegpt_hls.hls.frontend.layers import register_layers
    from spikegpt_hls.hls.frontend.passes import register_passes
    from spikegpt_hls.hls.vitis.backend import register_kernels

    register_layers()
    register_handlers()
    register_passes()
    register_kernels()
