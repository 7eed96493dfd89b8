"""Energy is action counts times cited constants: worked out by hand, to the last digit."""

import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from spikegpt_hls.hls.dataflow import Block, Dataflow
from spikegpt_hls.hls.fold.engine import share
from spikegpt_hls.hls.fold.folding import legal_factors
from spikegpt_hls.hls.rtl.timing import Timing
from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.ops import (
    BIT,
    LIF,
    OPERATIONS,
    WKV,
    BinaryEmbedding,
    Gate,
    Linear,
    Sigmoid,
    TokenShift,
)
from spikegpt_hls.rtl_tests.corners import CORNERS
from spikegpt_hls.sim.energy.actions import Action, actions, activity, bank
from spikegpt_hls.sim.energy.energy_table import CONSTANTS, KINDS, EnergyTable
from spikegpt_hls.sim.energy.floats import as_floats
from spikegpt_hls.sim.energy.model import energy, mean
from spikegpt_hls.sim.errors import SimulationError

BYTE = Format(8, 4)
TEXT = files("spikegpt_hls.sim.energy").joinpath("energy_table.json").read_text("utf-8")


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
    """Four channels, whose membranes have the 8 bits of their input; see the sums."""
    operation = LIF.of(4, BYTE)
    assert operation.membrane.bits == 8
    alone = Dataflow((block("lif", operation, ("x",)),), "x", "lif")
    silence = np.zeros((3, 4), np.int64)
    report = energy(alone, {"x": silence, "lif": silence}, timing=fixed_timing)
    add_9, compare_8 = 0.03 + 0.07 / 24, 0.03
    assert report.compute_pj == pytest.approx(4 * (add_9 + compare_8), rel=1e-15)
    membrane = 10 / 64 * ((4 * 8 / 8) / 8192) ** 0.5  # pJ per bit of a RAM of 4 bytes
    fifo = 10 / 64 * ((3 * 1 / 8) / 8192) ** 0.5  # three beats of one bit
    assert report.memory_pj == pytest.approx(2 * 4 * 8 * membrane + 2 * 4 * fifo, rel=1e-15)


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


def test_what_shares_the_engine_moves_through_its_widths():
    narrow, wide = Linear(BYTE, 8, 16, BIT, Format(4, 3)), Linear(BYTE, 16, 8, BYTE, Format(8, 7))
    members = share([block(name, op, ("x",), lanes=2, reuse_factor=32) for name, op in (("n", narrow), ("w", wide))],
                    ["n", "w"])  # fmt: skip
    by_name = {(a.kind, a.what): a for a in actions(members[0], Timing(0, 4))}
    assert by_name["read", "weights"] == Action("read", "weights", 8, 128, memory=64 * 4 * 8)
    assert by_name["multiply", "weight x input"] == Action("multiply", "weight x input", 8, 128, other=8)
    assert by_name["write", "token bank"].bits == 1
    assert by_name["add", "accumulate"].bits == wide.accumulator.bits
    assert by_name["write", "result words"].memory == 2 * wide.accumulator.bits


@pytest.mark.parametrize("kind", OPERATIONS)
def test_every_operation_has_actions(kind):
    table = EnergyTable.load()
    for operation in (op for op in CORNERS if type(op).__name__ == kind):
        reuse_factor = legal_factors(operation.n_in, operation.n_out, 1)[0] if kind == "Linear" else 1
        counted = actions(block("b", operation, operation.streams, reuse_factor=reuse_factor), Timing(1, 3))
        assert len(counted) > 2
        assert all(action.count > 0 and table.pj(action) > 0 for action in counted), operation


def test_blocks_sum_to_the_total_and_data_is_counted():
    report = energy(chain(), chain_traces(), timing=fixed_timing)
    assert report.total_pj == sum(b.compute_pj for b in report.blocks) + sum(b.memory_pj for b in report.blocks)
    assert report.macs == 16
    assert report.skippable_macs == 2 * 4
    measured = activity(chain(), chain_traces())
    assert measured["emb"]["rate"] == 0.5
    assert measured["lif"]["spikes"] == 1


def constants():
    raw = json.loads(TEXT)
    return [(kind, n) for kind in CONSTANTS for n in range(len(raw[kind]))]


#: Actions that the chain has not: wide, large, in floats.
OTHERS = (
    Action("multiply", "", 16, 3, other=16),
    Action("read", "", 32, 5, memory=8 * 16384),
    Action("write", "", 32, 5, memory=8 << 19),
    Action("float_add", "", 24, 7),
    Action("float_multiply", "", 24, 7),
)


def priced_chain(text):
    """Energy per token, and that of other actions, under a table; the Linear's weights off the chip."""
    report = energy(chain(), chain_traces(), EnergyTable.load(text), fixed_timing, outside=["linear"])
    return report.total_pj + sum(action.count * report.table.pj(action) for action in OTHERS)


@pytest.mark.parametrize(("kind", "n"), constants())
def test_doubling_a_constant_moves_exactly_its_share(kind, n):
    """A price is a sum of constants: what one moves is what is left where all others are zero."""
    doubled, alone = json.loads(TEXT), json.loads(TEXT)
    doubled[kind][n]["pj"] *= 2
    for other in CONSTANTS:
        for m, entry in enumerate(alone[other]):
            entry["pj"] *= (other, m) == (kind, n)
    before, after, share = (priced_chain(text) for text in (TEXT, json.dumps(doubled), json.dumps(alone)))
    assert after - before == pytest.approx(share, rel=1e-9, abs=1e-9)
    assert share > 0


def test_the_shares_of_all_constants_are_the_total():
    report = energy(chain(), chain_traces(), timing=fixed_timing, outside=["linear"])
    shares = report.shares()
    assert sum(share["pj_per_token"] for share in shares) == pytest.approx(report.total_pj, rel=1e-12)
    assert len(shares) == len(constants())
    off_chip = sum(share["pj_per_token"] for share in shares if share["kind"] == "dram")
    assert off_chip == pytest.approx(report.offchip_pj, rel=1e-12)


#: docs/energy.md, "An example by hand": pJ per token, to the sixth digit.
BY_HAND = {
    ("linear", "multiply", "weight x input"): "3.200000",
    ("linear", "add", "accumulate"): "0.900000",
    ("linear", "add", "round"): "0.225000",
    ("linear", "compare", "saturate"): "0.450000",
    ("linear", "write", "token bank"): "0.156250",
    ("linear", "read", "token bank"): "0.625000",
    ("linear", "read", "weights"): "0.883883",
    ("linear", "write", "result words"): "0.242007",
    ("linear", "read", "result words"): "0.242007",
    ("linear", "write", "output FIFO linear"): "0.123526",
    ("linear", "read", "output FIFO linear"): "0.123526",
    ("lif", "add", "integrate"): "0.131667",
    ("lif", "compare", "threshold"): "0.120000",
    ("lif", "read", "membrane"): "0.110485",
    ("lif", "write", "membrane"): "0.110485",
    ("lif", "write", "output FIFO lif"): "0.005459",
    ("lif", "read", "output FIFO lif"): "0.005459",
}


def two_layers():
    """ids -> linear -> lif: 4 channels, one lane, one multiplier."""
    linear = block("linear", Linear(BYTE, 4, 4, BYTE, Format(8, 7)), ("x",), reuse_factor=16)
    return Dataflow((linear, block("lif", LIF.of(4, BYTE), ("linear",))), "x", "lif")


def test_the_example_by_hand_is_reproduced_to_the_last_digit():
    traces = {"x": np.zeros((2, 4), np.int64), "linear": np.zeros((2, 4), np.int64), "lif": np.ones((2, 4), np.int64)}
    report = energy(two_layers(), traces)
    counted = {(b.name, a.kind, a.what): f"{pj:.6f}" for b in report.blocks for a, pj in b.items}
    assert counted == BY_HAND
    assert f"{report.compute_pj:.6f}" == "5.026667"
    assert f"{report.memory_pj:.6f}" == "2.628090"
    assert f"{report.total_pj:.6f}" == "7.654757"
    assert f"{report.skippable_pj:.6f}" == "4.100000"  # every input is 0
    page = (Path(__file__).parents[1] / "docs" / "energy.md").read_text()
    for figure in (*BY_HAND.values(), "5.026667", "2.628090", "7.654757", "3,900"):
        assert figure in page
    off_chip = energy(two_layers(), traces, outside={"linear"})
    assert off_chip.offchip_pj == 128 / 64 * 1950 == 3900
    assert off_chip.offchip_bytes == 16
    assert off_chip.memory_pj - report.memory_pj == pytest.approx(3900 - 0.883883476)


def test_a_word_wider_than_a_cited_read_lies_in_banks():
    assert bank(32, 64) == 32 * 64
    assert bank(32, 65) == 32 * 33
    assert bank(512, 256) == 512 * 64
    wide = Linear(BYTE, 16, 64, BYTE, Format(8, 7))
    counted = actions(block("l", wide, ("x",), lanes=2, reuse_factor=32), Timing(1, 3))
    (weights,) = [action for action in counted if action.what == "weights"]
    assert weights.memory == 32 * 64  # 32 words of 2 x 16 weights, in four banks


def test_only_constants_can_leave_the_chip():
    with pytest.raises(SimulationError, match="lif cannot read its constants"):
        energy(chain(), chain_traces(), timing=fixed_timing, outside=["lif"])
    with pytest.raises(SimulationError, match="no block is called head"):
        energy(chain(), chain_traces(), timing=fixed_timing, outside=["head"])
    moved = energy(chain(), chain_traces(), timing=fixed_timing, outside=["emb"])
    assert moved.offchip_bytes == 4 / 8


def test_counts_of_pieces_are_those_of_the_whole():
    whole = activity(chain(), chain_traces())
    pieces = [{name: trace[rows] for name, trace in chain_traces().items()} for rows in (slice(0, 2), slice(2, 5))]
    tokens, joined = mean((len(piece["lif"]), activity(chain(), piece)) for piece in pieces)
    assert tokens == 5
    assert {name: pytest.approx(found) for name, found in whole.items()} == joined


def test_floats_keep_the_products_and_drop_what_integers_need():
    report = energy(two_layers(), {"x": np.zeros((1, 4)), "linear": np.zeros((1, 4)), "lif": np.zeros((1, 4))})
    floats = list(as_floats(action for block in report.blocks for action, _ in block.items))
    compute = sum(action.count * report.table.pj(action) for action in floats if not action.is_memory)
    assert compute == pytest.approx(16 * 3.7 + (16 + 4 + 4) * 0.9)
    assert {a.bits for a in floats if a.is_memory and a.what != "output FIFO lif"} == {32}


def test_every_constant_names_its_node_width_and_source():
    raw = json.loads(TEXT)
    for entry in (entry for kind in CONSTANTS for entry in raw[kind]):
        assert entry["bits"] > 0
        assert entry["node"]
        assert "Horowitz" in entry["source"]


@pytest.mark.parametrize("missing", ["sram", "add", "dram", "float_multiply", "rules", "node"])
def test_a_table_without_an_entry_is_refused_by_name(missing):
    raw = json.loads(TEXT)
    del raw[missing]
    with pytest.raises(SimulationError, match=missing):
        EnergyTable.load(json.dumps(raw))


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_without_a_rule_is_refused_at_once(kind):
    """Whether or not the model has such an action."""
    raw = json.loads(TEXT)
    del raw["rules"][kind]
    with pytest.raises(SimulationError, match=f"no rule for the action '{kind}'"):
        EnergyTable.load(json.dumps(raw))


@pytest.mark.parametrize(
    ("field", "value"), [("source", ""), ("node", None), ("pj", "ten"), ("pj", -1), ("bits", 0), ("bytes", None)]
)
def test_a_constant_without_a_source_or_a_number_is_refused(field, value):
    raw = json.loads(TEXT)
    raw["sram"][1][field] = value
    with pytest.raises(SimulationError, match=f"'sram' has no usable '{field}'"):
        EnergyTable.load(json.dumps(raw))


@pytest.mark.parametrize("text", ["", "[]", "{", '{"node": 1}', '{"add": 3}'])
def test_what_is_no_table_is_refused(tmp_path, text):
    path = tmp_path / "table.json"
    path.write_text(text)
    with pytest.raises(SimulationError, match=r"table\.json"):
        EnergyTable.read(path)
    with pytest.raises(SimulationError, match="No such file"):
        EnergyTable.read(tmp_path / "none.json")


def test_a_missing_trace_is_named():
    traces = chain_traces()
    del traces["gate"]
    with pytest.raises(SimulationError, match="gate"):
        energy(chain(), traces, timing=fixed_timing)


def test_an_unknown_action_has_no_price():
    with pytest.raises(SimulationError, match="dance"):
        EnergyTable.load().pj(Action("dance", "floor", 8, 1))
