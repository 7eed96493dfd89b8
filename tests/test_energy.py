"""Energy is action counts times cited constants: worked out by hand, to the last digit."""

import json
from importlib.resources import files

import numpy as np
import pytest

from spikegpt_hls.hls.dataflow import Block, Dataflow
from spikegpt_hls.hls.rtl.timing import Timing
from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.ops import (
    BIT,
    LIF,
    OPERATIONS,
    WKV,
    BinaryEmbedding,
    Gate,
    LayerNorm,
    Linear,
    Residual,
    Sigmoid,
    SquaredReLU,
    TokenShift,
)
from spikegpt_hls.sim.actions import Action, actions, activity
from spikegpt_hls.sim.energy import EnergyTable, energy
from spikegpt_hls.sim.errors import SimulationError

BYTE = Format(8, 4)
TEXT = files("spikegpt_hls.sim").joinpath("energy_table.json").read_text("utf-8")


def fixed_timing(block):
    return Timing(0, 2) if block.operation is None else Timing(1, 3)


def block(name, operation, inputs, outputs=None, lanes=1, channels=0, **extra):
    n_in, n_out = (channels, channels) if operation is None else (operation.n_in, operation.n_out)
    formats = (BYTE,) if operation is None else tuple(operation.stream_format(s) for s in operation.streams)
    out = BYTE if operation is None else operation.out
    return Block(name, operation, inputs, outputs or (name,), n_in, n_out, formats, out, lanes, **extra)


def chain():
    """ids -> emb -> linear -> fork -> two sigmoids -> gate -> lif: 4 channels."""
    return Dataflow(
        (
            block("emb", BinaryEmbedding(BIT, 16, 4), ("ids",)),
            block("linear", Linear(BYTE, 4, 4, BIT, BYTE), ("emb",), reuse_factor=4),
            block("fork", None, ("linear",), ("a", "b"), channels=4),
            block("left", Sigmoid(BYTE, 4, BYTE), ("a",)),
            block("right", Sigmoid(BYTE, 4, BYTE), ("b",)),
            block("gate", Gate(BYTE, 4, BYTE, BYTE), ("left", "right"), fifo_depths=(4, 4)),
            block("lif", LIF.of(4, BYTE), ("gate",)),
        ),
        "ids",
        "lif",
    )


def chain_traces():
    rng = np.random.default_rng(0)
    traces = {name: rng.integers(-128, 128, (5, 4)) for name in ("linear", "left", "right", "gate")}
    bits = {"emb": np.array([[0, 1, 1, 0]] * 5), "lif": np.array([[1, 0, 0, 0]] * 5)}
    return {"ids": np.arange(5)[:, None], **traces, **bits}


def test_cited_constants_are_met_at_their_own_widths():
    table = EnergyTable.load()
    assert [table.pj(Action("add", "", bits, 1)) for bits in (8, 32)] == [0.03, 0.1]
    assert [table.pj(Action("multiply", "", bits, 1, other=bits)) for bits in (8, 32)] == [0.2, 3.1]
    sizes = {8192: 10, 32768: 20, 1 << 20: 100}
    assert {size: table.pj(Action("read", "", 64, 1, memory=8 * size)) for size in sizes} == sizes


def test_rules_between_and_beyond_the_cited_widths():
    table = EnergyTable.load()
    assert table.pj(Action("add", "", 4, 1)) == 0.015
    assert table.pj(Action("add", "", 20, 1)) == pytest.approx(0.065)
    assert table.pj(Action("add", "", 56, 1)) == pytest.approx(0.17)
    assert table.pj(Action("multiply", "", 2, 1, other=8)) == 0.05
    assert table.pj(Action("multiply", "", 4, 1, other=16)) == pytest.approx(0.2)
    assert table.pj(Action("read", "", 64, 1, memory=8 * 16384)) == pytest.approx(15)
    assert table.pj(Action("write", "", 64, 1, memory=8 * 2048)) == pytest.approx(5)
    assert table.pj(Action("read", "", 64, 1, memory=8 << 22)) == pytest.approx(200)


def test_a_lif_is_worked_out_by_hand():
    """Four channels of a 13-bit membrane (8.4 input, 8 guard bits: 16 bits); see the sums."""
    operation = LIF.of(4, BYTE)
    assert operation.membrane.bits == 16
    alone = Dataflow((block("lif", operation, ("x",)),), "x", "lif")
    report = energy(alone, {"lif": np.zeros((3, 4), np.int64)}, timing=fixed_timing)
    add_17, compare_16 = 0.03 + 9 * 0.07 / 24, 0.03 + 8 * 0.07 / 24
    assert report.compute_pj == pytest.approx(4 * (add_17 + compare_16), rel=1e-15)
    membrane = 10 / 64 * ((4 * 16 / 8) / 8192) ** 0.5  # pJ per bit of a RAM of 8 bytes
    fifo = 10 / 64 * ((3 * 1 / 8) / 8192) ** 0.5  # three beats of one bit
    assert report.memory_pj == pytest.approx(2 * 4 * 16 * membrane + 2 * 4 * fifo, rel=1e-15)


@pytest.mark.parametrize(
    ("operation", "what"),
    [
        (LIF.of(4, BYTE), "membrane"),
        (TokenShift(BYTE, 4, BYTE, BYTE), "previous token"),
        (WKV(BYTE, 4, BYTE, BYTE), "state"),
    ],
)
def test_the_memory_of_a_state_holds_those_of_all_contexts(operation, what):
    def size(contexts):
        streams = operation.streams
        counted = actions(block("b", operation, streams, contexts=contexts), Timing(1, 3))
        (memory,) = {action.memory for action in counted if action.what == what}
        return memory

    assert size(5) == 5 * size(1)


def test_a_linear_reads_each_weight_once_and_each_input_once_per_step():
    operation = Linear(BYTE, 8, 16, BYTE, Format(4, 3))
    counted = actions(block("l", operation, ("x",), lanes=2, reuse_factor=32), Timing(1, 3))
    by_name = {(a.kind, a.what): a for a in counted}
    assert by_name["read", "weights"] == Action("read", "weights", 4, 128, memory=512)
    assert by_name["multiply", "weight x input"] == Action("multiply", "weight x input", 4, 128, other=8)
    assert by_name["read", "token bank"].count == 32 * 2
    assert by_name["add", "accumulate"].bits == operation.accumulator.bits
    assert by_name["write", "result words"].memory == 2 * 2 * operation.accumulator.bits


def test_every_operation_has_actions():
    mu = Format(8, 7, signed=False)
    operations = [
        BinaryEmbedding(BIT, 16, 8),
        LayerNorm(BYTE, 8, BYTE, BYTE, BYTE),
        TokenShift(BYTE, 8, BYTE, mu),
        Linear(BYTE, 8, 8, BYTE, BYTE),
        Sigmoid(BYTE, 8, BYTE),
        WKV(BYTE, 8, BYTE, BYTE),
        Gate(BYTE, 8, BYTE, BYTE),
        LIF.of(8, BYTE),
        SquaredReLU(BYTE, 8, BYTE),
        Residual(Format(10, 4), 8, BYTE),
    ]
    assert {type(operation).__name__ for operation in operations} == set(OPERATIONS)
    table = EnergyTable.load()
    for operation in operations:
        counted = actions(block("b", operation, operation.streams, reuse_factor=8), Timing(1, 3))
        assert len(counted) > 2
        assert all(action.count > 0 and table.pj(action) > 0 for action in counted)


def test_blocks_sum_to_the_total_and_data_is_counted():
    report = energy(chain(), chain_traces(), timing=fixed_timing)
    assert report.total_pj == sum(b.compute_pj for b in report.blocks) + sum(b.memory_pj for b in report.blocks)
    assert report.macs == 16
    assert report.skippable_macs == 2 * 4
    measured = activity(chain(), chain_traces())
    assert measured["emb"]["rate"] == 0.5
    assert measured["lif"]["spikes"] == 1


def test_doubling_a_constant_moves_exactly_its_share():
    raw = json.loads(TEXT)
    for entry in raw["sram"]:
        entry["pj"] *= 2
    before = energy(chain(), chain_traces(), timing=fixed_timing)
    after = energy(chain(), chain_traces(), EnergyTable.load(json.dumps(raw)), fixed_timing)
    assert after.memory_pj == 2 * before.memory_pj
    assert after.compute_pj == before.compute_pj


def test_every_constant_names_its_node_width_and_source():
    raw = json.loads(TEXT)
    for entry in raw["add"] + raw["multiply"] + raw["sram"]:
        assert entry["bits"] > 0
        assert entry["node"]
        assert "Horowitz" in entry["source"]


@pytest.mark.parametrize("missing", ["sram", "add"])
def test_a_table_without_an_entry_is_refused_by_name(missing):
    raw = json.loads(TEXT)
    del raw[missing]
    with pytest.raises(SimulationError, match=missing):
        EnergyTable.load(json.dumps(raw))


def test_a_missing_action_or_trace_is_named():
    raw = json.loads(TEXT)
    del raw["rules"]["compare"]
    with pytest.raises(SimulationError, match="compare"):
        energy(chain(), chain_traces(), EnergyTable.load(json.dumps(raw)), fixed_timing)
    traces = chain_traces()
    del traces["gate"]
    with pytest.raises(SimulationError, match="gate"):
        energy(chain(), traces, timing=fixed_timing)
