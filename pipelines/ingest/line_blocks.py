"""A text file in blocks of whole lines, so that its size does not matter."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Union

import numpy as np

from thresher.pipelines.ingest.table_rules import damaged

REMEDY = "save it as UTF-8 text with one row a line"
BLOCK_BYTES = 8 << 20
# Parsed as JSON it may take twenty times as much.
_LONGEST_LINE = 16 << 20
_TAIL_BYTES = 4096
_BOM = b"\xef\xbb\xbf"
_DELIMITERS = (",", ";", "\t", "|")
_LONGEST_HEADER = 1 << 20
_QUOTED = re.compile('"[^"]*"')
_OTHER_BOMS = (b"\xff\xfe", b"\xfe\xff")


@dataclasses.dataclass(frozen=True)
class Block:
    """Some lines.

    Attributes:
      first_line: Number of the first one, from 1.
      offset: Its first byte in the file.
      data: The bytes, each line with its line feed.
    """

    first_line: int
    offset: int
    data: Union[bytes, bytearray]

    @functools.cached_property
    def starts(self) -> np.ndarray:
        """First byte of each line in the file, and the end of the last, [lines + 1]."""
        feeds = np.flatnonzero(np.frombuffer(self.data, np.uint8) == 10)
        starts = np.empty(len(feeds) + 1, np.int64)
        starts[0] = self.offset
        np.add(feeds, self.offset + 1, out=starts[1:])
        return starts

    @property
    def lines(self) -> int:
        """How many."""
        return len(self.starts) - 1

    def part(self, first: int, last: int) -> Block:
        """Returns the lines from one on, by place in the block, to before another."""
        start, stop = int(self.starts[first]), int(self.starts[last])
        data = self.data[start - self.offset : stop - self.offset]
        return Block(self.first_line + first, start, data)


def text_start(path: Path) -> int:
    """Returns where the text begins, behind a byte order mark.

    Raises:
      DamagedRecordingError: The file is empty, or no UTF-8.
    """
    with open(path, "rb") as file:
        head = file.read(4096)
    if not head:
        raise damaged(path, "line 1", "the file has 0 bytes", "leave it out")
    if head.startswith(_OTHER_BOMS):
        raise damaged(path, "line 1", "it is UTF-16", REMEDY)
    return len(_BOM) if head.startswith(_BOM) else 0


def text_stop(path: Path) -> int:
    """Returns where the text ends, before blank lines at the end of the file."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        file.seek(max(size - _TAIL_BYTES, 0))
        tail = file.read(_TAIL_BYTES)
    kept = tail.rstrip(b"\r\n")
    # One line end belongs to the last line.
    end = tail[len(kept) :].find(b"\n") + 1
    return size - len(tail) + len(kept) + end


def likely_delimiter(path: Path, usual: str) -> str:
    """Returns what divides the names in a header: the usual sign if it is there at all.

    Else it is whichever of the others is there most often.
    """
    with open(path, "rb") as file:
        head = file.readline(_LONGEST_HEADER).decode("utf-8", "replace")
    plain = _QUOTED.sub("", head)
    counts = {sign: plain.count(sign) for sign in _DELIMITERS}
    best = max(_DELIMITERS, key=lambda sign: counts[sign])
    return usual if usual in plain or not counts[best] else best


def blocks(
    path: Path, start: int, stop: int, first_line: int, first_bytes: int = 0
) -> Iterator[Block]:
    """Yields the lines between two bytes; a last line without its end gets one.

    Args:
      path: The file.
      start: First byte of a line.
      stop: Behind the last byte that is wanted.
      first_line: Number of the line at `start`.
      first_bytes: Size of the first block, if smaller than that of the others.

    Raises:
      DamagedRecordingError: A line is too long, or holds what no text does.
    """
    for block in unchecked_blocks(path, start, stop, first_line, first_bytes):
        check_text(path, block)
        yield block


def unchecked_blocks(
    path: Path, start: int, stop: int, first_line: int, first_bytes: int = 0
) -> Iterator[Block]:
    """Yields what `blocks` does, whatever bytes the lines hold.

    Raises:
      DamagedRecordingError: A line is too long.
    """
    offset, line = start, first_line
    size = min(first_bytes or BLOCK_BYTES, BLOCK_BYTES)
    with open(path, "rb") as file:
        while offset < stop:
            file.seek(offset)
            data = bytearray(min(size, stop - offset))
            del data[file.readinto(data) :]
            if not data:
                return
            if not data.endswith(b"\n"):
                data += file.readline(min(_LONGEST_LINE, stop - offset - len(data)))
            if not data.endswith(b"\n"):
                # Perhaps a writer was killed over it: it comes alone, at the end.
                del data[data.rfind(b"\n") + 1 or len(data) :]
            read = len(data)
            if not data.endswith(b"\n"):
                if offset + read < stop and read >= _LONGEST_LINE:
                    rule = f"no line ends within {_LONGEST_LINE >> 20} MiB"
                    raise damaged(path, f"line {line}", rule, REMEDY)
                data += b"\n"
            block = Block(line, offset, data)
            yield block
            line += block.lines
            offset += read
            size = BLOCK_BYTES


def check_text(path: Path, block: Block) -> None:
    """Refuses what is no text.

    Raises:
      DamagedRecordingError: It holds a NUL or no UTF-8, with the line.
    """
    data = block.data
    position = data.find(b"\0")
    if position < 0:
        # Found out much faster than by making a text of it.
        if data.isascii():
            return
        try:
            data.decode("utf-8")
            return
        except UnicodeDecodeError as error:
            position = error.start
    where = block.first_line + data.count(b"\n", 0, position)
    rule = f"byte {data[position]:#04x} is no UTF-8 text"
    raise damaged(path, f"line {where}", rule, REMEDY)
