"""How deep the FIFOs of joins are, worked out by hand: eight beats a token."""

from random_graphs import BYTE, Graph
from spikegpt_hls.hls.fold.fifos import fifo_depths
from spikegpt_hls.hls.rtl.timing import Timing
from spikegpt_hls.quant.ops import Gate, LayerNorm, Linear, Sigmoid

FREE = Timing(1, 3)
GATE = Gate(BYTE, 8, BYTE, BYTE)


def test_a_fifo_holds_what_the_other_path_holds_and_a_token_more() -> None:
    """Four tokens of a LayerNorm and of a Linear each, and eight beats of any block's pipeline; and two places."""
    for operation, tokens in ((LayerNorm(BYTE, 8, BYTE, BYTE, BYTE), 4), (Linear(BYTE, 8, 8, BYTE, BYTE), 4),
                              (Sigmoid(BYTE, 8, BYTE), 0)):  # fmt: skip
        graph = Graph(8, 1)
        graph.add("fork", None, ["emb"], outputs=["a", "b"])
        graph.add("long", operation, ["b"], FREE)
        join = graph.add("join", GATE, ["a", "long"], FREE, fifo_depths=(2, 2))
        assert fifo_depths(graph.dataflow(join).blocks) == {"join": ((tokens + 1) * 8 + 8 + 2, 8 + 2)}


def test_what_lies_before_the_nearest_fork_is_held_for_both() -> None:
    graph = Graph(8, 1)
    graph.add("outer", None, ["emb"], outputs=["a", "b"])
    graph.add("norm", LayerNorm(BYTE, 8, BYTE, BYTE, BYTE), ["b"], FREE)
    graph.add("inner", None, ["norm"], outputs=["c", "d"])
    graph.add("squashed", Sigmoid(BYTE, 8, BYTE), ["d"], FREE)
    graph.add("near", GATE, ["c", "squashed"], FREE, fifo_depths=(2, 2))
    far = graph.add("far", GATE, ["a", "near"], FREE, fifo_depths=(2, 2))
    depths = fifo_depths(graph.dataflow(far).blocks)
    assert depths == {"near": (8 + 8 + 2, 8 + 2), "far": (5 * 8 + 4 * 8 + 2, 8 + 2)}
