"""The job server: the Java process that hands Beam's pipelines to Flink."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from thresher.episodes.errors import UserError

_START_SECONDS = 120
# Flink 1.19 and 2 run on Java 11 to 21.
_OLDEST_JAVA = 11
# Java, and a reader that ends it when this process lets go of the pipe: by `stop`, or
# by dying, however it dies. Nobody would end it otherwise.
_SCRIPT = """
exec 3<&0
"$@" </dev/null 3<&- & java=$!
{ read -r _ <&3; kill -9 $java; } 2>/dev/null & reader=$!
wait $java; status=$?
kill $reader 2>/dev/null
exit $status
"""


class JobServer:
    """One job server for one Flink, started at once.

    Args:
      jar: Beam's job server.
      master: Flink's address, or '[local]' for one within the job server.
      java: The program to start it with.
      properties: Options for Java itself, such as '-Xmx4g'.

    Raises:
      UserError: No usable Java, or it does not start, with what Java said.

    Attributes:
      endpoint: Where it takes pipelines.
    """

    def __init__(
        self, jar: Path, master: str, java: str = "java", properties: Sequence[str] = ()
    ) -> None:
        require_java(java)
        self._folder = tempfile.TemporaryDirectory(prefix="thresher-flink-")
        self._log = Path(self._folder.name) / "job-server.log"
        port = _free_port()
        self.endpoint = f"localhost:{port}"
        arguments = {
            "flink-master": master,
            "artifacts-dir": str(Path(self._folder.name) / "artifacts"),
            "job-host": "localhost",
            "job-port": str(port),
            "artifact-port": "0",
            "expansion-port": "0",
        }
        # It does little, and an embedded Flink mostly waits for Python: Java's better
        # compiler and collector would not pay off.
        command = [java, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        command += [*properties, "-jar", str(jar)]
        for name, value in arguments.items():
            command += [f"--{name}", value]
        self._pipe: Optional[int] = None
        self._process = self._start(command)
        self._wait_for(port)

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Ends it, and with it an embedded Flink."""
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None
            self._process.wait()
            self._folder.cleanup()

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        read, write = os.pipe()
        self._pipe = write
        with open(self._log, "wb") as log:
            process = subprocess.Popen(
                ["sh", "-c", _SCRIPT, "sh", *command],
                stdin=read,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        os.close(read)
        return process

    def _wait_for(self, port: int) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if not self.alive:
                break
            with socket.socket() as probe:
                if probe.connect_ex(("localhost", port)) == 0:
                    return
            time.sleep(0.1)
        said = self._log.read_text(errors="replace").strip()[-800:]
        self.stop()
        raise UserError(
            f"Flink's job server did not start within {_START_SECONDS} s: {said or '-'}"
        )


def require_java(java: str) -> None:
    """Makes sure that there is a Java that Flink runs on.

    Raises:
      UserError: There is none, or it is too old.
    """
    remedy = (
        "install a Java 17 (Debian: apt-get install openjdk-17-jre-headless) or name "
        "one with --job_server_java_launcher"
    )
    if shutil.which(java) is None:
        raise UserError(f"Flink needs Java, and there is no program {java!r}; {remedy}")
    said = subprocess.run(
        [java, "-version"], capture_output=True, text=True, check=False
    )
    found = re.search(r'version "(?:1\.)?(\d+)', said.stderr)
    if found is None or int(found[1]) < _OLDEST_JAVA:
        what = (said.stderr or said.stdout).strip().splitlines()[:1]
        raise UserError(
            f"Flink needs Java {_OLDEST_JAVA} or newer, and {java!r} is {what}; "
            f"{remedy}"
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port: int = probe.getsockname()[1]
        return port
