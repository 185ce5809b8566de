"""Starts a small Flink cluster on this machine, and stops it.

    python tools/flink_cluster.py start FOLDER [--task-managers 2] [--slots 1]
    python tools/flink_cluster.py stop FOLDER

`start` has Maven fetch Flink, starts one job manager and some task managers, waits
until they know each other, and prints the job manager's address. The folder gets
Flink's jars, its settings, its logs, and the process ids as `job-manager.pid`,
`task-manager-0.pid`, …
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

FLINK = "1.19.3"
_ARTIFACTS = (
    ("org.apache.flink", "flink-clients", FLINK),
    ("org.apache.flink", "flink-runtime", FLINK),
    ("org.apache.flink", "flink-streaming-java", FLINK),
    ("org.slf4j", "slf4j-simple", "1.7.36"),
)
_JOB_MANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
_TASK_MANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
_START_SECONDS = 120
# What Flink reaches by reflection, which Java 17 forbids unless told.
_OPENED = (
    *("lang", "net", "io", "nio", "text", "time", "util"),
    *("util.concurrent", "util.concurrent.atomic", "util.concurrent.locks"),
)
# Outside its own scripts a task manager has to be told the size of each part of memory.
# A lost one is noticed after 8 s rather than 50: this is one machine.
_SETTINGS = {
    "jobmanager.rpc.address": "localhost",
    "jobmanager.bind-host": "localhost",
    "rest.address": "localhost",
    "taskmanager.host": "localhost",
    "taskmanager.bind-host": "localhost",
    "taskmanager.cpu.cores": "1",
    "taskmanager.memory.framework.heap.size": "64mb",
    "taskmanager.memory.framework.off-heap.size": "64mb",
    "taskmanager.memory.task.heap.size": "256mb",
    "taskmanager.memory.task.off-heap.size": "0b",
    "taskmanager.memory.managed.size": "64mb",
    "taskmanager.memory.network.min": "64mb",
    "taskmanager.memory.network.max": "64mb",
    "taskmanager.memory.jvm-metaspace.size": "256mb",
    "taskmanager.memory.jvm-overhead.min": "64mb",
    "taskmanager.memory.jvm-overhead.max": "64mb",
    "cluster.evenly-spread-out-slots": "true",
    "classloader.check-leaked-classloader": "false",
    "heartbeat.interval": "1000",
    "heartbeat.timeout": "8000",
    "slot.request.timeout": "30000",
}


class ClusterError(Exception):
    """The cluster cannot be started, in words for whoever asked for it."""


def start(folder: Path, task_managers: int = 2, slots: int = 1) -> str:
    """Starts a cluster.

    Args:
      folder: New, or one of a cluster that was stopped.
      task_managers: How many.
      slots: Of each of them: how many pieces of work it does at once.

    Returns:
      The address of the job manager's REST port, for `--flink_master`.

    Raises:
      ClusterError: Java or Maven is missing, Flink cannot be had, or does not start.
    """
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            raise ClusterError(f"there is no {program!r}: install Java 17 and Maven")
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    _fetch(folder / "lib")
    port = _write_settings(folder, slots)
    _launch(folder, "job-manager", _JOB_MANAGER)
    for number in range(task_managers):
        _launch(folder, f"task-manager-{number}", _TASK_MANAGER)
    try:
        _wait_for(folder, port, task_managers)
    except ClusterError:
        stop(folder)
        raise
    return f"localhost:{port}"


def stop(folder: Path) -> None:
    """Ends all processes of a cluster that are still there."""
    for file in sorted(folder.absolute().glob("*.pid")):
        kill(file)
        file.unlink()
    upload = folder.absolute() / "upload"
    if upload.exists():
        shutil.rmtree(upload.read_text(), ignore_errors=True)
        upload.unlink()


def kill(pid_file: Path) -> None:
    """Ends one process of a cluster at once, as a power cut would."""
    number = int(pid_file.read_text())
    # The number may have passed to a process that is none of ours.
    with contextlib.suppress(OSError):
        if str(pid_file.parent) in Path(f"/proc/{number}/cmdline").read_text():
            os.kill(number, signal.SIGKILL)


def _fetch(lib: Path) -> None:
    if lib.exists():
        return
    scratch = lib.with_name(".lib.fetching")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    dependencies = "".join(
        f"<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId>"
        f"<version>{version}</version></dependency>"
        for group, name, version in _ARTIFACTS
    )
    pom = scratch / "pom.xml"
    pom.write_text(
        '<project xmlns="http://maven.apache.org/POM/4.0.0">'
        "<modelVersion>4.0.0</modelVersion><groupId>thresher</groupId>"
        "<artifactId>cluster</artifactId><version>1</version>"
        f"<dependencies>{dependencies}</dependencies></project>"
    )
    command = ["mvn", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime"]
    command += [f"-DoutputDirectory={scratch / 'jars'}"]
    done = subprocess.run(
        command, cwd=scratch, capture_output=True, text=True, check=False, timeout=1800
    )
    if done.returncode:
        errors = [line for line in done.stdout.splitlines() if "ERROR" in line]
        raise ClusterError(
            f"Maven cannot get Flink {FLINK}: {errors[:1] or done.stderr}"
        )
    (scratch / "jars").rename(lib)
    shutil.rmtree(scratch)


def _write_settings(folder: Path, slots: int) -> int:
    """Returns the port of the job manager's REST server."""
    rest, rpc = _free_ports(2)
    own = {
        "rest.port": str(rest),
        "rest.bind-port": str(rest),
        "jobmanager.rpc.port": str(rpc),
        "taskmanager.numberOfTaskSlots": str(slots),
        "io.tmp.dirs": str(folder / "tmp"),
        "web.upload.dir": str(_upload_folder(folder)),
    }
    (folder / "conf").mkdir(exist_ok=True)
    (folder / "tmp").mkdir(exist_ok=True)
    lines = [f"{name}: {value}\n" for name, value in {**_SETTINGS, **own}.items()]
    (folder / "conf" / "config.yaml").write_text("".join(lines))
    return rest


def _upload_folder(folder: Path) -> Path:
    """Returns where a job's jars arrive: in memory, if there is such a place.

    The job manager waits for the disk several times for each of a hundred jars, which
    takes 10 s and more where the disk is slow to say that something is on it.
    """
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        return folder / "tmp"
    made = memory / f"thresher-flink-{folder.name}-{os.getpid()}"
    (folder / "upload").write_text(str(made))
    return made


def _launch(folder: Path, name: str, main: str) -> None:
    # Short jobs are over before the better compiler and collector pay off.
    command = ["java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    command += [f"--add-opens=java.base/java.{part}=ALL-UNNAMED" for part in _OPENED]
    command += ["--add-opens=java.base/sun.nio.ch=ALL-UNNAMED"]
    command += ["-cp", f"{folder / 'lib'}/*", main, "--configDir", str(folder / "conf")]
    command += ["-D", f"taskmanager.resource-id={name}"]
    with open(folder / f"{name}.log", "wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    (folder / f"{name}.pid").write_text(str(process.pid))


def _wait_for(folder: Path, port: int, task_managers: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if task_managers_of(f"localhost:{port}") == task_managers:
            return
        time.sleep(0.3)
    logs = {path.name: path.read_text()[-500:] for path in folder.glob("*.log")}
    raise ClusterError(f"Flink did not start within {_START_SECONDS} s: {logs}")


def task_managers_of(master: str) -> int:
    """Returns how many task managers a cluster has; 0 if it does not answer."""
    try:
        with urllib.request.urlopen(f"http://{master}/overview", timeout=5) as answer:
            return int(json.load(answer)["taskmanagers"])
    except (OSError, ValueError):
        return 0


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("localhost", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description="A small Flink cluster, here.")
    commands = parser.add_subparsers(dest="command", required=True)
    starting = commands.add_parser("start")
    starting.add_argument("folder", type=Path)
    starting.add_argument("--task-managers", type=int, default=2)
    starting.add_argument("--slots", type=int, default=1)
    stopping = commands.add_parser("stop")
    stopping.add_argument("folder", type=Path)
    chosen = parser.parse_args()
    try:
        if chosen.command == "start":
            print(start(chosen.folder, chosen.task_managers, chosen.slots))
        else:
            stop(chosen.folder)
    except ClusterError as error:
        sys.exit(f"flink_cluster: {error}")


if __name__ == "__main__":
    main()
