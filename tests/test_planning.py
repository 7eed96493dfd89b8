"""Foldings: what a plan promises is what the cycle simulator finds, and nothing within the budget is faster."""

import shutil
from dataclasses import replace
from functools import cache
from math import ceil
from pathlib import Path

import numpy as np
import pytest

from spikegpt_hls.cli.main import run
from spikegpt_hls.cli.steps import folding
from spikegpt_hls.hls.convert import reuse_factors
from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.hls.errors import ConversionError
from spikegpt_hls.hls.fold.engine import share, shareable
from spikegpt_hls.hls.fold.folding import legal_factors
from spikegpt_hls.hls.fold.geometry import assemble
from spikegpt_hls.hls.fold.planning import cheapest, fastest, next_step_up, plan_of, without_engine
from spikegpt_hls.hls.rtl.blocks import single
from spikegpt_hls.hls.rtl.timing import interval
from spikegpt_hls.quant import ops
from spikegpt_hls.quant.export.vectors import trace
from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.network import blocks
from spikegpt_hls.quant.training.calibrate import random_network
from spikegpt_hls.sim.cycles.schedule import simulate, slope, token_times
from spikegpt_hls.sim.energy.model import energy
from spikegpt_hls.sim.energy.skipping import skipped

S8 = Format(8, 5)
SIZES = {"tiny": (2, 64), "small": (4, 128)}


@cache
def operations(size: str) -> dict[str, ops.Operation]:
    return {node.name: node.operation for node in blocks(random_network(*SIZES[size]))}


def simulated(op: ops.Operation, lanes: int, reuse: int = 1, engine: bool = False) -> tuple[float, float]:
    """Cycles per token behind an embedding, by the formula and by the simulator; ``engine``: with one to itself."""
    block = replace(single(op, lanes, {}, reuse), inputs=("x",), outputs=("y",))
    embedding = single(ops.BinaryEmbedding(ops.BIT, 16, op.n_in), lanes, {})
    source = replace(embedding, name="embedding", inputs=("ids",), outputs=("x",))
    flow = Dataflow(share((source, block), [block.name] * engine), "ids", "y")
    return interval(flow[block.name]), slope(simulate(flow, 400).token_end)


@pytest.mark.parametrize("lanes", [1, 2, 8, 16])
@pytest.mark.parametrize("channels", [16, 48])
def test_the_interval_of_a_block_is_exact(channels: int, lanes: int) -> None:
    for op in (ops.LIF.of(channels, S8), ops.LayerNorm(S8, channels, S8, Format(8, 5), Format(16, 10))):
        predicted, found = simulated(op, lanes)
        assert predicted == found, op
    for outputs in (16, 64):
        linear = ops.Linear(S8, channels, outputs, S8, Format(8, 7))
        for reuse in legal_factors(channels, outputs, lanes):
            for engine in (False, True)[: 1 + shareable(single(linear, lanes, {}, reuse))]:
                predicted, found = simulated(linear, lanes, reuse, engine)
                assert predicted == found, (linear, reuse, engine)


@pytest.mark.parametrize("multipliers", [32, 128, 512])
@pytest.mark.parametrize("size", SIZES)
def test_the_bound_of_all_foldings_is_met(size: str, multipliers: int) -> None:
    """No folding takes fewer cycles per token than there are products for each multiplier of the budget."""
    plan = fastest(operations(size), multipliers)
    assert plan.multipliers <= multipliers
    assert plan.interval == ceil(products(size) / multipliers)
    assert plan.bottleneck == "engine"


def products(size: str) -> int:
    return sum(op.n_in * op.n_out for op in operations(size).values() if linear(op))


@pytest.mark.parametrize("multipliers", [1, 14, 32, 128, 500, 512])
@pytest.mark.parametrize("size", SIZES)
def test_the_planned_pace_is_the_simulated_one(size: str, multipliers: int) -> None:
    """What an engine works ahead within so few tokens is a hundredth."""
    plan = fastest(operations(size), multipliers)
    nodes = blocks(random_network(*SIZES[size]))
    network = {node.name: (node.operation, node.inputs) for node in nodes}
    flow = assemble(network, plan.lanes, plan.reuse_factors, engine=plan.members)
    pace = simulate(flow, 96).cycles_per_token
    assert pace == token_times(flow, 96).cycles_per_token == pytest.approx(plan.interval, rel=0.01)


@pytest.mark.parametrize("multipliers", [32, 128])
def test_without_its_engine_a_network_keeps_to_its_multipliers(multipliers: int) -> None:
    """A member of an engine has all its multipliers; by itself it gets its share."""
    plan = fastest(operations("tiny"), multipliers)
    network = {node.name: (node.operation, node.inputs) for node in blocks(random_network(*SIZES["tiny"]))}
    flow = assemble(network, plan.lanes, plan.reuse_factors, engine=plan.members)
    factors = without_engine(flow)
    linears = {name: op for name, op in operations("tiny").items() if isinstance(op, ops.Linear)}
    assert factors.keys() == linears.keys()
    apart = assemble(network, plan.lanes, factors)
    used = plan_of(apart).multipliers
    assert used == sum(op.n_in * op.n_out // factors[name] for name, op in linears.items()) <= plan.multipliers


def test_zeros_are_skipped_within_the_multipliers_of_an_engine() -> None:
    """What is skipped beside an engine costs what it does in a network that was folded without one, for its events."""
    made = random_network(1, 16, seed=2)
    network = {node.name: (node.operation, node.inputs) for node in blocks(made)}
    plan = fastest({name: op for name, (op, _) in network.items()}, 16)
    flow = assemble(network, plan.lanes, plan.reuse_factors, engine=plan.members)
    traces = trace(made, [np.arange(24)])
    report = energy(flow, traces)
    events = {
        b.name: flow[b.name].channels_in - b.activity["zero_operands"] for b in report.blocks if b.kind == "Linear"
    }
    apart = assemble(network, plan.lanes, without_engine(flow, events))
    assert plan.members
    assert plan_of(apart, events).multipliers <= plan.multipliers
    assert skipped(flow, report).total_pj == skipped(apart, energy(apart, traces)).total_pj


@pytest.mark.parametrize("multipliers", [32, 128, 512])
def test_no_folding_without_an_engine_is_faster(multipliers: int) -> None:
    plan = fastest(operations("tiny"), multipliers, engine=False)
    assert plan.multipliers <= multipliers
    assert not plan.members
    assert plan.interval == min(fastest_by_search(lanes, multipliers) for lanes in (1, 2, 4, 8, 16, 32, 64))


def fastest_by_search(lanes: int, budget: int) -> float:
    """All foldings of ``tiny``, Linear after Linear: the least slowest interval for every sum of multipliers."""
    reached = {0: max(interval(single(op, lanes, {})) for op in operations("tiny").values() if not linear(op))}
    for op in filter(linear, operations("tiny").values()):
        longer: dict[int, float] = {}
        for factor in legal_factors(op.n_in, op.n_out, lanes):
            cycles, cost = interval(single(op, lanes, {}, factor)), op.n_in * op.n_out // factor
            for used, slowest in reached.items():
                if used + cost <= budget:
                    longer[used + cost] = min(longer.get(used + cost, float("inf")), max(slowest, cycles))
        reached = longer
    return min(reached.values(), default=float("inf"))


def linear(op: ops.Operation) -> bool:
    return isinstance(op, ops.Linear)


def test_no_linear_is_faster_than_the_logits_leave() -> None:
    """5,000 outputs on two lanes are 2,500 beats, whatever computes them; 256 leave more time than 512 cycles."""
    for outputs, cycles in ((5000, 2500), (256, 512)):
        network = {"wide": ops.Linear(S8, 64, 64, S8, S8), "head": ops.Linear(S8, 64, outputs, S8, S8)}
        for name, factor in reuse_factors(network, lanes=2).items():
            legal = legal_factors(64, network[name].n_out, 2)
            assert factor == max(each for each in legal if each <= cycles)


def test_a_plan_for_a_rate_is_the_cheapest_and_the_next_step_up_is_faster() -> None:
    plan = cheapest(operations("tiny"), 600)
    assert plan.interval <= 600
    assert plan == fastest(operations("tiny"), plan.multipliers)
    assert fastest(operations("tiny"), plan.multipliers - 1).interval > 600
    faster = next_step_up(operations("tiny"), plan)
    assert faster is not None
    assert faster.interval < plan.interval
    assert fastest(operations("tiny"), faster.multipliers - 1).interval == plan.interval


def test_budgets_and_rates_that_cannot_be_met_say_what_can() -> None:
    with pytest.raises(ConversionError, match="14 multipliers are too few for this network: it needs 15 or more"):
        fastest(operations("tiny"), 14, engine=False)
    with pytest.raises(ConversionError, match="0 multipliers are too few for this network: it needs 1 or more"):
        fastest(operations("tiny"), 0)
    with pytest.raises(ConversionError, match="takes 9 cycles per token or fewer: 10 is least"):
        cheapest(operations("tiny"), 9)


def test_linears_that_cannot_share_an_engine_are_refused() -> None:
    one, other = (ops.Linear(S8, 8, outputs, S8, Format(8, 7)) for outputs in (8, 16))
    members = [single(op, 1, {}, 16, name=name) for name, op in (("one", one), ("other", other))]
    with pytest.raises(ConversionError, match="one and other cannot share the engine: they have 4 and 8 multipliers"):
        share(members, ["one", "other"])
    with pytest.raises(ConversionError, match=r"one cannot share the engine with ReuseFactor 1 .* 1 steps, and need 3"):
        share([single(one, 8, {}, 1, name="one"), members[1]], ["one"])
    with pytest.raises(ConversionError, match="no Linear is named 'none', to share the engine"):
        share(members, ["one", "none"])


def test_a_folding_file_brings_the_same_hardware_back(trained: Path, tmp_path: Path) -> None:
    built = shutil.copytree(trained, tmp_path / "tiny")
    build = ["hls", "--build", str(tmp_path)]
    assert run([*build, "--multipliers", "128"]) == 0
    rtl = built / "hls" / "verilog"
    written = (rtl / "rtl" / "spikegpt.sv").read_bytes()
    (tmp_path / "mine.yml").write_bytes((rtl / folding.FILE).read_bytes())
    assert run([*build, "--lanes", "4"]) == 0
    assert (rtl / "rtl" / "spikegpt.sv").read_bytes() != written
    assert run([*build, "--folding", str(tmp_path / "mine.yml")]) == 0
    assert (rtl / "rtl" / "spikegpt.sv").read_bytes() == written


def test_a_folding_file_carries_contexts_and_a_named_number_goes_before_it(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "tiny")
    file, top = tmp_path / "mine.yml", tmp_path / "tiny" / "hls" / "verilog" / "rtl" / "spikegpt.sv"
    file.write_text("Lanes: 2\nContexts: 3\nLayerName: {}\n")
    assert run(["hls", "--build", str(tmp_path), "--folding", str(file)]) == 0
    assert ".CONTEXTS(3)" in top.read_text()
    assert "[1:0] s_axis_tid" in top.read_text()
    assert run(["hls", "--build", str(tmp_path), "--contexts", "9"]) == 0
    assert ".CONTEXTS(9)" in top.read_text()
    assert "[3:0] s_axis_tid" in top.read_text()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "Lanes: 2",
        "Lanes: two\nLayerName: {}",
        "LayerName: [",
        "Lanes: 2\nLayerName: {a: 1}",
        "Lanes: 2\nContexts: few\nLayerName: {}",
    ],
)
def test_a_file_that_is_no_folding_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "bad.yml").write_text(content)
    with pytest.raises(ConversionError, match=r"bad\.yml is no folding"):
        folding.read(tmp_path / "bad.yml")
