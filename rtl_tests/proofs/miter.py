"""A design and one of its mutants as one AIGER model, whose output is 1 where an input tells them apart.

Registers of the two are one as long as that follows from itself: all pairs are taken for equal, pairs whose next values
then differ in structure are parted, until none does. Both begin with zeros, so what is left joined is equal for ever
(van Eijk's induction), and a mutant whose outputs are the design's by then needs no search.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field


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
class Pair:
    """The design and a mutant over one graph: literals of all registers' next values and of all outputs."""

    graph: Graph
    inputs: int
    registers: int  # that the graph has for both
    nexts: tuple[Mapping[int, int], Mapping[int, int]]
    outputs: tuple[Mapping[str, int], Mapping[str, int]]
    started: int  # 0 in the first cycle, which is one of reset


def _pair(design: Design, mutant: int, parted: Iterable[int]) -> Pair:
    """``parted``: the registers that the mutant has for itself."""
    graph, fixed = Graph(), [name for name in design.inputs if name.startswith("mutsel")]
    inputs = {lit: graph.leaf() for name, lit in design.inputs.items() if name not in fixed}
    free = graph.count
    started = graph.leaf()
    own = {lit: graph.leaf() for lit, _ in design.latches}
    others = {**own, **{lit: graph.leaf() for lit in parted}}
    registers = graph.count - free
    reset = design.inputs["rst"]
    inputs[reset] = graph.either(inputs[reset], started ^ 1)
    nexts, outputs = [], []
    for state, chosen in ((own, 0), (others, mutant)):
        select = {design.inputs[name]: chosen >> int(name[7:-1]) & 1 for name in fixed}
        known = evaluate(design, graph, {**inputs, **select, **state})
        nexts.append({lit: known[then & ~1] ^ (then & 1) for lit, then in design.latches})
        outputs.append({name: known[lit & ~1] ^ (lit & 1) for name, lit in design.outputs.items()})
    return Pair(graph, free, registers, (nexts[0], nexts[1]), (outputs[0], outputs[1]), started)


def miter(design: Design, mutant: int) -> bytes | None:
    """The design beside ``mutant`` (the value of its input ``mutsel``); None where they are equal."""
    parted: dict[int, None] = {}
    while True:
        pair = _pair(design, mutant, parted)
        gold, gate = pair.nexts
        differing = [lit for lit in gold if gold[lit] != gate[lit] and lit not in parted]
        if not differing:
            break
        parted |= dict.fromkeys(differing)
    wrong = pair.graph.both(_told_apart(pair), pair.started)
    return None if wrong == 0 else _aiger(pair, [*gold.values(), *(gate[lit] for lit in parted)], wrong)


def step(design: Design, mutant: int) -> bytes:
    """The design alone, and whether ``mutant`` would do anything else in a state of the design: where it never would,
    the two are equal for ever. Needs half the registers, but says nothing of a mutant that differs."""
    pair = _pair(design, mutant, ())
    gold, gate = pair.nexts
    wrong = _told_apart(pair)
    for lit in gold:
        wrong = pair.graph.either(wrong, pair.graph.differ(gold[lit], gate[lit]))
    return _aiger(pair, [*gold.values()], pair.graph.both(wrong, pair.started))


def _told_apart(pair: Pair) -> int:
    """1 where an output differs. What a port carries while it is not valid is nobody's business."""
    graph, (gold, gate), wrong = pair.graph, pair.outputs, 0
    for name in gold:
        differ = graph.differ(gold[name], gate[name])
        if name.startswith("m_axis") and name != "m_axis_tvalid":
            differ = graph.both(differ, gold["m_axis_tvalid"])
        wrong = graph.either(wrong, differ)
    return wrong


def _aiger(pair: Pair, nexts: Sequence[int], output: int) -> bytes:
    """AIGER's binary form: gates as differences of literals, seven bits a byte."""
    gates = pair.graph.gates
    head = f"aig {pair.graph.count} {pair.inputs} {pair.registers} 1 {len(gates)}\n"
    body = bytearray()
    for (a, b), out in gates.items():
        for delta in (out - a, a - b):
            while delta > 127:
                body.append(delta & 127 | 128)
                delta >>= 7
            body.append(delta)
    return head.encode() + "".join(f"{lit}\n" for lit in [1, *nexts, output]).encode() + bytes(body)
