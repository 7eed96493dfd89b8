"""Weights in a memory outside: equal to PyTorch whatever its pace, and simulated to the cycle where it is even."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikegpt_hls.hls.convert import convert
from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.hls.driver.image import HEADER, MAGIC
from spikegpt_hls.hls.errors import ConversionError
from spikegpt_hls.hls.fold.rows import tiling
from spikegpt_hls.hls.memory import Layout
from spikegpt_hls.quant.export.qonnx import export
from spikegpt_hls.quant.format import Ints
from spikegpt_hls.quant.training.calibrate import random_network
from spikegpt_hls.rtl_tests.marks import slow
from spikegpt_hls.rtl_tests.ring.folded import LENGTHS, assert_cycles, assert_equal, folded
from spikegpt_hls.sim.dram import rows_opened
from spikegpt_hls.sim.energy.model import energy
from spikegpt_hls.sim.traces import asked, trace_of

#: Layers, channels, lanes, contexts, batch, placement, bits of weights, vocabulary.
SHAPES = [
    (2, 16, 4, 1, 4, "spike-driven", 8, 32),
    (3, 12, 2, 3, 3, "canonical", 4, 32),
    (1, 16, 8, 2, 2, "spike-driven", 2, 32),
    (2, 8, 2, 1, 5, "spike-driven", 8, 160),  # the head in three tiles, whose logits are put in order; a wave of four
    (1, 8, 4, 1, 1, "canonical", 8, 96),  # and of one token, which come in order
    slow(7, 20, 4, 4, 1, "spike-driven", 4, 32),
    slow(4, 24, 8, 2, 4, "canonical", 2, 64),
]
#: Cycles until the memory answers, up to how many more, and of a hundred beats how many come late.
PACES = [(1, 0, 0), (20, 0, 0), (200, 0, 0), (3, 200, 30)]


@pytest.mark.parametrize(
    ("layers", "channels", "lanes", "contexts", "batch", "placement", "weight_bits", "vocabulary"), SHAPES
)
def test_rows_from_a_memory_are_pytorch(
    layers: int, channels: int, lanes: int, contexts: int, batch: int, placement: str, weight_bits: int,
    vocabulary: int, tmp_path: Path,
) -> None:  # fmt: skip
    ring = folded(
        tmp_path, layers, channels, lanes, contexts, vocabulary, weights="memory", batch=batch, placement=placement,
        weight_bits=weight_bits,
    )  # fmt: skip
    read = set()
    for latency, jitter, gaps in PACES:
        run, comparison = ring.run(
            f"pace{latency}", memory=[f"+LATENCY={latency}", f"+JITTER={jitter}", f"+GAPS={gaps}"]
        )
        assert_equal(ring, run, comparison)
        if not jitter:
            assert_cycles(run, ring.schedule(latency))
            read.add(run.counters["memory_beats"])
    assert_equal(ring, *ring.run("stalled", stall=7, memory=["+LATENCY=9", "+JITTER=40", "+GAPS=20"]))
    if contexts == 1:
        dataflow = ring.model.dataflow
        assert read == {expected_beats(dataflow, ring.golden)}
        moved = energy(dataflow, ring.golden).offchip_bytes * sum(LENGTHS) / Layout(dataflow).bus_bytes
        assert read == {round(moved)}
        reads = asked(dataflow, ring.golden, np.arange(sum(LENGTHS)), 0)
        assert reads is not None
        for page in (64, 2048):
            assert rows_opened(dataflow, reads, page) == expected_pages(dataflow, ring.golden, page)


def expected_beats(dataflow: Dataflow, golden: Mapping[str, Ints]) -> int:
    """What the text asks for: the embedding's rows, and of each wave the rows of inputs that are not 0."""
    layout, tokens = Layout(dataflow), len(golden["tokens"])
    beats = tokens * layout.row_beats
    for block in layout.members:
        assert block.rows is not None
        batch = block.rows.batch
        inputs = trace_of(dataflow, golden, block.inputs[0]).reshape(tokens, block.layers, -1) != 0
        inputs |= not block.events
        waves = [inputs[first : first + batch].any(0) for first in range(0, tokens, batch)]
        beats += sum(int(wave.sum()) for wave in waves) * tiling(block).beats
    return int(beats)


def expected_pages(dataflow: Dataflow, golden: Mapping[str, Ints], page: int) -> int:
    """Byte by byte: the pages that each wave touches in each tile of each matrix, and an embedding's row a token."""
    layout, tokens = Layout(dataflow), len(golden["tokens"])
    bus, opened = layout.bus_bytes, tokens * -(-layout.row_beats * layout.bus_bytes // page)
    for block in layout.members:
        assert block.rows is not None
        tiles, batch = tiling(block), block.rows.batch
        inputs = trace_of(dataflow, golden, block.inputs[0]).reshape(tokens, block.layers, -1) != 0
        inputs |= not block.events
        for number in range(block.layers):
            for wave in range(0, tokens, batch):
                at = layout.first(block, number) * bus
                for tile in range(tiles.tiles):
                    size = (tiles.last if tile == tiles.tiles - 1 else tiles.words) * bus
                    rows = np.flatnonzero(inputs[wave : wave + batch, number].any(0))
                    opened += len({(at + row * size + byte) // page for row in rows for byte in range(size)})
                    at += block.channels_in * size
    return opened


def test_a_flipped_bit_of_the_image_is_found_and_named(tmp_path: Path) -> None:
    ring = folded(tmp_path, 2, 8, 2, weights="memory", placement="canonical")
    layout = Layout(ring.model.dataflow)
    value = next(block for block in layout.members if block.name == "layer_att_value")
    image = ring.model.rtl / "memory.bin"
    data = bytearray(image.read_bytes())
    data[layout.first(value, 1) * layout.bus_bytes] ^= 1 << 6  # of layer 1, input 0, output 0
    image.write_bytes(data)
    _, comparison = ring.run("flipped")
    assert comparison.first is not None
    assert (comparison.first.block, comparison.first.channel) == ("blocks_1_att_value", 0)


def test_the_image_says_what_it_holds(tmp_path: Path) -> None:
    ring = folded(tmp_path, 2, 8, 2, weights="memory", placement="canonical", weight_bits=4)
    data = (ring.model.rtl / "memory.bin").read_bytes()
    version, length = struct.unpack_from("<II", data, len(MAGIC))
    assert (data[: len(MAGIC)], version) == (MAGIC, 1)
    described = json.loads(data[len(MAGIC) + 8 : len(MAGIC) + 8 + length])
    assert described["sha256"] == hashlib.sha256(data[HEADER:]).hexdigest()
    assert described["bytes"] == len(data)
    assert [described[name] for name in ("layers", "channels", "vocabulary", "weight_bits")] == [2, 8, 32, 4]
    layout = Layout(ring.model.dataflow)
    weights = np.frombuffer(data, np.uint8)[layout.first(layout.members[0]) * layout.bus_bytes :][:4]
    assert weights.any()  # the head's first row, where the layout says


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": "spatial"}, "goes with depth=folded"),
        ({"batch": 17}, "1 to 16 can"),
        ({"bus": 48}, "not 48"),
        ({"lanes": 6}, "6 lanes do not divide the 8 weights"),
        ({"weight_bits": "4,head=8"}, "the same width, and not 4, 8 bits"),
    ],
)
def test_what_no_memory_serves_is_said(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    options = {"lanes": 2, "depth": "folded", "weights": "memory", **options}
    bits = options.pop("weight_bits", 8)
    export(random_network(1, 12, seed=4, vocabulary=16, formats="shared", weight_bits=bits), tmp_path)
    with pytest.raises(ConversionError, match=message):
        convert(tmp_path / "model.onnx", tmp_path / "hls", "SpikeRTL", **options).write()
