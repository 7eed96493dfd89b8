"""Random dataflows, each block with a timing of its own, for the tests of the cycle simulator."""

import random
from dataclasses import replace
from math import ceil

from spikegpt_hls.hls.dataflow import Block, Dataflow
from spikegpt_hls.hls.fold.engine import share, shareable
from spikegpt_hls.hls.fold.folding import legal_factors
from spikegpt_hls.hls.rtl.timing import Timing
from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.ops import BIT, BinaryEmbedding, Gate, LayerNorm, Linear, Sigmoid
from spikegpt_hls.sim.cycles.schedule import simulate
from spikegpt_hls.sim.errors import SimulationError
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


def safe_graph(seed):
    """A random graph that completes, with its logits' stream."""
    while True:
        graph, sink = random_graph(seed)
        try:
            simulate(graph.dataflow(sink), 2, timing=graph.timing)
            return graph, graph.dataflow(sink)
        except SimulationError:
            seed += 1000
