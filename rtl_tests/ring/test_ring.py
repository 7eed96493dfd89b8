"""One layer's blocks for all layers equal the network with blocks for each, value for value and cycle for cycle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spikegpt_hls.hls.convert import convert
from spikegpt_hls.hls.errors import ConversionError
from spikegpt_hls.quant.export.qonnx import export
from spikegpt_hls.quant.training.calibrate import random_network
from spikegpt_hls.rtl_tests.marks import slow
from spikegpt_hls.rtl_tests.ring.folded import assert_cycles, assert_equal, folded

#: Layers, channels, lanes, contexts, tokens inside, placement.
SHAPES = [
    (2, 16, 4, 1, 4, "spike-driven"),
    (3, 12, 2, 3, 2, "canonical"),
    (1, 8, 2, 2, 1, "spike-driven"),
    slow(5, 6, 1, 4, 3, "canonical"),
    slow(7, 10, 5, 1, 8, "spike-driven"),
]


@pytest.mark.parametrize(("layers", "channels", "lanes", "contexts", "places", "placement"), SHAPES)
def test_the_ring_is_pytorch(
    layers: int, channels: int, lanes: int, contexts: int, places: int, placement: str, tmp_path: Path
) -> None:
    ring = folded(tmp_path, layers, channels, lanes, contexts, places=places, placement=placement)
    assert len(ring.model.dataflow.blocks) < 60
    run, comparison = ring.run("flowing")
    assert_equal(ring, run, comparison)
    assert_cycles(run, ring.schedule())
    assert_equal(ring, *ring.run("stalled", stall=5))


def test_a_state_of_the_wrong_layer_is_found(tmp_path: Path) -> None:
    """Layers that share their states are a network of another kind."""
    ring = folded(tmp_path, 2, 8, 2, placement="canonical")
    shift = ring.model.rtl / "token_shift.sv"
    text = shift.read_text()
    assert "{s_axis_x_tuser >> 1, index}" in text
    shift.write_text(text.replace("{s_axis_x_tuser >> 1, index}", "{(s_axis_x_tuser >> 1) & '0, index}"))
    ring.model.build(level=0)
    _, comparison = ring.run("shared")
    assert comparison.mismatches > 0
    assert comparison.first is not None
    assert "att_shift" in comparison.first.block


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ({"formats": "own"}, {}, "train with formats=shared"),
        ({}, {"depth": "endless"}, "unknown depth 'endless'"),
        ({}, {"depth": "spatial", "weights": "disk"}, "unknown weights 'disk'"),
        ({}, {"engine": ["blocks_0_att_key", "blocks_1_att_key"]}, "goes without one"),
    ],
)
def test_what_cannot_be_folded_is_said(
    kind: dict[str, Any], options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    network = random_network(2, 8, seed=4, vocabulary=16, **{"formats": "shared", **kind})
    if kind:
        network.blocks[1].att.key.out.quant.log2_range.data.add_(1)
    export(network, tmp_path)
    with pytest.raises(ConversionError, match=message):
        convert(
            tmp_path / "model.onnx", tmp_path / "hls", "SpikeRTL", lanes=2, **{"depth": "folded", **options}
        ).write()
