"""The paper's table, break-even rates, firing statistics, switching: each against sums worked out by hand."""

import json

import numpy as np
import pytest

from spikegpt_hls.cli.main import run
from spikegpt_hls.cli.steps import at_work
from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.hls.rtl.blocks import single
from spikegpt_hls.hls.rtl.timing import Timing
from spikegpt_hls.model.errors import ModelError
from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.ops import BIT, LIF, WKV, BinaryEmbedding, Linear, SquaredReLU
from spikegpt_hls.sim.energy import paper
from spikegpt_hls.sim.energy.breakeven import break_evens
from spikegpt_hls.sim.energy.firing import LONGEST, count, firing
from spikegpt_hls.sim.energy.model import BlockEnergy
from spikegpt_hls.sim.energy.stimuli import NAMES, expected, random_typical, ranked, stimuli
from spikegpt_hls.sim.energy.switching import RANDOM, Rates, rates, toggle_rate
from spikegpt_hls.sim.errors import SimulationError

BYTE = Format(8, 4)


# The paper's table.


def test_each_projection_alone_is_the_ratio_of_the_constants():
    projection = paper.rows(3072, 512)[0]
    assert projection.dense_pj == 4.5 * 3 * 3072 * 512 * 512
    assert projection.dense_pj / projection.spiking_pj(0.15) == pytest.approx(4.5 / (0.9 * 0.15))


def test_the_stated_totals_do_not_follow_from_the_formulas():
    """T = 3072, d = 512: 3 T d^2 = 2,415,919,104; 2 T^2 d = 9,663,676,416; T^2 = 9,437,184; 9 d^2 = 2,359,296."""
    dense = 4.5 * (2_415_919_104 + 9_663_676_416 + 3 * 9_437_184 + 2_359_296)
    spiking = 0.9 * 0.15 * (2_415_919_104 + 2_359_296) + 4.5 * 7 * 1_572_864
    printed = paper.totals(paper.rows(paper.TOKENS, paper.WIDTH))
    assert printed["dense_pj"] == pytest.approx(dense) == pytest.approx(5.4496e10, rel=1e-4)
    assert printed["spiking_pj"] == pytest.approx(spiking) == pytest.approx(3.7601e8, rel=1e-4)
    assert printed["ratio"] == pytest.approx(144.93, rel=1e-4)
    verdicts = {finding["claim"]: finding["reproduces"] for finding in paper.findings()}
    assert [claim for claim, good in verdicts.items() if good] == [
        "one projection, dense over spiking",
        "ratio of the stated totals",
    ]
    assert len(verdicts) == 2 + 3 * 4


def test_the_stated_spiking_total_lacks_the_projections():
    """T * 9 d^2 accumulates and 6 T d multiplications are 1.0209e9 pJ, without Q/R, K and V."""
    total = 0.9 * 0.15 * 3072 * 2_359_296 + 4.5 * 6 * 1_572_864
    found = [entry for entry in paper.explanations() if entry["total"] == "spiking_pj"]
    terms = ["token mixing (spiking)", "FFN 1 (spiking)", "FFN 2 (spiking)", "FFN 3 (spiking)"]
    assert {
        "total": "spiking_pj",
        "terms": terms,
        "ffn_per_token": True,
        "mixing": 6,
        "pj": pytest.approx(total),
    } in found
    assert all("Q/R, K, V (spiking)" not in entry["terms"] for entry in found)


def test_the_papers_accounting_of_a_geometry_is_linear_in_rate_and_layers():
    assert paper.per_token(4, 128, 64, 0.15)["spiking_pj"] == pytest.approx(
        4 * (0.9 * 0.15 * 12 * 128**2 + 4.5 * 7 * 128)
    )
    none = paper.per_token(1, 128, 64, 0.0)["spiking_pj"]
    assert none == 4.5 * 7 * 128
    assert paper.per_token(2, 128, 64, 0.3)["spiking_pj"] - 2 * none == pytest.approx(
        4 * (paper.per_token(1, 128, 64, 0.15)["spiking_pj"] - none)
    )


# Break-even.


def one_linear():
    op = Linear(BYTE, 4, 4, BYTE, Format(8, 7))
    return Dataflow((single(op, 1, {}, 16),), "x", "m_axis")


def fixed_timing(block):
    return Timing(1, 5)


def test_break_even_of_one_linear_by_hand():
    """Compute alone. The twin: docs/energy.md's 4.775 pJ. Neurons: 0.251667. Reading bits, an accumulator has
    bits_for(4 * 127) = 10 bits, an add of which is 0.03 + 2 * 0.07 / 24."""
    add = 0.03 + 2 * 0.07 / 24
    found = {(e.movement, e.time_steps): e for e in break_evens(one_linear(), {"linear": 0.0}, timing=fixed_timing)}
    even = found["none", 1]
    assert even.twin_pj == pytest.approx(4.775)
    assert even.neurons_pj == pytest.approx(0.2516666667)
    assert even.fixed_pj == pytest.approx(12 * add)  # rounded and saturated
    assert even.per_rate_pj == pytest.approx(16 * add)
    assert even.rate == pytest.approx((4.775 - 0.2516666667 - 12 * add) / (16 * add))
    assert even.spiking_pj(even.rate) == pytest.approx(even.twin_pj)
    several = found["none", 5]
    assert several.spiking_pj(several.rate) == pytest.approx(several.twin_pj)
    assert several.rate < even.rate


def test_every_input_of_a_linear_needs_a_neuron():
    """Whatever its outputs: twice the inputs, twice the neurons."""

    def neurons(inputs, outputs):
        op = Linear(BYTE, inputs, outputs, BYTE, Format(8, 7))
        block = single(op, 1, {}, inputs * outputs)
        found = break_evens(Dataflow((block,), "x", "m_axis"), {"linear": 0.0}, timing=fixed_timing)
        return next(even.neurons_pj for even in found if even.movement == "none")

    assert neurons(8, 4) == pytest.approx(2 * neurons(4, 4)) == pytest.approx(2 * neurons(4, 8))


def test_zeros_that_are_skipped_bring_the_twin_down():
    def rate(zeros, movement):
        found = break_evens(one_linear(), {"linear": zeros}, timing=fixed_timing)
        return next(even.rate for even in found if (even.movement, even.time_steps) == (movement, 1))

    assert rate(0.5, "sparse") < rate(0.0, "sparse")
    assert rate(0.5, "dense") == rate(0.0, "dense")
    assert rate(0.5, "none") == rate(0.0, "none")


# Firing.


def test_firing_of_a_small_raster_by_hand():
    """Two sequences of 4 and 3 tokens; an interval never crosses from one to the next."""
    spikes = np.array([[1, 0, 1], [0, 0, 1], [0, 0, 1], [1, 0, 1], [0, 0, 1], [1, 0, 1], [1, 0, 1]])
    dataflow = Dataflow((single(LIF.of(3, BYTE), 1, {}),), "x", "m_axis")
    found = firing(dataflow, count(dataflow, {"lif": spikes}, (4, 3)))
    layer = found["layers"]["lif"]
    assert layer["rate"] == found["rate"] == 11 / 21
    assert (layer["dead"], layer["saturated"]) == (1 / 3, 1 / 3)
    assert layer["histogram"] == (6, 0, 1)  # neuron 0: 3, then 1; neuron 2: 1 three times, then twice
    assert layer["interval_mean"] == (6 + 3) / 7
    assert layer["interval_quantiles"]["0.5"] == 1
    assert layer["interval_quantiles"]["0.9"] == 3
    json.dumps(found)


def test_pieces_add_up_and_silence_has_no_intervals():
    lif, relu = single(LIF.of(2, BYTE), 1, {}), single(SquaredReLU(BYTE, 2, BYTE), 1, {})
    dataflow = Dataflow((lif,), "x", "m_axis")
    quiet = count(dataflow, {"lif": np.zeros((5, 2), int)}, (5,))["lif"]
    assert quiet.intervals.shape == (LONGEST + 1,)
    assert firing(dataflow, {"lif": quiet + quiet})["layers"]["lif"]["interval_mean"] is None
    alone = Dataflow((relu,), "x", "m_axis")
    zeros = count(alone, {"squaredrelu": np.array([[0, 3], [0, 0]])}, (2,))
    found = firing(alone, zeros)
    assert found["sparsity"] == {"squaredrelu": 0.75}
    assert found["rate"] is None


def test_a_long_interval_is_in_the_last_bin():
    spikes = np.zeros((LONGEST + 50, 1), int)
    spikes[[0, -1]] = 1
    dataflow = Dataflow((single(LIF.of(1, BYTE), 1, {}),), "x", "m_axis")
    counted = count(dataflow, {"lif": spikes}, (len(spikes),))["lif"]
    assert counted.intervals[LONGEST] == counted.intervals.sum() == 1


# Switching.


def test_toggles_are_counted_bit_by_bit_from_zero():
    words = np.array([[0b0101], [-1], [-1], [0]])
    assert toggle_rate([(words, 4)]) == (2 + 2 + 0 + 4) / 16
    assert toggle_rate([(words, 8)]) == (2 + 6 + 0 + 8) / 32


def test_random_operands_switch_as_the_rule_assumes():
    rng = np.random.default_rng(0)
    assert toggle_rate([(rng.integers(-128, 128, (20000, 2)), 8)]) == pytest.approx(RANDOM, abs=0.01)


def test_a_linears_switching_by_hand():
    """One multiplier, weights 1, 3 (outputs) for a single input; x = 5, then 5: products 5, 15, 5, 15."""
    op = Linear(BYTE, 1, 2, Format(4, 0), Format(3, 0))
    block = single(op, 1, {"weight": np.array([[1], [3]])}, 2)
    found = rates(block, [np.array([[5], [5]])], np.array([[5, 15], [5, 15]]))
    x, weights, products = 2, 1 + 1 + 1 + 1, 2 + 2 + 2 + 2  # 0 to 0101; 001, 011, 001, 011; 0101, 1111, ...
    assert found.actions["weight x input"] == (x + weights + products) / (4 * (4 + 3 + 7))
    assert op.accumulator.bits == 6
    assert found.actions["accumulate"] == (products + products) / (4 * (7 + 6))


def test_a_lifs_switching_by_hand():
    """x = 1.5 thresholds twice: charge 0.75, then 1.125, a spike; the membrane is 0, 0.75."""
    op = LIF.of(1, Format(8, 4))
    found = rates(single(op, 1, {}), [np.array([[24], [24]])], np.array([[0], [1]]))
    first, second = 24 >> 1, (12 + 24) >> 1
    charge = first.bit_count() + (first ^ second).bit_count()
    membrane = first.bit_count()
    assert found.actions["integrate"] == (2 + membrane + charge) / (2 * (8 + 8 + 8))
    assert found.actions["threshold"] == (charge + 1) / (2 * (8 + 1))
    assert found.streams == (2 + 1) / (2 * (8 + 1))


def test_scaled_compute_is_the_sum_over_actions():
    block = single(LIF.of(4, BYTE), 1, {})
    typical = random_typical(block.operation, 16)
    same = {"lif": Rates({}, RANDOM)}
    found = expected(block, typical)
    items = BlockEnergy("lif", "LIF", (), {})
    assert items.scaled_pj(same) == 0
    assert 0 < found["scaled_compute_pj"] < 2 * found["compute_pj"]
    quiet = stimuli(block.operation, typical)["silent"]
    assert expected(block, quiet)["scaled_compute_pj"] == 0
    assert expected(block, quiet)["compute_pj"] == found["compute_pj"]  # as counted, whatever the operands are


@pytest.mark.parametrize(
    "op", [LIF.of(8, BYTE), WKV(Format(10, 7), 8, BYTE, Format(8, 5)), Linear(BYTE, 8, 8, BYTE, Format(8, 7))]
)
def test_the_model_ranks_the_stimuli(op):
    """As the RTL does (rtl_tests/top/test_toggles.py)."""
    rng = np.random.default_rng(1)
    params = {
        name: rng.integers(op.param_format(name).lo + 1, op.param_format(name).hi, op.param_shape(name))
        for name in op.params
    }
    block = single(op, 2, params, 32)
    shown = stimuli(op, random_typical(op, 24))
    scaled = {name: expected(block, shown[name])["scaled_compute_pj"] for name in NAMES}
    assert ranked(scaled) == ["silent", "saturated", "typical"]


def test_switching_without_the_weights_is_refused():
    with pytest.raises(SimulationError, match="needs its weight"):
        rates(single(Linear(BYTE, 4, 4, BYTE, BYTE), 1, {}, 16), [np.zeros((2, 4), int)], np.zeros((2, 4), int))
    table = single(BinaryEmbedding(BIT, 4, 2), 1, {})
    with pytest.raises(SimulationError, match="needs its table"):
        rates(table, [np.zeros((2, 1), int)], np.zeros((2, 2), int))


# The command.

ALIKE = ["--tokenizer", "characters", "--steps", "6", "--qat-steps", "3"]


@pytest.fixture(scope="module")
def accounted(tmp_path_factory):
    """A build folder after ``accountings`` over 150 characters, in windows of 64; lanes do not divide the logits."""
    folder = tmp_path_factory.mktemp("accounted")
    text = folder / "text.txt"
    text.write_text("to be, or not to be: that is the only question. " * 200)
    arguments = ["--build", str(folder), "--data", str(text), *ALIKE, "--characters", "150", "--tokens", "66"]
    arguments += ["--lanes", "8"]
    assert run(["accountings", *arguments]) == 0
    return folder


def test_four_accountings_of_a_trained_network_and_its_twin(accounted, capsys):
    made = json.loads((accounted / "tiny" / "accountings.json").read_text())
    assert made["characters"] == made["tokens"] == 150
    rows = {(row["accounting"], n): row for n, row in enumerate(made["rows"])}
    assert [name for name, _ in rows] == [
        "paper", "paper", "as built", "as built", "twin", "this hardware", "this hardware",
        "zeros skipped", "zeros skipped", "zeros skipped",
    ]  # fmt: skip
    for row in rows.values():
        assert row["total_pj"] == row["compute_pj"] + row["movement_pj"] > row["movement_pj"] > 0
    floats, integers = rows["as built", 2], rows["as built", 3]
    assert floats["compute_pj"] > 10 * integers["compute_pj"]
    assert rows["this hardware", 5]["movement_pj"] == integers["movement_pj"]
    rate = made["firing"]["rate"]
    assert rows["paper", 1]["compute_pj"] == pytest.approx(paper.per_token(2, 64, 64, rate)["spiking_pj"])
    twin = made["networks"]["twin"]
    assert [rows["zeros skipped", n]["label"] for n in (7, 8)] == ["this network", "twin"]
    saved = rows["twin", 4]["compute_pj"] - rows["zeros skipped", 8]["compute_pj"]
    assert 0 < saved < twin["skippable_pj_per_token"]  # finding the events costs something
    shares = made["networks"]["twin"]["shares"]
    assert sum(share["pj_per_token"] for share in shares) == pytest.approx(rows["twin", 4]["total_pj"])
    assert run(["accountings", "--build", str(accounted)]) == 0  # nothing is named: nothing is made anew
    assert "break-even firing rate" in " ".join(capsys.readouterr().out.split())


def test_bits_and_firing_are_those_of_the_network_on_the_text(accounted):
    from spikegpt_hls.model.corpus import text, tokenizer, tokens
    from spikegpt_hls.model.training.evaluate import nats_per_token
    from spikegpt_hls.quant.export.vectors import trace
    from spikegpt_hls.quant.storage import load_network

    made = json.loads((accounted / "tiny" / "accountings.json").read_text())
    for name, folder in (("spiking", accounted / "tiny"), ("twin", accounted / "tiny" / "twin")):
        network, header = load_network(folder / "checkpoint.safetensors")
        used = tokenizer.beside(folder / "checkpoint.safetensors", header)
        ids = tokens.prepare(text.find(header["data"]), used, folder).split(64)[1][:151]
        bits = nats_per_token(network, ids, 64) / np.log(2)
        assert made["networks"][name]["bits_per_character"] == pytest.approx(bits, rel=1e-12)
        if name == "spiking":
            traces = trace(network, [ids[0:64], ids[64:128], ids[128:150]])
            for layer in (name for name in traces if name.endswith("_lif")):
                assert made["firing"]["layers"][layer]["rate"] == pytest.approx(float(traces[layer].mean()), rel=1e-12)


def test_another_table_changes_the_energy_and_a_bad_one_is_refused(accounted, tmp_path, capsys):
    from importlib.resources import files

    raw = json.loads(files("spikegpt_hls.sim.energy").joinpath("energy_table.json").read_text("utf-8"))
    path = accounted / "tiny" / "accountings.json"
    before = path.read_text()
    for kind in ("add", "multiply", "float_add", "float_multiply", "sram", "dram"):
        raw[kind] = [{**entry, "pj": 2 * entry["pj"]} for entry in raw[kind]]
    table = tmp_path / "table.json"
    table.write_text(json.dumps(raw))
    assert run(["accountings", "--build", str(accounted), "--energy", str(table)]) == 0
    rows = zip(json.loads(before)["rows"], json.loads(path.read_text())["rows"], strict=True)
    for old, new in rows:
        assert new["movement_pj"] == pytest.approx(2 * old["movement_pj"])
    after = path.read_text()
    del raw["rules"]["divide"]
    table.write_text(json.dumps(raw))
    capsys.readouterr()
    assert run(["accountings", "--build", str(accounted), "--energy", str(table)]) == 2
    message = " ".join(capsys.readouterr().err.split())
    assert "has no rule for the action 'divide'" in message
    assert path.read_text() == after


def test_a_spike_driven_network_stands_beside_its_twin_and_the_canonical_one(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("to be, or not to be: that is the only question. " * 200)
    arguments = ["--build", str(tmp_path), "--data", str(text), *ALIKE, "--characters", "100", "--tokens", "66"]
    assert run(["accountings", *arguments, "--placement", "spike-driven"]) == 0
    made = json.loads((tmp_path / "tiny" / "accountings.json").read_text())
    assert made["spike_driven"]
    rows = {(row["accounting"], row["label"]): row for row in made["rows"]}
    built, skipped, added = (
        rows[key]
        for key in (("as built", "integers"), ("zeros skipped", "this network"), ("zeros added", "this network"))
    )
    assert skipped["total_pj"] <= built["total_pj"] < added["total_pj"]
    assert rows["canonical", "zeros skipped"]["total_pj"] < rows["canonical", "zeros added"]["total_pj"]
    for network, placement, neurons in (("twin", "spike-driven", "none"), ("canonical", "canonical", "lif")):
        metrics = json.loads((tmp_path / "tiny" / network / "metrics.json").read_text())
        assert (metrics["placement"], metrics["neurons"]) == (placement, neurons)
    ratio = rows["twin", "integers"]["layers_pj"] / skipped["layers_pj"]
    assert any(f"twin, integers: {ratio:.2f} times" in line for line in made["conclusions"])


class Letters:
    """A tokenizer whose tokens are characters."""

    def decode_stream(self, ids):
        return map(chr, ids)


def test_all_of_a_short_text_is_taken_unless_more_was_asked_for():
    """The language reference of some Pythons holds out fewer characters than are taken by default."""
    ids = np.arange(97, 107)  # nine to predict
    assert at_work._enough(Letters(), ids, None) == (9, 9)
    assert at_work._enough(Letters(), ids, 4) == (4, 4)
    with pytest.raises(ModelError, match="9 characters to predict, 10 were asked for"):
        at_work._enough(Letters(), ids, 10)


def test_too_much_text_and_another_training_are_refused(accounted, capsys):
    assert run(["accountings", "--build", str(accounted), "--characters", "100000"]) == 2
    assert "100000 were asked for" in capsys.readouterr().err
    before = (accounted / "tiny" / "checkpoint.safetensors").read_bytes()
    assert run(["accountings", "--build", str(accounted), "--twin", str(accounted)]) == 2
    assert "not trained alike, as a twin: neurons is lif, not none" in " ".join(capsys.readouterr().err.split())
    assert (accounted / "tiny" / "checkpoint.safetensors").read_bytes() == before
