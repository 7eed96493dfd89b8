"""Sizes too large to synthesise whole: a ROM left out changes nothing else, and its arithmetic is what Yosys takes."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from spikegpt_hls.cli.main import run
from spikegpt_hls.cli.steps import size
from spikegpt_hls.hls.dataflow import Block, Dataflow
from spikegpt_hls.hls.rtl.blocks import SOURCES, images, parameters, single
from spikegpt_hls.model.config import PRESETS, Config
from spikegpt_hls.model.spikegpt import SpikeGPT
from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.ops import LIF, BinaryEmbedding, Linear
from spikegpt_hls.rtl_tests.bench import random_params
from spikegpt_hls.rtl_tests.marks import slow
from spikegpt_hls.sim.memory import memory
from spikegpt_hls.sim.parts import parts
from spikegpt_hls.sim.resources import sizing
from spikegpt_hls.sim.resources import synthesis as resources
from spikegpt_hls.sim.resources.synthesis import synthesize
from spikegpt_hls.sim.roms import Rom, rom

BYTE = Format(8, 4)


def folded(inputs: int, outputs: int, multipliers: int) -> Block:
    op = Linear(BYTE, inputs, outputs, BYTE, Format(8, 7))
    return single(op, 1, random_params(op, seed=1), inputs * outputs // multipliers)


@pytest.mark.parametrize(
    ("inputs", "outputs", "multipliers"),
    [(64, 64, 4), slow(64, 256, 16), slow(128, 128, 2)],
)
def test_a_linear_without_its_rom_is_the_same_linear(
    tmp_path: Path, inputs: int, outputs: int, multipliers: int
) -> None:
    block = folded(inputs, outputs, multipliers)
    apart = sizing.resources(Dataflow((block,), "x", "m_axis"), tmp_path / "rtl", Console(file=io.StringIO()))
    for path in SOURCES.glob("*.sv"):
        (tmp_path / path.name).write_text(path.read_text())
    (tmp_path / "weight.hex").write_text(images(block)["WEIGHT_FILE"].hex())
    whole = synthesize(tmp_path, {"linear": ("linear", {**parameters(block), "WEIGHT_FILE": "weight.hex"})})
    kept = rom(block)
    assert kept is not None
    want = whole["blocks"]["linear"]
    got = apart["blocks"]["linear"]
    assert got == {**want, "bram36": want["bram36"] - kept.bram36, "lut": got["lut"]}
    assert got["lut"] == pytest.approx(want["lut"], rel=0.01)  # technology mapping is a heuristic
    assert want["bram36"] >= kept.bram36 > 0


def test_constants_are_counted_as_they_are_read() -> None:
    assert rom(folded(64, 256, 16)) == Rom(words=1024, bits=128, reads=1024)
    table = single(BinaryEmbedding(Format(1, 0, signed=False), 256, 64), 2, {})
    assert rom(table) == Rom(words=256 * 32, bits=2, reads=32)
    assert rom(single(LIF.of(64, BYTE), 2, {})) is None


def test_what_finds_no_room_leaves_the_chip_and_is_read_once_per_token() -> None:
    """One Linear of 64 Mbit: 2,048 block RAMs, or 228 UltraRAMs, of 72 bits."""
    big = folded(4096, 2048, 1024)
    found = memory(Dataflow((big,), "x", "m_axis"), dict.fromkeys(("lut", "ff", "dsp", "bram36"), 0.0), 8192, 100.0)
    assert found["constant_bits"] == 2**26
    rate = 100e6 / 8192
    for part in parts("xc7"):
        row = found["parts"][part.name]
        fits = part.uram >= 228 or part.bram36 >= 2048
        assert row["outside"] == ([] if fits else [big.name])
        assert row["bytes_per_token"] == (0 if fits else 2**23)
        assert row["gb_per_s"] == pytest.approx(row["bytes_per_token"] * rate / 1e9)


def test_size_needs_no_training_and_says_what_a_preset_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESETS, "46m", replace(PRESETS["46m"], config=Config(1, 16)))
    monkeypatch.setitem(size.VOCABULARIES, "46m", 32)
    monkeypatch.setattr(resources, "_yosys", lambda *_: {"LUT6": 3, "FDRE": 2, "DSP48E1": 1})
    command = ["size", "--preset", "46m", "--build", str(tmp_path), "--multipliers", "20"]
    assert run(command) == 0
    folder = tmp_path / "46m" / "random" / "hls" / "size"
    made, found = (json.loads((folder / f"{name}.json").read_text()) for name in ("resources", "memory"))
    assert set(made["blocks"]) >= {"emb", "blocks_0_att_wkv", "head"}
    assert sum(row["count"] for row in made["groups"]) == len(made["blocks"])
    for key, each in (("lut", 3), ("ff", 2), ("dsp", 1), ("bram36", 0)):
        assert made["total"][key] == sum(row[key] for row in made["groups"]) == each * len(made["blocks"])
    weights = 8 * (5 * 16 * 16 + 2 * 16 * 64 + 16 * 32)
    assert found["constant_bits"] == weights + 32 * 16
    assert found["parts"]["XCU55C"]["outside"] == []
    written = (folder / "memory.json").stat().st_mtime_ns
    assert run(command) == 0
    assert (folder / "memory.json").stat().st_mtime_ns == written


def test_a_checkpoint_is_sized_by_its_own_geometry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A vocabulary that lanes do not divide: the head's outputs are filled up."""
    monkeypatch.setattr(resources, "_yosys", lambda *_: {"LUT6": 3})
    for vocabulary in (37, 41):
        torch.save({"net": SpikeGPT(Config(1, 16, vocabulary)).state_dict()}, tmp_path / "theirs.pt")
        assert run(["size", "--init", str(tmp_path / "theirs.pt"), "--build", str(tmp_path), "--lanes", "4"]) == 0
        folder = tmp_path / "tiny" / "random"
        assert f"1 layers, 16 channels, vocabulary {vocabulary}, random" in capsys.readouterr().out.replace("\n", " ")
        flow = Dataflow.from_json(json.loads((folder / "hls" / "size" / "dataflow.json").read_text()))
        assert flow["head"].channels_out - flow["head"].padding == vocabulary
    assert run(["size", "--init", "gone.pt", "--build", str(tmp_path)]) == 2
    assert "no checkpoint at gone.pt" in capsys.readouterr().err


def test_a_spike_driven_size_is_reckoned_with_the_events_that_are_assumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """7 Linears in the layer follow events, at 10 % of their 16 and 64 inputs."""
    monkeypatch.setitem(PRESETS, "46m", replace(PRESETS["46m"], config=Config(1, 16)))
    monkeypatch.setitem(size.VOCABULARIES, "46m", 32)
    monkeypatch.setattr(resources, "_yosys", lambda *_: {"LUT6": 3})
    cycles = {}
    for placement, more in (("canonical", []), ("spike-driven", ["--events", "0.1"])):
        place = tmp_path / placement / "46m"
        command = ["--preset", "46m", "--build", str(tmp_path / placement), "--multipliers", "20"]
        assert run(["size", *command, "--placement", placement, *more]) == 0
        flow = Dataflow.from_json(json.loads((place / "random" / "hls" / "size" / "dataflow.json").read_text()))
        events = json.loads((place / "random" / "metrics.json").read_text())["events"]
        assert {block.name for block in flow.blocks if block.events} == set(events)
        assert set(events.values()) == ({1.6, 6.4} if more else set())
        assert run(["report", *command]) == 0
        cycles[placement] = json.loads((place / "report" / "projected.json").read_text())["folding"]["cycles_per_token"]
    assert len(events) == 7
    assert cycles["spike-driven"] < cycles["canonical"] / 2
