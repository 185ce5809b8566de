"""Kills builds at chosen events of the file system and lets the same build go on.

Run as a program, so that everything is imported once and each session is a fork of it:
a session that is killed costs what it did, not what importing Beam costs.
"""

from __future__ import annotations

import dataclasses
import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from thresher.episodes import run_record
from thresher.episodes.version import Version, open_version
from thresher.pipelines import seal
from thresher.pipelines.build import Build, build_version
from thresher.pipelines.derive import Derivation, derive_version
from thresher.pipelines.rebalance import RebalanceConfig
from thresher.pipelines.stage import local_options
from thresher.pipelines.verify import verify
from thresher.tests.pipelines.test_build import RECIPE
from thresher.tests.processes import command_of

# Everything that changes what is on the disk, as the interpreter tells of it.
_EVENTS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.truncate")
_SESSIONS_AT_ONCE = 2

Work = Callable[[Path], object]


@dataclasses.dataclass(frozen=True)
class Scene:
    """What is killed.

    Attributes:
      logs: Raw logs, for a build.
      parent: A sealed version, for what is made of one.
    """

    logs: Path
    parent: Path

    def build(self, data: Path) -> Version:
        """Builds from logs, in this process."""
        return build_version(self._build(data))

    def build_with_workers(self, data: Path) -> Version:
        """Builds from logs, in two processes."""
        return build_version(
            dataclasses.replace(self._build(data), options=local_options(2))
        )

    def overwrite(self, data: Path) -> Version:
        """Replaces the version that is there, or builds it."""
        return build_version(dataclasses.replace(self._build(data), overwrite=True))

    def derive(self, data: Path) -> Version:
        """Derives a version, copying records."""
        asked = Derivation(
            parents=[self.parent],
            data_dir=data,
            version="2.0.0",
            description="Half of them succeed.",
            rebalance=RebalanceConfig(0.5),
        )
        return derive_version(asked, local_options(1))

    def _build(self, data: Path) -> Build:
        target = data / "tiny" / "1.0.0"
        return Build(RECIPE, self.logs, target, local_options(1))


def session(work: Work, data: Path, kill_at: int = 0) -> tuple[int, int]:
    """Runs work in a fork of this process, killed at its n-th event.

    Args:
      work: What to do.
      data: Where; only what happens below it counts.
      kill_at: Which event; 0 for none.

    Returns:
      (exit status, or minus the signal; events that there were).
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        _work_and_exit(work, data, kill_at, write)
    os.close(write)
    with os.fdopen(read) as told:
        events = told.read()
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), int(events or 0)


def _work_and_exit(work: Work, data: Path, kill_at: int, told: int) -> None:
    count = 0

    def listen(event: str, arguments: tuple) -> None:
        nonlocal count
        if event == "open":
            path, _, flags = arguments
            counts = bool((flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        else:
            path, counts = (arguments or ("",))[0], event in _EVENTS
        if counts and str(path).startswith(str(data)):
            count += 1
            if count == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    status = 1
    try:
        sys.addaudithook(listen)
        work(data)
        status = 0
    except BaseException:  # noqa: BLE001  # told on the way out, whatever it is
        traceback.print_exc()
    finally:
        os.write(told, str(count).encode())
        os._exit(status)


def problems_after_kill(
    work: Work, data: Path, kill_at: int, digest: str
) -> Iterator[str]:
    """Yields what is wrong with a version whose making was killed once."""
    stood = [*data.glob("tiny/[0-9]*")]
    killed, _ = session(work, data, kill_at)
    if killed != -signal.SIGKILL:
        yield f"ended with {killed} instead of being killed"
    if not all(path.exists() for path in stood):
        yield "the version that was to be replaced is gone"
    yield from problems_after_interruption(work, data, digest)


def problems_after_interruption(work: Work, data: Path, digest: str) -> Iterator[str]:
    """Yields what is wrong now, and after the same work was done again."""
    for path in data.glob("tiny/[0-9]*"):
        if damages := verify(path):
            yield f"{path.name} was visible and not whole: {damages[0]}"
    status, _ = session(work, data)
    if status:
        yield f"the same command ended with {status}"
        return
    (path,) = data.glob("tiny/[0-9]*")
    if open_version(path).digest != digest or verify(path):
        yield "the version has other bytes"
    left = sorted(p.name for p in path.parent.iterdir() if p != path)
    if left or sorted(p.name for p in data.iterdir()) != ["tiny"]:
        yield f"left behind: {left}"


def _kills(work: Work, folder: Path, most: int, begin: Work | None) -> dict:
    """Kills the work at so many events, spread over all; returns what was found."""
    whole = folder / "whole"
    whole.mkdir()
    if begin is not None:
        session(begin, whole)
    status, events = session(work, whole)
    assert status == 0, "the undisturbed one failed"
    (path,) = whole.glob("tiny/[0-9]*")
    digest = open_version(path).digest
    points = sorted({1 + k * (events - 1) // (most - 1) for k in range(most)})
    running: dict[int, int] = {}
    for point in points:
        if len(running) == _SESSIONS_AT_ONCE:
            running.pop(os.wait()[0])
        running[_fork_point(work, begin, folder / str(point), point, digest)] = point
    while running:
        running.pop(os.wait()[0])
    found = {p: (folder / f"{p}.json").read_text() for p in points}
    return {
        "events": events,
        "points": len(points),
        "problems": {p: json.loads(text) for p, text in found.items() if text != "[]"},
    }


def _fork_point(
    work: Work, begin: Work | None, data: Path, point: int, digest: str
) -> int:
    child = os.fork()
    if child:
        return child
    try:
        data.mkdir()
        if begin is not None:
            session(begin, data)
        found = list(problems_after_kill(work, data, point, digest))
        data.with_suffix(".json").write_text(json.dumps(found))
    finally:
        os._exit(0)


def _kills_at_times(scene: Scene, folder: Path, rounds: int, who: str) -> dict:
    """Kills a build of two processes, or one of its workers, now and then."""
    rng = random.Random(rounds)
    whole = folder / "whole"
    whole.mkdir()
    began = time.monotonic()
    status, _ = session(scene.build_with_workers, whole)
    seconds = time.monotonic() - began
    assert status == 0, "the undisturbed one failed"
    digest = open_version(whole / "tiny" / "1.0.0").digest
    problems, killed = {}, 0
    for number in range(rounds):
        data = folder / str(number)
        data.mkdir()
        child = _start(scene.build_with_workers, data)
        time.sleep(rng.uniform(0.05, 0.9) * seconds)
        killed += _kill(child, who, rng)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        found = []
        if who == "worker" and status:
            found.append(f"the loss of a worker ended the build with {status}")
        again = problems_after_interruption(scene.build_with_workers, data, digest)
        problems[number] = [*found, *again]
    return {
        "points": killed,
        "problems": {n: found for n, found in problems.items() if found},
    }


def _start(work: Work, data: Path) -> int:
    child = os.fork()
    if child == 0:
        _work_and_exit(work, data, 0, os.open(os.devnull, os.O_WRONLY))
    return child


def _kill(child: int, who: str, rng: random.Random) -> int:
    """Kills a process, or waits for its workers and kills one; returns how many."""
    victims = [psutil.Process(child)]
    deadline = time.monotonic() + 10
    while who == "worker" and time.monotonic() < deadline:
        victims = [
            process
            for process in psutil.Process(child).children()
            if "thresher.pipelines.unit_worker" in command_of(process)
        ]
        if victims or psutil.Process(child).status() == psutil.STATUS_ZOMBIE:
            break
        time.sleep(0.02)
    if not victims:
        return 0
    try:
        rng.choice(victims).kill()
    except psutil.NoSuchProcess:
        return 0
    return 1


def main() -> None:
    """Prints what was wrong after each kill: FOLDER LOGS PARENT WORK=KILLS ..."""
    folder, logs, parent = (Path(word) for word in sys.argv[1:4])
    # What the code is called must not change under a test while somebody commits.
    seal.code_revision = run_record.code_revision = lambda: "as it was"
    scene = Scene(logs, parent)
    # Imports what sessions import when they run, tfds above all.
    (folder / "warm").mkdir()
    scene.build(folder / "warm")
    found = {}
    for word in sys.argv[4:]:
        name, _, kills = word.partition("=")
        (folder / name).mkdir()
        if name in ("parent", "worker"):
            found[name] = _kills_at_times(scene, folder / name, int(kills), name)
        else:
            begin = scene.build if name == "overwrite" else None
            work = getattr(scene, name)
            found[name] = _kills(work, folder / name, int(kills), begin)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
