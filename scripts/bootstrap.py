"""The programs that the scripts stand on: running them, and getting uv, the one that fetches all the others.

Only the standard library is used, since `scripts/setup` runs this before anything is installed.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from package_index import tool_environment

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
REQUIREMENTS = ROOT / "requirements"

BASE_PYTHON = os.path.realpath(sys.executable)
"""The interpreter itself, behind the virtual environment or symbolic link it was started through.

Asked at the start: `.venv` may be what it was started through, and may be made anew meanwhile.
"""

OLDEST_UV = (0, 5)
"""The first uv with UV_DEFAULT_INDEX and the options used here; an older one on PATH is passed over."""

INDEX_HINT = (
    "Where packages come through a mirror or a proxy, tell pip or uv as usual (pip.conf, PIP_INDEX_URL, "
    "UV_DEFAULT_INDEX, HTTPS_PROXY) and run this again."
)


class SetupError(Exception):
    """The environment cannot be made; the text says why and what to do."""


def say(text: str) -> None:
    """One line of progress."""
    print(f"setup: {text}", flush=True)


class Tools:
    """Runs the tools: what they print is kept back until one fails, or shown at once when `verbose`."""

    def __init__(self, *, verbose: bool, lock: int | None = None) -> None:
        self.environ = tool_environment(os.environ, spare_cache=TOOLS / "cache")
        self._verbose = verbose
        self._lock = lock

    def run(self, task: str, command: list[str], *, hint: str = INDEX_HINT) -> None:
        """Run the command to its end.

        Raises:
            SetupError: it failed; names the task and carries the last lines that the command printed.
        """
        failure = self.failure(command)
        if failure is not None:
            raise SetupError(f"{task} failed:\n{failure}\n{hint}")

    def failure(self, command: list[str], *, keep_lock: bool = True) -> str | None:
        """Run the command to its end; how it failed, or None if it did not."""
        if self._verbose:
            print(f"+ {shlex.join(command)}", flush=True)
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=None if self._verbose else subprocess.PIPE,
            stderr=None if self._verbose else subprocess.STDOUT,
            pass_fds=(self._lock,) if keep_lock and self._lock is not None else (),
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if done.returncode == 0:
            return None
        lines = [
            *(done.stdout or "").splitlines()[-30:],
            f"(exit status {done.returncode}: {shlex.join(command)})",
        ]
        return "\n".join(f"  {line}" for line in lines)

    def debian_package(self, name: str) -> str | None:
        """Install a Debian package; None, or in a few words why that was not possible."""
        apt = shutil.which("apt-get")
        if apt is None:
            return "this machine has no apt-get"
        if os.geteuid() != 0:
            return "only root may install packages"
        self.environ["DEBIAN_FRONTEND"] = "noninteractive"
        apt_get = [apt, "-o", "DPkg::Lock::Timeout=120"]
        install = [*apt_get, "install", "--yes", "--no-install-recommends", name]
        # A fresh image has no package lists, hence the second try. apt may start services, which would hold our lock
        # for as long as they live: they do not get it.
        if self.failure(install, keep_lock=False) is None:
            return None
        self.failure([*apt_get, "update"], keep_lock=False)
        return "apt-get install failed" if self.failure(install, keep_lock=False) else None


def answer(command: list[str]) -> str | None:
    """What a short command prints, or None where it cannot be run or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=True)
    except (OSError, subprocess.CalledProcessError, UnicodeDecodeError):
        return None
    return done.stdout.strip()


def uv_program(tools: Tools) -> str:
    """A uv that works: the one fetched earlier, the machine's own, or one that is fetched now.

    Raises:
        SetupError: there is none, and none can be fetched.
    """
    locked = REQUIREMENTS / "uv.txt"
    home = TOOLS / f"uv-{digest(locked)[:12]}"
    fetched = str(home / "bin" / "uv")
    if answer([fetched, "--version"]):
        return fetched
    own = shutil.which("uv")
    version = re.match(r"uv (\d+)\.(\d+)", answer([own, "--version"]) or "") if own else None
    if own and version and (int(version[1]), int(version[2])) >= OLDEST_UV:
        return own
    say("fetching uv")
    for stale in (*TOOLS.glob("uv-*"), *TOOLS.glob("part-*")):
        shutil.rmtree(stale)
    part = TOOLS / "part-uv"
    only_locked = ["--require-hashes", "--no-deps", "--only-binary", ":all:"]
    into = ["--no-compile", "--target", str(part)]
    tools.run(
        "fetching uv", [*pip_command(tools), "install", *only_locked, *into, "--requirement", str(locked)]
    )
    part.rename(home)
    shutil.rmtree(TOOLS / "part-pip", ignore_errors=True)
    return fetched


def pip_command(tools: Tools) -> list[str]:
    """A pip to fetch uv with: this Python's own, or one in a throw-away virtual environment.

    Raises:
        SetupError: this Python has neither pip nor the means to make one.
    """
    python = BASE_PYTHON
    if answer([python, "-m", "pip", "--version"]):
        return [python, "-m", "pip"]
    if answer([python, "-c", "import ensurepip, venv"]) is None:
        package = f"python3.{sys.version_info.minor}-venv"
        refusal = (
            "it is not Debian's" if not python.startswith("/usr/bin/") else tools.debian_package(package)
        )
        if refusal is not None:
            raise SetupError(
                f"uv is missing, and {python} has neither pip nor ensurepip to fetch it with ({refusal}).\n"
                f"Install uv, or pip for this Python (on Debian: apt-get install {package}), and run this again."
            )
    home = TOOLS / "part-pip"
    tools.run("making a pip", [python, "-m", "venv", str(home)], hint="Install uv, and run this again.")
    return [str(home / "bin" / "python"), "-m", "pip"]


def digest(*files: Path) -> str:
    """One SHA-256 over the files, in hexadecimal."""
    return hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).hexdigest()
