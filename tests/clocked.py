"""A dataflow as registers: the cells' valid and ready worked out in every cycle, to hold the cycle simulator to."""

from collections import deque


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
