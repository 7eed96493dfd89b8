"""A design and one of its mutants as one model, whose output is 1 where an input tells them apart.

Registers of the two are one as long as that follows from itself: all pairs are taken for equal, pairs whose next values
then differ in structure are parted, until none does. Both begin with zeros, so what is left joined is equal for ever
(van Eijk's induction), and a mutant whose outputs are the design's by then needs no search.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import and_


@dataclass(frozen=True)
class Design:
    """An AIGER file. Literals: twice a variable, and 1 for its inverse; 0 is false, 1 true."""

    inputs: Mapping[str, int]
    latches: tuple[tuple[int, int], ...]  # and what each becomes
    outputs: Mapping[str, int]
    gates: tuple[tuple[int, int, int], ...]  # each after those that it reads


@dataclass
class Graph:
    """Gates, each once: inputs and registers are asked for first, as AIGER numbers them."""

    count: int = 0
    gates: dict[tuple[int, int], int] = field(default_factory=dict)

    def leaf(self) -> int:
        self.count += 1
        return 2 * self.count

    def both(self, a: int, b: int) -> int:
        a, b = max(a, b), min(a, b)
        if b == 0 or a == b ^ 1:
            return 0
        if b == 1 or a == b:
            return a
        if (a, b) not in self.gates:
            self.gates[a, b] = self.leaf()
        return self.gates[a, b]

    def either(self, a: int, b: int) -> int:
        return self.both(a ^ 1, b ^ 1) ^ 1

    def differ(self, a: int, b: int) -> int:
        return self.either(self.both(a, b ^ 1), self.both(a ^ 1, b))


def parse(text: str) -> Design:
    """A design from AIGER's readable form, with symbols."""
    head, *lines = text.splitlines()
    _, inputs, latches, outputs, gates = map(int, head.split()[1:])
    rows = [[int(word) for word in line.split()] for line in lines[: inputs + latches + outputs + gates]]
    names = dict(line.split(" ", 1) for line in lines[len(rows) :] if line[:1] in "io")
    last = inputs + latches + outputs
    return Design(
        {names[f"i{n}"]: row[0] for n, row in enumerate(rows[:inputs])},
        tuple((row[0], row[1]) for row in rows[inputs : inputs + latches]),
        {names[f"o{n}"]: row[0] for n, row in enumerate(rows[inputs + latches : last])},
        tuple((row[0], row[1], row[2]) for row in rows[last:]),
    )


def evaluate(design: Design, graph: Graph, leaves: Mapping[int, int]) -> dict[int, int]:
    """The design's literals (the even ones) in ``graph``, from those of its inputs and registers."""
    known = {0: 0, **leaves}
    for out, a, b in design.gates:
        known[out] = graph.both(known[a & ~1] ^ (a & 1), known[b & ~1] ^ (b & 1))
    return known


@dataclass(frozen=True)
class Model:
    """A graph whose leaves are first ``inputs`` (one of them ``reset``), then registers, which begin with 0."""

    graph: Graph
    inputs: int
    reset: int
    nexts: tuple[int, ...]
    output: int

    def aiger(self) -> bytes:
        """AIGER's binary form: gates as differences of literals, seven bits a byte."""
        gates = self.graph.gates
        head = f"aig {self.graph.count} {self.inputs} {len(self.nexts)} 1 {len(gates)}\n"
        body = bytearray()
        for (a, b), out in gates.items():
            for delta in (out - a, a - b):
                while delta > 127:
                    body.append(delta & 127 | 128)
                    delta >>= 7
                body.append(delta)
        return head.encode() + "".join(f"{lit}\n" for lit in [*self.nexts, self.output]).encode() + bytes(body)

    def shows(self, cycles: int = 100, sequences: int = 2048) -> bool:
        """Whether the output is 1 in one of so many random ``sequences`` of inputs, with a reset now and then."""
        rng, ones = random.Random(0), (1 << sequences) - 1
        values = [0, ones] * (self.graph.count + 1)
        state = [0] * len(self.nexts)
        for _ in range(cycles):
            words = [rng.getrandbits(sequences) for _ in range(self.inputs)]
            words[self.reset // 2 - 1] = reduce(and_, (rng.getrandbits(sequences) for _ in range(6)))
            values[2 : 2 * len(words + state) + 2] = [side for word in words + state for side in (word, ones ^ word)]
            for (a, b), out in self.graph.gates.items():
                values[out] = values[a] & values[b]
                values[out + 1] = ones ^ values[out]
            if values[self.output]:
                return True
            state = [values[lit] for lit in self.nexts]
        return False


@dataclass(frozen=True)
class Pair:
    """The design and a mutant over one graph: literals of all that both compute, and of all registers' next values."""

    graph: Graph
    inputs: int
    reset: int
    started: int  # 0 in the first cycle, which is one of reset
    nexts: Mapping[int, int]  # of the graph's registers
    known: tuple[Mapping[int, int], Mapping[int, int]]  # by the design's literals


def at(known: Mapping[int, int], lit: int) -> int:
    return known[lit & ~1] ^ (lit & 1)


def _pair(design: Design, mutant: int, parted: Iterable[int]) -> Pair:
    """``parted``: the registers that the mutant has for itself."""
    graph, fixed = Graph(), [name for name in design.inputs if name.startswith("mutsel")]
    inputs = {lit: graph.leaf() for name, lit in design.inputs.items() if name not in fixed}
    free, started = graph.count, graph.leaf()
    own = {lit: graph.leaf() for lit, _ in design.latches}
    others = {lit: graph.leaf() for lit in parted}
    reset = inputs[design.inputs["rst"]]
    inputs[design.inputs["rst"]] = graph.either(reset, started ^ 1)
    known = []
    for state, chosen in ((own, 0), ({**own, **others}, mutant)):
        select = {design.inputs[name]: chosen >> int(name[7:-1]) & 1 for name in fixed}
        known.append(evaluate(design, graph, {**inputs, **select, **state}))
    then = dict(design.latches)
    nexts = {started: 1, **{leaf: at(known[0], then[lit]) for lit, leaf in own.items()}}
    nexts |= {leaf: at(known[1], then[lit]) for lit, leaf in others.items()}
    return Pair(graph, free, reset, started, nexts, (known[0], known[1]))


def miter(design: Design, mutant: int) -> Model | None:
    """The design beside ``mutant`` (the value of its input ``mutsel``); None where they are equal."""
    parted: dict[int, None] = {}
    while True:
        pair = _pair(design, mutant, parted)
        gold, gate = pair.known
        differing = [lit for lit, then in design.latches if at(gold, then) != at(gate, then) and lit not in parted]
        if not differing:
            break
        parted |= dict.fromkeys(differing)
    wrong = pair.graph.both(_told_apart(design, pair), pair.started)
    return None if wrong == 0 else _model(pair, wrong)


def step(design: Design, mutant: int, free: bool = False) -> Model:
    """The design alone, and whether ``mutant`` would do anything else in a state of the design, or in any state at all
    (``free``): where it never would, the two are equal for ever. Says nothing of a mutant that does."""
    pair = _pair(design, mutant, ())
    gold, gate = pair.known
    wrong = _told_apart(design, pair)
    for _, then in design.latches:
        wrong = pair.graph.either(wrong, pair.graph.differ(at(gold, then), at(gate, then)))
    return _model(pair, pair.graph.both(wrong, pair.started), free)


def activation(design: Design, mutant: int) -> Model:
    """The same of the first nets that differ: a smaller question, which a mutant without consequence answers too."""
    pair = _pair(design, mutant, ())
    gold, gate = pair.known
    differing = {lit for lit in gold if gold[lit] != gate[lit] and max(gold[lit], gate[lit]) > 1}
    first = [out for out, a, b in design.gates if out in differing and not {a & ~1, b & ~1} & differing]
    ends = {lit & ~1 for lit in (*dict(design.latches).values(), *design.outputs.values())}
    # A net that is constant in both is none of those: its readers are, but for a register or an output.
    wrong = int(any(gold[lit] != gate[lit] and lit not in differing for lit in ends))
    for lit in first:
        wrong = pair.graph.either(wrong, pair.graph.differ(gold[lit], gate[lit]))
    return _model(pair, pair.graph.both(wrong, pair.started))


def _told_apart(design: Design, pair: Pair) -> int:
    """1 where an output differs. What a port carries while it is not valid is nobody's business."""
    graph, (gold, gate), wrong = pair.graph, pair.known, 0
    for name, lit in design.outputs.items():
        differ = graph.differ(at(gold, lit), at(gate, lit))
        if carried := re.match(r"(m_axis\w*)_t(?:data|last|user)", name):
            differ = graph.both(differ, at(gold, design.outputs[f"{carried[1]}_tvalid"]))
        wrong = graph.either(wrong, differ)
    return wrong


def _model(pair: Pair, output: int, free: bool = False) -> Model:
    """Of all that the pair has, what ``output`` depends on; ``free``: of registers in any state."""
    nexts = {} if free else pair.nexts
    into = {out: gate for gate, out in pair.graph.gates.items()} | {lit: (then,) for lit, then in nexts.items()}
    needed, left = set(), [output & ~1]
    while left:
        lit = left.pop()
        if lit not in needed:
            needed.add(lit)
            left += [other & ~1 for other in into.get(lit, ())]
    graph, registers = Graph(), [lit for lit in nexts if lit in needed]
    inputs = [*range(2, 2 * pair.inputs + 2, 2), *(lit for lit in pair.nexts if free)]
    known = {0: 0, **{lit: graph.leaf() for lit in [*inputs, *registers]}}
    for (a, b), out in pair.graph.gates.items():
        if out in needed:
            known[out] = graph.both(at(known, a), at(known, b))
    becomes = tuple(at(known, nexts[lit]) for lit in registers)
    return Model(graph, len(inputs), known[pair.reset], becomes, at(known, output))
