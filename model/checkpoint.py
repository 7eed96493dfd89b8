"""Checkpoints: tensors and a JSON header in one safetensors file, written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
    with _opened(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}, _header(file, path)  # noqa: SIM118


def header(path: Path) -> dict[str, Any]:
    """The header alone, of a checkpoint of any size."""
    with _opened(path) as file:
        return _header(file, path)


def names(path: Path) -> list[str]:
    """Of the tensors of a safetensors file, which need not be ours."""
    with _opened(path) as file:
        return list(file.keys())


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    if not path.is_file():
        raise ModelError(f"no checkpoint at {path}")
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except ModelError:
        raise
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"{path.name} is truncated or no safetensors file") from error


def _header(file: Any, path: Path) -> dict[str, Any]:
    found = file.metadata() or {}
    if HEADER not in found:
        raise ModelError(f"{path.name} was not written by spikegpt-hls: its header lacks {HEADER}")
    described = json.loads(found[HEADER])
    if not isinstance(described, dict):
        raise ModelError(f"{path.name} has a header that is no JSON object")
    return described
