"""The bench of the fork: every reader gets every beat, whoever stalls, in the cycles that the cycle simulator says.

The cocotb test below runs inside the simulation that ``run`` builds.
"""

import os
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from spikegpt_hls.hls.rtl.blocks import MODULES, sources
from spikegpt_hls.rtl_tests import simulator
from spikegpt_hls.sim.cycles.compiled import library
from spikegpt_hls.sim.cycles.network import ints, waits

BEATS, SEEDS = 200, 3
SHAPES = [(8, 2, 1), (1, 3, 3), (60, 5, 5), (16, 1, 2)]  # width, outputs, contexts


def plan(outputs: int, seed: int) -> tuple[list[int], np.ndarray]:
    """When each beat is shown, and in which cycles each output is ready: stalls of either side, in bursts."""
    rng = np.random.default_rng(seed)
    bursts = rng.random((outputs, 200)) < rng.choice([0.3, 0.9, 1.0], (outputs, 1))
    return np.sort(rng.integers(0, rng.choice([1, 3 * BEATS]), BEATS)).tolist(), np.repeat(bursts, 7, axis=1)


def times(outputs: int, seed: int) -> list[list[int]]:
    """Transfer cycles of the input, then of each output, from the cycle simulator's own cell."""
    offers, ready = plan(outputs, seed)
    lib = library()
    net = lib.network_new()
    for _ in range(1 + outputs):
        lib.add_channel(net)
    readers = range(1, outputs + 1)
    lib.add_pipe(net, ints([0]), 1, ints(readers), outputs, 0, 2, 0, 1)
    for channel, pattern in zip(readers, ready.tolist(), strict=True):
        lib.add_sink(net, channel, ints(waits([*pattern, True])), len(pattern) + 1)
    lib.connect(net)
    lib.run(net, 0, ints(offers), len(offers))
    found = [lib.last(net, channel, 0, BEATS)[:BEATS] for channel in range(1 + outputs)]
    lib.network_free(net)
    return found


@cocotb.test()
async def copies(dut: Any) -> None:
    width, outputs, seed = int(dut.WIDTH.value), int(dut.OUTPUTS.value), int(os.environ["SEED"])
    user_bits = len(dut.s_axis_x_tuser)
    offers, ready = plan(outputs, seed)
    data = np.random.default_rng(seed).integers(0, 1 << width, BEATS).tolist()
    marks = [(n % 5 == 4, (n // 5) % (1 << user_bits)) for n in range(BEATS)]  # tlast, and another tuser per token
    moved: list[list[int]] = [[] for _ in range(outputs + 1)]
    cocotb.start_soon(Clock(dut.clk, 10, "ns").start())
    dut.rst.value = 1
    dut.s_axis_x_tvalid.value = 0
    for _ in range(3):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    for cycle in range(ready.shape[1]):
        beat = len(moved[0])
        shown = beat < BEATS and cycle >= offers[beat]
        dut.s_axis_x_tvalid.value = int(shown)
        if shown:
            dut.s_axis_x_tdata.value = data[beat]
            dut.s_axis_x_tlast.value, dut.s_axis_x_tuser.value = map(int, marks[beat])
        takes = ready[:, cycle].tolist()
        dut.m_axis_tready.value = sum(int(take) << n for n, take in enumerate(takes))
        await RisingEdge(dut.clk)
        if shown and dut.s_axis_x_tready.value:
            moved[0].append(cycle)
        valid, last, user, word = (
            int(getattr(dut, f"m_axis_t{part}").value) for part in ("valid", "last", "user", "data")
        )
        for n in range(outputs):
            if takes[n] and valid >> n & 1:
                due = len(moved[n + 1])
                marker = user >> n * user_bits & ((1 << user_bits) - 1)
                have = (word >> n * width & ((1 << width) - 1), (bool(last >> n & 1), marker))
                assert have == (data[due], marks[due]), f"first difference at output {n}, beat {due}"
                moved[n + 1].append(cycle)
    for stream, (cycles, want) in enumerate(zip(moved, times(outputs, seed), strict=True)):
        wrong = next((i for i, pair in enumerate(zip_longest(cycles, want)) if pair[0] != pair[1]), None)
        assert wrong is None, f"beat {wrong} of stream {stream} moved in cycle {cycles[wrong : wrong + 1]}"


def run(folder: Path, width: int, outputs: int, contexts: int, coverage: Sequence[str] = ()) -> None:
    values = {"WIDTH": width, "OUTPUTS": outputs, "CONTEXTS": contexts}
    simulator.build(sources("Fork"), MODULES["Fork"], folder, values, options=coverage)
    replay(folder)


def replay(folder: Path) -> None:
    for seed in range(SEEDS):
        covered = f"+verilator+coverage+file+coverage_{seed}.dat"
        simulator.run(MODULES["Fork"], __name__, folder, {"SEED": str(seed)}, [covered])
