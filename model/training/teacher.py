"""A teacher: a float network whose logits a quieter one learns from (``model.training.quiet``)."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from spikegpt_hls.model import checkpoint
from spikegpt_hls.model.config import Config
from spikegpt_hls.model.errors import ModelError
from spikegpt_hls.model.spikegpt import SpikeGPT
from spikegpt_hls.model.weights import load_exactly

FILE = "teacher.safetensors"
TWIN, NONE = "twin", "none"


def begin(student: SpikeGPT, teacher: SpikeGPT) -> None:
    """Give a student the weights of its teacher, wherever both have the same ones in the same shape."""
    own, known = student.state_dict(), teacher.state_dict()
    same = {name: value for name, value in known.items() if name in own and own[name].shape == value.shape}
    student.load_state_dict({**own, **same})


def save(model: SpikeGPT, path: Path, identity: dict[str, Any]) -> None:
    """``identity``: what this teacher, and no other, was trained for."""
    header = {"config": asdict(model.config), "teacher": identity}
    checkpoint.save(path, model.state_dict(), header)


def kept(path: Path, identity: dict[str, Any]) -> SpikeGPT | None:
    """The teacher at ``path``, if it was trained for the same."""
    if not path.is_file() or checkpoint.header(path).get("teacher") != identity:
        return None
    return load(path, None)


def load(path: Path, vocabulary: int | None) -> SpikeGPT:
    """A teacher for networks of this vocabulary: a file of ``save``, or released weights; it is never trained again."""
    try:
        tensors, header = checkpoint.load(path)
        model = SpikeGPT(Config(**header["config"]))
        load_exactly(model, tensors, path.name)
    except (KeyError, TypeError) as error:
        raise ModelError(f"{path.name} does not say which network it holds, so it is no teacher") from error
    if vocabulary not in (None, model.config.vocabulary):
        raise ModelError(
            f"the teacher {path.name} has a vocabulary of {model.config.vocabulary}, its student one of {vocabulary}"
        )
    model.eval().requires_grad_(False)
    return model
