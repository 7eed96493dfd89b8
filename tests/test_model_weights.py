"""Foreign weights: what loads, what is refused, and that nothing of it runs."""

import json
import math
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from spikegpt_hls.model.config import Config
from spikegpt_hls.model.errors import ModelError
from spikegpt_hls.model.spikegpt import SpikeGPT, parameter_count


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)  # small tensors: more threads only wait for each other


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


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin"])
@pytest.mark.parametrize("wrapper", [None, "model", "state_dict", "net"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
def test_what_others_wrap_around_weights_is_taken_off(
    model: SpikeGPT, tmp_path: Path, suffix: str, wrapper: str | None, prefix: str
) -> None:
    tensors = {prefix + name: value for name, value in model.state_dict().items()}
    content = tensors if wrapper is None else {"epoch": 3, wrapper: tensors, "optimizer": {"lr": 0.1}}
    torch.save(content, tmp_path / f"weights{suffix}")
    loaded = SpikeGPT.from_pretrained(tmp_path / f"weights{suffix}").state_dict()
    assert loaded.keys() == model.state_dict().keys()
    assert all(torch.equal(loaded[name], value) for name, value in model.state_dict().items())


def shards(model: SpikeGPT, folder: Path) -> Path:
    """The network in two files, and their index."""
    tensors = model.state_dict()
    places = {name: f"part-{1 + name.startswith('blocks.1')}.safetensors" for name in tensors}
    for file in set(places.values()):
        save_file({name: value for name, value in tensors.items() if places[name] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return folder / "model.safetensors.index.json"


def test_a_network_in_several_files_loads_by_their_index(model: SpikeGPT, tmp_path: Path) -> None:
    loaded = SpikeGPT.from_pretrained(shards(model, tmp_path))
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in loaded.state_dict().items())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda index: "{", "is no index of a checkpoint"),
        (lambda index: '{"weight_map": ["a"]}', "is no index of a checkpoint"),
        (
            lambda index: index.replace("part-2", "part-3"),
            "names the file part-3.safetensors, which does not lie beside",
        ),
        (lambda index: index.replace("part-2", "../part-2"), "names the file ../part-2.safetensors, which does not"),
        (
            lambda index: index.replace('"blocks.0.ln1.bias"', '"blocks.0.ln9.bias"'),
            "names blocks.0.ln9.bias, which its",
        ),
    ],
)
def test_an_index_that_does_not_fit_its_files_is_refused(
    model: SpikeGPT, tmp_path: Path, damage: Callable[[str], str], message: str
) -> None:
    index = shards(model, tmp_path)
    index.write_text(damage(index.read_text()))
    with pytest.raises(ModelError, match=re.escape(message)):
        SpikeGPT.from_pretrained(index)


def released(layers: int, channels: int, vocabulary: int, dtype: torch.dtype) -> dict[str, Tensor]:
    """A state dict with the names and shapes of the released code."""
    vector, mu, square = (channels,), (1, 1, channels), (channels, channels)
    shapes = {"emb.weight": (vocabulary, channels), "blocks.0.ln0.weight": vector, "blocks.0.ln0.bias": vector}
    for block in (f"blocks.{i}." for i in range(layers)):
        shapes |= {block + f"{ln}.{part}": vector for ln in ("ln1", "ln2") for part in ("weight", "bias")}
        shapes |= {block + f"att.time_{name}": vector for name in ("decay", "first")}
        shapes |= {block + f"att.time_mix_{name}": mu for name in "kvr"}
        shapes |= {block + f"att.{name}.weight": square for name in ("key", "value", "receptance", "output")}
        shapes |= {block + f"ffn.time_mix_{name}": mu for name in "kr"}
        shapes |= {block + "ffn.key.weight": (4 * channels, channels), block + "ffn.receptance.weight": square}
        shapes |= {block + "ffn.value.weight": (channels, 4 * channels)}
    shapes |= {"ln_out.weight": vector, "ln_out.bias": vector, "head.weight": (vocabulary, channels)}
    return {name: torch.linspace(-0.2, 0.3, math.prod(shape)).view(shape).to(dtype) for name, shape in shapes.items()}


def test_the_46m_network_has_as_many_parameters_as_the_released_one() -> None:
    with torch.device("meta"):
        model = SpikeGPT(Config(12, 512, 5458))
    assert parameter_count(model) == 46_553_088


@pytest.mark.parametrize(
    ("layers", "channels", "vocabulary", "dtype"), [(12, 512, 5458, torch.float32), (18, 768, 1000, torch.bfloat16)]
)
def test_released_names_and_shapes_load_and_run(tmp_path: Path, layers, channels, vocabulary, dtype) -> None:
    path, tensors = tmp_path / "released.pth", released(layers, channels, vocabulary, dtype)
    torch.save(tensors, path)
    model = SpikeGPT.from_pretrained(path)
    path.unlink()
    assert model.config == Config(layers, channels, vocabulary)
    assert model.state_dict().keys() == tensors.keys()
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert all(torch.equal(value, tensors[name].float()) for name, value in model.state_dict().items())
    with torch.no_grad():
        logits = model(torch.arange(4)[None])
    assert logits.shape == (1, 4, vocabulary)
    assert logits.isfinite().all()


def test_loading_does_not_initialise_what_it_overwrites(model: SpikeGPT, tmp_path: Path) -> None:
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    torch.manual_seed(5)
    before = torch.get_rng_state()
    SpikeGPT.from_pretrained(tmp_path / "weights.pth")
    assert torch.equal(torch.get_rng_state(), before)


def test_tensors_that_share_memory_in_the_file_do_not_in_the_network(model: SpikeGPT, tmp_path: Path) -> None:
    tied = model.state_dict() | {"head.weight": model.emb.weight.detach()}
    torch.save(tied, tmp_path / "tied.pth")
    loaded = SpikeGPT.from_pretrained(tmp_path / "tied.pth")
    with torch.no_grad():
        loaded.head.weight.zero_()
    assert torch.equal(loaded.emb.weight, model.emb.weight)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"weights": {"emb.weight": torch.ones(3, 2)}},
            "odd.pth is no plain state dict of tensors: 'weights' is a dict",
        ),
        ({"model": {"emb.weight": [1.0]}}, "'emb.weight' is a list"),
        ({"model": {"module.emb.weight": torch.ones(3, 2)}}, "no tensors of block 0"),
        ({"emb.weight": torch.ones(3, 2), "step": 7}, "'step' is a int"),
        ([torch.ones(3)], "odd.pth holds a list, not a state dict"),
        (torch.ones(3), "odd.pth holds a Tensor, not a state dict"),
        ({}, "no matrix emb.weight"),
        ({"emb.weight": torch.ones(3, 2)}, "no tensors of block 0"),
    ],
)
def test_what_is_no_state_dict_is_refused(tmp_path: Path, content: object, message: str) -> None:
    torch.save(content, tmp_path / "odd.pth")
    with pytest.raises(ModelError, match=message):
        SpikeGPT.from_pretrained(tmp_path / "odd.pth")


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
        (lambda t: {k: v for k, v in t.items() if "ffn" not in k}, "lacks blocks.0.ffn.time_mix_k and 9 more"),
        (lambda t: t | {"head.weight": torch.ones(40, 16, dtype=torch.int64)}, "head.weight is of torch.int64"),
        (
            lambda t: t | {"head.weight": torch.full((40, 16), 1e300, dtype=torch.float64)},
            "head.weight holds a value that is not",
        ),
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
    (tmp_path / "weights.ckpt").touch()
    with pytest.raises(ModelError, match=r"weights\.ckpt is no checkpoint: one ends with \.safetensors, \.pth"):
        SpikeGPT.from_pretrained(tmp_path / "weights.ckpt")
