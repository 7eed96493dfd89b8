"""The read master between its reader and a memory, as a design; and what is done with it.

Runs, bursts, the memory's beats and the reader's are streams: a memory of any pace, which keeps AXI's rules in one play
and breaks them in another. When all beats have come, a last stream tells the faults.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from spikegpt_hls.hls.rtl.blocks import SOURCES
from spikegpt_hls.rtl_tests.mutants.cases import Design
from spikegpt_hls.rtl_tests.mutants.replay import RUNS, Play, Stream, pauses

NAME = "read_master"
BITS, BEAT, LENGTH, ADDRESS = 8, 13, 4, 16  # of data, a beat's number, a run's beats, an address; a beat is a byte
BASE, SIZE, BURST, PATIENCE = 0x1803, 0x1900, 4, 900
LONG = 100  # cycles after the last beat: faults have been found
RESPONSES = {"exclusive": 1, "error": 2}  # all but OKAY are wrong


@dataclass(frozen=True)
class Case:
    """What the memory does wrong with some bursts, and the faults that say so."""

    wrong: tuple[str, ...]
    faults: int
    lanes: int = 1


CASES = (
    Case((), 0b0000),
    Case(("error", "short"), 0b0011),
    Case(("other id",), 0b0001),
    Case(("exclusive",), 0b0001),
    Case(("long",), 0b0010),
    Case(("no last",), 0b0010),
    Case(("outside",), 0b0100),
    Case(("never",), 0b1000),
)
RUNS_OF_BEATS = 24


def design(case: Case) -> Design:
    """The same for all."""
    beats = sum(length for _, length in _runs(case))
    sources = {f"{name}.sv": (SOURCES / f"{name}.sv").read_text() for name in ("read_master", "fifo")}
    sources["top.sv"] = _TOP.format(
        beat=BEAT, length=LENGTH, address=ADDRESS, bits=BITS, base=BASE, size=SIZE, burst=BURST, patience=PATIENCE,
        beats=beats, long=LONG,
    )  # fmt: skip
    return Design("top", sources, {}, {})


def _runs(case: Case) -> list[tuple[int, int]]:
    """First beat and length, some across 4 KB, one outside the window if that is the case."""
    rng = np.random.default_rng(3)
    page = -BASE % 4096
    firsts = np.where(rng.random(RUNS_OF_BEATS) < 0.4, page - rng.integers(1, 8, RUNS_OF_BEATS),
                      rng.integers(0, SIZE - 16, RUNS_OF_BEATS))  # fmt: skip
    runs = [(int(first), int(rng.integers(1, 16))) for first in firsts]
    runs[5], runs[9] = (SIZE - 3 if "outside" in case.wrong else 3, 4), (SIZE - 4, 4)  # and one just inside
    return runs


def _bursts(case: Case) -> list[tuple[int, int]]:
    """First address and length of what is asked for."""
    found = []
    for first, beats in _runs(case):
        at = BASE + first
        while beats and first + beats <= SIZE:
            found.append((at, min(beats, BURST, 4096 - at % 4096)))
            at, beats, first = at + found[-1][1], beats - found[-1][1], first + found[-1][1]
    return found


def _value(address: int) -> int:
    return address * 151 % 251


def play(case: Case) -> Play:
    """All runs but ``timing``. Faults are those of two whole bursts; the memory falls silent before the last one."""
    bursts = _bursts(case)
    whole = [number for number, (_, length) in enumerate(bursts) if length == BURST]
    wrong = dict(zip((whole[7], whole[12]), case.wrong, strict=False))
    if "never" in case.wrong:
        wrong = {len(bursts) - 1: "never"}
    sent: list[int] = []  # by the memory: {id, response, last, data}
    came: dict[int, int] = {}  # by the number of a beat that was asked for
    for number, ((at, length), first) in enumerate(
        zip(bursts, accumulate((length for _, length in bursts), initial=0), strict=False)
    ):
        fault = wrong.get(number, "")
        count = {"short": length - 2, "long": length + 2, "never": 0}.get(fault, length)
        for beat in range(count):
            last = beat == count - 1 and fault != "no last"
            response = RESPONSES.get(fault, 0) if beat == 1 else 0
            sent.append(int(fault == "other id") << 11 | response << 9 | int(last) << 8 | _value(at + beat))
            if beat < length:
                came[first + beat] = _value(at + beat)
        if fault == "no last":  # what comes until a last beat is one too many
            sent.append(1 << 8 | 0x5A)
    given, taken, asked = [], [], 0
    for first, beats in _runs(case):
        given.append(beats << BEAT | first)
        outside = first + beats > SIZE
        taken += [0 if outside else came.get(asked + beat, 0) for beat in range(beats)]
        asked += 0 if outside else beats
    streams = (
        ("s_axis_run", BEAT + LENGTH, given, 0),
        ("m_axis_ar", ADDRESS + 8, [length - 1 << ADDRESS | at for at, length in bursts], 1),
        ("s_axis_r", 12, sent, 0), ("m_axis", BITS, taken, 1), ("m_axis_fault", 4, [case.faults], 1),
    )  # fmt: skip
    return Play(
        [
            Stream(port, width, 1, words, pauses((f"{port} {pair[side]}", pair[side]) for pair in RUNS.values()))
            for port, width, words, side in streams
        ],
        len(RUNS) - 1,
    )


_TOP = """
module top (
    input logic clk, input logic rst,
    input logic [{beat}+{length}-1:0] s_axis_run_tdata, input logic s_axis_run_tvalid, output logic s_axis_run_tready,
    input logic s_axis_run_tlast, input logic s_axis_run_tuser,
    output logic [{address}+7:0] m_axis_ar_tdata, output logic m_axis_ar_tvalid, input logic m_axis_ar_tready,
    output logic m_axis_ar_tlast, output logic m_axis_ar_tuser,
    input logic [11:0] s_axis_r_tdata, input logic s_axis_r_tvalid, output logic s_axis_r_tready,
    input logic s_axis_r_tlast, input logic s_axis_r_tuser,
    output logic [{bits}-1:0] m_axis_tdata, output logic m_axis_tvalid, input logic m_axis_tready,
    output logic m_axis_tlast, output logic m_axis_tuser,
    output logic [3:0] m_axis_fault_tdata, output logic m_axis_fault_tvalid, input logic m_axis_fault_tready,
    output logic m_axis_fault_tlast, output logic m_axis_fault_tuser
);
  read_master #(
      .ADDRESS_BITS({address}), .DATA_BITS({bits}), .BEAT_BITS({beat}), .LENGTH_BITS({length}), .BURST({burst}),
      .OUTSTANDING(3), .ROOM(12), .PATIENCE({patience})
  ) u_master (
      .clk, .rst, .memory_rst(rst), .base({address}'d{base}), .size(14'd{size}),
      .run_first(s_axis_run_tdata[{beat}-1:0]), .run_beats(s_axis_run_tdata[{beat}+:{length}]),
      .run_valid(s_axis_run_tvalid), .run_ready(s_axis_run_tready),
      .data(m_axis_tdata), .valid(m_axis_tvalid), .ready(m_axis_tready), .fault(m_axis_fault_tdata),
      .m_axi_araddr(m_axis_ar_tdata[{address}-1:0]), .m_axi_arlen(m_axis_ar_tdata[{address}+:8]),
      .m_axi_arvalid(m_axis_ar_tvalid), .m_axi_arready(m_axis_ar_tready),
      .m_axi_rdata(s_axis_r_tdata[7:0]), .m_axi_rlast(s_axis_r_tdata[8]), .m_axi_rresp(s_axis_r_tdata[10:9]),
      .m_axi_rid(s_axis_r_tdata[11]), .m_axi_rvalid(s_axis_r_tvalid), .m_axi_rready(s_axis_r_tready)
  );
  logic [15:0] left_q, wait_q;
  logic told_q;
  always_ff @(posedge clk) begin
    left_q <= rst ? 16'd{beats} : left_q - 16'(m_axis_tvalid && m_axis_tready && left_q != 0);
    wait_q <= rst || left_q != 0 ? 16'd{long} : wait_q - 16'(wait_q != 0);
    told_q <= !rst && (told_q || (m_axis_fault_tvalid && m_axis_fault_tready));
  end
  assign m_axis_fault_tvalid = left_q == 0 && wait_q == 0 && !told_q;
  assign {{m_axis_ar_tlast, m_axis_ar_tuser, m_axis_tlast, m_axis_tuser, m_axis_fault_tlast, m_axis_fault_tuser}} = '0;
endmodule
"""
