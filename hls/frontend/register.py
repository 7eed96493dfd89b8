"""Everything of ours that hls4ml has to know, told once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache, wraps
from typing import Any

Parse = Callable[[Any], Any]


@cache
def register() -> None:
    """Layers, ONNX handlers, passes, the kernels of the Vitis backend, and models of whole sequences for
    ``parse_onnx_model``. Calling it again does nothing.

    Not for hls4ml's plugin hook, which runs while hls4ml is half imported: there, ``layers.register_layers`` and
    ``read_sequences`` later are safe.
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
    read_sequences()


@cache
def read_sequences() -> None:
    """hls4ml reads a model of ours as the model of one token that it is in hardware (``onnx_graph.per_token``).

    Both functions that read a model, ``config_from_onnx_model`` and ``convert_from_onnx_model``, call
    ``parse_onnx_model``, each by a name of its own.
    """
    for name in ("hls4ml.converters", "hls4ml.converters.onnx_to_hls"):
        module = sys.modules[name]
        setattr(module, "parse_onnx_model", _of_one_token(module.parse_onnx_model))  # noqa: B010  of a module of theirs


def _of_one_token(parse: Parse) -> Parse:
    @wraps(parse)
    def parse_onnx_model(onnx_model: Any) -> Any:
        from spikegpt_hls.hls.frontend.onnx_graph import is_ours, per_token

        if not is_ours(onnx_model):
            return parse(onnx_model)
        register()
        return parse(per_token(onnx_model))

    return parse_onnx_model
