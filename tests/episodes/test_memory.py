"""Freed memory goes back, whatever came and went before."""

import subprocess
import sys

import pytest

_TABLES = """
import sys
import numpy as np
import psutil
from thresher.episodes.memory import map_large_blocks

if sys.argv[1] == "mapped":
    assert map_large_blocks()
held = []
for _ in range(2):
    # The first round raises glibc's threshold, the second comes from the heap.
    blocks = [np.ones(4 << 20, np.uint8) for _ in range(20)]
    between = [bytearray(1000) for _ in range(20)]
    held.append([blocks.pop(), between])
    blocks = [np.ones(200 << 10, np.uint8) for _ in range(400)]
    held.append(blocks[::40])
    del blocks
kept = sum(block.nbytes for some in held[1::2] for block in some) + (8 << 20)
print((psutil.Process().memory_info().rss - kept) >> 20)
"""


def _resident(how: str) -> int:
    ran = subprocess.run(
        [sys.executable, "-c", _TABLES, how], capture_output=True, text=True, check=True
    )
    return int(ran.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="tells glibc what to do")
def test_blocks_that_come_and_go_leave_nothing() -> None:
    assert _resident("as it is") - _resident("mapped") > 50
