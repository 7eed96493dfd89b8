"""The IP's driver without hardware: what it refuses, a DMA as PYNQ's, and the script that packages the IP."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from spikegpt_hls.hls.convert import convert
from spikegpt_hls.hls.driver import registers
from spikegpt_hls.hls.driver.image import HEADER, digest, header
from spikegpt_hls.hls.driver.pynq import PynqStream
from spikegpt_hls.hls.driver.registers import IDENTITY, OFFSET
from spikegpt_hls.hls.driver.spikegpt import DeviceError, SpikeGPT
from spikegpt_hls.hls.driver.words import words
from spikegpt_hls.hls.errors import ConversionError
from spikegpt_hls.hls.frontend.graph import dataflow
from spikegpt_hls.hls.ip import writer
from spikegpt_hls.model.classify import nlu
from spikegpt_hls.quant.format import Format

GEOMETRY = {
    "identity": IDENTITY, "version": 4, "vocabulary": 4, "channels": 8, "layers": 1, "lanes": 2, "contexts": 1,
    "logits": 16 << 16 | 2 << 8 | 11, "spiking": 2, "beat_bytes": 4, "driven": 1,
}  # fmt: skip


class Registers:
    """Memory where the device's registers would be."""

    def __init__(self, **values: int) -> None:
        self.words = {OFFSET[name]: value for name, value in {**GEOMETRY, **values}.items()}

    def read(self, offset: int) -> int:
        return self.words.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        self.words[offset] = value


class Echo:
    """A DMA as PYNQ's, before a device that answers every id by four logits: the id and what follows it."""

    def __init__(self) -> None:
        self.sendchannel = SimpleNamespace(transfer=self._send, wait=lambda: None, idle=True)
        self.recvchannel = SimpleNamespace(transfer=self._arm, wait=lambda: None, idle=False, transferred=0)

    def _arm(self, buffer: np.ndarray) -> None:
        self.buffer, self.recvchannel.idle = buffer, False

    def _send(self, words: np.ndarray) -> None:
        raw = (words[:, None].astype("<i2") - np.arange(4, dtype="<i2")).tobytes()
        self.buffer[: len(raw)] = np.frombuffer(raw, np.uint8)
        self.recvchannel.transferred, self.recvchannel.idle = len(raw), True


def model(**values: int) -> SpikeGPT:
    return SpikeGPT(Registers(**values), PynqStream(Echo(), np.zeros))


def test_logits_come_through_a_dma_like_pynqs() -> None:
    assert model().run([3, 1]).tolist() == [[3, 2, 1, 0], [1, 0, -1, -2]]


def test_the_driver_starts_the_device_and_sets_what_a_call_asks_for() -> None:
    device = model()
    assert device.read("control") == registers.RUN
    device.run([1, 2], resume=True, length=2)
    assert (device.read("mode"), device.read("length")) == (registers.RESUME, 2)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"identity": 0xFFFFFFFF}, "calls itself 0xffffffff, not 0x53504b47"),
        ({"version": 9}, "version 9 of the registers, not 4"),
    ],
)
def test_another_device_is_refused(values: dict[str, int], said: str) -> None:
    with pytest.raises(DeviceError, match=said):
        model(**values)


def test_impossible_calls_are_refused() -> None:
    device = model()
    for call, said in (
        (lambda: device.run([]), "at least 1 id"),
        (lambda: device.run([1], context=1), "there is no context 1"),
        (lambda: device.generate([1], 0), "1 to 65535 tokens"),
        (lambda: device.generate([1], 65536), "1 to 65535 tokens"),
        (lambda: device.generate_all([[1], [2]], 1), "there is no context 1"),
        (lambda: device.run([1 << 24]), "an id is a number from 0 to 16777215"),
    ):
        with pytest.raises(DeviceError, match=said):
            call()
    with pytest.raises(DeviceError, match="a packet of up to 16 bytes would come, and PynqStream has room for 8"):
        SpikeGPT(Registers(), PynqStream(Echo(), np.zeros, room=8)).run([1, 2])


def test_a_device_that_says_nothing_is_not_waited_for_for_ever() -> None:
    silent = Echo()
    silent.sendchannel.transfer = lambda words: None
    with pytest.raises(DeviceError, match=r"sent no packet for 0\.05 s: reset it and the DMA"):
        SpikeGPT(Registers(), PynqStream(silent, np.zeros, patience=0.05)).run([1])
    busy = Echo()
    stream = PynqStream(busy, np.zeros, patience=0.05)
    busy.sendchannel.idle = False
    stream.send(np.array([1], np.uint32), 8)
    with pytest.raises(DeviceError, match="takes no more ids"):
        stream.send(np.array([1], np.uint32), 8)


class Sentences:
    """A classifier that answers a sentence with its length."""

    def send(self, words: np.ndarray, room: int) -> None:
        self.length = len(words)

    def receive(self) -> np.ndarray:
        return np.array([self.length], "<u4").view(np.uint8)


def test_a_sentence_is_classified_as_ids_or_by_its_words(tmp_path: Path) -> None:
    tokenizer = nlu.word_tokenizer(["so dull dull so", "café\u00a0fine café\u00a0fine"])
    (tmp_path / "tokenizer.json").write_bytes(tokenizer.content)
    encode = words(tmp_path / "tokenizer.json")
    for text in ("so dull", "  so\tcafé \n dull", "never fine\u2003so", "so\u00a0dull.", ""):
        assert encode(text) == tokenizer.encode(text.encode()).tolist()
    device = SpikeGPT(Registers(classes=2, longest=3), Sentences(), encode)
    assert device.classify("so fine") == 2
    assert device.read("mode") == 3
    assert device.classify([3]) == 1
    for call, said in (
        (lambda: device.classify(""), "at least 1 id"),
        (lambda: device.classify("so very very dull"), "at most 3 tokens here, not 4"),
        (lambda: device.generate([1], 1), "no tokens to go on with"),
        (lambda: SpikeGPT(Registers(classes=2), Sentences()).classify("so"), "needs the driver's encode="),
        (lambda: model().classify([1]), "has no classes"),
    ):
        with pytest.raises(DeviceError, match=said):
            call()


def test_a_tokenizer_of_other_pieces_is_no_list_of_words(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text('{"bytes": 256}')
    with pytest.raises(ValueError, match=r"tokenizer.json does not split a text into words"):
        words(tmp_path / "tokenizer.json")


def test_weights_for_a_device_that_has_them_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="weights on the chip: there is nothing to load"):
        model().load(tmp_path / "memory.bin", np.zeros)


def test_a_buffer_that_the_device_cannot_reach_is_refused(tmp_path: Path) -> None:
    image = header({"bytes": HEADER + 8, "sha256": digest(bytes(HEADER + 8))}) + bytes(8)
    (tmp_path / "memory.bin").write_bytes(image)
    device = model(memory_bytes=len(image), memory_digest=int(digest(image)[:8], 16))
    far = SimpleNamespace(device_address=(1 << 32) - 4096)
    with pytest.raises(DeviceError, match="the first 4 GiB"):
        device.load(tmp_path / "memory.bin", lambda shape, dtype: far)
    assert not device.read("memory_base")


def test_errors_are_named() -> None:
    device = model(errors=0b0101, error_count=3, error_position=7, error_id=99)
    assert device.errors.kinds == ("unknown id", "long packet")
    with pytest.raises(DeviceError, match=r"malformed packet \(unknown id, long packet\) at position 7: id 99"):
        device.run([1])


def test_the_packaging_script_is_tcl_that_names_files_which_exist(tmp_path: Path) -> None:
    """Vivado's commands are recorded, not run. The port to a memory has no address space yet."""
    tkinter = pytest.importorskip("tkinter", reason="this Python has no Tcl")
    for name in (
        "rtl/spikegpt.sv",
        "rtl/testbench.sv",
        "rtl/images/head_weight.hex",
        "ip/guard.sv",
        "ip/spikegpt_ip.v",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    for path in (*writer.SOURCES.glob("*.tcl"), *writer.SOURCES.glob("*.xdc")):
        (tmp_path / "ip" / path.name).write_bytes(path.read_bytes())
    tcl, calls = tkinter.Tcl(), []

    def record(*call: Any) -> str:
        calls.append(call)
        if call[0] == "ipx::get_address_spaces":
            return ""
        return " ".join(map(str, call[1:])) if call[0] in ("get_files", "get_ports") else str(call[0])

    tcl.createcommand("record", record)
    tcl.eval("proc unknown {args} { return [record {*}$args] }; set argc 0; set argv {}")
    tcl.eval(f"source {{{tmp_path / 'ip' / 'package_ip.tcl'}}}")
    tcl.eval(f"source {{{tmp_path / 'ip' / 'spikegpt_ip.xdc'}}}")
    added = [name for call in calls if call[0] == "add_files" for name in tcl.splitlist(call[-1])]
    assert len(added) == len(set(added)) == 5
    assert all(Path(name).is_file() for name in added)
    assert not any(name.endswith("testbench.sv") for name in added)
    known = {
        "create_project", "add_files", "set_property", "get_files", "current_fileset", "update_compile_order",
        "ipx::package_project", "ipx::current_core", "ipx::associate_bus_interfaces", "ipx::create_xgui_files",
        "ipx::update_checksums", "ipx::check_integrity", "ipx::save_core", "close_project", "create_clock", "get_ports",
        "ipx::get_bus_interfaces", "ipx::get_address_spaces", "ipx::add_address_space",
    }  # fmt: skip
    assert {call[0] for call in calls} == known


@pytest.mark.parametrize("board", ["pynq-z2", "kria"])
@pytest.mark.parametrize("outside", [True, False], ids=["weights outside", "weights on the chip"])
def test_the_design_around_the_ip_joins_what_it_makes(board: str, outside: bool) -> None:
    """Vivado's commands are recorded, not run: every cell has a clock, every port of the IP a partner."""
    tkinter = pytest.importorskip("tkinter", reason="this Python has no Tcl")
    tcl, calls = tkinter.Tcl(), []

    def record(*call: Any) -> str:
        calls.append(call)
        if call[:2] == ("get_bd_intf_pins", "-quiet"):
            return str(call[2]) if outside else ""
        return str(call[-1]) if call[0].startswith("get_") else ""

    tcl.createcommand("record", record)
    tcl.eval(f"proc unknown {{args}} {{ return [record {{*}}$args] }}; set argc 1; set argv {board}")
    tcl.eval("rename file really_file; proc file {what args} { if {$what ne {copy}} { really_file $what {*}$args } }")
    tcl.eval(f"source {{{writer.SOURCES / 'block_design.tcl'}}}")
    cells = {call[-1]: call[-2] for call in calls if call[0] == "create_bd_cell"}
    buses = [call[1:] for call in calls if call[0] == "connect_bd_intf_net"]
    nets = [call[1:] for call in calls if call[0] == "connect_bd_net"]
    ends = [end for pair in [*buses, *nets] for end in pair]
    assert {end.split("/")[0] for end in ends} == set(cells)
    joined = [end for pair in buses for end in pair]
    assert len(joined) == len(set(joined))
    own = {"s_axi", "s_axis", "m_axis", *(["m_axi"] if outside else [])}
    assert {end.split("/")[1] for end in joined if end.startswith("spikegpt_ip_0/")} == own
    clock = nets[0][0]
    clocked = {to.split("/")[0] for source, to in nets if source == clock}
    assert clocked | {"ps"} == set(cells)
    masters = {end for end in joined if "HP1" in end}
    assert len(masters) == int(outside), "the port of the weights"
    assert [call[0] for call in calls].index("validate_bd_design") > [call[0] for call in calls].index(
        "assign_bd_address"
    )


def test_an_unknown_board_is_told_the_known_ones() -> None:
    tkinter = pytest.importorskip("tkinter", reason="this Python has no Tcl")
    tcl = tkinter.Tcl()
    tcl.eval("set argc 1; set argv zedboard")
    with pytest.raises(tkinter.TclError, match="unknown board zedboard: choose one of pynq-z2 kria"):
        tcl.eval(f"source {{{writer.SOURCES / 'block_design.tcl'}}}")


def test_logits_without_a_sign_are_refused(random48: Path, tmp_path: Path) -> None:
    network = dataflow(convert(random48 / "model.onnx", tmp_path, "SpikeRTL", lanes=1))
    unsigned = replace(network.blocks[-1], format_out=Format(8, 4, signed=False))
    with pytest.raises(ConversionError, match=r"signed logits, and head writes u8\.4"):
        list(writer.top(replace(network, blocks=(*network.blocks[:-1], unsigned))))


def test_counters_that_the_map_has_no_room_for_are_refused(random48: Path, tmp_path: Path, monkeypatch: Any) -> None:
    network = dataflow(convert(random48 / "model.onnx", tmp_path, "SpikeRTL", lanes=1))
    assert list(writer.top(network))
    monkeypatch.setattr(registers, "SPIKES", 1)
    with pytest.raises(ConversionError, match=r"count 1 LIF layers and 256 Linears .* not \d+ and 0"):
        list(writer.top(network))
