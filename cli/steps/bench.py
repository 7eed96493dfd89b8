"""How long the steps of the path take, as ratios measured in one run on this machine."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from tempfile import TemporaryDirectory

import numpy as np
from rich.table import Table

from spikegpt_hls.cli.request import Request
from spikegpt_hls.cli.step import write_json
from spikegpt_hls.cli.steps import hls
from spikegpt_hls.quant.format import Ints

TOKENS = 64


def make(request: Request) -> None:
    """Seconds per token of every implementation of one meaning, training's speed and memory, and the pace of the
    RTL within budgets of multipliers; ``bench.json``."""
    from spikegpt_hls.cli.steps import bench_folding, bench_simulator, bench_training

    hls.make(request)
    with np.load(request.workspace.vectors, allow_pickle=False) as arrays:
        ids = arrays["tokens"][:TOKENS]
    implementations = {
        "PyTorch, integers, whole sequence": _torch(request, ids),
        "QONNX, whole sequence": _qonnx(request, ids),
        "C simulation": _c_simulation(request, ids),
        "RTL simulation": _rtl(request, ids),
        "cycle simulator": _cycles(request, ids),
    }
    per_token = {name: seconds / len(ids) for name, seconds in implementations.items()}
    simulator = bench_simulator.speed(request, _seconds)
    speeds, memories = bench_training.speeds(request), bench_training.memories(request)
    per_step = {name: speed.fused for name, speed in speeds.items()}
    _show(request, "seconds per token", per_token)
    bench_simulator.show(request, simulator)
    _show(request, "seconds per training step", per_step)
    bench_training.show(request, speeds, memories)
    paces = bench_folding.paces(request)
    bench_folding.show(request, paces)
    content = {"per_token": per_token, "per_training_step": per_step} | bench_training.as_json(speeds, memories)
    content |= bench_folding.as_json(paces) | bench_simulator.as_json(simulator)
    write_json(request.workspace.folder / "bench.json", content)


def _seconds(action: Callable[[], object]) -> float:
    """One warm-up, then the best of three."""
    action()
    times = []
    for _ in range(3):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def _show(request: Request, what: str, seconds: dict[str, float]) -> None:
    fastest = min(seconds.values())
    table = Table(what, "measured", "ratio to the fastest")
    for name, value in seconds.items():
        table.add_row(name, f"{value:.2e}", f"{value / fastest:,.1f}")
    request.console.print(table)


def _torch(request: Request, ids: Ints) -> float:
    import torch

    from spikegpt_hls.quant.storage import load_network

    network, _ = load_network(request.workspace.checkpoint)
    batch = torch.from_numpy(ids.astype(np.int64))[None]
    with torch.no_grad():
        return _seconds(lambda: network(batch))


def _qonnx(request: Request, ids: Ints) -> float:
    from spikegpt_hls.quant.export.execute import execute, load

    model = load(request.workspace.onnx)
    return _seconds(lambda: execute(model, ids[None]))


def _c_simulation(request: Request, ids: Ints) -> float:
    from spikegpt_hls.hls.convert import convert
    from spikegpt_hls.hls.vitis.csim import CSimulation

    with TemporaryDirectory() as folder, request.console.status("bench: compiling the C simulation"):
        simulation = CSimulation(convert(request.workspace.onnx, folder, backend="Vitis"))
        return _seconds(lambda: simulation.run([ids]))


def _rtl(request: Request, ids: Ints) -> float:
    """The simulation alone: a short run's time is taken off, so that starting the simulator does not count."""
    from spikegpt_hls.rtl_tests.top.cosim import Model

    with request.console.status("bench: building and running the RTL simulation"):
        model = Model(request.workspace.rtl, request.workspace.work)
        model.build()
        short, long = (_seconds(lambda n=n: model.run("bench", [_repeated(ids, n)])) for n in (1, 3))  # type: ignore[misc]
    return (long - short) / 2


def _repeated(ids: Ints, times: int) -> Sequence[int]:
    return np.tile(ids, times).tolist()  # type: ignore[no-any-return]


def _cycles(request: Request, ids: Ints) -> float:
    from spikegpt_hls.hls.dataflow import Dataflow
    from spikegpt_hls.sim.cycles.schedule import simulate

    dataflow = Dataflow.from_json(json.loads((request.workspace.rtl / "dataflow.json").read_text()))
    return _seconds(lambda: simulate(dataflow, len(ids)))
