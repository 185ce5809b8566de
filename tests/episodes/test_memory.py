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


_FRAMES = """
import resource
import sys
import numpy as np
from thresher.episodes.memory import map_large_blocks, reusing_blocks

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def work():
    for _ in range(50):
        np.ones(2 << 20, np.uint8)

assert map_large_blocks()
counts = []
for _ in range(2):
    before = faults()
    work()
    counts.append(faults() - before)
    before = faults()
    with reusing_blocks():
        work()
    counts.append(faults() - before)
print(*counts)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="tells glibc what to do")
def test_work_on_pictures_has_its_blocks_again() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _FRAMES], capture_output=True, text=True, check=True
    )
    counts = [int(word) for word in ran.stdout.split()]
    # Pages of 4 KiB or more: at least one for each half mebibyte without, few with.
    assert min(counts[0::2]) > 10 * max(counts[1::2])
