"""Reading released weights safely: geometry from the tensors, every name and shape checked, no code executed."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from spikegpt_hls.model.config import Config
from spikegpt_hls.model.errors import ModelError

#: Under which name other programs keep a state dict in a file that holds more.
WRAPPERS = ("model", "state_dict", "net")
#: What torch's wrappers of modules put before every name.
PREFIXES = ("module.", "_orig_mod.")
INDEX = ".index.json"  # of a checkpoint in several files


def read_tensors(path: Path) -> dict[str, Tensor]:
    """A checkpoint's tensors by their released names: a ``.safetensors`` file, a ``.pth``, ``.pt`` or ``.bin`` file
    through torch's weights-only unpickler, or the index of a checkpoint in several files."""
    if not path.is_file():
        raise ModelError(f"no checkpoint at {path}")
    return _without_prefixes(_read(path))


def _read(path: Path) -> dict[str, Tensor]:
    if path.name.endswith(INDEX):
        return _read_shards(path)
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix in (".pth", ".pt", ".bin"):
        return _read_pickle(path)
    raise ModelError(f"{path.name} is no checkpoint: one ends with .safetensors, .pth, .pt, .bin or {INDEX}")


def _without_prefixes(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    while tensors and (found := [prefix for prefix in PREFIXES if all(name.startswith(prefix) for name in tensors)]):
        tensors = {name.removeprefix(found[0]): value for name, value in tensors.items()}
    return tensors


def files(path: Path) -> list[Path]:
    """What a checkpoint consists of: itself, or an index and the files that it names, which lie beside it."""
    if not path.name.endswith(INDEX):
        return [path]
    found = [path]
    for name in sorted(set(_places(path).values())):
        shard = path.with_name(Path(name).name)
        if not shard.is_file() or name != shard.name or name.endswith(INDEX):
            raise ModelError(f"{path.name} names the file {name}, which does not lie beside it")
        found.append(shard)
    return found


def _places(index: Path) -> dict[str, str]:
    """The name of each tensor's file."""
    try:
        return {str(key): str(name) for key, name in json.loads(index.read_text())["weight_map"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{index.name} is no index of a checkpoint: it needs a weight_map") from error


def _read_shards(path: Path) -> dict[str, Tensor]:
    """Each tensor from the file that the index names."""
    places = _places(path)
    found: dict[str, Tensor] = {}
    for shard in files(path)[1:]:
        found |= {key: value for key, value in _read(shard).items() if places.get(key) == shard.name}
    if missing := sorted(set(places) - set(found)):
        raise ModelError(f"{path.name} names {missing[0]}" + _others(missing) + ", which its files lack")
    return found


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
    if not isinstance(tensors, Mapping):
        raise ModelError(f"{path.name} holds a {type(tensors).__name__}, not a state dict of tensors")
    within = [name for name in WRAPPERS if isinstance(tensors.get(name), Mapping)]
    tensors = tensors[within[0]] if within else tensors
    for name, value in tensors.items():
        if not isinstance(value, Tensor):
            raise ModelError(f"{path.name} is no plain state dict of tensors: {name!r} is a {type(value).__name__}")
    return {str(name): value for name, value in tensors.items()}


def geometry(tensors: Mapping[str, Tensor], name: str, classes: int | None = None, **kind: Any) -> Config:
    """The configuration that the embedding's shape and the block numbers tell.

    No tensor tells the ``classes`` of a classifier's head, nor the ``kind``: neurons, placement, hidden.
    """
    embedding = tensors.get("emb.weight")
    if embedding is None or embedding.dim() != 2:
        raise ModelError(f"{name} has no matrix emb.weight, so it is no SpikeGPT checkpoint")
    blocks = {int(m[1]) for key in tensors if (m := re.match(r"blocks\.(\d{1,4})\.", key))}
    if blocks != set(range(len(blocks))) or not blocks:
        raise ModelError(f"{name} has no tensors of block {min(set(range(len(blocks) + 1)) - blocks)}")
    return Config(len(blocks), embedding.shape[1], embedding.shape[0], classes, **kind)


def load_exactly(module: nn.Module, tensors: Mapping[str, Tensor], name: str) -> None:
    """Copy ``tensors`` into ``module``, which must have their names and shapes; ModelError names the first difference.

    Half precision becomes what ``module`` has. A module on the meta device gets its storage here.
    """
    expected = module.state_dict()
    if missing := [key for key in expected if key not in tensors]:
        raise ModelError(f"{name} lacks {missing[0]}" + _others(missing))
    if surplus := [key for key in tensors if key not in expected]:
        raise ModelError(f"{name} holds the unknown tensor {surplus[0]}" + _others(surplus))
    fitting = {key: _fitting(tensors[key], value, f"{name}: {key}") for key, value in expected.items()}
    module.load_state_dict(fitting, assign=any(value.is_meta for value in expected.values()))


def _fitting(tensor: Tensor, like: Tensor, name: str) -> Tensor:
    """A copy of ``tensor`` in the type of ``like``."""
    if tensor.shape != like.shape:
        raise ModelError(f"{name} has shape {tuple(tensor.shape)}, expected {tuple(like.shape)}")
    if tensor.is_floating_point() != like.is_floating_point():
        raise ModelError(f"{name} is of {tensor.dtype}, expected {like.dtype}")
    copy = tensor.to(like.dtype, copy=True, memory_format=torch.contiguous_format)
    if not torch.isfinite(copy).all():
        raise ModelError(f"{name} holds a value that is not finite")
    return copy


def _others(names: list[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""
