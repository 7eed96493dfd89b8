"""The checkpoint of a quantized network: its tensors, and a header that says how to build it."""

from __future__ import annotations

import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from spikegpt_hls.model import checkpoint
from spikegpt_hls.model.errors import ModelError
from spikegpt_hls.model.weights import geometry, load_exactly
from spikegpt_hls.quant.network import QuantSpikeGPT

#: What every network had before its checkpoint said so.
ONCE = {"neurons": "lif", "placement": "canonical", "hidden": "squared-relu"}


def save_network(network: QuantSpikeGPT, path: Path, header: dict[str, Any]) -> None:
    """A checkpoint that ``load_network`` reads; ``header`` is kept with it."""
    described = {
        "config": asdict(network.config),
        "weight_bits": network.weight_bits,
        "activation_bits": network.activation_bits,
        "formats": network.formats,
    }
    checkpoint.save(path, network.state_dict(), header | described)


def load_network(path: str | Path) -> tuple[QuantSpikeGPT, dict[str, Any]]:
    """The quantized network of a checkpoint, in ``eval()``, and its header; ModelError says what is wrong."""
    path = Path(path)
    tensors, header = checkpoint.load(path)
    described = header.get("config")
    described = ONCE | described if isinstance(described, dict) else {}
    classes, kind = described.get("classes"), {name: str(described.get(name)) for name in ONCE}
    config = geometry(tensors, path.name, classes if isinstance(classes, int) else None, **kind)
    widths = [width for key in ("weight_bits", "activation_bits") if isinstance(width := header.get(key), int | str)]
    if described != asdict(config) or len(widths) != 2:
        raise ModelError(f"{path.name} does not say which network it holds, or holds another one")
    network = QuantSpikeGPT(config, widths[0], widths[1], str(header.get("formats", "own")))
    load_exactly(network, tensors, path.name)
    return network.eval(), header


def versions() -> dict[str, str]:
    """What a result was made with."""
    packages = ("torch", "brevitas", "qonnx", "numpy", "spikegpt-hls")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
