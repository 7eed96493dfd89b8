"""The cells of docs/streams.md as actors that pass timestamps instead of beats.

Every transfer is ``T(i) = max(producer ready, consumer ready, T(i-1) + 1)``, so no clock is needed: an actor advances
as far as its inputs' timestamps and its credits' release times are known, and the order in which the actors run does
not change a single time (a Kahn process network).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from spikegpt_hls.hls.folding import Folding
from spikegpt_hls.sim.errors import SimulationError


@dataclass
class Channel:
    """One stream between two actors: per beat the cycle its producer is ready from, and the cycle of its transfer."""

    name: str
    reader: str  # the block that takes the beats, to be named in a deadlock
    offer: list[int] = field(default_factory=list)
    time: list[int] = field(default_factory=list)


class Pipe:
    """Latency ``L``, credits ``D``, state loop ``W`` over ``B`` beats; one to many inputs and outputs.

    A beat accepted in ``t`` can leave from ``t + L + 1``; beat ``i`` is accepted after beat ``i - D`` has left every
    output, and ``W`` cycles after beat ``i - B``. With ``L = 0`` it is a fifo of depth ``D``; with more outputs a fork.
    """

    def __init__(
        self,
        inputs: Sequence[Channel],
        outputs: Sequence[Channel],
        latency: int = 0,
        credits: int = 2,
        loop: int = 0,
        beats: int = 1,
    ) -> None:
        self.latency, self.credits, self.loop, self.beats = latency, credits, loop, beats
        self.offers = [channel.offer for channel in inputs]
        self.times = [channel.time for channel in inputs]  # equal: every input of a join is taken in the same cycle
        self.leaves = [channel.offer for channel in outputs]
        self.freed = [channel.time for channel in outputs]

    def advance(self) -> bool:
        accepted, credits, loop = self.times[0], self.credits, self.loop
        begin = len(accepted)
        end = min(len(self.offers[0]), len(self.freed[0]) + credits)
        if begin >= end:
            return False
        if len(self.offers) + len(self.freed) > 2:
            end = min(end, *map(len, self.offers), *(len(times) + credits for times in self.freed))
        offers = _latest(self.offers, begin, end)
        freed = _latest(self.freed, max(begin - credits, 0), max(end - credits, 0))
        shift = max(begin - credits, 0)
        last = accepted[-1] if begin else -1
        for i in range(begin, end):
            last += 1
            if offers[i - begin] > last:
                last = offers[i - begin]
            if i >= credits and freed[i - credits - shift] >= last:
                last = freed[i - credits - shift] + 1
            if loop and i >= self.beats and accepted[i - self.beats] + loop > last:
                last = accepted[i - self.beats] + loop
            accepted.append(last)
        fresh = accepted[begin:]
        for times in self.times[1:]:
            times.extend(fresh)
        first_leave = self.latency + 1
        fresh = [t + first_leave for t in fresh]
        for leave in self.leaves:
            leave.extend(fresh)
        return end > begin


def _latest(lists: Sequence[list[int]], begin: int, end: int) -> list[int]:
    """The elementwise maximum of one stretch of several lists."""
    if len(lists) == 1:
        return lists[0][begin:end]
    return list(map(max, *(times[begin:end] for times in lists)))


class Expand:
    """The embedding's address counter: one id in, ``beats`` issues out; the id is popped with the last of them."""

    def __init__(self, ids: Channel, issues: Channel, beats: int) -> None:
        self.ids, self.issues, self.beats = ids, issues, beats

    def advance(self) -> bool:
        moved = False
        while len(self.issues.offer) < len(self.ids.offer) * self.beats:
            self.issues.offer.extend([self.ids.offer[len(self.issues.offer) // self.beats]] * self.beats)
            moved = True
        while len(self.ids.time) < len(self.issues.time) // self.beats:
            self.ids.time.append(self.issues.time[(len(self.ids.time) + 1) * self.beats - 1])
            moved = True
        return moved


class Banks:
    """Two banks of one token: beats of token ``n`` are accepted from one cycle after ``released[n - 2]``."""

    def __init__(self, beats_in: Channel, beats: int) -> None:
        self.input, self.beats = beats_in, beats

    def accept(self, released: Sequence[int], tokens_released: int) -> bool:
        """Take what there is room for; ``released[n]`` is the last cycle in which token ``n``'s bank was read."""
        time, offer, beats = self.input.time, self.input.offer, self.beats
        begin = len(time)
        end = min(len(offer), (tokens_released + 2) * beats)
        last = time[-1] if time else -1
        for i in range(begin, end):
            last = max(last + 1, offer[i])
            if i >= 2 * beats:
                last = max(last, released[i // beats - 2] + 1)
            time.append(last)
        return end > begin

    def tokens(self) -> int:
        return len(self.input.time) // self.beats

    def full(self, token: int) -> int:
        """The cycle in which a token's last beat was accepted."""
        return self.input.time[(token + 1) * self.beats - 1]


class Normalize:
    """LayerNorm before its output pipe: reads of a token begin ``statistics`` cycles after its last beat came."""

    def __init__(self, beats_in: Channel, reads: Channel, beats: int, statistics: int) -> None:
        self.banks, self.reads, self.statistics = Banks(beats_in, beats), reads, statistics
        self.released: list[int] = []

    def advance(self) -> bool:
        reads, beats = self.reads, self.banks.beats
        self.released.extend(reads.time[(len(self.released) + 1) * beats - 1 :: beats])
        moved = self.banks.accept(self.released, len(self.released))
        for token in range(len(reads.offer) // beats, self.banks.tokens()):
            reads.offer.extend([self.banks.full(token) + self.statistics] * beats)
        return moved


class Fold:
    """Linear before its output pipe: two banks, steps that never wait inside a result word, two result words."""

    def __init__(
        self, beats_in: Channel, issues: Channel, beats: int, folding: Folding, lanes: int, result: int
    ) -> None:
        self.banks, self.issues = Banks(beats_in, beats), issues
        self.words = folding.words
        self.steps, self.beats_per_word, self.result = folding.steps_per_word, folding.word // lanes, result
        self.last_step: list[int] = []  # of each result word
        self.released: list[int] = []  # last step of each token

    def advance(self) -> bool:
        moved = self.banks.accept(self.released, len(self.released))
        emptied = self.issues.time
        words = min(self.banks.tokens() * self.words, len(emptied) // self.beats_per_word + 2)
        for word in range(len(self.last_step), words):
            first = self.last_step[-1] + 1 if word else 0
            if word >= 2:
                first = max(first, emptied[(word - 1) * self.beats_per_word - 1] + 1)
            if word % self.words == 0:
                first = max(first, self.banks.full(word // self.words) + 1)
            self.last_step.append(first + self.steps - 1)
            self.issues.offer.extend([self.last_step[-1] + self.result] * self.beats_per_word)
            if (word + 1) % self.words == 0:
                self.released.append(self.last_step[-1])
            moved = True
        return moved


class Sink:
    """Takes a beat in the first cycle in which it is ready: always, or as a pattern that repeats says."""

    def __init__(self, beats_in: Channel, pattern: Sequence[bool]) -> None:
        self.input = beats_in
        doubled = list(pattern) * 2
        if not any(doubled):
            raise SimulationError("a sink that is never ready lets no token out; give one ready cycle at least")
        self.wait = [doubled.index(True, cycle) - cycle for cycle in range(len(pattern))]

    def advance(self) -> bool:
        time, offer, wait = self.input.time, self.input.offer, self.wait
        begin = len(time)
        last = time[-1] if time else -1
        for i in range(begin, len(offer)):
            last = max(last + 1, offer[i])
            last += wait[last % len(wait)]
            time.append(last)
        return len(time) > begin


class Generation:
    """Autoregression of ``contexts`` texts in turn: offers an id ``delay`` cycles after the last logit beat of its own
    text's token before it, ``contexts`` ids ago."""

    def __init__(self, ids: Channel, logits: Channel, beats: int, delay: int, contexts: int = 1) -> None:
        self.ids, self.logits, self.beats, self.delay = ids, logits, beats, delay
        self.contexts = contexts
        self.tokens = 0  # how many may be asked for

    def advance(self) -> bool:
        n = len(self.ids.offer)
        end = (n - self.contexts + 1) * self.beats  # of the logits waited for
        if n >= self.tokens or len(self.logits.time) < end:
            return False
        self.ids.offer.append(self.logits.time[end - 1] + self.delay if end > 0 else 0)
        return True


Actor = Pipe | Expand | Normalize | Fold | Sink | Generation
