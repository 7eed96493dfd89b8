"""The model as an IP: a register block on AXI4-Lite, and the token port behind a guard, around the generated top.

The top is plain Verilog, as Vivado's block designs ask of a module, and its ports have AXI's own names.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.hls.driver import registers
from spikegpt_hls.hls.errors import ConversionError
from spikegpt_hls.hls.memory import Layout
from spikegpt_hls.hls.rtl import blocks, rows
from spikegpt_hls.hls.rtl.hierarchy import declared, needed
from spikegpt_hls.hls.rtl.writer import COUNTER_BITS, COUNTERS, counted, event_blocks, lif_blocks, widths
from spikegpt_hls.quant.ops import BinaryEmbedding
from spikegpt_hls.quant.ops.class_sum import LONGEST, ClassSum

TOP = "spikegpt_ip"
SOURCES = Path(__file__).parent
MODULES = ("guard", "autoregress", "registers")


@dataclass(frozen=True)
class Shape:
    """What the modules of the IP need to know of a model."""

    vocabulary: int
    classes: int  # of a classifier; 0: its logits are of tokens
    ids_bits: int
    channels: int
    layers: int
    lanes: int
    logit_bits: int
    logit_frac: int
    sum_bits: int  # of a classifier's sums of logits
    contexts: int
    flight: int  # tokens in the model at once, and some more
    lifs: int  # counters of spikes
    spiking: int  # LIF layers, which they count
    linears: int  # counters of reads
    driven: int  # Linears driven by events, which they count
    memory_bytes: int  # of the image of weights in a memory outside; 0: they are on the chip
    memory_digest: int  # the first 32 bits of its SHA-256
    bus: int  # bits of the memory's data

    @classmethod
    def of(cls, dataflow: Dataflow) -> Shape:
        embedding = dataflow.blocks[0].operation
        if not isinstance(embedding, BinaryEmbedding):
            raise ConversionError("the IP continues text, and this network reads channels: its RTL is what there is")
        head = dataflow.driver[dataflow.sink]
        if not head.format_out.signed:
            raise ConversionError(f"the IP compares signed logits, and {head.name} writes {head.format_out}")
        layers = sum(block.layers for block in dataflow.blocks if block.kind == "Residual") // 2
        outputs = head.channels_out - head.padding
        outside = rows.of(dataflow)
        image = Layout(dataflow) if outside else None
        return cls(
            embedding.vocabulary, outputs if outputs != embedding.vocabulary else 0, widths(dataflow)[dataflow.source],
            embedding.channels, layers, head.lanes, head.format_out.bits, head.format_out.frac,
            ClassSum(head.format_out).out.bits, dataflow.contexts, 2 * len(dataflow.blocks),
            counted(dataflow), len(lif_blocks(dataflow)),
            max(1, len(event_blocks(dataflow))), len(event_blocks(dataflow)),
            image.size if image else 0, int(image.digest[:8], 16) if image else 0, outside.bus if outside else 0,
        )  # fmt: skip

    @property
    def slot_bits(self) -> int:
        """A logit on the output: 8, 16, 32 or 64 bits."""
        return max(8, 1 << (self.logit_bits - 1).bit_length())

    @property
    def out_bits(self) -> int:
        return max(32, self.lanes * self.slot_bits)

    @property
    def tid_bits(self) -> int:
        return max(1, (self.contexts - 1).bit_length())

    def parameters(self, module: str) -> dict[str, int | str]:
        """The parameters of a module of the IP."""
        known: dict[str, int | str] = {
            "VERSION": registers.VERSION,
            "VOCABULARY": self.vocabulary,
            "CLASSES": self.classes,
            "LONGEST": LONGEST if self.classes else 0,
            "IDS_BITS": self.ids_bits,
            "CHANNELS": self.channels,
            "LAYERS": self.layers,
            "LANES": self.lanes,
            "CONTEXTS": self.contexts,
            "LOGIT_BITS": self.logit_bits,
            "LOGIT_FRAC": self.logit_frac,
            "SUM_BITS": self.sum_bits if self.classes else self.logit_bits,
            "SLOT_BITS": self.slot_bits,
            "OUT_BITS": self.out_bits,
            "BEAT_BYTES": self.out_bits // 8,
            "FLIGHT": self.flight,
            "LIFS": self.lifs,
            "SPIKING": self.spiking,
            "LINEARS": self.linears,
            "DRIVEN": self.driven,
            "MEMORY_BYTES": self.memory_bytes,
            "MEMORY_DIGEST": f"32'h{self.memory_digest:08x}",
            "COUNTER_BITS": COUNTER_BITS,
            "ADDRESS_BITS": registers.ADDRESS_BITS,
        }
        path = SOURCES / f"{module}.sv"
        return {name: value for name, value in known.items() if name in declared(path)}


def sources(*modules: str) -> list[Path]:
    """The files of modules of the IP or of a board, and of what they instantiate."""
    folders = (blocks.SOURCES, SOURCES, SOURCES.parent / "boards")
    known = {path.stem: path for folder in folders for path in folder.glob("*.sv")}
    return needed(modules, known)


def write(dataflow: Dataflow, folder: Path) -> None:
    """Write the IP's own sources into ``folder``, beside the model's RTL, with its driver and what Vivado needs."""
    lines = list(top(dataflow))
    driver = folder / "python" / "spikegpt_hls" / "hls" / "driver"
    driver.mkdir(parents=True, exist_ok=True)
    for path in [*sources(*MODULES), *SOURCES.glob("*.tcl"), *SOURCES.glob("*.xdc")]:
        if path.parent == SOURCES:
            shutil.copyfile(path, folder / path.name)
    for path in Path(registers.__file__).parent.glob("*.py"):
        shutil.copyfile(path, driver / path.name)
    (folder / f"{TOP}.v").write_text("\n".join(lines) + "\n")


#: Ports of AXI4-Lite: name, bits, whether it is an input.
AXI_LITE = (
    ("awaddr", registers.ADDRESS_BITS, True), ("awprot", 3, True), ("awvalid", 1, True), ("awready", 1, False),
    ("wdata", 32, True), ("wstrb", 4, True), ("wvalid", 1, True), ("wready", 1, False),
    ("bresp", 2, False), ("bvalid", 1, False), ("bready", 1, True),
    ("araddr", registers.ADDRESS_BITS, True), ("arprot", 3, True), ("arvalid", 1, True), ("arready", 1, False),
    ("rdata", 32, False), ("rresp", 2, False), ("rvalid", 1, False), ("rready", 1, True),
)  # fmt: skip


def ports(shape: Shape) -> Iterator[tuple[str, int, bool]]:
    """Name, bits and direction (True: input) of the IP's ports, without clock and reset."""
    yield from ((f"s_axi_{name}", bits, inward) for name, bits, inward in AXI_LITE)
    for prefix, bits, slave in (("s_axis", 32, True), ("m_axis", shape.out_bits, False)):
        yield f"{prefix}_tdata", bits, slave
        yield f"{prefix}_tvalid", 1, slave
        yield f"{prefix}_tready", 1, not slave
        yield f"{prefix}_tlast", 1, slave
        yield f"{prefix}_tid", shape.tid_bits, slave
    yield "m_axis_tuser", 1, False
    if shape.bus:
        yield from ((f"m_axi_{name}", bits, inward) for name, bits, inward in rows.channel(shape.bus))


def top(dataflow: Dataflow) -> Iterator[str]:
    """The lines of the IP's top; ConversionError where its registers have no room for what it counts."""
    shape = Shape.of(dataflow)
    if shape.spiking > registers.SPIKES or shape.driven > registers.READS:
        raise ConversionError(
            f"the IP's registers count {registers.SPIKES} LIF layers and {registers.READS} Linears driven by events, "
            f"not {shape.spiking} and {shape.driven}"
        )
    yield "// Generated by the SpikeRTL backend: the model with AXI4-Lite registers; ids in, logits or picks out."
    yield f"module {TOP} ("
    yield '    (* X_INTERFACE_INFO = "xilinx.com:signal:clock:1.0 aclk CLK" *)'
    buses = ":".join(("s_axi", "s_axis", "m_axis", *(["m_axi"] if shape.bus else [])))
    yield f'    (* X_INTERFACE_PARAMETER = "ASSOCIATED_BUSIF {buses}, ASSOCIATED_RESET aresetn" *)'
    yield "    input  wire aclk,"
    yield '    (* X_INTERFACE_INFO = "xilinx.com:signal:reset:1.0 aresetn RST" *)'
    yield '    (* X_INTERFACE_PARAMETER = "POLARITY ACTIVE_LOW" *)'
    yield "    input  wire aresetn,"
    lines = [f"    {'input ' if inward else 'output'} wire {_range(bits)}{name}" for name, bits, inward in ports(shape)]
    yield ",\n".join(lines)
    yield ");"
    for name, bits in _wires(shape):
        yield f"  wire {_range(bits)}{name};"
    yield "  reg rst;"
    yield "  always @(posedge aclk) rst <= !aresetn;"
    settings = ("run", "resume", "mode", "length", "count", "idle", *_FAULT, *_COUNTERS)
    chip = {"memory_base": "", "memory_placed": "", "memory_fault": "4'd0", "memory_beats": f"{COUNTER_BITS}'d0"}
    memory = {name: name for name in chip} if shape.bus else chip
    yield from _instance(shape, "registers", {
        "clk": "aclk", "rst": "rst", "model_rst": "model_rst", **{name: name for name in settings}, **memory,
        **{f"s_axi_{name}": f"s_axi_{name}" for name, *_ in AXI_LITE},
    })  # fmt: skip
    yield from _instance(shape, "guard", {
        "clk": "aclk", "rst": "model_rst", **{name: name for name in ("run", "resume", "length", *_FAULT)},
        **_stream("s_axis", "s_axis", "tdata tvalid tready tlast tid"),
        **_stream("m_axis", "ids", "tdata tvalid tready tlast tuser tid"),
    })  # fmt: skip
    yield from _instance(shape, "autoregress", {
        "clk": "aclk", "rst": "model_rst", "mode": "mode", "count": "count", "idle": "idle",
        **_stream("s_axis_ids", "ids", "tdata tvalid tready tlast tuser tid"),
        **_stream("m_axis_ids", "next", "tdata tvalid tready tuser tid"),
        **_stream("s_axis_logits", "logits", "tdata tvalid tready tlast"),
        **_stream("m_axis", "m_axis", "tdata tvalid tready tlast tuser tid"),
    })  # fmt: skip
    yield from instance_of_model(dataflow)
    yield "endmodule"


def instance_of_model(dataflow: Dataflow) -> Iterator[str]:
    """The model, between the streams ``next`` and ``logits``."""
    connections = {
        "clk": "aclk", "rst": "model_rst", "s_axis_tlast": "1'b1", "m_axis_tuser": "", "m_axis_tid": "",
        **_stream("s_axis", "next", "tdata tvalid tready tuser tid"),
        **_stream("m_axis", "logits", "tdata tvalid tready tlast"), **{name: name for name in _COUNTERS},
    }  # fmt: skip
    if (outside := rows.of(dataflow)) is not None:
        beats, bits = Layout(dataflow).size * 8 // outside.bus, rows.widths(dataflow)["BEAT_BITS"] + 1
        connections |= {
            "memory_rst": "rst", "memory_size": f"memory_placed ? {bits}'d{beats} : {bits}'d0",
            **{name: name for name in ("memory_base", "memory_fault", "memory_beats")},
            **{f"m_axi_{name}": f"m_axi_{name}" for name, *_ in rows.channel(outside.bus)},
        }  # fmt: skip
    yield "  spikegpt u_spikegpt ("
    yield ",\n".join(f"      .{port}({net})" for port, net in connections.items())
    yield "  );"


_FAULT = ("fault", "fault_position", "fault_id")
_COUNTERS = (*COUNTERS, "spike_counts", "event_counts")


def _wires(shape: Shape) -> Iterator[tuple[str, int]]:
    yield from (("model_rst", 1), ("run", 1), ("resume", 1), ("mode", 2), ("length", 32), ("count", 16), ("idle", 1))
    yield from (("fault", 4), ("fault_position", 32), ("fault_id", 32))
    if shape.bus:
        yield from (("memory_base", 32), ("memory_placed", 1), ("memory_fault", 4), ("memory_beats", COUNTER_BITS))
    yield from ((name, COUNTER_BITS) for name in COUNTERS)
    yield "spike_counts", shape.lifs * COUNTER_BITS
    yield "event_counts", shape.linears * COUNTER_BITS
    for stream, bits, user in (("ids", shape.ids_bits, 2), ("next", shape.ids_bits, 1)):
        yield from ((f"{stream}_tdata", bits), (f"{stream}_tuser", user), (f"{stream}_tid", shape.tid_bits))
        yield from ((f"{stream}_tvalid", 1), (f"{stream}_tready", 1))
    yield "ids_tlast", 1
    yield "logits_tdata", shape.lanes * shape.logit_bits
    yield from ((f"logits_{wire}", 1) for wire in ("tvalid", "tready", "tlast"))


def _stream(port: str, net: str, wires: str) -> dict[str, str]:
    return {f"{port}_{wire}": f"{net}_{wire}" for wire in wires.split()}


def _range(bits: int) -> str:
    return f"[{bits - 1}:0] " if bits > 1 else ""


def _instance(shape: Shape, module: str, connections: dict[str, str]) -> Iterator[str]:
    yield f"  {module} #("
    yield ",\n".join(f"      .{name}({value})" for name, value in shape.parameters(module).items())
    yield f"  ) u_{module} ("
    yield ",\n".join(f"      .{port}({net})" for port, net in connections.items())
    yield "  );"
