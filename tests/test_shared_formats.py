"""``formats=shared``: edges of a name have one scale over all layers, in calibration, training and a checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from spikegpt_hls.model.config import Config
from spikegpt_hls.model.errors import ModelError
from spikegpt_hls.quant.network import QuantSpikeGPT
from spikegpt_hls.quant.quantizers import Edge
from spikegpt_hls.quant.storage import load_network, save_network
from spikegpt_hls.quant.trained_units import LayerNorm
from spikegpt_hls.quant.training.calibrate import calibrate, random_network

LAYERS = 3


def network(formats: str) -> QuantSpikeGPT:
    """A loud middle layer: its receptances reach eight times as far as the others'."""
    torch.manual_seed(5)
    made = QuantSpikeGPT(Config(LAYERS, 8, 16), formats=formats)
    with torch.no_grad():
        for number, block in enumerate(made.blocks):
            block.att.receptance.weight.normal_(std=2.0 if number == 1 else 0.25)
            block.ln1.weight.fill_(3.0 if number == 1 else 1.0)
    calibrate(made, [torch.randint(0, 16, (2, 12))])
    return made


def fracs(made: QuantSpikeGPT) -> set[int]:
    return {block.att.receptance.out.format.frac for block in made.blocks}


def test_a_shared_scale_is_settled_by_what_all_layers_do() -> None:
    own, shared = network("own"), network("shared")
    loudest = min(block.att.receptance.out.format.frac for block in own.blocks)
    assert len(fracs(own)) > 1
    assert fracs(shared) == {loudest}
    assert {int(block.ln1.gain_frac) for block in shared.blocks} == {int(own.blocks[1].ln1.gain_frac)}
    assert int(own.blocks[0].ln1.gain_frac) != int(own.blocks[1].ln1.gain_frac)


def test_edges_of_one_name_learn_one_scale() -> None:
    shared = network("shared")
    edges = [group for group in shared.together(Edge) if len(group) > 1]
    assert all(len(group) == LAYERS for group in edges)
    assert all(edge.quant is group[0].quant for group in edges for edge in group)
    scales = [name for name, _ in shared.named_parameters() if name.endswith("log2_range") and ".out." in name]
    assert len(scales) == len(shared.together(Edge))
    assert all(len(group) == LAYERS for group in shared.together(LayerNorm) if len(group) > 1)


def test_a_checkpoint_keeps_that_scales_are_shared(tmp_path: Path) -> None:
    made = random_network(LAYERS, 8, seed=3, vocabulary=16, formats="shared", placement="spike-driven")
    save_network(made, tmp_path / "shared.safetensors", {})
    again, _ = load_network(tmp_path / "shared.safetensors")
    assert again.formats == "shared"
    assert [edge.format for group in again.together(Edge) for edge in group] == [
        edge.format for group in made.together(Edge) for edge in group
    ]
    assert all(edge.quant is group[0].quant for group in again.together(Edge) for edge in group)
    ids = torch.randint(0, 16, (1, 9))
    assert torch.equal(again(ids), made(ids))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"formats": "common"}, "unknown formats 'common': choose one of own, shared"),
        ({"formats": "shared", "activation_bits": "8, blocks.1.*=6"}, "need one width: there are 8 and 6 bits"),
    ],
)
def test_what_cannot_be_shared_is_said(options: dict[str, str], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        QuantSpikeGPT(Config(2, 8, 16), **options)  # type: ignore[arg-type]
