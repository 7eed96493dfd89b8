"""What hls4ml's calls on the backend ``SpikeRTL`` need beyond the conversion: a simulator, and Yosys for ``build``.

hls4ml finds it by the entry point ``hls4ml.backends``, while it is half imported: the rest comes when it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from spikegpt_hls.hls import plugin
from spikegpt_hls.hls.rtl.backend import SpikeRTLBackend
from spikegpt_hls.quant.format import Ints

if TYPE_CHECKING:
    from spikegpt_hls.hls.dataflow import Dataflow
    from spikegpt_hls.sim.cycles.schedule import Schedule
    from spikegpt_hls.sim.parts import Part

TOKENS = 8  # of a run whose later half is the steady state


class RTLSimulation:
    """A graph's SystemVerilog, written and built by Verilator; cocotb runs it."""

    def __init__(self, graph: Any) -> None:
        from spikegpt_hls.rtl_tests.simulator import require_tools
        from spikegpt_hls.rtl_tests.top.cosim import Model

        require_tools()
        graph.write()
        folder = Path(graph.config.get_output_dir())
        self._model = Model(folder / "rtl", folder / "simulation")
        self._model.build()

    def run(self, sequences: Sequence[ArrayLike]) -> dict[str, list[Ints]]:
        """As ``hls.vitis.csim.CSimulation.run``."""
        from spikegpt_hls.rtl_tests.top import taps

        ids = [np.asarray(sequence, np.int64) for sequence in sequences]
        run = self._model.run("run", ids)
        assert run.order is not None
        places, ends = np.argsort(run.order.row), np.cumsum([len(sequence) for sequence in ids])[:-1]
        blocks = [block for block in self._model.dataflow.blocks if block.operation is not None]
        return {block.name: np.split(taps.integers(block, run.folder)[1][places], ends) for block in blocks}


class Backend(SpikeRTLBackend):
    """``SpikeRTL`` with its tools."""

    simulation = RTLSimulation

    def build(self, model: Any, **_: Any) -> dict[str, Any]:
        """Every block synthesised by Yosys for Xilinx 7 series; what ``hls4ml.report.print_vivado_report`` prints.

        Latency and interval are cycles of the cycle simulator: of a token that comes alone, and of one behind others,
        at best and at worst, which differ where a Linear is driven by events. No clock follows from a synthesis.
        """
        from spikegpt_hls.hls.frontend.graph import dataflow
        from spikegpt_hls.sim.resources.synthesis import resources

        model.write()  # what lies there may be of another configuration
        folder, flow = Path(model.config.get_output_dir()), dataflow(model)
        found = resources(flow, folder / "rtl")
        part = _part(model.config.get_config_value("Part"), found["total"])
        best, worst = (_schedule(flow, share) for share in (0.0, 1.0))
        names = {"BRAM_18K": ("bram36", 2), "DSP": ("dsp", 1), "FF": ("ff", 1), "LUT": ("lut", 1)}
        used = {name: str(round(found["total"][kind] * each)) for name, (kind, each) in names.items()}
        there = {f"Available{name}": str(round(getattr(part, kind) * each)) for name, (kind, each) in names.items()}
        performance = {
            "TargetClockPeriod": str(model.config.get_config_value("ClockPeriod")),
            "EstimatedClockPeriod": "not known",
            "BestLatency": str(best.latency),
            "WorstLatency": str(worst.latency),
            "IntervalMin": str(round(best.cycles_per_token)),
            "IntervalMax": str(round(worst.cycles_per_token)),
        }
        return {"Tool": found["tool"], "Part": part.name, "CSynthesisReport": {**performance, **used, **there}}


def _schedule(flow: Dataflow, share: float) -> Schedule:
    """Of some tokens of which so many inputs of each Linear that follows events are not 0."""
    from spikegpt_hls.sim.cycles.schedule import simulate

    events = {
        block.name: np.full(TOKENS, round(share * block.channels_in), np.int64) for block in flow.blocks if block.events
    }
    return simulate(flow, TOKENS, events=events)


def _part(name: str | None, total: dict[str, float]) -> Part:
    """The part that the configuration names, or the smallest that holds the design, or the largest."""
    from spikegpt_hls.sim.parts import fits, parts
    from spikegpt_hls.sim.resources.synthesis import FAMILY

    known = sorted(parts(FAMILY), key=lambda part: part.lut)
    named = [part for part in known if name is not None and name.lower().startswith(part.name.lower())]
    return next(iter([*named, *(part for part in known if fits(total, part))]), known[-1])


def register(*, register_backend: Callable[..., Any], register_writer: Callable[..., Any]) -> None:
    """Add the backend ``SpikeRTL`` to hls4ml."""
    plugin.register(register_backend=register_backend, register_writer=register_writer, backend=Backend)
