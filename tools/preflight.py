"""Says before the installation whether it can succeed, and with which Python.

Runs on any Python from 3.6 on and needs nothing else. Prints the interpreter to use
on standard output; a refusal goes to standard error with what to do about it, and
the exit code is 1.

Usage: python3 tools/preflight.py VENV [PYTHON]
"""
# No annotations here: a Python too old for Thresher must still get as far as saying so.

import os
import platform
import shutil
import subprocess
import sys

SUPPORTED = ((3, 9), (3, 10), (3, 11))
CANDIDATES = ("python3.11", "python3.10", "python3.9", "python3", "python")
# Measured: the environment takes 3.2 GB (10^9), and pip unpacks wheels into a temporary
# folder while it installs them.
INSTALLED_BYTES = 4 * 10**9
TEMPORARY_BYTES = 1 * 10**9
# The oldest C library that the locked wheels run on.
OLDEST_GLIBC = (2, 28)
PROBE = (
    "import platform, struct, sys\n"
    "print('%d.%d' % sys.version_info[:2], struct.calcsize('P') * 8,"
    " platform.python_implementation())\n"
    "import ensurepip, venv\n"
    "print('venv')"
)


class Refusal(Exception):
    """Why the installation cannot succeed, and what to do."""


def check_platform(system, machine, libc):
    """Refuses what TensorFlow 2.15 and Reverb publish no wheels for.

    Args:
        system: what `platform.system()` says.
        machine: what `platform.machine()` says.
        libc: name and version of the C library, as `libc()` gives them.
    """
    if system != "Linux" or machine not in ("x86_64", "AMD64"):
        raise Refusal(
            "Thresher runs on Linux x86-64, because Reverb publishes nothing else; "
            "this is %s %s. Use a Linux machine, a virtual machine or a container "
            "(on Windows: WSL 2)." % (system or "an unknown system", machine)
        )
    name, version = libc
    if name != "glibc":
        raise Refusal(
            "Thresher needs the GNU C library %d.%d or later; this system has %s "
            "(Alpine's musl has no wheels). Use a Debian, Ubuntu or Fedora image."
            % (*OLDEST_GLIBC, name or "another one")
        )
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_GLIBC:
        raise Refusal(
            "Thresher needs glibc %d.%d or later; this system has %s. Use a newer "
            "distribution, such as Debian 10 or Ubuntu 20.04."
            % (*OLDEST_GLIBC, version)
        )


def libc():
    """Name and version of the C library; ('', '') where it is not GNU's."""
    try:
        # platform.libc_ver() guesses on Pythons before 3.8.
        said = os.confstr("CS_GNU_LIBC_VERSION") or ""
        name, _, number = said.partition(" ")
        return name, number
    except (AttributeError, OSError, ValueError):
        return "", ""


def probe(command):
    """What is wrong with this interpreter, or None; and its path where it has one."""
    path = shutil.which(command)
    if path is None:
        return "not found", None
    try:
        answer = subprocess.run(
            [path, "-c", PROBE],
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            universal_newlines=True,
            timeout=60,
        ).stdout.splitlines()
    except (OSError, subprocess.SubprocessError) as error:
        return "does not run (%s)" % error, path
    if not answer:
        return "does not run (a pyenv shim without its version?)", path
    return judge(answer), path


def judge(answer):
    """What is wrong with an interpreter that answered the probe so, or None."""
    version, bits, implementation = answer[0].split()
    if tuple(int(part) for part in version.split(".")) not in SUPPORTED:
        return "is Python %s; Thresher needs 3.9, 3.10 or 3.11" % version
    if bits != "64" or implementation != "CPython":
        return "is %s-bit %s; Thresher needs 64-bit CPython" % (bits, implementation)
    if answer[1:] != ["venv"]:
        return (
            "lacks venv (on Debian and Ubuntu: apt-get install python%s-venv)" % version
        )
    return None


def find_python(candidates):
    """The first interpreter that will do."""
    findings = []
    for command in candidates:
        problem, path = probe(command)
        if problem is None:
            return path
        findings.append("  %-12s %s" % (command, problem))
    raise Refusal(
        "No suitable Python found. Thresher needs CPython 3.9, 3.10 or 3.11 (64-bit):\n"
        "%s\nInstall one (Debian 12: apt-get install python3.11-venv; pyenv: "
        "pyenv install 3.11), or name it: make PYTHON=/path/to/python3.11"
        % "\n".join(findings)
    )


def existing(folder):
    """The nearest folder above (or at) a path that exists."""
    folder = os.path.abspath(folder)
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder


def size_of(folder):
    """Bytes of the files under a folder; 0 where there is none."""
    return sum(
        os.lstat(os.path.join(parent, name)).st_size
        for parent, _, names in os.walk(folder)
        for name in names
    )


def check_space(folder, needed, what, remedy):
    """Refuses a disk with less than `needed` bytes free."""
    folder = existing(folder)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise Refusal(
            "%s needs %.1f GB free on the disk of %s, which has %.1f GB. "
            "Free some space, or use another disk: %s"
            % (what, needed / 1e9, folder, free / 1e9, remedy)
        )


def main(arguments):
    """Prints the interpreter to use, or why there is none; returns the exit code."""
    venv = arguments[0]
    named = arguments[1] if len(arguments) > 1 else ""
    try:
        check_platform(platform.system(), platform.machine(), libc())
        python = find_python((named,) if named else CANDIDATES)
        missing = max(INSTALLED_BYTES - size_of(venv), 0)
        check_space(venv, missing, "The environment", "make VENV=/other/disk/venv …")
        temporary = os.environ.get("TMPDIR") or "/tmp"
        check_space(temporary, TEMPORARY_BYTES, "pip", "make TMPDIR=/other/disk …")
    except Refusal as refusal:
        sys.stderr.write("%s\n" % refusal)
        return 1
    print(python)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
