"""The cycle simulator against a clocked one: the same cells as registers with a valid and a ready in every cycle."""

import random
from types import SimpleNamespace

import numpy as np
import pytest

from clocked import clocked
from random_graphs import BYTE, Graph, on_engine, random_fetches, random_graph, safe_graph
from spikegpt_hls.hls.rtl.blocks import single
from spikegpt_hls.hls.rtl.timing import Timing
from spikegpt_hls.quant.ops import Gate, LayerNorm, Linear, Sigmoid
from spikegpt_hls.sim.cycles import schedule as cycles
from spikegpt_hls.sim.cycles.contexts import Interleaving
from spikegpt_hls.sim.cycles.network import Network
from spikegpt_hls.sim.cycles.schedule import simulate, token_times
from spikegpt_hls.sim.errors import SimulationError
from spikegpt_hls.sim.offchip import Fetch


def compare(seed, tokens=6, memory=False, engine=False):
    graph, sink = random_graph(seed)
    rng = random.Random(1000 + seed)
    if engine:
        on_engine(graph, rng)
    dataflow = graph.dataflow(sink)
    source = sorted(rng.randint(0, rng.choice([1, 90])) for _ in range(tokens))
    pattern = [rng.random() < rng.choice([0.3, 0.9]) for _ in range(7)] + [True]
    outside = random_fetches(dataflow, rng) if memory else {}
    counted = clocked(graph, dataflow, tokens, source, pattern, outside=outside, limit=20000)
    if counted is None:
        with pytest.raises(SimulationError, match=r"deadlock.*\b(r[01]|out|head)"):
            simulate(dataflow, tokens, source, pattern, timing=graph.timing)
        return "deadlock"
    times, stalls, occupancy = counted
    schedule = simulate(dataflow, tokens, source, pattern, timing=graph.timing, outside=outside)
    for stream in times:
        assert schedule.times[stream].tolist() == times[stream], (seed, stream)
        assert schedule.stalls(stream) == stalls[stream], (seed, stream)
    for block in dataflow.blocks:
        if block.is_join:
            assert schedule.block(block.name).occupancy == tuple(occupancy[s] for s in block.inputs)
    return "equal"


def test_every_transfer_stall_and_occupancy_equals_the_clocked_simulation():
    outcomes = [compare(seed) for seed in range(150)]
    assert outcomes.count("equal") > 100
    assert outcomes.count("deadlock") >= 5


def test_an_engine_moves_as_in_the_clocked_simulation():
    outcomes = [compare(seed, engine=True) for seed in range(150)]
    assert outcomes.count("equal") > 100


def test_an_engine_is_simulated_as_a_whole_and_its_weights_stay_on_the_chip():
    """Tokens that came in portions would be granted in another order: token times are those of the whole schedule."""
    for seed in range(20):
        graph, sink = random_graph(seed)
        on_engine(graph, random.Random(seed))
        dataflow = graph.dataflow(sink)
        if not dataflow.members:
            continue
        for texts in (None, 1, 3):
            run = {"generation": texts and 2, "contexts": texts or 1, "timing": graph.timing}
            assert token_times(dataflow, 30, **run).ends.tolist() == simulate(dataflow, 30, **run).token_end.tolist()
        outside = {dataflow.members[0].name: Fetch(1, 1, 1, 1, 1, 1)}
        with pytest.raises(SimulationError, match="shares the engine, whose weights stay on the chip"):
            simulate(dataflow, 2, timing=graph.timing, outside=outside)


def test_weights_from_outside_move_as_in_the_clocked_simulation():
    outcomes = [compare(seed, memory=True) for seed in range(60)]
    assert outcomes.count("equal") > 40


def test_a_long_run_written_down_from_its_period_equals_the_simulated_one(monkeypatch):
    graphs = [safe_graph(seed) for seed in range(20)]
    found = [simulate(dataflow, 300, timing=graph.timing) for graph, dataflow in graphs]
    monkeypatch.setattr(cycles, "LONGEST_PERIOD", 0)
    for (graph, dataflow), short in zip(graphs, found, strict=True):
        full = simulate(dataflow, 300, timing=graph.timing)
        assert all(
            (short.times[s] == full.times[s]).all() and (short.ready[s] == full.ready[s]).all() for s in full.times
        )
        assert short.cycles_per_token == full.cycles_per_token


def test_a_period_holds_only_over_all_tokens_that_the_equations_look_back_to(monkeypatch):
    """A pipe of 100 cycles that holds 8 tokens of 2 beats: eight follow each other in 2 cycles each, the ninth waits
    for the first to leave. Its first beat, taken in 3, leaves in 104, and the ninth's takes its place in 105: 8 tokens
    take 102 cycles. Over fewer than 8 tokens the group looks as if it went on for ever."""
    graph = Graph(2, 1)
    graph.timings["emb"] = Timing(1, 3)
    out = graph.add("out", Sigmoid(BYTE, 2, BYTE), ["emb"], Timing(latency=100, credits=16))
    dataflow = graph.dataflow(out)

    def taken(tokens):
        return simulate(dataflow, tokens, timing=graph.timing).times["emb"][::2].tolist()

    by_hand = [3 + 2 * (n % 8) + 102 * (n // 8) for n in range(200)]
    assert taken(200) == by_hand
    assert Network(dataflow, graph.timing, [True]).lookback >= 8

    monkeypatch.setattr(cycles, "Network", Shortsighted)
    assert taken(200) != by_hand


class Shortsighted(Network):
    """Sees a period in three tokens, whatever the equations read."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.lookback, self.contexts = 3, 1


def test_a_period_holds_only_over_all_texts_that_take_turns(monkeypatch):
    """Eight texts generate in turn through twelve short pipes: eight tokens of 8 beats in a row, then a wait for the
    first one's logits. A token's first beat leaves the embedding in cycle 3 and each pipe 11 later, its last beat 7
    after that, in 142; the next of its text is offered in 143."""
    graph = Graph(8, 1)
    graph.timings["emb"] = Timing(1, 3)
    stream = "emb"
    for n in range(12):
        stream = graph.add(f"pipe{n}", Sigmoid(BYTE, 8, BYTE), [stream], Timing(latency=10, credits=12))
    dataflow = graph.dataflow(stream)
    assert Network(dataflow, graph.timing, [True]).lookback < 8

    def ends():
        return simulate(dataflow, 80, generation=1, contexts=8, timing=graph.timing).token_end.tolist()

    first = 3 + 12 * 11 + 7
    by_hand = [first + 8 * (n % 8) + (first + 1) * (n // 8) for n in range(80)]
    assert ends() == by_hand
    monkeypatch.setattr(cycles, "Network", Shortsighted)
    assert ends() != by_hand


def test_what_is_forgotten_is_never_missed():
    """Token times kept alone are those of the whole schedule, streaming and generating, with weights from outside."""
    for seed in range(12):
        graph, dataflow = safe_graph(seed)
        outside = random_fetches(dataflow, random.Random(seed))
        for contexts in (None, 1, 5):
            run = {"generation": contexts and 2, "contexts": contexts or 1, "outside": outside, "timing": graph.timing}
            whole = simulate(dataflow, 30, **run)
            alone = token_times(dataflow, 30, **run)
            assert alone.ends.tolist() == whole.token_end.tolist()
            assert (alone.latency, alone.cycles_per_token) == (whole.latency, whole.cycles_per_token)


def test_cycles_per_token_is_the_reuse_factor_of_the_slowest_linear():
    graph = Graph(8, 1)
    slow = graph.add("slow", Linear(BYTE, 8, 8, BYTE, BYTE), ["emb"], Timing(1, 3, result=2), reuse_factor=64)
    schedule = simulate(graph.dataflow(slow), 40, timing=graph.timing)
    assert schedule.cycles_per_token == 64
    assert schedule.block("slow").interval == 64


def test_one_pipe_is_worked_out_by_hand():
    """Id in 0, readable 1, issued 1 and 2, through latency 1 out in 3 and 4, through latency 2 out in 6 and 7."""
    graph = Graph(2, 1)
    graph.timings["emb"] = Timing(1, 3)
    out = graph.add("out", Sigmoid(BYTE, 2, BYTE), ["emb"], Timing(2, 4))
    schedule = simulate(graph.dataflow(out), 2, timing=graph.timing)
    assert schedule.times["ids"].tolist() == [0, 1]
    assert schedule.times["emb"].tolist() == [3, 4, 5, 6]
    assert schedule.times["out"].tolist() == [6, 7, 8, 9]
    assert (schedule.cycles, schedule.latency, schedule.cycles_per_token) == (10, 8, 2)
    block = schedule.block("out")  # takes a token's first beat in 3, and gives its last in 7
    assert (block.start.tolist(), block.end.tolist()) == ([3, 5], [7, 9])
    assert (block.latency, block.interval) == (5, 2)


def test_a_block_needs_its_beats_its_loop_or_its_credits():
    """A credit comes back latency + 2 cycles after it was taken."""
    block = single(Sigmoid(BYTE, 8, BYTE), 1, {})
    assert cycles.needed(block, Timing(3, 5)) == 8
    assert cycles.needed(block, Timing(3, 5, loop=11)) == 11
    assert cycles.needed(block, Timing(3, 2)) == 20
    assert cycles.needed(block, Timing(3, 3)) == 14  # 13 and a third


def test_tokens_behind_the_last_id_do_not_count_as_steady_unless_few_others_are_left():
    ends = np.arange(10, 210, 10)
    with_engine, without = (SimpleNamespace(members=members, ring=None) for members in ((1,), ()))
    assert cycles.steady(with_engine, ends, 95) == 9
    assert cycles.steady(with_engine, ends, 85) == 8
    assert cycles.steady(with_engine, ends, 75) == 20
    assert cycles.steady(without, ends, 95) == 20


def test_a_pipeline_holds_as_many_texts_as_its_latency_has_tokens():
    found = Interleaving(contexts=3, latency=100, streaming=30.0, generating=50.0)
    assert (found.stages, found.share, found.text_latency) == (4, 0.6, 150.0)


def test_the_interlock_of_a_state_loop_spaces_tokens():
    graph = Graph(2, 1)
    graph.timings["emb"] = Timing(1, 3)
    out = graph.add("out", Sigmoid(BYTE, 2, BYTE), ["emb"], Timing(2, 4, loop=11))
    assert simulate(graph.dataflow(out), 50, timing=graph.timing).cycles_per_token == 11


def test_generation_waits_for_its_own_logits():
    graph, dataflow = safe_graph(4)
    schedule = simulate(dataflow, 12, generation=5, timing=graph.timing)
    assert (schedule.times["ids"][1:] == schedule.token_end[:-1] + 5).all()
    assert all(
        end - start == schedule.latency - 1
        for start, end in zip(schedule.times["ids"], schedule.token_end, strict=True)
    )
    assert schedule.cycles_per_token == schedule.latency - 1 + 5


@pytest.mark.parametrize("contexts", [2, 3, 7])
def test_texts_that_generate_in_turn_wait_for_their_own_logits(contexts, monkeypatch):
    """Id ``n`` is offered after token ``n - contexts``, and moves as if a source with those offers had streamed it."""
    graph, dataflow = safe_graph(4)
    schedule = simulate(dataflow, 40, generation=5, contexts=contexts, timing=graph.timing)
    offers = [0] * contexts + (schedule.token_end[:-contexts] + 5).tolist()
    assert schedule.ready["ids"].tolist() == offers
    streamed = simulate(dataflow, 40, offers, timing=graph.timing)
    assert all((streamed.times[stream] == times).all() for stream, times in schedule.times.items())
    monkeypatch.setattr(cycles, "LONGEST_PERIOD", 0)
    full = simulate(dataflow, 40, generation=5, contexts=contexts, timing=graph.timing)
    assert all((full.times[stream] == times).all() for stream, times in schedule.times.items())


def test_one_text_alone_leaves_the_pipeline_empty_and_one_per_stage_fills_it():
    graph = Graph(8, 1)
    graph.timings["emb"] = Timing(1, 3)
    timing = Timing(1, 3, result=2)
    stream = "emb"
    for n in range(3):
        stream = graph.add(f"linear{n}", Linear(BYTE, 8, 8, BYTE, BYTE), [stream], timing, reuse_factor=64)
    dataflow = graph.dataflow(stream)

    def rate(contexts):
        return simulate(dataflow, 24 * contexts, generation=1, contexts=contexts, timing=graph.timing).cycles_per_token

    latency = simulate(dataflow, 1, timing=graph.timing).latency
    assert rate(1) == latency
    assert rate(2) == latency / 2
    assert rate(-(-latency // 64)) == 64


def test_a_residual_fifo_that_is_too_short_deadlocks_and_is_named():
    def run(depth):
        graph = Graph(8, 1)
        graph.add("fork", None, ["emb"], outputs=["a", "b"])
        graph.add("norm", LayerNorm(BYTE, 8, BYTE, BYTE, BYTE), ["b"], Timing(3, 5, stats=4))
        join = graph.add("join", Gate(BYTE, 8, BYTE, BYTE), ["a", "norm"], Timing(1, 3), fifo_depths=(depth, 2))
        return simulate(graph.dataflow(join), 5, timing=graph.timing)

    assert run(40).block("join").occupancy[0] > 8
    with pytest.raises(SimulationError, match=r"deadlock.*emb, fork, join"):
        run(2)


def test_bad_requests_are_refused_in_one_sentence():
    graph, dataflow = safe_graph(1)
    with pytest.raises(SimulationError, match="at least one token"):
        simulate(dataflow, 0, timing=graph.timing)
    with pytest.raises(SimulationError, match="never ready"):
        simulate(dataflow, 1, sink_ready=[False], timing=graph.timing)
