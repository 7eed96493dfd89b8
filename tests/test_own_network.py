"""Networks that read channels: the page of one's own network, and what it stands on, in tiny shapes."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from spikegpt_hls.hls.convert import convert
from spikegpt_hls.hls.errors import ConversionError
from spikegpt_hls.hls.fold.geometry import assemble
from spikegpt_hls.hls.frontend.graph import dataflow
from spikegpt_hls.hls.ip import writer as ip
from spikegpt_hls.quant.errors import GraphError
from spikegpt_hls.quant.export.execute import execute, execute_step, load
from spikegpt_hls.quant.export.qonnx import export
from spikegpt_hls.quant.export.vectors import trace
from spikegpt_hls.quant.format import Format, Ints
from spikegpt_hls.quant.network import blocks
from spikegpt_hls.quant.ops import Source
from spikegpt_hls.quant.plain_units import LIF, Residual
from spikegpt_hls.quant.quantizers import Edge
from spikegpt_hls.quant.trained_units import Linear
from spikegpt_hls.quant.training.calibrate import calibrate
from spikegpt_hls.quant.units import Network, Run, Stream
from spikegpt_hls.rtl_tests.simulator import ToolError
from spikegpt_hls.rtl_tests.top.cosim import Model, compare
from spikegpt_hls.sim.cycles.schedule import simulate, token_times
from spikegpt_hls.sim.energy.model import energy
from spikegpt_hls.sim.errors import SimulationError

PAGE = Path(__file__).parents[1] / "docs" / "own_network.md"
LENGTHS = (5, 1, 9, 4)
NUMBERS = Format(5, 3)  # -16 to 15 eighths


class Joined(Network):
    """What comes in is read twice, and what is made of it meets again."""

    source = Source(NUMBERS, (6,))

    def __init__(self) -> None:
        super().__init__()
        self.key, self.drive = Linear(6, 4, 8, Edge(8)), Linear(6, 4, 4, Edge(6))
        self.fire, self.sum = LIF(4), Residual(4)
        self.name_units()

    def join(self, run: Run, x: Stream) -> Stream:
        k = self.key(run, x)
        self.sum.out = Format(10, k.format.frac)
        return self.sum(run, k, self.fire(run, self.drive(run, x)))  # type: ignore[no-any-return]


def sequences() -> list[Ints]:
    rng = np.random.default_rng(1)
    return [rng.integers(NUMBERS.lo, NUMBERS.hi + 1, (length, 6)) for length in LENGTHS]


@pytest.fixture(scope="module")
def network() -> Joined:
    torch.manual_seed(2)
    made = Joined()
    for layer in (made.key, made.drive):
        torch.nn.init.normal_(layer.weight)
    calibrate(made, [made.tensor(one) for one in sequences()])
    made.eval()
    return made


@pytest.fixture(scope="module")
def golden(network: Joined) -> dict[str, Ints]:
    found = trace(network, sequences())
    assert 0 < found["fire"].mean() < 1
    return found


@pytest.fixture(scope="module")
def folder(network: Joined, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("joined")
    export(network, made)
    return made


def test_qonnx_is_pytorch(folder: Path, golden: dict[str, Ints]) -> None:
    runs = [execute(folder / "model.onnx", one[None]) for one in sequences()]
    assert set(runs[0]) == {"key", "drive", "fire", "sum"}
    for name in runs[0]:
        np.testing.assert_array_equal(np.concatenate([run[name][0] for run in runs]), golden[name], name)
    model, state = load(folder / "model_step.onnx"), None
    for position, token in enumerate(sequences()[0]):
        outputs, state = execute_step(model, token, state)
        np.testing.assert_array_equal(outputs["sum"][0, 0], golden["sum"][position])


@pytest.mark.parametrize("contexts", [1, 3])
def test_rtl_is_pytorch_and_moves_as_simulated(
    folder: Path, golden: dict[str, Ints], contexts: int, tmp_path: Path
) -> None:
    graph = convert(folder / "model.onnx", tmp_path, "SpikeRTL", lanes=2, contexts=contexts)
    graph.write()
    model = Model(tmp_path / "rtl", tmp_path / "run")
    model.build(level=0)
    flowing, stalled = model.run("flowing", sequences()), model.run("stalled", sequences(), stall=5)
    outputs = sum(golden[name].size for name in ("key", "drive", "fire", "sum"))
    for run in (flowing, stalled):
        found = compare(run, golden)
        assert (found.mismatches, found.compared) == (0, outputs + 4 * min(contexts, len(LENGTHS))), str(found.first)
        assert run.counters["tokens"] == sum(LENGTHS)
    schedule, start = simulate(dataflow(graph), sum(LENGTHS)), flowing.source_cycles()[0]
    for stream, cycles in flowing.moves().items():
        np.testing.assert_array_equal(cycles.ravel() - start, schedule.times[stream] - schedule.first, stream)
    assert flowing.counters["cycles"] == schedule.cycles
    assert token_times(dataflow(graph), sum(LENGTHS)).cycles_per_token == schedule.cycles_per_token


class Neurons(Network):
    """Nothing but neurons: the marks of what comes in are those of what goes out."""

    source = Source(NUMBERS, (6,))

    def __init__(self) -> None:
        super().__init__()
        self.fire = LIF(6)
        self.name_units()

    def join(self, run: Run, x: Stream) -> Stream:
        return self.fire(run, x)  # type: ignore[no-any-return]


def test_neurons_alone_keep_the_marks_of_what_comes_in(tmp_path: Path) -> None:
    network = Neurons()
    export(network, tmp_path)
    convert(tmp_path / "model.onnx", tmp_path / "hls", "SpikeRTL", lanes=2).write()
    model = Model(tmp_path / "hls" / "rtl", tmp_path / "run")
    model.build(level=0)
    golden = trace(network, sequences())
    assert 0 < golden["fire"].mean() < 1
    found = compare(model.run("stalled", sequences(), stall=2), golden)
    assert (found.mismatches, found.compared) == (0, 6 * sum(LENGTHS) + 6), str(found.first)


def test_what_is_assembled_without_onnx_is_what_is_converted(folder: Path, network: Joined, tmp_path: Path) -> None:
    flow = dataflow(convert(folder / "model.onnx", tmp_path, "SpikeRTL", lanes=2, reuse_factor=6))
    assembled = assemble(
        {node.name: (node.operation, node.inputs) for node in blocks(network)}, 2, {"key": 6, "drive": 6}
    )
    assert assembled == flow
    assert flow.blocks[0].kind == "Fork"


def test_the_energy_needs_what_came_in(folder: Path, golden: dict[str, Ints], tmp_path: Path) -> None:
    flow = dataflow(convert(folder / "model.onnx", tmp_path, "SpikeRTL", lanes=2))
    zeros = np.count_nonzero(golden["tokens"] == 0) / sum(LENGTHS)
    key = next(block for block in energy(flow, golden).blocks if block.name == "key")
    assert key.activity["zero_operands"] == zeros
    with pytest.raises(SimulationError, match="the traces lack tokens, the integers that come in"):
        energy(flow, {name: values for name, values in golden.items() if name != "tokens"})


def test_predict_takes_channels(folder: Path, golden: dict[str, Ints], network: Joined, tmp_path: Path) -> None:
    graph = convert(folder / "model.onnx", tmp_path, "SpikeRTL", lanes=2)
    ran: list[list[Ints]] = []

    class Simulation:
        """What came, and the golden vectors."""

        def __init__(self, graph: Any) -> None:
            pass

        def run(self, given: list[Ints]) -> dict[str, list[Ints]]:
            ran.append(given)
            return {name: [golden[name][:5]] for name in ("key", "drive", "fire", "sum")}

    graph._simulation = Simulation(graph)
    x = sequences()[0]
    y = graph.predict(NUMBERS.real(x)[None])
    np.testing.assert_array_equal(ran[0][0], x)
    np.testing.assert_array_equal(y, network(network.tensor(x)).detach().numpy())
    with pytest.raises(ConversionError, match=r"has the shape \(sequences, tokens, 6\), not \(1, 5, 3\)"):
        graph.predict(NUMBERS.real(x)[None, :, :3])
    with pytest.raises(ConversionError, match="what comes in is not what the model reads: its x is not on the grid"):
        graph.predict(NUMBERS.real(x)[None] + 0.01)


def test_what_reads_channels_is_refused_where_ids_are_due(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ConversionError, match="a network that reads channels is for SpikeRTL: the kernels of Vitis read"
    ):
        convert(folder / "model.onnx", tmp_path, "Vitis", lanes=2)
    flow = dataflow(convert(folder / "model.onnx", tmp_path, "SpikeRTL", lanes=2))
    with pytest.raises(ConversionError, match="the IP continues text, and this network reads channels"):
        ip.write(flow, tmp_path / "ip")
    with pytest.raises(SimulationError, match="what is generated are token ids"):
        simulate(flow, 4, generation=1)
    convert(folder / "model.onnx", tmp_path, "SpikeRTL", lanes=2).write()
    model = Model(tmp_path / "rtl", tmp_path / "run")
    with pytest.raises(ToolError, match=r"a token that comes in has the shape \(6,\), not \(\)"):
        model.run("ids", [np.arange(4)])
    with pytest.raises(ToolError, match=r"what comes in is s5\.3, -16 to 15, not 0 to 16"):
        model.run("wide", [np.array([[0, 1, 2, 3, 4, 16]])])


def test_readers_of_what_comes_in_agree(folder: Path, tmp_path: Path) -> None:
    model = load(folder / "model.onnx").model
    drive = next(node for node in model.graph.node if node.name == "drive")
    x = next(attribute for attribute in drive.attribute if attribute.name == "x")
    x.ints[:] = [5, 2, 1]
    with pytest.raises(
        GraphError, match=r"'drive': its x is 6 x s5\.2, and what reads 'tokens' before it says 6 x s5\.3"
    ):
        convert(model, tmp_path, "SpikeRTL", lanes=2)


# --- the page


@pytest.fixture(scope="module")
def example() -> ModuleType:
    pytest.importorskip("sklearn")
    spec = importlib.util.spec_from_file_location("own_network", PAGE.with_suffix(".py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_shows_what_the_example_runs(example: ModuleType) -> None:
    source = PAGE.with_suffix(".py").read_text()
    shown = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert any("class Digits(Network)" in block for block in shown)
    for block in shown:
        assert block in source


def test_a_small_classifier_is_pytorch_and_a_flipped_bit_is_found(example: ModuleType, tmp_path: Path) -> None:
    torch.manual_seed(0)
    small, (learned, held_out) = example.Digits(8), example.digits()
    example.train(small, (learned[0][:128], learned[1][:128]), epochs=1)
    flow, model = example.hardware(small, tmp_path)
    images = held_out[0][:3], held_out[1][:3]
    said = "\n".join(example.measure(flow, model, small, images))
    assert re.search(r"^0 of [1-9][\d,]* values differ between RTL and PyTorch, 3 images$", said, re.MULTILINE), said
    (counted, simulated) = re.findall(r"([\d,]+) cycles by the RTL's counter, ([\d,]+) by the cycle simulator", said)[0]
    assert counted == simulated

    image = model.rtl / "images" / "hidden_weight.hex"
    words = image.read_text().splitlines()
    words = [f"{int(word, 16) ^ 4:0{len(word)}x}" for word in words]  # a bit of the first output of each word
    image.write_text("\n".join(words) + "\n")
    shown = list(np.repeat(images[0][:, None], example.STEPS, axis=1))
    found = compare(model.run("flipped", shown), trace(small, shown))
    assert found.mismatches > 0
    assert found.first is not None
    assert found.first.block == "hidden"


@pytest.mark.slow
def test_the_example_does_what_the_page_says(
    example: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    example.main(tmp_path)
    said = capfd.readouterr().out
    assert "0 of 795,018 values differ between RTL and PyTorch, 360 images" in said
    right = re.search(r"([\d.]+)% of the held-out digits are right", said)
    assert right is not None
    assert float(right[1]) > 95
    (counted, simulated) = re.findall(r"([\d,]+) cycles by the RTL's counter, ([\d,]+) by the cycle simulator", said)[0]
    assert counted == simulated
    luts = re.search(r"([\d.]+) LUT", said)
    assert luts is not None
    assert 0 < float(luts[1]) < 7612
