"""``load`` and ``chat``, as a user calls them, with a simulated board at the other end of a pseudo-terminal: a load
that breaks off and goes on, text that is continued, and what is said where something is wrong.
"""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cocotb
import pytest
from cocotb.triggers import Timer

from spikegpt_hls.rtl_tests import simulator
from spikegpt_hls.rtl_tests.bench import BUILD
from spikegpt_hls.rtl_tests.boards import ulx3s
from spikegpt_hls.rtl_tests.ip.uart import Uart

CHARACTERS = "\n !.HTabcdefghiklmnoprstuvwy"
PROMPT, TOKENS = "The ", 12


@cocotb.test()
async def serves(dut: Any) -> None:
    """A board at a pseudo-terminal, until the file ``stop`` appears."""
    folder = Path(os.environ["CASE"])
    await ulx3s.power_up(dut)
    uart = Uart(dut.ftdi_txd, dut.ftdi_rxd, ulx3s.CLOCK // 2 * ulx3s.DIVIDER)
    cocotb.start_soon(uart.listen())
    master, slave = pty.openpty()
    tty.setraw(master)
    tty.setraw(slave)
    os.set_blocking(master, False)
    (folder / "port").symlink_to(os.ttyname(slave))
    sent = 0
    while not (folder / "stop").exists():
        try:
            await uart.type(os.read(master, 512))
        except BlockingIOError:
            await Timer(20 * uart.bit, "ns")
        if len(uart.received) > sent:
            sent += os.write(master, uart.received[sent:])
    assert int(dut.sdram_errors.value) == 0


@pytest.fixture(scope="module")
def board() -> Iterator[Path]:
    """A workspace ``tiny`` whose image is that of the board, which is on; ``port`` is its serial port."""
    folder = BUILD.resolve() / "ulx3s_host"
    ulx3s.prepare(folder, 1, 8)
    place = folder / "tiny"
    (place / "hls").mkdir(parents=True)
    (place / "hls" / "ulx3s").symlink_to(folder / "hls")
    ulx3s.save(place, CHARACTERS)
    ulx3s.build(folder)
    environment = {"CASE": str(folder), "COCOTB_TEST_FILTER": "serves"}
    failed: list[BaseException] = []

    def simulate() -> None:
        try:
            simulator.run(ulx3s.TOP, __name__, folder, environment, cwd=folder / "hls" / "rtl", logs=folder)
        except BaseException as error:  # the test's own thread raises it
            failed.append(error)

    thread = threading.Thread(target=simulate)
    thread.start()
    try:
        while not (folder / "port").is_symlink():
            assert thread.is_alive(), failed
            time.sleep(0.1)
        yield folder
    finally:
        (folder / "stop").touch()
        thread.join()
    assert not failed, failed


def command(folder: Path, *arguments: str, port: str | Path | None = None) -> list[str]:
    where = ["--port", str(port or folder / "port"), "--build", str(folder), "--patience", "30"]
    return [sys.executable, "-P", "-m", "spikegpt_hls.cli.main", *arguments, *where]


def called(folder: Path, *arguments: str, port: str | Path | None = None, typed: str = "") -> tuple[int, str, str]:
    done = subprocess.run(
        command(folder, *arguments, port=port), input=typed, capture_output=True, text=True, check=False, timeout=500
    )
    return done.returncode, done.stdout, done.stderr


def test_a_load_breaks_off_and_goes_on_and_the_board_continues_text(board: Path) -> None:
    size = (board / "hls" / "rtl" / "memory.bin").stat().st_size
    first = subprocess.Popen(command(board, "load"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    time.sleep(8)  # it has begun, or is about to
    first.send_signal(signal.SIGINT)
    _, said = first.communicate(timeout=100)
    assert first.returncode == 130, said
    code, out, said = called(board, "load")
    assert code == 0, said
    assert f"{size:,} bytes, whose SHA-256 is right" in out
    code, out, said = called(board, "chat", "--tokens", str(TOKENS), typed=f"{PROMPT}\n\nX\nHm!\n")
    assert code == 0, said
    expected = [ulx3s.continued(board / "tiny", text, TOKENS) for text in (PROMPT, "Hm!")]
    assert out.startswith(PROMPT + expected[0] + "\n"), "the board writes something else"
    assert out.endswith("Hm!" + expected[1] + "\n")
    assert "not sent: " in out


@contextmanager
def other_device(answer: bytes) -> Iterator[str]:
    """A port at which something else answers."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    stop = threading.Event()
    os.set_blocking(master, False)

    def work() -> None:
        while not stop.wait(0.01):
            try:
                os.read(master, 512)
                os.write(master, answer)
            except BlockingIOError:
                pass

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield os.ttyname(slave)
    finally:
        stop.set()
        thread.join()


def refused(folder: Path, said: str, port: str | Path, patience: str = "0.1") -> None:
    command = [sys.executable, "-P", "-m", "spikegpt_hls.cli.main", "load", "--patience", patience]
    command += ["--build", str(folder)]
    done = subprocess.run([*command, "--port", str(port)], capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 2, done.stdout
    assert done.stderr.count("\n") == 1
    assert said in done.stderr


def test_what_is_wrong_is_said_in_a_sentence(tmp_path: Path) -> None:
    from spikegpt_hls.hls.driver.serial import framed

    refused(tmp_path, "memory.bin is not there: make hls target=ulx3s", "/dev/null")
    image = tmp_path / "tiny" / "hls" / "ulx3s" / "rtl" / "memory.bin"
    image.parent.mkdir(parents=True)
    image.write_bytes(bytes(8192))
    refused(tmp_path, "the serial port /dev/nothing cannot be opened", "/dev/nothing")
    with other_device(b"login: ") as port:
        refused(tmp_path, "no answer from the board", port)
    with other_device(framed(b"S\x01\0\0" + bytes(7) + b"\x09")) as port:
        refused(tmp_path, "the board speaks version 9 of the frames, not 1", port)
    with other_device(framed(b"S\x01\0\0" + bytes(7) + b"\x01") + framed(b"R\x01\0\0" + b"ELSE" + bytes(4))) as port:
        refused(tmp_path, "calls itself 0x45534c45", port)


def test_an_image_of_another_version_is_refused(board: Path, tmp_path: Path) -> None:
    image = tmp_path / "tiny" / "hls" / "ulx3s" / "rtl" / "memory.bin"
    image.parent.mkdir(parents=True)
    whole = (board / "hls" / "rtl" / "memory.bin").read_bytes()
    image.write_bytes(whole[:8] + b"\x09" + whole[9:])
    refused(tmp_path, "version 9 of the image, not 1", board / "port", "30")
    image.write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
    refused(tmp_path, "is damaged", board / "port", "30")
