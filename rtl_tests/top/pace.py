"""How fast the RTL of a whole model streams, and how much of the time its slowest Linear's multipliers work."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spikegpt_hls.hls.convert import convert
from spikegpt_hls.hls.dataflow import Block, Dataflow
from spikegpt_hls.hls.fold.planning import Plan, plan_of
from spikegpt_hls.hls.frontend.graph import dataflow
from spikegpt_hls.quant.export.execute import execute
from spikegpt_hls.quant.format import Ints
from spikegpt_hls.quant.ops import BinaryEmbedding
from spikegpt_hls.rtl_tests.simulator import ToolError
from spikegpt_hls.rtl_tests.top.cosim import Model, Run
from spikegpt_hls.sim.cycles.schedule import Schedule, simulate
from spikegpt_hls.sim.traces import events, means

TOKENS = 96  # several times what a pipeline holds


@dataclass(frozen=True)
class Pace:
    """Steady-state prompt streaming; ``equal`` of ``compared`` transfers of all blocks were when the simulator says."""

    plan: Plan
    products: float  # multiply-accumulates per token, of all Linears
    rtl: float  # cycles per token, by the taps on the RTL's streams
    simulated: float
    busy: float  # share of cycles in which the bottleneck's multipliers worked, by the RTL's counters
    compared: int
    equal: int

    @property
    def ideal(self) -> float:
        """Cycles per token with which no multiplier would ever idle."""
        return self.products / self.plan.multipliers

    @property
    def share(self) -> float:
        """Of the multipliers' cycles that are of use."""
        return self.ideal / self.rtl


def measure(
    onnx: Path, plan: Plan, work: Path, level: int = 2, driven: Collection[str] = (), text: Ints | None = None
) -> Pace:
    """Write ``plan``'s RTL of an exported model into ``work``, stream ``TOKENS`` tokens through it, and compare every
    transfer with the cycle simulator. ``driven``: Linears that follow events. The tokens are the first of ``text``, or
    random."""
    graph = convert(
        onnx, work, backend="SpikeRTL", lanes=plan.lanes, reuse_factor=plan.reuse_factors, engine=plan.members,
        events=driven,
    )  # fmt: skip
    graph.write()
    model = Model(work / "rtl", work / "run")
    model.build(level)
    random = np.random.default_rng(0).integers(0, vocabulary(dataflow(graph)), TOKENS)
    ids = random if text is None else np.resize(text, TOKENS)
    run = model.run("pace", [ids])
    fired = {}
    if driven:
        fired = events(run.dataflow, {name: values[0] for name, values in execute(onnx, ids[None]).items()})
    return pace(run, simulate(run.dataflow, TOKENS, events=fired), fired)


def vocabulary(flow: Dataflow) -> int:
    """How many token ids there are."""
    return next(op.vocabulary for block in flow.blocks if isinstance(op := block.operation, BinaryEmbedding))


def pace(run: Run, schedule: Schedule, fired: Mapping[str, Ints]) -> Pace:
    """What a run without stalls shows; ``fired`` are the events of its tokens, where a Linear follows them."""
    transfers, taken = run.transfers(), run.source_cycles()
    expected = {block.name: schedule.times[block.outputs[0]] - schedule.first for block in run.dataflow.blocks}
    last = run.dataflow.driver[run.dataflow.sink].name
    logits = transfers[last][:, -1]
    begin, end = _steady(taken, logits)
    cycles, busy = run.progress[end] - run.progress[begin]
    return Pace(
        plan_of(run.dataflow, means(fired)),
        sum(_products(block, fired.get(block.name)) for block in run.dataflow.blocks if block.kind == "Linear"),
        float(logits[end] - logits[begin]) / (end - begin),
        float(schedule.token_end[end] - schedule.token_end[begin]) / (end - begin),
        float(busy / cycles),
        sum(times.size for times in expected.values()),
        sum(int((transfers[name].ravel() - taken[0] == times).sum()) for name, times in expected.items()),
    )


def _products(block: Block, events: Ints | None) -> float:
    """Per token, of a Linear."""
    return block.channels_out * (block.channels_in if events is None else float(events.mean()))


def _steady(taken: Ints, logits: Ints) -> tuple[int, int]:
    """The second half of the tokens that left while ids still came: behind them the pipeline runs empty."""
    end = int(np.searchsorted(logits, taken[-1])) - 1
    if end < 8:
        raise ToolError(f"only {end} of {len(taken)} tokens left the pipeline while it was full: stream more")
    return end // 2, end
