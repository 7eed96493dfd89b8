"""Checkpoints: tensors and a JSON header in one safetensors file, written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialize
from torch import Tensor

from spikegpt_hls.model.errors import ModelError
from spikegpt_hls.model.files import write_atomically

HEADER = "spikegpt_hls"  # the safetensors metadata key of our JSON


def save(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """``header`` must be JSON; the tensors are copied as they are."""
    detached = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    write_atomically(path, serialize(detached, {HEADER: json.dumps(dict(header), sort_keys=True)}))


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and header; ModelError where the file is missing, truncated, or not ours."""
    if not path.is_file():
        raise ModelError(f"no checkpoint at {path}")
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            header = json.loads((file.metadata() or {})[HEADER])
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"{path.name} is truncated or no safetensors file") from error
    except KeyError as error:
        raise ModelError(f"{path.name} was not written by spikegpt-hls: its header lacks {HEADER}") from error
    if not isinstance(header, dict):
        raise ModelError(f"{path.name} has a header that is no JSON object")
    return tensors, header
