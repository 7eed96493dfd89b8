"""How long the steps of the path take, as ratios measured in one run on this machine."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from tempfile import TemporaryDirectory

import numpy as np
from rich.table import Table

from spikegpt_hls.cli.graph.record import write_json
from spikegpt_hls.cli.graph.runner import Runner
from spikegpt_hls.cli.path import HLS
from spikegpt_hls.quant.format import Ints

TOKENS = 64


def bench(runner: Runner) -> None:
    """Seconds per token of every implementation of one meaning, training's speed and memory, and the pace of the
    RTL within budgets of multipliers; ``bench.json``."""
    from spikegpt_hls.cli.bench import folding, simulator, training

    runner.make(HLS)
    with np.load(runner.place.vectors, allow_pickle=False) as arrays:
        ids = arrays["tokens"][:TOKENS]
    implementations = {
        "PyTorch, integers, whole sequence": _torch(runner, ids),
        "QONNX, whole sequence": _qonnx(runner, ids),
        "C simulation": _c_simulation(runner, ids),
        "RTL simulation": _rtl(runner, ids),
        "cycle simulator": _cycles(runner, ids),
    }
    per_token = {name: seconds / len(ids) for name, seconds in implementations.items()}
    rtl = simulator.speed(runner, _seconds)
    speeds, memories = training.speeds(runner), training.memories(runner)
    per_step = {name: speed.fused for name, speed in speeds.items()}
    _show(runner, "seconds per token", per_token)
    simulator.show(runner, rtl)
    _show(runner, "seconds per training step", per_step)
    training.show(runner, speeds, memories)
    paces = folding.paces(runner)
    folding.show(runner, paces)
    content = {"per_token": per_token, "per_training_step": per_step} | training.as_json(speeds, memories)
    content |= folding.as_json(paces) | simulator.as_json(rtl)
    write_json(runner.place.folder / "bench.json", content)


def _seconds(action: Callable[[], object]) -> float:
    """One warm-up, then the best of three."""
    action()
    times = []
    for _ in range(3):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def _show(runner: Runner, what: str, seconds: dict[str, float]) -> None:
    fastest = min(seconds.values())
    table = Table(what, "measured", "ratio to the fastest")
    for name, value in seconds.items():
        table.add_row(name, f"{value:.2e}", f"{value / fastest:,.1f}")
    runner.console.print(table)


def _torch(runner: Runner, ids: Ints) -> float:
    import torch

    from spikegpt_hls.quant.storage import load_network

    network, _ = load_network(runner.place.checkpoint)
    batch = torch.from_numpy(ids.astype(np.int64))[None]
    with torch.no_grad():
        return _seconds(lambda: network(batch))


def _qonnx(runner: Runner, ids: Ints) -> float:
    from spikegpt_hls.quant.export.execute import execute, load

    model = load(runner.place.onnx)
    return _seconds(lambda: execute(model, ids[None]))


def _c_simulation(runner: Runner, ids: Ints) -> float:
    from spikegpt_hls.hls.convert import convert
    from spikegpt_hls.hls.vitis.csim import CSimulation

    with TemporaryDirectory() as folder, runner.console.status("bench: compiling the C simulation"):
        simulation = CSimulation(convert(runner.place.onnx, folder, backend="Vitis"))
        return _seconds(lambda: simulation.run([ids]))


def _rtl(runner: Runner, ids: Ints) -> float:
    """The simulation alone: a short run's time is taken off, so that starting the simulator does not count."""
    from spikegpt_hls.rtl_tests.top.cosim import Model

    with runner.console.status("bench: building and running the RTL simulation"):
        model = Model(runner.place.rtl, runner.place.work)
        model.build()
        short, long = (_seconds(lambda n=n: model.run("bench", [_repeated(ids, n)])) for n in (1, 3))  # type: ignore[misc]
    return (long - short) / 2


def _repeated(ids: Ints, times: int) -> Sequence[int]:
    return np.tile(ids, times).tolist()  # type: ignore[no-any-return]


def _cycles(runner: Runner, ids: Ints) -> float:
    from spikegpt_hls.hls.dataflow import Dataflow
    from spikegpt_hls.sim.cycles.schedule import simulate

    dataflow = Dataflow.from_json(json.loads(runner.place.dataflow.read_text()))
    return _seconds(lambda: simulate(dataflow, len(ids)))
