"""Contexts of the whole model: interleaved sequences are separate runs, and as many texts as the pipeline has stages
are generated as fast as a prompt is read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikegpt_hls.hls.convert import convert
from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.hls.frontend.graph import dataflow
from spikegpt_hls.quant.format import Ints
from spikegpt_hls.rtl_tests.contexts import Order, interleave
from spikegpt_hls.rtl_tests.top import cosim, driver
from spikegpt_hls.rtl_tests.top.cosim import Model, Run, compare
from spikegpt_hls.sim.cycles.contexts import interleaving
from spikegpt_hls.sim.cycles.schedule import Schedule, simulate

STAGES = 11  # of tiny with two lanes and 512 cycles per token, as `test_the_pipeline_is_full` checks
DELAY = 2  # cycles that the bench takes from a packet of logits to the next id, if its port is free


@pytest.fixture(scope="module")
def model(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    work = tmp_path_factory.mktemp("contexts")
    convert(trained / "model.onnx", work, backend="SpikeRTL", lanes=2, contexts=STAGES).write()
    made = Model(work / "rtl", work / "run")
    made.build(level=0)
    return made


@pytest.fixture(scope="module")
def golden(trained: Path) -> dict[str, Ints]:
    with np.load(trained / "vectors.npz", allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def beginnings(golden: dict[str, Ints], lengths: list[int]) -> tuple[list[Ints], dict[str, Ints]]:
    """So many tokens from the start of one golden sequence after the other, and what belongs to them."""
    starts = np.cumsum([0, *golden["lengths"][:-1]])
    rows = [starts[i % len(starts)] + np.arange(length) for i, length in enumerate(lengths)]
    traces = {
        name: value[np.concatenate(rows)] for name, value in golden.items() if name != "lengths" and "." not in name
    }
    return [golden["tokens"][row] for row in rows], traces


def assert_exact(run: Run, schedule: Schedule) -> None:
    """Every transfer of every block's output in the very cycle that the simulator says."""
    found, start = run.transfers(), run.source_cycles()[0]
    for block in run.dataflow.blocks:
        simulated = schedule.times[block.outputs[0]] - schedule.first
        assert np.array_equal(found[block.name].ravel() - start, simulated), block.name


def test_sequences_in_all_contexts_are_separate_runs(model: Model, golden: dict[str, Ints]) -> None:
    """More sequences than contexts: some follow another one in its context."""
    lengths = [3 + 2 * n % 13 for n in range(STAGES + 3)]
    sequences, expected = beginnings(golden, lengths)
    for name, stall in (("flowing", 0), ("stalled", 5)):
        run = model.run(name, sequences, stall)
        comparison = compare(run, expected)
        assert comparison.mismatches == 0, comparison.first
        outputs = sum(expected[block.name].size for block in run.dataflow.blocks if block.operation)
        assert comparison.compared == outputs
        if not stall:
            assert_exact(run, simulate(run.dataflow, sum(lengths)))


def test_every_context_is_left_with_its_own_states(model: Model, golden: dict[str, Ints]) -> None:
    sequences = np.split(golden["tokens"], np.cumsum(golden["lengths"])[:-1])
    comparison = compare(model.run("states", sequences), golden)
    assert comparison.mismatches == 0, comparison.first
    for name, (compared, _) in comparison.traces.items():
        if "." in name:
            assert compared == golden[name].size


def test_a_token_in_the_wrong_context_is_noticed(
    model: Model, golden: dict[str, Ints], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: one token of the second sequence is sent with the first one's tid."""
    sequences, expected = beginnings(golden, [12, 12, 12])

    def misled(lengths: list[int], contexts: int, seed: int) -> Order:
        order = interleave(lengths, contexts, seed)
        context = order.context.copy()
        context[np.flatnonzero(order.row == 12 + 6)] = 0
        return replace(order, context=context)

    monkeypatch.setattr(cosim, "interleave", misled)
    comparison = compare(model.run("misled", sequences), expected)
    assert comparison.mismatches > 0
    assert comparison.first is not None
    assert "context" in str(comparison.first)


def test_marks_that_are_not_their_tokens_are_noticed(
    model: Model, golden: dict[str, Ints], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: the driver is told another mark than the bench waits for."""
    sequences, _ = beginnings(golden, [12, 12, 12])
    write = driver.write

    def misled(folder: Path, dataflow: Dataflow, tokens: list[driver.Token], *pauses: list[bool]) -> None:
        token, first, context = tokens[6]
        write(folder, dataflow, [*tokens[:6], (token, 1 - first, context), *tokens[7:]], *pauses)

    monkeypatch.setattr(driver, "write", misled)
    with pytest.raises(AssertionError, match="the logits of token 6 have tuser, tid"):
        model.run("misled", sequences)


def test_an_id_comes_when_its_port_does_not_pause(model: Model) -> None:
    """Less often than the model takes one."""
    seldom = [cycle == 0 for cycle in range(600)]
    run = model.paced("seldom", [1, 2, 3, 4], (True,), offered=seldom)
    assert np.diff(run.source_cycles()).tolist() == [600, 600, 600]


def test_the_pipeline_is_full(trained: Path, model: Model) -> None:
    """As many texts as there are stages: each the integer model's, all at nine tenths of a prompt's rate or more, in
    the cycles of the simulator."""
    from spikegpt_hls.model.generate import generate
    from spikegpt_hls.model.sampling import Sampler
    from spikegpt_hls.quant.export.stepper import Stepper
    from spikegpt_hls.quant.storage import load_network

    assert interleaving(model.dataflow).stages == STAGES
    settings: list[dict[str, Any]] = [{"seed": seed, "temperature": 0.9, "top_p": 0.95} for seed in range(STAGES)]
    network, _ = load_network(trained / "checkpoint.safetensors")
    count = 6
    expected = [list(generate(Stepper(network), b"T", count, Sampler(**setting))) for setting in settings]
    assert model.generate_all("texts", list(b"T"), count, settings) == expected
    assert len(set(map(tuple, expected))) > STAGES // 2
    run = model.result("texts")
    tokens = STAGES * (count + 1)
    assert_exact(run, simulate(run.dataflow, tokens, generation=DELAY, contexts=STAGES))
    ends = run.transfers()[run.dataflow.driver[run.dataflow.sink].name][:, -1]
    generating = (ends[-1] - ends[-1 - 3 * STAGES]) / (3 * STAGES)
    assert simulate(run.dataflow, 64).cycles_per_token / generating >= 0.9


@pytest.mark.parametrize(("lanes", "reuse"), [(1, 2048), (4, 1024), (8, 64)])
def test_one_context_per_stage_fills_the_pipeline_under_other_foldings(
    trained: Path, tmp_path: Path, lanes: int, reuse: int
) -> None:
    """By the cycle simulator, which is exact."""
    flow = dataflow(convert(trained / "model.onnx", tmp_path, backend="SpikeRTL", lanes=lanes, reuse_factor=reuse))
    alone = interleaving(flow)
    assert alone.share < 0.2
    full = interleaving(flow, alone.stages)
    assert full.share >= 0.9
    assert full.text_latency >= alone.text_latency == alone.latency


def test_stalled_texts_with_a_longer_prompt_are_the_integer_models(trained: Path, model: Model) -> None:
    from spikegpt_hls.model.generate import generate
    from spikegpt_hls.model.sampling import Sampler
    from spikegpt_hls.quant.export.stepper import Stepper
    from spikegpt_hls.quant.storage import load_network

    settings: list[dict[str, Any]] = [{"seed": seed, "temperature": 0.9, "top_p": 0.95} for seed in range(3)]
    network, _ = load_network(trained / "checkpoint.safetensors")
    expected = [list(generate(Stepper(network), b"def ", 5, Sampler(**setting))) for setting in settings]
    assert model.generate_all("stalled_texts", list(b"def "), 5, settings, stall=3) == expected
