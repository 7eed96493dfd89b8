"""The cycle simulator against a clocked one: the same cells as registers with a valid and a ready in every cycle."""

import random
from collections import deque
from dataclasses import replace
from math import ceil

import pytest

from spikegpt_hls.hls.dataflow import Block, Dataflow
from spikegpt_hls.hls.engine import share, shareable
from spikegpt_hls.hls.folding import legal_factors
from spikegpt_hls.hls.rtl.timing import Timing
from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.ops import BIT, BinaryEmbedding, Gate, LayerNorm, Linear, Sigmoid
from spikegpt_hls.sim import cycles
from spikegpt_hls.sim.cycles import simulate, token_times
from spikegpt_hls.sim.errors import SimulationError
from spikegpt_hls.sim.network import Network
from spikegpt_hls.sim.offchip import Fetch

BYTE = Format(8, 4)


class Graph:
    """Builds a dataflow block by block, each with a timing of its own."""

    def __init__(self, channels, lanes, seed=0):
        self.channels, self.lanes, self.blocks, self.timings = channels, lanes, [], {}
        self.rng = random.Random(seed)
        self.add("emb", BinaryEmbedding(BIT, 16, channels), ["ids"])

    def add(self, name, operation, inputs, timing=None, outputs=None, **extra):
        channels = 1 if operation is None else operation.n_in
        n_in = self.channels if operation is None else channels
        n_out = n_in if operation is None else operation.n_out
        formats = (BYTE,) * len(inputs)
        outputs = outputs or [name]
        block = Block(
            name, operation, tuple(inputs), tuple(outputs), n_in, n_out, formats, BYTE, self.lanes, **extra
        )  # fmt: skip
        self.blocks.append(block)
        self.timings[name] = timing or self.random_timing(operation)
        return name

    def random_timing(self, operation):
        rng = self.rng
        if operation is None:
            return Timing(0, 2)
        loop = rng.choice([0, 0, 1, 3, 9]) if isinstance(operation, Sigmoid) else 0
        return Timing(rng.randint(0, 4), rng.randint(1, 7), loop, rng.randint(1, 9), rng.randint(1, 4))

    def chain(self, stream, length, tag):
        """Random blocks behind a stream that keep its channels."""
        for n in range(length):
            name, channels = f"{tag}{n}", self.channels
            kind = self.rng.choice(["pipe", "pipe", "norm", "linear"])
            if kind == "pipe":
                stream = self.add(name, Sigmoid(BYTE, channels, BYTE), [stream])
            elif kind == "norm":
                stream = self.add(name, LayerNorm(BYTE, channels, BYTE, BYTE, BYTE), [stream])
            else:
                operation = Linear(BYTE, channels, channels, BYTE, BYTE)
                factors = legal_factors(channels, channels, self.lanes)
                stream = self.add(name, operation, [stream], reuse_factor=self.rng.choice(factors))
        return stream

    def residual(self, stream, tag):
        """A fork, two branches and a join whose FIFOs may be too short."""
        self.add(f"{tag}fork", None, [stream], outputs=[f"{tag}a", f"{tag}b"])
        branches = [self.chain(f"{tag}{side}", self.rng.randint(0, 2), tag + side) for side in "ab"]
        depths = tuple(self.rng.choice([2, 3, 40, 40]) for _ in branches)
        return self.add(f"{tag}join", Gate(BYTE, self.channels, BYTE, BYTE), branches, fifo_depths=depths)

    def dataflow(self, sink):
        return Dataflow(tuple(self.blocks), "ids", sink)

    def timing(self, block):
        return self.timings[block.name]


def random_graph(seed):
    rng = random.Random(seed)
    channels, lanes = rng.choice([(4, 1), (8, 2), (6, 3), (4, 4), (8, 1)])
    graph = Graph(channels, lanes, seed)
    stream = graph.chain("emb", rng.randint(0, 2), "head")
    for n in range(rng.randint(0, 2)):
        stream = graph.residual(stream, f"r{n}")
    head = Linear(BYTE, channels, 2 * channels, BYTE, BYTE)
    return graph, graph.add(
        "out", head, [stream], reuse_factor=rng.choice(legal_factors(head.inputs, head.outputs, lanes))
    )


def on_engine(graph, rng):
    """Two thirds of the Linears that can share an engine of so many multipliers, picked at random."""
    folded = [
        replace(block, reuse_factor=factor)
        for block in graph.blocks
        if block.kind == "Linear"
        for factor in legal_factors(block.channels_in, block.channels_out, graph.lanes)
    ]
    sizes = {b.name: {} for b in folded}
    for block in filter(shareable, folded):
        sizes[block.name][block.channels_in * block.channels_out // block.reuse_factor] = block
    size = rng.choice(sorted({size for known in sizes.values() for size in known}))
    members = {name: known[size] for name, known in sizes.items() if size in known and rng.random() < 0.7}
    for name in members:
        graph.timings[name] = Timing(0, 0, result=rng.randint(1, 12), ask=2, grant=rng.randint(1, 5))
    graph.blocks = list(share([members.get(block.name, block) for block in graph.blocks], members))


class Memory:
    """A memory outside the chip as registers: requests wait out the latency, then move one after the other."""

    def __init__(self, fetch, ahead):
        self.fetch, self.requests, self.busy = fetch, deque(), 0
        self.vacant = 0 if ahead else fetch.room
        self.came = self.sent = self.asked = fetch.room * ahead  # the buffer is full when a run begins

    def clock(self, now, tokens):
        """``came``, at the end of the cycle, is what can be used in the next; ``tokens`` have come."""
        while self.vacant and (not self.fetch.demand or self.asked < tokens * self.fetch.bursts):
            self.request(now)
            self.vacant -= 1
        if not self.busy and self.requests and self.requests[0] <= now:
            self.requests.popleft()
            self.sent += 1
            whole = self.sent % self.fetch.bursts
            self.busy = self.fetch.cycles if whole else self.fetch.rest
        if self.busy:
            self.busy -= 1
            self.came += not self.busy

    def request(self, now):
        self.asked += 1
        self.requests.append(now + self.fetch.latency)


class Clocked:
    """One block as registers: what it shows in a cycle depends on earlier cycles only."""

    def __init__(self, block, timing, fetch=None):
        self.memory = fetch and Memory(fetch, ahead=not fetch.demand)
        self.rows = 0  # of the embedding, that were sent on
        self.block, self.timing, self.kind = block, timing, block.kind
        depths = block.fifo_depths if block.is_join else (2,) * (self.kind == "BinaryEmbedding")
        self.fifos = [(depth, deque()) for depth in depths]
        self.flight = deque()  # cycles in which beats reach the output FIFOs
        self.out = [0 for _ in block.outputs]  # beats in each output FIFO
        self.issued, self.left = 0, [0 for _ in block.outputs]
        self.history = []  # cycles of acceptance, for the state loop
        self.received, self.full = 0, []  # beats; the cycle in which each token was complete
        self.tokens_read, self.beat = 0, 0
        self.words, self.step, self.starts = deque(), 0, 0  # words: cycle of the last step, or None while stepping
        self.fold = block.folding if self.kind == "Linear" else None

    def valid(self):
        return [count > 0 for count in self.out]

    def credit(self):
        return self.issued - min(self.left) < self.timing.credits

    def can_take(self, now):
        """Whether the pipe behind the inputs may accept a beat now."""
        beats, loop = self.block.beats_in, self.timing.loop
        waited = not loop or len(self.history) < beats or now >= self.history[-beats] + loop
        return self.credit() and waited

    def ready(self, now):
        if self.fifos:
            return [len(queue) < depth for depth, queue in self.fifos]
        if self.kind in ("LayerNorm", "Linear"):
            return [self.received // self.block.beats_in - self.tokens_read < 2]
        return [self.can_take(now)]

    def clock(self, now, took, gave):
        """The rising edge that ends a cycle: everything decided from what stood before it."""
        came = self.memory and self.memory.came
        if self.memory:
            if self.kind == "BinaryEmbedding" and self.fifos[0][1] and self.fifos[0][1][-1] == now - 1:
                self.memory.request(now)  # a row, for the id that came in the cycle before
            self.memory.clock(now, len(self.full))
        self.came = came
        issue = {"LayerNorm": self.read, "Linear": self.fold_step, "BinaryEmbedding": self.expand}.get(self.kind)
        fires = issue(now) if issue else self.accept(now, took)
        for port, (_, queue) in enumerate(self.fifos):
            if took[port]:
                queue.append(now)
        if self.kind in ("LayerNorm", "Linear") and took[0]:
            self.received += 1
            if self.received % self.block.beats_in == 0:
                self.full.append(now)
        if fires:
            self.issued += 1
            self.flight.append(now + self.timing.latency)
        landed = bool(self.flight) and self.flight[0] == now
        if landed:
            self.flight.popleft()
        for port, went in enumerate(gave):
            self.out[port] += landed - went
            self.left[port] += went

    def accept(self, now, took):
        if not self.fifos:
            fires = took[0]
        elif fires := all(queue for _, queue in self.fifos) and self.can_take(now):
            for _, queue in self.fifos:
                queue.popleft()
        if fires:
            self.history.append(now)
        return fires

    def expand(self, now):
        queue = self.fifos[0][1]
        fires = bool(queue) and self.credit() and (not self.memory or self.came > self.rows)
        if fires:
            self.beat += 1
            if self.beat == self.block.beats_out:
                self.beat, self.rows = 0, self.rows + 1
                queue.popleft()
        return fires

    def weights_came(self):
        """Whether the burst with the next step's weights is there."""
        if not self.memory:
            return True
        token, fetch = self.starts // self.fold.words, self.memory.fetch
        step = self.starts % self.fold.words * self.fold.steps_per_word + self.step
        return self.came > token * fetch.bursts + step // fetch.words

    def use_weights(self):
        """After a step: a burst whose last word was read makes room for another."""
        if self.memory:
            step = self.starts % self.fold.words * self.fold.steps_per_word + self.step
            self.memory.vacant += step % self.memory.fetch.words == 0 or step == self.fold.steps

    def read(self, now):
        waiting = len(self.full) > self.tokens_read and now >= self.full[self.tokens_read] + self.timing.stats
        fires = waiting and self.credit()
        if fires:
            self.beat += 1
            if self.beat == self.block.beats_in:
                self.beat, self.tokens_read = 0, self.tokens_read + 1
        return fires

    def fold_step(self, now):
        word_beats, words = self.fold.word // self.block.lanes, self.block.channels_out // self.fold.word
        fires = bool(self.words) and self.words[0] is not None and now >= self.words[0] + self.timing.result
        fires = fires and self.credit()
        token = self.starts // words
        may = self.step or (len(self.words) < 2 and len(self.full) > token and now > self.full[token])
        if may and self.weights_came():
            if self.step == 0:
                self.words.append(None)
            self.step += 1
            self.use_weights()
            if self.step == self.fold.steps_per_word:
                self.step, self.starts = 0, self.starts + 1
                self.words[-1] = now
                self.tokens_read = self.starts // words
        if fires:
            self.beat += 1
            if self.beat == word_beats:
                self.beat = 0
                self.words.popleft()
        return fires


class Member(Clocked):
    """A Linear that the engine computes, as registers; events are the cycles whose ends they change something at."""

    def __init__(self, block, timing):
        super().__init__(block, timing)
        self.granted, self.done = 0, 0  # words
        self.grants, self.dones = deque(), deque()

    def asks(self):
        word_beats = self.fold.word // self.block.lanes
        return self.granted // self.fold.words < len(self.full) and self.granted - self.left[0] // word_beats < 2

    def grant(self, now):
        last_step = now + self.timing.grant + self.fold.steps_per_word - 1
        self.grants.append(now + 1)
        self.dones.append(last_step + 1)
        self.flight.extend(last_step + self.timing.result - 1 + n for n in range(self.fold.word // self.block.lanes))

    def clock(self, now, took, gave):
        if took[0]:
            self.received += 1
            if self.received % self.block.beats_in == 0:
                self.full.append(now)
        self.granted += self.happens(self.grants, now)
        self.done += self.happens(self.dones, now)
        self.tokens_read = self.done // self.fold.words
        self.out[0] += self.happens(self.flight, now) - gave[0]
        self.left[0] += gave[0]

    def happens(self, events, now):
        return bool(events) and events[0] == now and events.popleft() == now


class Line:
    """The engine as registers: it sees what was asked for in the cycle before, the deepest member first."""

    def __init__(self, cells):
        self.members = [cell for cell in reversed(cells) if isinstance(cell, Member)]
        self.seen, self.next = [False for _ in self.members], 0

    def clock(self, now):
        chosen = next((m for m, seen in zip(self.members, self.seen, strict=True) if seen and now >= self.next), None)
        self.seen = [member.asks() for member in self.members]
        if chosen:
            chosen.grant(now)
            self.next = now + chosen.fold.steps_per_word


def registers(block, timing, fetch):
    return Member(block, timing) if block.engine else Clocked(block, timing, fetch)


def clocked(graph, dataflow, tokens, source, pattern, limit=6000, outside=None):
    """Transfers, stalls and FIFO occupancies, counted cycle by cycle; None where nothing moves any more."""
    blocks = [registers(block, graph.timing(block), (outside or {}).get(block.name)) for block in dataflow.blocks]
    line = Line(blocks)
    times = {stream: [] for block in dataflow.blocks for stream in (*block.inputs, *block.outputs)}
    stalls, occupancy = dict.fromkeys(times, 0), {}
    offered, expected, quiet = 0, tokens * dataflow.driver[dataflow.sink].beats_out, 0
    for now in range(limit):
        valid = {dataflow.source: offered < tokens and now >= source[min(offered, tokens - 1)]}
        ready = {dataflow.sink: pattern[now % len(pattern)]}
        for cell in blocks:
            valid.update(zip(cell.block.outputs, cell.valid(), strict=True))
            ready.update(zip(cell.block.inputs, cell.ready(now), strict=True))
        moves = {stream: valid[stream] and ready[stream] for stream in times}
        line.clock(now)
        for cell in blocks:
            cell.clock(now, [moves[s] for s in cell.block.inputs], [moves[s] for s in cell.block.outputs])
            for stream, (_, queue) in zip(cell.block.inputs, cell.fifos, strict=False):
                occupancy[stream] = max(occupancy.get(stream, 0), len(queue))
        for stream, moved in moves.items():
            stalls[stream] += valid[stream] and not moved
            if moved:
                times[stream].append(now)
        offered += moves[dataflow.source]
        quiet = 0 if any(moves.values()) else quiet + 1
        if len(times[dataflow.sink]) == expected:
            return times, stalls, occupancy
        if quiet > 300 and offered == tokens:
            return None
    return None


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


def random_fetches(dataflow, rng):
    """Bursts of any length at any pace for some blocks, the buffer as small as one burst."""
    found = {}
    for block in dataflow.blocks:
        if block.kind == "Linear" and rng.random() < 0.6:
            words = rng.randint(1, block.folding.steps)
            bursts = ceil(block.folding.steps / words)
            cycles = rng.randint(1, 12)
            found[block.name] = Fetch(words, rng.randint(0, 25), rng.randint(1, 4), cycles, rng.randint(1, cycles),
                                      bursts, rng.random() < 0.3)  # fmt: skip
        elif block.kind == "BinaryEmbedding" and rng.random() < 0.5:
            found[block.name] = Fetch(block.beats_out, rng.randint(0, 25), 0, 1, rng.randint(1, 9), 1, True)
    return found


def test_weights_from_outside_move_as_in_the_clocked_simulation():
    outcomes = [compare(seed, memory=True) for seed in range(60)]
    assert outcomes.count("equal") > 40


def safe_graph(seed):
    """A random graph that completes, with its logits' stream."""
    while True:
        graph, sink = random_graph(seed)
        try:
            simulate(graph.dataflow(sink), 2, timing=graph.timing)
            return graph, graph.dataflow(sink)
        except SimulationError:
            seed += 1000


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
