"""The driver's transports over a serial line to a board (docs/boards.md): registers, packets, and the memory's image.

    with serial_port("/dev/ttyUSB0") as line:
        board = Board(line)
        model = SpikeGPT(board, board)
        model.load("memory.bin", board.allocate)

A frame is SLIP's (RFC 1055) with a CRC-32 behind its bytes, as ``hls/boards/serial_port.sv`` reads and writes them. A
request without an answer is sent again, under its number, so the board does it once. The image goes without answers,
piece by piece, each with its place; the board takes what follows on what it has, and says how far it came.
"""

from __future__ import annotations

import struct
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spikegpt_hls.hls.driver.errors import DeviceError

BAUD = 2_000_000
PROTOCOL = 1
END, ESCAPE, ESCAPED_END, ESCAPED_ESCAPE = 0xC0, 0xDB, 0xDC, 0xDD
PIECE = 1020  # bytes of the image in a frame, whose words are at most 256 with the CRC
AHEAD = 32  # pieces until the board is asked how far it came
TRIES = 5
MORE = 1 << 31  # ids that others follow in the same packet
ALL_THERE, GOOD, BAD, CHECKING = 1, 2, 4, 8
#: Bytes and what the whole has.
Progress = Callable[[int, int], None]


class Line(Protocol):
    """What pyserial's ``Serial`` is; ``read`` gives what has come when its timeout is over."""

    def read(self, size: int = 1) -> bytes: ...

    def write(self, data: bytes) -> Any: ...


def serial_port(port: str, patience: float = 1.0) -> Any:
    """A line that is open; DeviceError where there is none. ``port`` is a path, or a URL of pyserial's."""
    import serial

    try:
        return serial.serial_for_url(port, baudrate=BAUD, timeout=0.02, write_timeout=10 * patience, exclusive=True)
    except (serial.SerialException, ValueError, OSError) as error:
        raise DeviceError(f"the serial port {port} cannot be opened: {error}") from error


def found_port() -> str:
    """Where a ULX3S answers; DeviceError where none, or more than one, is plugged in."""
    from serial.tools.list_ports import comports

    boards = [port.device for port in comports() if "ulx3s" in f"{port.product} {port.description}".lower()]
    if len(boards) != 1:
        others = ", ".join(port.device for port in comports()) or "there is none"
        raise DeviceError(
            f"{len(boards) or 'no'} ULX3S found at the serial ports: name one, port=/dev/ttyUSB0 ({others})"
        )
    return str(boards[0])


def framed(content: bytes) -> bytes:
    """A frame: ``content`` and its CRC-32, escaped, between two END."""
    whole = content + struct.pack("<I", zlib.crc32(content))
    escaped = whole.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
    return bytes([END]) + escaped + bytes([END])


class Frames:
    """Bytes to the contents of frames; what is none is left out."""

    def __init__(self) -> None:
        self._begun = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        *whole, rest = data.split(bytes([END]))
        for part in whole:
            content = self._content(bytes(self._begun) + part)
            self._begun.clear()
            if content is not None:
                yield content
        self._begun += rest

    def _content(self, escaped: bytes) -> bytes | None:
        plain = escaped.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb")
        if len(plain) <= 4 or zlib.crc32(plain[:-4]) != struct.unpack("<I", plain[-4:])[0]:
            return None
        return plain[:-4]


class Board:
    """A board at a line. It is the driver's ``Mmio`` and ``Stream``, and ``allocate`` gives the buffer for its image.

    ``patience``: seconds for an answer. DeviceError where none comes, or another than is expected.
    """

    def __init__(self, line: Line, patience: float = 1.0, progress: Progress = lambda done, size: None) -> None:
        self.line, self.patience, self.progress = line, patience, progress
        self._frames = Frames()
        self._answers: deque[bytes] = deque()
        self._written: deque[bytes] = deque()
        self._number = 0
        answer = self._ask(b"S")
        if answer[11] != PROTOCOL:
            raise DeviceError(f"the board speaks version {answer[11]} of the frames, not {PROTOCOL}")
        self._number = answer[3]  # the last that was done: the next is new

    def read(self, offset: int) -> int:
        return self._word(self._ask(b"R", offset))

    def write(self, offset: int, value: int) -> None:
        self._ask(b"W", offset, struct.pack("<I", value))

    def send(self, words: NDArray[np.uint32], room: int) -> None:
        sent = words.astype("<u4").tobytes()
        for at in range(0, len(sent), PIECE):
            more = MORE if at + PIECE < len(sent) else 0
            due = time.monotonic() + TRIES * self.patience
            while self._ask(b"I", more, sent[at : at + PIECE])[2]:  # no room yet
                if time.monotonic() > due:
                    raise DeviceError("the board takes no more ids: what it wrote was not read, or it hangs; reset it")

    def receive(self) -> NDArray[np.uint8]:
        beats: list[bytes] = []
        while True:
            beat = self._next(self._written)
            if beat is None:
                raise DeviceError(f"the board has written nothing for {TRIES * self.patience:g} s")
            beats.append(beat[4:])
            if beat[1] & 1:
                return np.frombuffer(b"".join(beats), np.uint8)

    def allocate(self, shape: tuple[int, ...], dtype: Any) -> Image:
        """The memory of the board, as PYNQ's ``allocate`` would give it."""
        buffer = np.zeros(shape, dtype).view(Image)
        buffer.board = self
        return buffer

    @property
    def loaded(self) -> tuple[int, int]:
        """Bytes of the image that the memory has, and what is known of them (``ALL_THERE`` and so on)."""
        answer = self._ask(b"S")
        return self._word(answer), answer[8]

    def fill(self, image: bytes) -> None:
        """Send what the memory lacks of its image, and have the board check it; DeviceError where it is not right."""
        for attempt in range(2):
            self._send_rest(image)
            if self._checked() & GOOD:
                return
            if not attempt:
                self._ask(b"Z")
        raise DeviceError(
            "the board refuses the image: the SHA-256 of what its memory holds is another, twice; the lamp of the "
            "damaged image is on, and the memory may be broken"
        )

    def _send_rest(self, image: bytes) -> None:
        done, stuck = self.loaded[0], 0
        while done < len(image):
            self.progress(done, len(image))
            for at in range(done, min(done + AHEAD * PIECE, len(image)), PIECE):
                self._write(b"M", at, image[at : at + PIECE])
            now = self.loaded[0]
            stuck = stuck + 1 if now == done else 0
            if stuck == TRIES:
                raise DeviceError(f"the board takes no more of the image than {done:,} of {len(image):,} bytes")
            done = now
        self.progress(done, len(image))

    def _checked(self) -> int:
        known = self.loaded[1]
        if not known & (GOOD | BAD):
            self._ask(b"C")
            due = time.monotonic() + 60 * self.patience
            while (known := self.loaded[1]) & CHECKING and time.monotonic() < due:
                time.sleep(self.patience / 100)
        return known

    def _ask(self, what: bytes, address: int = 0, words: bytes = b"") -> bytes:
        """The answer to a request, which is sent again where none comes."""
        self._number = (self._number + 1) & 0xFF
        for _ in range(TRIES):
            self._write(what, address, words)
            while (answer := self._next(self._answers, 1)) is not None:
                if answer[0] == what[0] and answer[1] == self._number:
                    return answer
        raise DeviceError(
            "no answer from the board: is it on, does it hold this design with its weights in the memory, and is it "
            "the right port?"
        )

    def _write(self, what: bytes, address: int, words: bytes) -> None:
        try:
            self.line.write(framed(what + struct.pack("<BI", self._number, address) + words))
        except OSError as error:
            raise DeviceError(f"the serial port has gone: {error}") from error

    def _next(self, queue: deque[bytes], tries: int = TRIES) -> bytes | None:
        """The next frame of a kind, or None after a time."""
        due = time.monotonic() + tries * self.patience
        while not queue:
            try:
                data = self.line.read(4096)
            except OSError as error:
                raise DeviceError(f"the serial port has gone: {error}") from error
            for frame in self._frames.feed(data):
                if frame[:1] == b"O":
                    self._written.append(frame)
                elif len(frame) >= 12:
                    self._answers.append(frame)
                due = time.monotonic() + tries * self.patience
            if not queue and time.monotonic() > due:
                return None
        return queue.popleft()

    @staticmethod
    def _word(answer: bytes) -> int:
        return int.from_bytes(answer[4:8], "little")


class Image(np.ndarray):
    """A buffer that lies in the board's memory once it is flushed."""

    board: Board
    device_address = 0

    def flush(self) -> None:
        self.board.fill(self.tobytes())
