"""Foreign weights: what loads, what is refused, and that nothing of it runs."""

import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from spikegpt_hls.model.config import Config
from spikegpt_hls.model.errors import ModelError
from spikegpt_hls.model.spikegpt import SpikeGPT


@pytest.fixture
def model() -> SpikeGPT:
    torch.manual_seed(1)
    return SpikeGPT(Config(2, 16, 40))


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_saved_network_loads_with_its_geometry(model: SpikeGPT, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    save_file(model.state_dict(), path) if suffix == ".safetensors" else torch.save(model.state_dict(), path)
    loaded = SpikeGPT.from_pretrained(path)
    ids = torch.arange(20)[None]
    assert loaded.config == model.config
    assert torch.equal(loaded(ids), model(ids))


class Hostile:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("write", [torch.save, lambda obj, path: path.write_bytes(pickle.dumps(obj))])
def test_a_hostile_pickle_is_refused_and_never_run(tmp_path: Path, write: object) -> None:
    path, trace = tmp_path / "evil.pth", tmp_path / "was-run"
    write({"emb.weight": Hostile(trace)}, path)  # type: ignore[operator]
    with pytest.raises(ModelError, match=r"evil\.pth is refused"):
        SpikeGPT.from_pretrained(path)
    assert not trace.exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("keep", [0, 5, 500, -100])
def test_a_truncated_file_is_refused(model: SpikeGPT, tmp_path: Path, suffix: str, keep: int) -> None:
    path = tmp_path / f"weights{suffix}"
    save_file(model.state_dict(), path) if suffix == ".safetensors" else torch.save(model.state_dict(), path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ModelError, match=f"weights{suffix}"):
        SpikeGPT.from_pretrained(path)


def _without(name: str):
    return lambda tensors: {k: v for k, v in tensors.items() if k != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without("head.weight"), "lacks head.weight"),
        (_without("emb.weight"), "no matrix emb.weight"),
        (lambda t: t | {"surprise": torch.ones(1)}, "unknown tensor surprise"),
        (lambda t: t | {"blocks.9.ln1.weight": torch.ones(16)}, "block 2"),
        (lambda t: t | {"head.weight": torch.ones(40, 17)}, r"head.weight has shape \(40, 17\), expected \(40, 16\)"),
        (lambda t: t | {"ln_out.bias": torch.full((16,), torch.nan)}, "ln_out.bias holds a value that is not finite"),
    ],
)
def test_other_names_and_shapes_are_named(model: SpikeGPT, tmp_path: Path, change, message: str) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(change(model.state_dict()), path)
    with pytest.raises(ModelError, match=message):
        SpikeGPT.from_pretrained(path)


def test_a_missing_file_and_an_unknown_suffix_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no checkpoint at"):
        SpikeGPT.from_pretrained(tmp_path / "none.pth")
    (tmp_path / "weights.bin").touch()
    with pytest.raises(ModelError, match="neither"):
        SpikeGPT.from_pretrained(tmp_path / "weights.bin")
