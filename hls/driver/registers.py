"""The register map of the model's IP: the one place where it is written down.

The driver reads it, ``docs/registers.md`` is ``table()``, and a test holds ``hls/ip/registers.sv`` to it. Registers
have 32 bits; a counter has 64, and reading its low half keeps the high half for the read that follows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

IDENTITY = 0x53504B47  # "SPKG"
VERSION = 4
ADDRESS_BITS = 12


@dataclass(frozen=True)
class Register:
    """``access``: ``ro``, ``rw``, or ``w1c`` (read; a 1 that is written clears the bit)."""

    name: str
    offset: int
    access: str
    meaning: str


REGISTERS = (
    Register("identity", 0x000, "ro", f"0x{IDENTITY:08x}, the letters SPKG"),
    Register("version", 0x004, "ro", "version of this map"),
    Register("vocabulary", 0x008, "ro", "token ids are below this"),
    Register("channels", 0x00C, "ro", "width of the model"),
    Register("layers", 0x010, "ro", "blocks of the model"),
    Register("lanes", 0x014, "ro", "logits per beat of the output"),
    Register("contexts", 0x018, "ro", "sequences that interleave (tid)"),
    Register("logits", 0x01C, "ro", "bits 7..0: bits of a logit; 15..8: of them fraction; 23..16: bits of its slot"),
    Register("spiking", 0x020, "ro", "LIF layers that are counted"),
    Register("beat_bytes", 0x024, "ro", "bytes of a beat of the output"),
    Register("driven", 0x028, "ro", "Linears that are driven by events"),
    Register("classes", 0x02C, "ro", "classes of a classifier, whose logits they are; 0: a model that continues text"),
    Register("longest", 0x030, "ro", "ids that a packet has at most; 0: any number"),
    Register("memory_bytes", 0x034, "ro", "bytes of the image of weights in a memory; 0: they are on the chip"),
    Register("memory_digest", 0x038, "ro", "first four bytes of that image's SHA-256, the first one in bits 31..24"),
    Register(
        "control", 0x040, "rw", "bit 0: run (takes ids); a 1 written to bit 1 resets the model, to bit 2 the errors"
    ),
    Register(
        "mode",
        0x044,
        "rw",
        "bits 1..0: 0 logits, 1 tokens, 2 generate, 3 classify; bit 2: packets resume their context",
    ),
    Register("length", 0x048, "rw", "ids that a packet must have; 0: any number"),
    Register("generate", 0x04C, "rw", "tokens generated after a packet (mode 2), 1 to 65535"),
    Register("status", 0x050, "ro", "bit 0: idle, nothing in flight; bit 1: the model is being reset"),
    Register("memory_base", 0x054, "rw", "address of the image in the memory; until it is written nothing is read"),
    Register("errors", 0x060, "w1c", "bit 0: unknown id; 1: short packet; 2: long packet; 3: no such context"),
    Register("error_count", 0x064, "ro", "malformed packets since the errors were reset"),
    Register("error_position", 0x068, "ro", "place in its packet of the id at the first error"),
    Register("error_id", 0x06C, "ro", "that id"),
    Register(
        "memory_faults",
        0x070,
        "ro",
        "bit 0: error response or other ID; 1: burst of another length; 2: row outside the image; 3: no answer",
    ),
    Register("memory_beats", 0x078, "ro", "counter: beats that the memory brought"),
    Register("cycles", 0x080, "ro", "counter: from the first id taken to the last logits given"),
    Register("tokens", 0x088, "ro", "counter: tokens whose logits were given"),
    Register("busy_cycles", 0x090, "ro", "counter: cycles in which the multipliers of the slowest Linear worked"),
    Register("source_stalls", 0x098, "ro", "counter: cycles in which an id waited for the model"),
    Register("sink_stalls", 0x0A0, "ro", "counter: cycles in which logits waited for their reader"),
    Register("spikes", 0x0A8, "ro", "counters, 8 bytes apart: spikes of each LIF layer, first layer first"),
    Register(
        "reads", 0x800, "ro", "counters, 8 bytes apart: events that each such Linear added, each a word of its weights"
    ),
)
#: How many counters of spikes and of reads the map has room for.
SPIKES, READS = (0x800 - 0x0A8) // 8, (0x1000 - 0x800) // 8
COUNTERS = ("memory_beats", "cycles", "tokens", "busy_cycles", "source_stalls", "sink_stalls")
MODES = ("logits", "tokens", "generate", "classify")
RESUME = 1 << 2
RUN, RESET, CLEAR = 1 << 0, 1 << 1, 1 << 2
IDLE, RESETTING = 1 << 0, 1 << 1
FAULTS = ("an error response", "a burst of another length", "a row outside its image", "no answer")
ERRORS = ("unknown id", "short packet", "long packet", "no such context")
OFFSET = {register.name: register.offset for register in REGISTERS}


def table() -> Iterator[str]:
    """The lines of ``docs/registers.md``."""
    yield "# Registers of the IP"
    yield ""
    yield "AXI4-Lite, 32-bit words, 4 KiB; written from `hls/driver/registers.py`. A counter has 64 bits, low word"
    yield "first; reading that keeps the high word for the next read. What is not listed reads as 0."
    yield ""
    yield "| offset | name | access | meaning |"
    yield "| --- | --- | --- | --- |"
    for register in REGISTERS:
        yield f"| 0x{register.offset:03x} | {register.name} | {register.access} | {register.meaning} |"
