"""Reading released weights safely: geometry from the tensors, every name and shape checked, no code executed."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from zipfile import BadZipFile

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from spikegpt_hls.model.config import Config
from spikegpt_hls.model.errors import ModelError


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``.safetensors`` file, or of a ``.pth`` file through torch's weights-only unpickler."""
    if not path.is_file():
        raise ModelError(f"no checkpoint at {path}")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix in (".pth", ".pt"):
        return _read_pickle(path)
    raise ModelError(f"{path.name} is neither a .safetensors nor a .pth file")


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)  # type: ignore[no-any-return]
    except (SafetensorError, ValueError, KeyError, OSError) as error:
        raise ModelError(f"{path.name} is truncated or no safetensors file ({error})") from error


def _read_pickle(path: Path) -> dict[str, Tensor]:
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path.name} is refused: it holds more than tensors, and loading it could run code"
        ) from error
    except (RuntimeError, EOFError, BadZipFile, ValueError, KeyError, OSError, AttributeError, IndexError) as error:
        raise ModelError(f"{path.name} is truncated or no PyTorch checkpoint") from error
    if not isinstance(tensors, Mapping) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise ModelError(f"{path.name} holds no plain state dict of tensors")
    return {str(name): value for name, value in tensors.items()}


def geometry(tensors: Mapping[str, Tensor], name: str, classes: int | None = None) -> Config:
    """The configuration that the embedding's shape and the block numbers tell; ``classes`` of a classifier's head."""
    embedding = tensors.get("emb.weight")
    if embedding is None or embedding.dim() != 2:
        raise ModelError(f"{name} has no matrix emb.weight, so it is no SpikeGPT checkpoint")
    blocks = {int(m[1]) for key in tensors if (m := re.match(r"blocks\.(\d{1,4})\.", key))}
    if blocks != set(range(len(blocks))) or not blocks:
        raise ModelError(f"{name} has no tensors of block {min(set(range(len(blocks) + 1)) - blocks)}")
    return Config(len(blocks), embedding.shape[1], embedding.shape[0], classes)


def load_exactly(module: nn.Module, tensors: Mapping[str, Tensor], name: str) -> None:
    """Copy ``tensors`` into ``module``, which must have their names and shapes; ModelError names a difference."""
    expected = module.state_dict()
    if missing := sorted(expected.keys() - tensors.keys()):
        raise ModelError(f"{name} lacks {missing[0]}" + _others(missing))
    if surplus := sorted(tensors.keys() - expected.keys()):
        raise ModelError(f"{name} holds the unknown tensor {surplus[0]}" + _others(surplus))
    for key, value in expected.items():
        if tensors[key].shape != value.shape:
            raise ModelError(f"{name}: {key} has shape {tuple(tensors[key].shape)}, expected {tuple(value.shape)}")
        if not torch.isfinite(tensors[key]).all():
            raise ModelError(f"{name}: {key} holds a value that is not finite")
    module.load_state_dict(dict(tensors))


def _others(names: list[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""
