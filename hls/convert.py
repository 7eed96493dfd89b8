"""The entry: an exported ONNX model in, an hls4ml ModelGraph out, or a ConversionError."""

from __future__ import annotations

import io
import os
from collections.abc import Collection, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import onnx

from spikegpt_hls.hls.errors import ConversionError
from spikegpt_hls.hls.fold.engine import share
from spikegpt_hls.hls.fold.folding import default_reuse, fold, pace
from spikegpt_hls.hls.fold.limits import check, padded
from spikegpt_hls.hls.frontend.onnx_graph import block_name, per_token
from spikegpt_hls.hls.frontend.register import register
from spikegpt_hls.hls.rtl.blocks import single
from spikegpt_hls.quant.graph import operation_of
from spikegpt_hls.quant.ops import Linear, Operation

ReuseFactor = int | Mapping[str, int] | None


def convert(
    model: str | os.PathLike[str] | onnx.ModelProto,
    output_dir: str | os.PathLike[str],
    backend: str = "Vitis",
    *,
    lanes: int = 8,
    reuse_factor: ReuseFactor = None,
    target_cycles: int | None = None,
    contexts: int = 1,
    engine: Collection[str] = (),
    events: Collection[str] = (),
    project_name: str = "spikegpt",
    **options: Any,
) -> Any:
    """The ModelGraph of an exported model for a backend, not yet written to ``output_dir``.

    ``lanes`` channels make a beat, and must divide every channel count but that of the logits. ``reuse_factor`` is
    hls4ml's ReuseFactor of every Linear, or of each by its node name; the others get the largest that keeps a token
    within ``target_cycles`` (None: ``fold.folding.pace``). In the RTL the Linears that ``engine`` names share one array
    of multipliers; Vitis gives each its own. Those that ``events`` names take steps only for inputs that are not 0.
    ``contexts`` sequences can be interleaved in the RTL: each block with state keeps so many; Vitis kernels keep one.
    ``options`` are the backend's own: ``part``, ``clock_period``, SpikeRTL's ``multiplier``. Errors are
    ConversionError.
    """
    from spikegpt_hls.hls.frontend.token_graph import check_implemented

    register()
    token_model = per_token(_load(model))
    network = _operations(token_model)
    factors = reuse_factors(network, lanes, reuse_factor, contexts, backend, target_cycles, engine, events)
    graph = _convert(
        token_model,
        output_dir=str(output_dir),
        project_name=project_name,
        backend=backend,
        hls_config=_config(
            network, lanes, factors, contexts, {block_name(name) for name in engine}, driven(network, events)
        ),
        **options,
    )
    check_implemented(graph)
    return graph


def reuse_factors(
    network: Mapping[str, Operation],
    lanes: int,
    reuse_factor: ReuseFactor = None,
    contexts: int = 1,
    backend: str = "SpikeRTL",
    target_cycles: int | None = None,
    engine: Collection[str] = (),
    events: Collection[str] = (),
) -> dict[str, int]:
    """The ReuseFactor of every Linear; ConversionError where ``network`` cannot be built so in ``backend``."""
    network = padded(network, lanes)
    check(network, lanes, contexts, backend)
    target = pace(network, lanes) if target_cycles is None else target_cycles
    factors = _reuse_factors(network, lanes, reuse_factor, target, driven(network, events))
    share([single(op, lanes, {}, factors.get(name, 1), name=name) for name, op in network.items()],
          map(block_name, engine))  # fmt: skip
    return factors


def driven(network: Mapping[str, Operation], events: Collection[str]) -> set[str]:
    """The blocks that ``events`` names; ConversionError where one is no Linear."""
    names = {block_name(name) for name in events}
    for name in sorted(names):
        if not isinstance(network.get(name), Linear):
            raise ConversionError(f"no Linear is named {name!r}, to be driven by events")
    return names


def operations(model: str | os.PathLike[str] | onnx.ModelProto) -> dict[str, Operation]:
    """Every operation of an exported model, by block."""
    return _operations(per_token(_load(model)))


def writers(model: str | os.PathLike[str] | onnx.ModelProto) -> dict[str, str]:
    """By Linear of an exported model, the operation that writes what it reads, by its op type."""
    graph = per_token(_load(model)).graph
    made = {output: node.op_type for node in graph.node for output in node.output}
    return {node.name: made[node.input[0]] for node in graph.node if node.op_type == "Linear" and node.input[0] in made}


def _operations(token_model: onnx.ModelProto) -> dict[str, Operation]:
    return {node.name: operation_of(node) for node in token_model.graph.node}


def _load(model: str | os.PathLike[str] | onnx.ModelProto) -> onnx.ModelProto:
    if isinstance(model, onnx.ModelProto):
        return model
    if not Path(model).is_file():
        raise ConversionError(f"there is no ONNX model at {os.fspath(model)!r}")
    try:
        return onnx.load(os.fspath(model))
    except Exception as error:  # protobuf's, or onnx's for tensors in files of their own
        raise ConversionError(f"{os.fspath(model)!r} is no ONNX model ({error})") from error


def _reuse_factors(
    operations: Mapping[str, Operation],
    lanes: int,
    asked: ReuseFactor,
    target_cycles: int,
    events: Collection[str],
) -> dict[str, int]:
    linears = {name: op for name, op in operations.items() if isinstance(op, Linear)}
    if isinstance(asked, Mapping):
        by_name = {block_name(name): factor for name, factor in asked.items()}
        for name in by_name.keys() - linears.keys():
            raise ConversionError(f"no Linear is named {name!r}, to have a ReuseFactor; there are {sorted(linears)}")
    else:
        by_name = {} if asked is None else dict.fromkeys(linears, asked)
    factors = {
        name: by_name[name] if name in by_name else default_reuse(op, lanes, target_cycles, name in events)
        for name, op in linears.items()
    }
    for name, op in linears.items():
        fold(op, lanes, factors[name], name, name in events)
    return factors


def _config(
    operations: Mapping[str, Operation],
    lanes: int,
    factors: Mapping[str, int],
    contexts: int,
    engine: Collection[str],
    events: Collection[str],
) -> dict[str, Any]:
    layers: dict[str, dict[str, Any]] = {
        name: {
            "Lanes": lanes,
            "Contexts": contexts,
            **(
                {"ReuseFactor": factors[name], "Engine": name in engine, "Events": name in events}
                if name in factors
                else {}
            ),
        }
        for name in operations
    }
    return {"Model": {"Precision": "fixed<16,6>", "ReuseFactor": 1}, "LayerName": layers}


def _convert(model: onnx.ModelProto, **arguments: Any) -> Any:
    from hls4ml.backends import get_available_backends
    from hls4ml.converters import convert_from_onnx_model

    if arguments["backend"].lower() not in get_available_backends():
        raise ConversionError(f"there is no hls4ml backend named {arguments['backend']!r}")
    with redirect_stdout(io.StringIO()):  # hls4ml reports every node it reads
        graph = convert_from_onnx_model(model, io_type="io_stream", **arguments)
    del graph.config.config["OnnxModel"]  # or hls4ml would write the whole model into its YAML file
    return graph
