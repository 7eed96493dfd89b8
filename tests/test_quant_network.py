"""The whole quantized network: NumPy = torch eval = QONNX, as a sequence and token by token; what is refused."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from spikegpt_hls.model.config import NEURONS, Config
from spikegpt_hls.model.errors import ModelError
from spikegpt_hls.model.spikegpt import SpikeGPT
from spikegpt_hls.quant import ops
from spikegpt_hls.quant.export import vectors
from spikegpt_hls.quant.export.execute import execute, execute_step, load
from spikegpt_hls.quant.export.qonnx import export
from spikegpt_hls.quant.format import ExactnessError, Format, Ints
from spikegpt_hls.quant.network import QuantSpikeGPT, blocks
from spikegpt_hls.quant.storage import load_network, save_network
from spikegpt_hls.quant.training.calibrate import random_network
from spikegpt_hls.quant.units import Node, Run

#: Layers, channels, weight bits, neurons.
SIZES = [
    (2, 8, 8, "lif"),
    (1, 48, 4, "lif"),
    (1, 64, 2, "lif"),
    (1, 96, 8, "lif"),
    (2, 8, 8, "none"),
    (1, 48, 4, "none"),
]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)  # small tensors: more threads only wait for each other


def walk(nodes: list[Node], ids: Ints) -> dict[str, Ints]:
    """The graph in NumPy alone, from the nodes' description."""
    values: dict[str, Ints] = {"tokens": ids}
    for node in nodes:
        values[node.name] = node.operation(*(values[name] for name in node.inputs), **node.params)
    return values


@pytest.mark.parametrize(("layers", "channels", "weight_bits", "neurons"), SIZES)
def test_numpy_torch_and_qonnx_agree_in_every_node(
    layers: int, channels: int, weight_bits: int, neurons: str, tmp_path: Path
) -> None:
    network = random_network(layers, channels, channels, weight_bits, vocabulary=64, neurons=neurons)
    ids = np.random.default_rng(0).integers(0, 64, (2, 24))
    expected = walk(blocks(network), ids)
    run = Run(trace={})
    with torch.no_grad():
        logits = network.compute(run, torch.from_numpy(ids))
    formats = vectors.formats_of(network)
    assert run.trace is not None
    assert run.trace.keys() == expected.keys() - {"tokens"}
    for name, value in run.trace.items():
        assert np.array_equal(formats[name].integers(value.numpy()), expected[name]), name
    assert torch.equal(logits, network(torch.from_numpy(ids)))

    sequence, step = export(network, tmp_path, tokens=5)
    graph = execute(sequence, ids)
    assert graph.keys() == run.trace.keys()
    for name, value in graph.items():
        assert np.array_equal(value, expected[name]), name

    stepwise, state = load(step), None
    for t in range(6):
        outputs, state = execute_step(stepwise, int(ids[0, t]), state)
        for name, value in outputs.items():
            assert np.array_equal(value[0, 0], expected[name][0, t]), (name, t)


def test_torch_steps_equal_the_sequence_and_spikes_do_fire() -> None:
    network = random_network(3, 48, seed=1)
    ids = torch.randint(0, 256, (2, 40), generator=torch.Generator().manual_seed(0))
    run = Run(trace={})
    with torch.no_grad():
        whole = network.compute(run, ids)
        state, steps = None, []
        for t in range(40):
            logits, state = network.step(ids[:, t], state)
            steps.append(logits)
        first, state = network.run(ids[:, :13])
        second, _ = network.run(ids[:, 13:], state)
    assert torch.equal(torch.stack(steps, 1), whole)
    assert torch.equal(torch.cat([first, second], 1), whole)
    rates = {name: float(v.mean()) for name, v in (run.trace or {}).items() if name.endswith("_lif")}
    assert len(rates) == 6
    assert all(0.02 < rate < 0.9 for rate in rates.values()), rates


def test_vectors_hold_every_node_and_state_of_back_to_back_sequences(tmp_path: Path) -> None:
    network = random_network(1, 8, seed=2, vocabulary=256)
    ids = np.random.default_rng(0).integers(0, 256, 100)
    with np.load(vectors.golden(network, ids, tmp_path, tokens=60, sequences=3), allow_pickle=False) as file:
        stored = dict(file)
    assert stored["lengths"].tolist() == [10, 20, 30]
    assert stored["tokens"].tolist() == ids[:60].tolist()
    nodes = blocks(network)
    last = walk(nodes, stored["tokens"][None, 30:])
    for node in nodes:
        assert stored[node.name].shape == (60, node.operation.n_out)
        assert np.array_equal(stored[node.name][30:], last[node.name][0]), node.name
        _, after = node.operation.run([last[n] for n in node.inputs], node.params, node.operation.initial_state(1))
        for name, value in after.items():
            assert np.array_equal(stored[f"{node.name}.{name}"][2], value[0])
    assert set(stored) == {"tokens", "lengths", *vectors.formats_of(network)}


def test_too_few_tokens_for_unequal_sequences_are_refused(tmp_path: Path) -> None:
    assert vectors.sequence_lengths(512, 3) == [85, 170, 257]
    with pytest.raises(ModelError, match="4 sequences of different lengths need 10 tokens"):
        vectors.sequence_lengths(9, 4)
    with pytest.raises(ModelError, match="5 tokens are held out, 60"):
        vectors.golden(random_network(1, 8), np.arange(5), tmp_path, tokens=60)


def test_the_residual_stream_never_saturates() -> None:
    nodes = blocks(random_network(3, 8, seed=4))
    residuals = [node.operation for node in nodes if isinstance(node.operation, ops.Residual)]
    ln0 = next(node.operation.out for node in nodes if node.name == "blocks_0_ln0")
    assert len(residuals) == 6
    assert len({r.out for r in residuals}) == 1
    assert residuals[-1].out.hi >= ln0.hi + (6 << ln0.frac)


@pytest.mark.parametrize("s_frac", [2, 9])
def test_the_residual_stream_of_a_network_without_neurons_never_saturates(s_frac: int) -> None:
    """Whatever its branches add: the ends of their ranges, coarser and finer than the stream, two to a layer."""
    network = random_network(3, 8, seed=4, neurons="none")
    for edge in (edge for block in network.blocks for edge in (block.att.output.out, block.ffn.gate.out)):
        edge.quant.log2_range.data.fill_(7 - s_frac)
    nodes = {node.name: node for node in blocks(network)}
    residuals = [node for node in nodes.values() if isinstance(node.operation, ops.Residual)]
    assert [nodes[node.inputs[1]].name for node in residuals[:2]] == ["blocks_0_att_output", "blocks_0_ffn_gate"]
    assert not any(isinstance(node.operation, ops.LIF) for node in nodes.values())
    for end in ("lo", "hi"):
        x = np.full((1, 1, 8), getattr(nodes["blocks_0_ln0"].operation.out, end))
        real = residuals[0].operation.x.real(x)
        for node in residuals:
            s = np.full_like(x, getattr(node.operation.s, end))
            real = real + node.operation.s.real(s)
            x = node.operation(x, s)
        step = residuals[0].operation.out.scale
        assert np.abs(residuals[0].operation.out.real(x) - real).max() <= len(residuals) * step / 2


def test_a_network_without_neurons_adds_what_they_would_have_read() -> None:
    """In float, where the two differ in nothing but the LIF, and after training's own fake quantization."""
    model = SpikeGPT(Config(1, 8, 16, neurons="none")).eval()
    block, x = model.blocks[0], torch.randn(2, 5, 8)
    normed = block.ln0(x)
    after = normed + block.att(block.ln1(normed), {})
    assert torch.equal(block(x, {}), after + block.ffn(block.ln2(after), {}))
    network = random_network(2, 16, seed=6, neurons="none")
    ids = torch.randint(0, 256, (2, 40), generator=torch.Generator().manual_seed(0))
    integer, surrogate = network(ids), network.train()(ids)
    assert (integer - surrogate).abs().mean() < 0.1 * integer.abs().mean()  # no threshold: small stays small


def test_an_accumulator_that_cannot_be_exact_is_named_with_the_excess(monkeypatch: pytest.MonkeyPatch) -> None:
    network = random_network(1, 8)
    monkeypatch.setattr("spikegpt_hls.quant.units.MAX_ACCUMULATOR_BITS", 18)
    with pytest.raises(ExactnessError, match="blocks_0_ffn_value: its accumulator needs 21 bits, 3 more than the 18"):
        blocks(network)
    monkeypatch.setattr("spikegpt_hls.quant.units.MAX_ACCUMULATOR_BITS", 32)
    monkeypatch.setattr("spikegpt_hls.quant.units.ONNX_EXACT_BITS", 16)
    with pytest.raises(ExactnessError, match="head: its output needs 18 bits, 2 more than the 16"):
        blocks(network)


def test_ternary_weights_are_ternary_and_four_bits_symmetric() -> None:
    for weight_bits, reach in ((2, 1), (4, 7), (8, 127)):
        nodes = blocks(random_network(1, 16, weight_bits=weight_bits))
        weights = [node.params["weight"] for node in nodes if "weight" in node.params]
        assert min(w.min() for w in weights) >= -reach
        assert reach / 2 < max(w.max() for w in weights) <= reach
        assert weight_bits > 2 or all(set(np.unique(w)) == {-1, 0, 1} for w in weights)


@pytest.mark.parametrize("neurons", NEURONS)
def test_parameters_keep_the_released_names(neurons: str) -> None:
    config = Config(2, 8, neurons=neurons)
    quantized, released = QuantSpikeGPT(config).state_dict(), SpikeGPT(config).state_dict()
    assert released.keys() <= quantized.keys()
    assert all(quantized[name].shape == value.shape for name, value in released.items())


def test_a_checkpoint_restores_the_very_same_integers(tmp_path: Path) -> None:
    network = random_network(2, 16, seed=5, weight_bits="4, head=8", activation_bits="8, *.gate=6")
    save_network(network, tmp_path / "checkpoint.safetensors", {"preset": "none"})
    loaded, header = load_network(tmp_path / "checkpoint.safetensors")
    ids = torch.arange(40)[None]
    assert header["preset"] == "none"
    assert torch.equal(loaded(ids), network(ids))
    tampered = tmp_path / "cut.safetensors"
    save_file(
        network.state_dict(),
        tampered,
        {"spikegpt_hls": '{"config": {"layers": 1000000}, "weight_bits": 8, "activation_bits": 8}'},
    )
    with pytest.raises(ModelError, match="does not say which network it holds"):
        load_network(tampered)
    tampered.write_bytes(tampered.read_bytes()[:-50])
    with pytest.raises(ModelError, match=r"cut\.safetensors is truncated"):
        load_network(tampered)


def test_a_checkpoint_says_whether_its_network_spikes(tmp_path: Path) -> None:
    path, ids = tmp_path / "checkpoint.safetensors", torch.arange(40)[None]
    network = random_network(1, 16, seed=5, neurons="none")
    save_network(network, path, {})
    loaded, header = load_network(path)
    assert header["config"]["neurons"] == loaded.config.neurons == "none"
    assert torch.equal(loaded(ids), network(ids))
    spiking = random_network(1, 16, seed=5)
    before = {
        "layers": 1,
        "channels": 16,
        "vocabulary": 256,
        "classes": None,
    }  # what was written before there were twins
    header = {"config": before, "weight_bits": 8, "activation_bits": 8}
    save_file(spiking.state_dict(), path, {"spikegpt_hls": json.dumps(header)})
    assert torch.equal(load_network(path)[0](ids), spiking(ids))


@pytest.mark.parametrize("neurons", NEURONS)
def test_gradients_reach_every_parameter(neurons: str) -> None:
    network = random_network(2, 16, seed=6, neurons=neurons).train()
    network(torch.randint(0, 256, (4, 32))).logsumexp(-1).mean().backward()
    without = [n for n, p in network.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert without == []


def test_other_neurons_widths_and_states_in_training_are_refused() -> None:
    with pytest.raises(ModelError, match="unknown neurons 'izhikevich': choose one of lif, none"):
        Config(1, 8, neurons="izhikevich")
    with pytest.raises(ModelError, match="weights have 2, 4, 8 bits, not 3"):
        QuantSpikeGPT(Config(1, 8), 3)
    with pytest.raises(ModelError, match="eval"):
        random_network(1, 8).train().step(torch.zeros(1, dtype=torch.int64))


def test_operations_formats_and_the_onnx_domain_never_load_torch() -> None:
    code = (
        "import sys, spikegpt_hls.quant.format, spikegpt_hls.quant.ops, spikegpt_hls.quant.qonnx_ops, "
        "spikegpt_hls.quant.export.execute; assert 'torch' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=False).returncode == 0


def test_off_grid_values_are_refused_not_rounded() -> None:
    with pytest.raises(ExactnessError, match="not on the grid"):
        Format(8, 4).integers(np.array([0.03]))
