"""The IP and its driver: the class that runs on a board, against the simulated top over AXI4-Lite and AXI4-Stream.

A random model of few channels is built once per shape; every port stalls at random in half of the runs. The cocotb
tests run inside the simulation, where nothing loads torch.
"""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.task import bridge

from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.hls.driver.errors import DeviceError
from spikegpt_hls.hls.driver.spikegpt import SpikeGPT
from spikegpt_hls.hls.ip import writer
from spikegpt_hls.hls.rtl.writer import event_blocks, lif_blocks
from spikegpt_hls.rtl_tests import simulator
from spikegpt_hls.rtl_tests.bench import BUILD
from spikegpt_hls.rtl_tests.ip.device import Simulated
from spikegpt_hls.rtl_tests.lint import lint
from spikegpt_hls.sim.traces import events

VOCABULARY, CHANNELS, LAYERS = 15, 8, 1  # which four lanes do not divide
LENGTHS = (9, 5, 1)
GENERATED = 7


class Case:
    """What ``prepare`` left: the model's shape, sequences, their logits, and the integer model's continuations."""

    def __init__(self) -> None:
        folder = Path(os.environ["CASE"])
        self.dataflow = Dataflow.from_json(json.loads((folder / "hls" / "rtl" / "dataflow.json").read_text()))
        arrays = np.load(folder / "golden.npz")
        cuts = np.cumsum(LENGTHS)[:-1]
        self.sequences = [ids.tolist() for ids in np.split(arrays["tokens"], cuts)]
        self.logits = np.split(arrays["head"], cuts)
        self.zeroed = arrays["zeroed"]  # the first sequence with an id 0 at place 3
        self.continued = arrays["continued"].tolist()
        self.spikes = [int(arrays[block.name].sum()) for block in lif_blocks(self.dataflow)]
        fired = events(self.dataflow, arrays)
        self.reads = [int(fired[block.name].sum()) * block.folding.rows for block in event_blocks(self.dataflow)]


async def device(dut: Any, stall: float) -> tuple[Simulated, SpikeGPT, Case]:
    ports = Simulated(dut, stall)
    await ports.reset()
    return ports, await bridge(SpikeGPT)(ports, ports), Case()


@cocotb.test()
@cocotb.parametrize(stall=(0, 0.4))
async def runs(dut: Any, stall: float) -> None:
    """Loads, runs, reads counters, generates."""
    _, model, case = await device(dut, stall)

    def check() -> None:
        shape = writer.Shape.of(case.dataflow)
        told = model.geometry
        assert (told.vocabulary, told.channels, told.layers) == (VOCABULARY, CHANNELS, LAYERS)
        assert (told.lanes, told.contexts, told.logit_bits) == (shape.lanes, shape.contexts, shape.logit_bits)
        for ids, logits in zip(case.sequences, case.logits, strict=True):
            assert np.array_equal(model.run(ids, length=len(ids)), logits), "logits differ"
        counters = model.counters
        assert counters["tokens"] == sum(LENGTHS)
        assert counters["cycles"] > sum(LENGTHS)
        assert model.spikes == case.spikes
        assert any(case.spikes)
        assert model.reads == case.reads
        assert bool(case.reads) == ("spike-driven" in os.environ["CASE"])
        assert not model.errors
        for ids, logits in zip(case.sequences, case.logits, strict=True):
            assert model.likeliest(ids) == logits.argmax(1).tolist()
        for ids, continued in zip(case.sequences, case.continued, strict=True):
            assert model.generate(ids, GENERATED) == continued, "continuations differ"
        ids, logits = case.sequences[0], case.logits[0]
        halves = model.run(ids[:4]), model.run(ids[4:], resume=True)
        assert np.array_equal(np.concatenate(halves), logits), "a sequence in two packets"
        contexts = model.geometry.contexts
        together = model.generate_all(case.sequences[:contexts], GENERATED)
        assert together == case.continued[:contexts]
        first, second = (model.run(case.sequences[0][:4], context=c) for c in (0, contexts - 1))
        assert np.array_equal(first, second)
        model.reset()
        assert set(model.counters.values()) | {*model.spikes, *model.reads} == {0}
        assert np.array_equal(model.run(ids), logits)

    await bridge(check)()


@cocotb.test()
@cocotb.parametrize(stall=(0, 0.4))
async def reports_malformed_packets(dut: Any, stall: float) -> None:
    """Each kind sets its flag, ends its output packet, is drained, and the next sequence is right."""
    ports, model, case = await device(dut, stall)
    ids, logits = case.sequences[0], case.logits[0]
    unknown = [*ids[:3], VOCABULARY, *ids[4:]]
    kinds = (
        ("short packet", ids[:5], 8, 4, logits[:5]),
        ("long packet", ids, 6, 5, logits[:6]),
        ("unknown id", unknown, 0, 3, case.zeroed),
        ("unknown id", unknown, len(ids), 3, case.zeroed),
        ("unknown id", [2**24 - 1], 0, 0, None),
    )

    def check() -> None:
        for number, (kind, sent, length, position, rows) in enumerate(kinds):
            said = re.escape(f"malformed packet ({kind}) at position {position}: id {sent[position]}")
            with pytest.raises(DeviceError, match=said):
                model.run(sent, length=length)
            assert ports.voids[-1] == 1, "the last beat is not marked void"
            found = model.errors
            assert (found.kinds, found.count) == ((kind,), 1)
            assert (found.position, found.id) == (position, sent[position])
            if number % 2:  # the flags stay, and hinder nothing
                model.clear_errors()
            model.write("mode", 0)
            model.write("length", 0)
            model.stream.send(np.array(ids, np.uint32), 1 << 20)
            raw = ports.receive()
            assert not any(ports.voids)
            assert np.array_equal(_logits(model, raw), logits), f"the sequence after a {kind} is wrong"
            model.clear_errors()
            assert not model.errors
            if rows is not None:  # what does leave for a malformed packet: the rows of the ids that entered
                model.write("length", length)
                model.stream.send(np.array(sent, np.uint32), 1 << 20)
                raw = ports.receive()
                assert np.array_equal(_logits(model, raw), rows)
                model.clear_errors()
        with pytest.raises(DeviceError, match="unknown id"):  # nothing is generated after a cut prompt
            model.generate(unknown, GENERATED)
        model.clear_errors()
        assert model.generate(ids, GENERATED) == case.continued[0]

    await bridge(check)()


def _logits(model: SpikeGPT, raw: np.ndarray) -> np.ndarray:
    slots = raw.view(f"<i{model.geometry.slot_bits // 8}").reshape(len(raw) // model.geometry.beat_bytes, -1)
    beats = -(-VOCABULARY // model.geometry.lanes)
    return slots[:, : model.geometry.lanes].reshape(-1, beats * model.geometry.lanes)[:, :VOCABULARY]


def prepare(folder: Path, lanes: int, contexts: int, placement: str) -> None:
    """The RTL of a small random model, and what the integer model says."""
    from spikegpt_hls.hls.convert import convert, operations
    from spikegpt_hls.model.generate import generate
    from spikegpt_hls.model.sampling import Sampler
    from spikegpt_hls.quant.export.qonnx import export
    from spikegpt_hls.quant.export.stepper import Stepper
    from spikegpt_hls.quant.export.vectors import trace
    from spikegpt_hls.quant.ops import Linear
    from spikegpt_hls.quant.training.calibrate import random_network

    network = random_network(LAYERS, CHANNELS, seed=5, vocabulary=VOCABULARY, placement=placement)
    rng = np.random.default_rng(5)
    sequences = [rng.integers(1, VOCABULARY, length) for length in LENGTHS]
    export(network, folder)
    golden = trace(network, sequences)
    zeroed = trace(network, [np.array([*sequences[0][:3], 0])])["head"]
    greedy = [list(generate(Stepper(network), ids.tolist(), GENERATED, Sampler(temperature=0))) for ids in sequences]
    tokens = np.concatenate(sequences)
    arrays: dict[str, Any] = golden | {"tokens": tokens, "zeroed": zeroed, "continued": np.array(greedy)}
    np.savez(folder / "golden.npz", **arrays)
    folding: dict[str, Any] = {"lanes": lanes, "contexts": contexts, "target_cycles": 16}
    if placement == "spike-driven":
        inside = operations(folder / "model.onnx").items()
        folding["events"] = [name for name, op in inside if isinstance(op, Linear) and name != "head"]
    graph = convert(folder / "model.onnx", folder / "hls", "SpikeRTL", **folding)
    graph.write()
    dataflow = Dataflow.from_json(json.loads((folder / "hls" / "rtl" / "dataflow.json").read_text()))
    writer.write(dataflow, folder / "hls" / "ip")


def build(folder: Path) -> None:
    rtl, ip = folder / "hls" / "rtl", folder / "hls" / "ip"
    model = [path for path in sorted(rtl.glob("*.sv")) if path.name != "testbench.sv"]
    files = [*model, *sorted(ip.glob("*.*v"))]
    assert lint(writer.TOP, list(map(str, files))) == ""
    simulator.build(files, writer.TOP, folder)


def run(folder: Path, rtl: Path, test: str | None = None) -> None:
    simulator.run(writer.TOP, __name__, folder, {"CASE": str(folder)}, test=test, cwd=rtl, logs=folder)


@pytest.mark.parametrize(("lanes", "contexts", "placement"), [(1, 1, "canonical"), (4, 2, "spike-driven")])
def test_the_driver_runs_the_simulated_ip(lanes: int, contexts: int, placement: str, tmp_path: Path) -> None:
    folder = BUILD.resolve() / f"ip_{lanes}_{contexts}_{placement}"
    prepare(folder, lanes, contexts, placement)
    build(folder)
    run(folder, folder / "hls" / "rtl")
    # the negative control: one bit of one weight, in images that the same simulation reads
    flipped = Path(shutil.copytree(folder / "hls" / "rtl", tmp_path / "flipped"))
    image = flipped / "images" / "head_weight.hex"
    words = image.read_text().splitlines()
    words[0] = f"{int(words[0], 16) ^ 1 << 5:0{len(words[0])}x}"
    image.write_text("\n".join(words) + "\n")
    with pytest.raises(AssertionError, match="logits differ"):
        run(folder, flipped, test="runs/stall=0")
