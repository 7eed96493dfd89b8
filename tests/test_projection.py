"""Projections: shares of a memory, roofline, fit and rates, worked out by hand where they can be."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from spikegpt_hls.cli.commands import cosim
from spikegpt_hls.cli.graph.runner import Runner
from spikegpt_hls.cli.main import run
from spikegpt_hls.cli.steps import size
from spikegpt_hls.hls.convert import reuse_factors
from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.hls.fold.geometry import assemble
from spikegpt_hls.hls.fold.planning import plan_of
from spikegpt_hls.model.config import PRESETS, Config
from spikegpt_hls.quant.network import blocks
from spikegpt_hls.quant.training.calibrate import random_network
from spikegpt_hls.sim.cycles.schedule import simulate
from spikegpt_hls.sim.offchip import Fetch, Supply, fetches
from spikegpt_hls.sim.parts import Part, named
from spikegpt_hls.sim.projection.project import Projection, as_json, project
from spikegpt_hls.sim.projection.roofline import macs, roofline
from spikegpt_hls.sim.resources import synthesis as resources
from spikegpt_hls.sim.roms import roms

WEIGHTS = 5 * 16 * 16 + 2 * 16 * 64 + 16 * 32  # five square Linears, two of the feed-forward, the head
NOTHING = dict.fromkeys(("lut", "ff", "dsp", "bram36"), 0.0)


@pytest.fixture(scope="module")
def flow() -> Dataflow:
    """One layer of 16 channels, 32 ids, one lane; every Linear has one multiplier, so 8 bits a cycle."""
    network = {n.name: (n.operation, n.inputs) for n in blocks(random_network(1, 16, vocabulary=32))}
    operations = {name: op for name, (op, _) in network.items()}
    factors = {name: op.n_in * op.n_out for name, op in operations.items() if type(op).__name__ == "Linear"}
    return assemble(network, 1, reuse_factors(operations, 1, factors))


def part_of(**changed: float) -> Part:
    """A part without room for constants, with a board whose memory can be chosen."""
    kria = named("XCK26")[0]
    board = replace(kria.board, **{"gb_per_s": 0.1, "burst_bytes": 64, "latency_ns": 50.0, **changed})
    return replace(kria, bram36=0.5, uram=0, board=board)


def test_a_memory_is_shared_by_bytes_per_token(flow: Dataflow) -> None:
    """Key has 256 bytes of 512 with value: at 8 bytes a cycle it gets 4, so 16 cycles for a burst of 64 bytes, four of
    them for a token. 50 cycles of latency are covered by four bursts, and two more."""
    found = fetches(flow, ["blocks_0_att_key", "blocks_0_att_value"], Supply(8, 64, 50))
    assert found["blocks_0_att_key"] == Fetch(words=64, latency=50, room=6, cycles=16, rest=16, bursts=4)
    assert found["blocks_0_att_key"].interval == 64
    lopsided = fetches(flow, ["blocks_0_att_key", "blocks_0_ffn_key"], Supply(10, 100, 0))
    assert lopsided["blocks_0_att_key"] == Fetch(words=100, latency=0, room=2, cycles=50, rest=28, bursts=3)
    assert lopsided["blocks_0_ffn_key"] == Fetch(words=100, latency=0, room=2, cycles=13, rest=3, bursts=11)


def test_a_token_alone_leaves_the_memory_to_those_that_work_at_once(flow: Dataflow) -> None:
    """Key, value and receptance of the first half share it; what comes behind them has all of it by itself."""
    everything = list(roms(flow))
    alone = fetches(flow, everything, Supply(8, 256, 0), alone=True)
    assert alone["blocks_0_att_output"].cycles == 256 / 8
    assert alone["blocks_0_att_key"].cycles == alone["blocks_0_att_receptance"].cycles == 256 / 8 * 3
    shared = fetches(flow, everything, Supply(8, 256, 0))
    assert shared["blocks_0_att_output"].cycles == pytest.approx((WEIGHTS + 2) / 8, abs=1)


def test_no_network_streams_faster_than_its_memory_or_its_slowest_block(flow: Dataflow) -> None:
    everything = list(roms(flow))
    bytes_per_token = WEIGHTS + 16 / 8
    pace = plan_of(flow).interval
    for bandwidth in (0.5, 1.0, 2.0, 16.0, 64.0):
        outside = fetches(flow, everything, Supply(bandwidth, 64, 20))
        streaming = simulate(flow, 40, outside=outside).cycles_per_token
        assert streaming == max(pace, *(fetch.interval for fetch in outside.values()))
        assert max(pace, bytes_per_token / bandwidth) <= streaming
    fast = simulate(flow, 40, outside=fetches(flow, everything[1:], Supply(1e6, 64, 1)))
    within = simulate(flow, 40)
    assert all((fast.times[stream] == times).all() for stream, times in within.times.items())


def test_the_roofline_by_hand(flow: Dataflow) -> None:
    """3,840 MACs a token at one byte each: a DSP part of 2,496 products a cycle waits for 0.1 GB/s."""
    assert macs(flow) == WEIGHTS
    roof = roofline(flow, WEIGHTS, part_of(), clock=100)
    assert (roof.intensity, roof.ridge) == (1, 1248 * 2 * 100e6 / 0.1e9)
    assert roof.bound == "off-chip bandwidth"
    assert roof.tokens_per_s == 0.1e9 / WEIGHTS
    free = roofline(flow, 0, part_of(), clock=100)
    assert (free.bound, free.tokens_per_s) == ("DSP", 1248 * 2 * 100e6 / WEIGHTS)


def projected(flow: Dataflow, part: Part, **total: float) -> Projection:
    (found,) = project(flow, {**NOTHING, **total}, [part], clock=100)
    return found


def test_a_slow_memory_is_the_bottleneck_and_a_fast_one_is_not(flow: Dataflow) -> None:
    slow, fast = projected(flow, part_of()), projected(flow, part_of(gb_per_s=100.0))
    assert slow.outside
    assert slow.bottleneck == "off-chip bandwidth"
    for cycles in (slow.rates.streaming, slow.rates.one_text, slow.rates.several_texts):
        assert slow.tokens_per_s(cycles) <= slow.roofline.tokens_per_s
    assert fast.bottleneck == plan_of(flow).bottleneck
    assert fast.rates.streaming == plan_of(flow).interval
    for found in (slow, fast):
        assert found.rates.one_text >= found.rates.several_texts >= found.rates.streaming
        assert found.rates.texts > 1
    within = projected(flow, named("XCU55C")[0])
    assert (within.outside, within.energy.offchip_pj) == ((), 0)
    assert slow.energy.offchip_bytes == slow.roofline.bytes_per_token
    assert slow.energy.total_pj > within.energy.total_pj


def test_what_fits_and_what_does_not_and_what_is_not_known(flow: Dataflow) -> None:
    kria, lattice = named("XCK26")[0], named("LFE5U-85F")[0]
    assert projected(flow, kria, lut=10).fits is True
    assert projected(flow, lattice, lut=10).fits is None
    crowded = projected(flow, lattice, lut=10, dsp=157)
    assert (crowded.fits, crowded.tightest) == (False, "dsp")
    small = projected(flow, part_of(megabytes=0.001))
    assert (small.fits, small.tightest) == (False, "memory")


def test_every_figure_is_tagged_projected_with_its_command(flow: Dataflow) -> None:
    content = as_json(flow, [projected(flow, part_of()), projected(flow, named("XCU55C")[0])], "make report preset=x")
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert content["assumptions"]
    for row in content["parts"].values():
        for figure in row["figures"].values():
            assert (figure["provenance"], figure["command"]) == ("projected", "make report preset=x")
            assert figure["source"]
            assert figure["value"] >= 0


def test_report_of_a_large_preset_is_projected_to_every_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESETS, "46m", replace(PRESETS["46m"], config=Config(1, 16)))
    monkeypatch.setitem(size.VOCABULARIES, "46m", 32)
    monkeypatch.setattr(resources, "_yosys", lambda *_: {"LUT6": 3, "FDRE": 2, "DSP48E1": 1})
    command = ["report", "--preset", "46m", "--build", str(tmp_path), "--multipliers", "20", "--clock", "250"]
    assert run(command) == 0
    path = tmp_path / "46m" / "report" / "projected.json"
    content = json.loads(path.read_text())
    assert list(content["parts"]) == [part.name for part in named(None)]
    assert content["clock_mhz"] == 250
    assert content["network"]["weights"] == "random"
    assert run([*command, "--part", "XCU55C"]) == 0
    assert list(json.loads(path.read_text())["parts"]) == ["XCU55C"]


def test_report_of_a_large_preset_that_was_trained_is_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, shown = [], []
    monkeypatch.setattr(Runner, "make", lambda self, step, asked: made.append(step.title(self.place)))
    monkeypatch.setattr(cosim, "show", lambda result, page, console: shown.append(result))
    folder = tmp_path / "46m"
    folder.mkdir()
    (folder / "checkpoint.safetensors").touch()
    (folder / "cosim.json").write_text('{"cycles_rtl": 7}')
    assert run(["report", "--preset", "46m", "--build", str(tmp_path)]) == 0
    assert (made, shown) == (["report-verilog"], [{"cycles_rtl": 7}])


@pytest.mark.parametrize("command", [("report", "46m"), ("report", "tiny"), ("size", "46m")])
def test_an_unknown_part_is_one_sentence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], command: tuple[str, str]
) -> None:
    goal, preset = command
    assert run([goal, "--preset", preset, "--build", str(tmp_path), "--part", "XC2000"]) == 2
    assert "error: unknown part 'XC2000': choose one of LFE5U-25F, " in capfd.readouterr().err
    assert not list(tmp_path.rglob("*.json"))
