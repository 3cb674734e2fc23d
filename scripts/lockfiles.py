"""The lock files: what pyproject.toml asks for, pinned to versions and hashes, for every platform at once.

    uv.txt       what scripts/setup fetches first
    runtime.txt  what the system needs to run
    dev.txt      the same and what it takes to work on it; a package in both has the same version in both
    build.txt    what builds the wheel for the container
    go.txt       Go, for tests/interop where the machine has none

Each begins with a digest of the part of pyproject.toml that it was made from, so that a check can tell without the
network that it is out of step. No lock file names an index: where packages come from is the machine's business, what
they are is ours.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from bootstrap import REQUIREMENTS, ROOT, SetupError, Tools, uv_program
from environment import one_at_a_time

LOCKS = ("uv.txt", "runtime.txt", "dev.txt", "build.txt", "go.txt")
OLDEST_PYTHON = "3.11"

ALONE = {"uv.txt": "bootstrap", "build.txt": "build", "go.txt": "go"}
"""Lock files of a dependency group that is installed by itself."""

_PIN = re.compile(
    r"[a-z0-9]+(-[a-z0-9]+)*==[0-9][A-Za-z0-9.+!]*( ; [^\\#]+)?( \\\n    --hash=sha256:[0-9a-f]{64})+"
)

_MARKER = re.compile(r" ; [^\\#]+(?= \\\n)")


def inputs(lock: str, project: dict[str, Any]) -> list[list[str]]:
    """The lists of requirements in pyproject.toml that the lock file is made from."""
    groups = project["dependency-groups"]
    if lock in ALONE:
        return [groups[ALONE[lock]]]
    lists = [[project["project"]["requires-python"]], project["project"]["dependencies"]]
    return lists if lock == "runtime.txt" else [*lists, groups["dev"]]


def header(lock: str, project: dict[str, Any]) -> str:
    """The first lines of a lock file that is in step with the project."""
    digest = hashlib.sha256(json.dumps(inputs(lock, project)).encode()).hexdigest()
    return f"# Written by scripts/lock from pyproject.toml; edit that instead.\n# inputs sha256:{digest}\n"


def faults(folder: Path, project: dict[str, Any]) -> list[str]:
    """What is wrong with the lock files in the folder; needs no network."""
    found: list[str] = []
    pins: dict[str, list[str]] = {}
    for lock in LOCKS:
        text = (folder / lock).read_text("utf-8") if (folder / lock).exists() else ""
        expected = header(lock, project)
        if not text.startswith(expected):
            found.append(f"requirements/{lock} is out of step with pyproject.toml: run scripts/lock")
        body = re.sub(r"\A(# .*\n){2}", "", text)
        pins[lock] = [pin for pin in re.split(r"(?<!\\)\n", body) if pin]
        found += [
            f"requirements/{lock}: given {pin.splitlines()[0]!r}, expected name==version and its hashes"
            for pin in pins[lock]
            if not _PIN.fullmatch(pin)
        ]
    found += [
        f"requirements/dev.txt lacks or changes {pin.splitlines()[0]!r} of runtime.txt: run scripts/lock"
        for pin in pins["runtime.txt"]
        # Development may need on every platform what running needs on some.
        if pin not in pins["dev.txt"] and _MARKER.sub("", pin) not in pins["dev.txt"]
    ]
    found += [
        f"pyproject.toml: the dev group lacks {requirement!r}, which builds the project"
        for requirement in project["build-system"]["requires"]
        if requirement not in project["dependency-groups"]["dev"]
    ]
    return found


def write(tools: Tools, folder: Path, project: dict[str, Any], upgrade: list[str]) -> None:
    """Resolve anew and write the lock files; versions stay as they are unless `upgrade` or pyproject.toml says no.

    Raises:
        SetupError: there is no resolution, or no index to ask.
    """
    compile_ = [
        *(
            uv_program(tools),
            "pip",
            "compile",
            "--universal",
            "--python-version",
            OLDEST_PYTHON,
            "--python",
            sys.executable,
        ),
        *("--generate-hashes", "--no-header", "--no-annotate", *upgrade),
    ]
    with tempfile.TemporaryDirectory() as scratch:
        made = {lock: Path(scratch) / lock for lock in LOCKS}
        sources = {
            **{lock: ["--group", group] for lock, group in ALONE.items()},
            "runtime.txt": ["pyproject.toml"],
            "dev.txt": ["pyproject.toml", "--group", "dev", "--constraint", str(made["runtime.txt"])],
        }
        for lock in LOCKS:
            # uv keeps the versions that it finds in the file that it is to write.
            if (folder / lock).exists():
                made[lock].write_text((folder / lock).read_text("utf-8"), "utf-8")
            tools.run(f"locking {lock}", [*compile_, *sources[lock], "--output-file", str(made[lock])])
            print(f"lock: requirements/{lock}", flush=True)
        for lock in LOCKS:
            (folder / lock).write_text(header(lock, project) + made[lock].read_text("utf-8"), "utf-8")


def pyproject() -> dict[str, Any]:
    """The project's pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def main() -> int:
    """The command line of `scripts/lock`."""
    parser = argparse.ArgumentParser(
        prog="scripts/lock",
        description="Write the lock files in requirements/ from pyproject.toml. Versions stay as they are where they can.",
    )
    parser.add_argument("--upgrade", action="store_true", help="take the newest version of every package")
    parser.add_argument(
        "--upgrade-package", metavar="NAME", action="append", default=[], help="of this package only"
    )
    arguments = parser.parse_args()
    upgrade = ["--upgrade"] if arguments.upgrade else []
    upgrade += [f"--upgrade-package={name}" for name in arguments.upgrade_package]
    try:
        with one_at_a_time() as lock:
            write(Tools(verbose=False, lock=lock), REQUIREMENTS, pyproject(), upgrade)
    except (SetupError, OSError) as error:
        print(f"lock: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
