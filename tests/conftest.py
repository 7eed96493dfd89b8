"""What several tests share: a small network with everything that a report shows, and Triton's interpreter."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spikegpt_hls.cli.main import run
from spikegpt_hls.hls.dataflow import Block, Dataflow
from spikegpt_hls.hls.rtl.timing import Timing
from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.ops import BIT, LIF, BinaryEmbedding, LayerNorm, Linear, Residual
from spikegpt_hls.sim.cycles.schedule import simulate
from spikegpt_hls.sim.energy.model import energy
from spikegpt_hls.sim.report.results import Results

BYTE = Format(8, 4)
CHANNELS, LENGTHS = 8, (120, 180)


def fixed_timing(block):
    return Timing(0, 2) if block.operation is None else Timing(2, 4, stats=5, result=2)


def network():
    """ids -> emb -> fork -> (norm -> linear -> lif) + residual -> head, with the traces of two sequences."""
    rng = np.random.default_rng(0)
    gain = {"gain": rng.integers(20, 60, CHANNELS), "bias": np.zeros(CHANNELS, np.int64)}
    square, wide = {"weight": rng.integers(-90, 90, (8, 8))}, {"weight": rng.integers(-90, 90, (16, 8))}
    residual = Residual(Format(6, 0), CHANNELS, Format(1, 0, signed=False))
    nodes = [
        ("emb", BinaryEmbedding(BIT, 16, CHANNELS), ("ids",), {"table": rng.integers(0, 2, (16, CHANNELS))}),
        ("norm", LayerNorm(BYTE, CHANNELS, BIT, BYTE, BYTE), ("emb",), gain),
        ("linear", Linear(BYTE, 8, 8, BYTE, BYTE), ("norm",), square),
        ("blocks_0_att_lif", LIF.of(CHANNELS, BYTE), ("linear",), {}),
        ("residual", residual, ("emb", "blocks_0_att_lif"), {}),
        ("head", Linear(Format(20, 4), 8, 16, Format(6, 0), BYTE), ("residual",), wide),
    ]
    streams = {("emb", "norm"): "a", ("emb", "residual"): "b"}
    blocks = [Block("emb_fork", None, ("emb",), ("a", "b"), CHANNELS, CHANNELS, (BIT,), BIT, 2)]
    for name, op, inputs, _ in nodes:
        taken = tuple(streams.get((source, name), source) for source in inputs)
        formats = tuple(op.stream_format(stream) for stream in op.streams)
        depths = (64, 2) if len(inputs) > 1 else ()
        reuse = 16 if isinstance(op, Linear) else 1
        blocks.append(Block(name, op, taken, (name,), op.n_in, op.n_out, formats, op.out, 2, reuse, depths))
    blocks.insert(0, blocks.pop(1))
    runs = []
    for length in LENGTHS:
        run = {"ids": rng.integers(0, 16, (1, length))}
        for name, op, inputs, params in nodes:
            run[name] = op(*(run[source] for source in inputs), **params)
        runs.append(run)
    traces = {name: np.concatenate([run[name][0] for run in runs]) for name, *_ in nodes}
    return Dataflow(tuple(blocks), "ids", "head"), {**traces, "lengths": np.array(LENGTHS)}


@pytest.fixture
def results():
    dataflow, traces = network()
    metrics = {
        "preset": "hand", "parameters": 192, "val_bits_float": 2.5, "val_bits_integer": 2.51,
        "data": "<script>x</script>", "loss_curve": [3.0, 2.5, 2.0, 1.9], "steps_float": 2,
    }  # fmt: skip
    cosim = {
        "tokens": 300, "sequences": 2, "compared": 123456, "mismatches": 0, "cycles_per_token_rtl": 31.5,
        "traces": {
            "head": {"compared": 800, "mismatches": 0},
            "linear": {"compared": 400, "mismatches": 7, "kind": "Linear"},
        },
    }  # fmt: skip
    schedule = simulate(dataflow, sum(LENGTHS), timing=fixed_timing)
    return Results(dataflow, traces, schedule, energy(dataflow, traces, timing=fixed_timing), metrics, cosim)


@pytest.fixture
def interpreted(monkeypatch):
    """The Triton kernels in Triton's interpreter, on the CPU, in place of the compiled ones."""
    pytest.importorskip("triton", reason="Triton is not installed: its kernels were not interpreted")
    from spikegpt_hls.model import kernels, lif, wkv

    monkeypatch.setenv("TRITON_INTERPRET", "1")
    path = Path(kernels.__file__).with_name("triton_scans.py")
    spec = importlib.util.spec_from_file_location("interpreted_triton_scans", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for unit, name in ((lif, "lif"), (wkv, "wkv")):
        for way in ("forward", "backward"):
            monkeypatch.setattr(unit, f"{name}_{way}", getattr(module, f"{name}_{way}"))


@pytest.fixture
def fails(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., str]:
    """Run a command that must fail with exit code 2; its one sentence."""

    def command(*arguments: str, build: Path = tmp_path / "build") -> str:
        capfd.readouterr()
        assert run([*arguments, "--build", str(build)]) == 2
        lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1
        return lines[0]

    return command
