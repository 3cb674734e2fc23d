"""Every check but the tests: each prints one line, all run even if one fails, and the exit status tells.

`scripts/check` runs this in the environment that it has set up.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bootstrap import REQUIREMENTS, ROOT
from lockfiles import faults, pyproject

SOURCES = ["ledger", "scanner", "server", "clients", "scripts", "tests"]
PACKAGES = ["ledger", "scanner", "server", "clients"]
SCRIPTS = ["bootstrap", "checks", "environment", "lockfiles", "package_index"]
GENERATED = Path("proto", "suyuan", "v1")

LARGEST_FILE = 512 * 1024
"""Bytes. Whatever is larger is most likely a photo, a database or a build that was not meant to be kept."""


def tool(*command: str) -> list[str]:
    """Run a program of the environment; what it prints if it fails, line by line."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name(command[0])), *command[1:]],
        cwd=ROOT,
        env=os.environ | {"MYPYPATH": "scripts", "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode == 0:
        return []
    return done.stdout.strip().splitlines() or [f"{command[0]}: exit status {done.returncode}"]


def types() -> list[str]:
    """What mypy says of the packages and of these scripts."""
    packages = [argument for package in (*PACKAGES, "benchmarks") for argument in ("-p", package)]
    return tool("mypy", *packages, *(argument for script in SCRIPTS for argument in ("-m", script)))


def generated() -> list[str]:
    """How the protobuf code beside the .proto files differs from what they generate."""
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(
            [str(ROOT / "scripts" / "generate"), scratch],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if done.returncode:
            return done.stderr.strip().splitlines() or [f"scripts/generate: exit status {done.returncode}"]
        fresh = {file.name: file for file in Path(scratch, "suyuan", "v1").iterdir()}
        kept = {file.name: file for file in (ROOT / GENERATED).glob("*_pb2*.py*")}
        return [
            f"{GENERATED / name} is not what the .proto files say: run scripts/generate"
            for name in sorted(fresh.keys() | kept.keys())
            if not (name in fresh and name in kept and filecmp.cmp(fresh[name], kept[name], shallow=False))
        ]


def locks() -> list[str]:
    """How the lock files are out of step with pyproject.toml, or not made of pins and hashes alone."""
    return faults(REQUIREMENTS, pyproject())


def sizes() -> list[str]:
    """The files of the project that are too large to be kept."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if listed.returncode == 0:
        files = [ROOT / os.fsdecode(name) for name in listed.stdout.split(b"\0") if name]
    else:  # not a git checkout: an unpacked archive, say
        hidden = {".git", ".venv", ".tools", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"}
        files = [file for top in ROOT.iterdir() if top.name not in hidden for file in (top, *top.rglob("*"))]
    return [
        f"{file.relative_to(ROOT)}: {file.stat().st_size} bytes, expected at most {LARGEST_FILE}"
        for file in files
        if file.is_file() and file.stat().st_size > LARGEST_FILE
    ]


CHECKS: dict[str, tuple[str, Callable[[], list[str]]]] = {
    "format": ("ruff format", lambda: tool("ruff", "format", "--check", *SOURCES)),
    "lint": ("ruff check", lambda: tool("ruff", "check", "--quiet", "--output-format=concise", *SOURCES)),
    "types": ("mypy --strict", types),
    "imports": ("the import contracts", lambda: tool("lint-imports", "--no-logo")),
    "generated": ("protobuf code up to date", generated),
    "locks": ("lock files in step and free of addresses", locks),
    "sizes": ("no large files", sizes),
}


def main() -> int:
    """The command line of `scripts/check`."""
    parser = argparse.ArgumentParser(
        prog="scripts/check",
        description="Run the checks, or only those that are named.",
        epilog="checks: " + "; ".join(f"{name} ({what})" for name, (what, _) in CHECKS.items()),
    )
    parser.add_argument("names", nargs="*", metavar="CHECK", help="one of those below")
    names = parser.parse_args().names or list(CHECKS)
    for name in names:
        if name not in CHECKS:
            parser.error(f"given {name}, expected one of {', '.join(CHECKS)}")
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `scripts/check | head` ends quietly
    failed = []
    for name in names:
        what, check = CHECKS[name]
        started = time.monotonic()
        problems = check()
        seconds = time.monotonic() - started
        print(f"check: {'FAILED' if problems else 'ok    '} {name:<9} {what}  ({seconds:.1f} s)", flush=True)
        for line in problems:
            print(f"    {line}", flush=True)
        if problems:
            failed.append(name)
    print(f"check: {len(names)} run, {len(failed)} failed{': ' + ', '.join(failed) if failed else ''}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
