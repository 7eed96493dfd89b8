"""What surrounds the model: rows of logits, picked tokens and generated ones, of interleaved contexts, and the classes
of a classifier, whoever stalls.

The model is a stand-in that this bench plays: the logits after a token depend on all of its sequence.
"""

import random
import zlib
from collections import defaultdict
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.triggers import ClockCycles, RisingEdge

from spikegpt_hls.hls.ip.writer import sources
from spikegpt_hls.hls.rtl.image import pack
from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.ops.class_sum import ClassSum
from spikegpt_hls.rtl_tests import simulator
from spikegpt_hls.rtl_tests.bench import BUILD
from spikegpt_hls.rtl_tests.ip.ports import broken, drive, start, until, watch

VOCABULARY, LANES, BITS, SLOT = 12, 3, 10, 16
CLASSES = 5  # which three lanes do not divide
LOGITS, TOKENS, GENERATE, CLASSIFY = range(4)
COUNT = 5
SUM = ClassSum(Format(BITS, 0), longest=6).out
Out = dict[int, list[tuple[int, int, int]]]  # context: (data, last, void)


def logits(history: list[int], outputs: int) -> np.ndarray:
    """In whole beats."""
    seed = zlib.crc32(bytes(history))
    return np.random.default_rng(seed).integers(-(1 << BITS - 1), 1 << BITS - 1, outputs + -outputs % LANES)


def slots(row: np.ndarray) -> list[int]:
    return list(pack(row.reshape(-1, LANES), SLOT).words)


class Packet:
    """``cut``: the guard marked it."""

    def __init__(self, rng: random.Random, contexts: int) -> None:
        self.context = rng.randrange(contexts)
        self.ids = [rng.randrange(VOCABULARY) for _ in range(rng.randint(1, 6))]
        self.resumes = rng.random() < 0.3
        self.cut = rng.random() < 0.2

    def beats(self) -> list[dict[str, int]]:
        last = len(self.ids) - 1
        return [
            {"tdata": token, "tid": self.context, "tlast": int(place == last),
             "tuser": 2 * (self.cut and place == last) + (place == 0 and not self.resumes)}
            for place, token in enumerate(self.ids)
        ]  # fmt: skip


def meaning(packets: list[Packet], mode: int, contexts: int, outputs: int) -> Out:
    """What each context's reader gets."""
    out: Out = defaultdict(list)
    histories: dict[int, list[int]] = defaultdict(list)
    for packet in packets:
        history = histories[packet.context] if packet.resumes else []
        histories[packet.context] = history
        tag = packet.context << 24
        total = np.zeros(outputs, int)
        for place, token in enumerate(packet.ids):
            history.append(token)
            ends = place == len(packet.ids) - 1
            void = int(packet.cut and ends)
            row = logits(history, outputs)
            total += row[:outputs]
            if mode == LOGITS:
                words = slots(row)
                lasts = [*[0] * (len(words) - 1), 1]
                out[packet.context] += [(w, int(ends and last), void * last)
                                        for w, last in zip(words, lasts, strict=True)]  # fmt: skip
            if mode == TOKENS:
                out[packet.context].append((tag + int(row[:outputs].argmax()), int(ends), void))
        if mode == CLASSIFY:
            out[packet.context].append((tag + int(total.argmax()), 1, int(packet.cut)))
        if mode == GENERATE:
            for left in reversed(range(1 if packet.cut else COUNT)):
                token = int(logits(history, outputs).argmax())
                out[packet.context].append((tag + token, int(contexts > 1 or left == 0), int(packet.cut)))
                if left:
                    history.append(token)
    return out


async def play_model(dut: Any, share: float, seed: int, pause: int = 8) -> None:
    """Take ids, give rows of logits in the same order, with delays."""
    taken: list[dict[str, int]] = []
    cocotb.start_soon(watch(dut, "m_axis_ids", "tdata tuser tid", share, seed, taken))
    histories: dict[int, list[int]] = {}
    rng, (outputs, _) = random.Random(seed), kind(dut)
    while True:
        while not taken:
            await RisingEdge(dut.clk)
        beat = taken.pop(0)
        history = histories.setdefault(beat["tid"], [])
        if beat["tuser"]:
            history.clear()
        history.append(beat["tdata"])
        await ClockCycles(dut.clk, rng.randint(1, pause))
        words = pack(logits(history, outputs).reshape(-1, LANES), BITS).words
        beats = [{"tdata": word, "tlast": int(n == len(words) - 1)} for n, word in enumerate(words)]
        await drive(dut, "s_axis_logits", beats, share, rng.randrange(1 << 30))


def kind(dut: Any) -> tuple[int, tuple[int, ...]]:
    """How many logits are a token's, and the modes that have a meaning."""
    classes = int(dut.CLASSES.value)
    return (classes, (LOGITS, TOKENS, CLASSIFY)) if classes else (VOCABULARY, (LOGITS, TOKENS, GENERATE))


@cocotb.test()
@cocotb.parametrize(which=range(3), pace=range(4))
async def surrounds(dut: Any, which: int, pace: int) -> None:
    contexts = int(dut.CONTEXTS.value)
    outputs, modes = kind(dut)
    mode = modes[which]
    idle, stall, model = ((0, 0, 0), (0.6, 0, 0.2), (0, 0.7, 0.2), (0.4, 0.4, 0.4))[pace]
    rng = random.Random(3 * pace + which)
    packets = [Packet(rng, contexts) for _ in range(40)]
    due = meaning(packets, mode, contexts, outputs)
    got: list[dict[str, int]] = []
    await start(dut, mode=mode, count=COUNT, s_axis_ids_tvalid=0, s_axis_logits_tvalid=0)
    cocotb.start_soon(watch(dut, "m_axis", "tdata tlast tuser tid", stall, 1, got))
    cocotb.start_soon(play_model(dut, model, 2))
    cocotb.start_soon(drive(dut, "s_axis_ids", [beat for packet in packets for beat in packet.beats()], idle, 3))
    await until(dut, lambda: len(got) >= sum(map(len, due.values())))
    await ClockCycles(dut.clk, 40)
    assert int(dut.idle.value), "something is still in flight"
    found: Out = defaultdict(list)
    for beat in got:
        found[beat["tid"]].append((beat["tdata"], beat["tlast"], beat["tuser"]))
    for context in range(contexts):
        for number, (have, want) in enumerate(zip(found[context], due[context], strict=True)):
            assert have == want, f"context {context}, beat {number}: {have}, not {want}"


@cocotb.test()
async def modes_change(dut: Any) -> None:
    """Rows on their way keep the mode with which their token entered, and the order."""
    rng = random.Random(9)
    packets = [Packet(rng, 1) for _ in range(30)]
    for packet in packets:
        packet.resumes = False
    outputs, known = kind(dut)
    modes = [rng.choice(known) for _ in packets]
    got: list[dict[str, int]] = []
    await start(dut, mode=0, count=COUNT, s_axis_ids_tvalid=0, s_axis_logits_tvalid=0)
    cocotb.start_soon(watch(dut, "m_axis", "tdata tlast tuser tid", 0.2, 1, got))
    cocotb.start_soon(play_model(dut, 0, 2, pause=1))
    contexts = int(dut.CONTEXTS.value)
    due = [
        beat
        for packet, mode in zip(packets, modes, strict=True)
        for beat in meaning([packet], mode, contexts, outputs)[0]
    ]
    for packet, mode in zip(packets, modes, strict=True):
        dut.mode.value = mode
        await drive(dut, "s_axis_ids", packet.beats(), 0, 3)
        await ClockCycles(dut.clk, 4)  # its ids are in
        if mode == GENERATE:
            await until(dut, lambda: int(dut.idle.value))
    await until(dut, lambda: len(got) >= len(due))
    assert [(beat["tdata"], beat["tlast"], beat["tuser"]) for beat in got] == due


def run(folder: Path, files: list[Path], contexts: int, **classifier: int) -> None:
    shape = {"VOCABULARY": VOCABULARY, "IDS_BITS": 4, "LANES": LANES, "LOGIT_BITS": BITS, "SLOT_BITS": SLOT}
    simulator.build(files, "autoregress", folder, {
        **shape, "OUT_BITS": 48, "CONTEXTS": contexts, "FLIGHT": 99, **classifier,
    })  # fmt: skip
    simulator.run("autoregress", __name__, folder, {})


@pytest.mark.parametrize("contexts", [1, 3])
def test_logits_tokens_and_generation(contexts: int) -> None:
    run(BUILD.resolve() / f"autoregress_{contexts}", sources("autoregress"), contexts)


@pytest.mark.parametrize("contexts", [1, 3])
def test_logits_and_classes_of_a_classifier(contexts: int) -> None:
    folder = BUILD.resolve() / f"autoregress_classifier_{contexts}"
    run(folder, sources("autoregress"), contexts, CLASSES=CLASSES, SUM_BITS=SUM.bits)


def test_a_classifier_that_mixes_sentences_is_noticed() -> None:
    """The negative control: each token's sums are picked from, not the sentence's."""
    whole, instead = "to_pick && (!classifies || note[17])", "to_pick"
    with pytest.raises(AssertionError):
        run(*broken("autoregress", whole, instead), 1, CLASSES=CLASSES, SUM_BITS=SUM.bits)


@pytest.mark.parametrize(
    ("whole", "instead"),
    [
        ("(new_valid && !busy_q[new_tid])", "new_valid"),
        ("out_place && picking_q == '0", "out_place"),
        ("picked[15:0] - 16'd1", "picked[15:0] - 16'd2"),
    ],
)
def test_one_that_mixes_sequences_is_noticed(whole: str, instead: str) -> None:
    """The negative control: a prompt breaks into a generation, a row overtakes a token, a token is missing."""
    with pytest.raises(AssertionError):
        run(*broken("autoregress", whole, instead), 1)
