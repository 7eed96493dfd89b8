"""What the blocks that decide a design's size take on xc7: the bounds that the RTL is held to (docs/folding.md)."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.hls.rtl.blocks import image_file, images, single, sources
from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.ops import BIT, LIF, WKV, LayerNorm, Linear
from spikegpt_hls.rtl_tests.bench import random_params
from spikegpt_hls.rtl_tests.marks import slow
from spikegpt_hls.sim.resources import tools
from spikegpt_hls.sim.resources.sizing import resources
from spikegpt_hls.sim.resources.synthesis import synthesize

BYTE, FOUR = Format(8, 4), Format(4, 2)


def linear(weight_bits, x=BYTE, multipliers=32):
    return Linear(BYTE, 512, 32, x, Format(weight_bits, weight_bits - 1)), 512 * 32 // multipliers


def taken(op, folder: Path, reuse_factor=1, lanes=1):
    block = single(op, lanes, random_params(op, seed=1), reuse_factor)
    (folder / "images").mkdir()
    for path in sources(block.kind):
        shutil.copy(path, folder)
    for name, image in images(block).items():
        (folder / image_file(block.name, name)).write_text(image.hex())
    return synthesize(folder, tools.modules(Dataflow((block,), block.inputs[0], block.outputs[0])))["total"]


@pytest.mark.parametrize(
    ("op", "reuse_factor", "bounds"),
    [
        (LIF.of(64, BYTE), 1, {"lut": 60, "ff": 72, "dsp": 0}),  # 64 membranes have 512 bits
        slow(WKV(Format(8, 5), 64, BYTE, BYTE), 1, {"lut": 900, "dsp": 6}),
        slow(WKV(Format(12, 8), 64, Format(8, 0), BYTE), 1, {"lut": 950, "dsp": 6}),
        slow(LayerNorm(BYTE, 64, BYTE, Format(8, 5), Format(16, 10)), 1, {"lut": 700, "dsp": 4}),
        slow(*linear(8), {"lut": 1000, "dsp": 16, "bram36": 4}),
        slow(*linear(4, FOUR), {"dsp": 8}),
        slow(*linear(2), {"dsp": 0}),
    ],
    ids=["LIF", "WKV", "WKV, wide keys", "LayerNorm", "Linear", "Linear, 4 bits", "Linear, ternary"],
)
def test_blocks_keep_within_their_bounds(op, reuse_factor, bounds, tmp_path: Path) -> None:
    found = taken(op, tmp_path, reuse_factor)
    print(found)
    assert {kind: found[kind] for kind, most in bounds.items() if found[kind] > most} == {}


def test_eight_lanes_of_neurons_keep_within_their_bounds(tmp_path: Path) -> None:
    assert taken(LIF.of(64, BYTE), tmp_path, lanes=8)["lut"] <= 208


@pytest.mark.parametrize("lanes", [1, slow(2)])
def test_adders_that_follow_events_keep_within_their_bounds(lanes: int, tmp_path: Path) -> None:
    """512 inputs of one bit, 512 outputs, 32 adders: beside the image of the weights, which lies in block RAM."""
    op = Linear(BYTE, 512, 512, BIT, Format(8, 7))
    block = single(op, lanes, {"weight": np.zeros((512, 512), np.int64)}, 512 * 16, events=True, name="events")
    flow = Dataflow((block,), block.inputs[0], block.outputs[0])
    (found,) = resources(flow, tmp_path, Console(quiet=True))["blocks"].values()
    print(found)
    assert found["dsp"] == 0
    assert found["lut"] <= 1200
