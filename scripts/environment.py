"""The development environment: `.venv`, made from the lock files and from nothing else.

`scripts/setup` runs this with the Python that it found. The steps, and what each leaves behind if it is cut short:

1. uv, from an earlier run, from PATH, or fetched by pip into `.tools/` under a temporary name and renamed when whole.
2. `.venv`. The stamp inside it says what it was made of; it goes before the first change and comes back after the
   last, so an environment without a stamp was never finished and is made anew.
3. The packages of `requirements/dev.txt`: wheels only, each checked against its hash, so that nothing runs on this
   machine that the lock file does not name. Then the project itself, as an editable install, built by the locked
   setuptools.
4. libzbar0, a shared library that pip cannot bring. Without it zxing-cpp reads barcodes alone. Where CI=true, also
   PostgreSQL's server, which tests start themselves; elsewhere they skip without it.

A lock keeps two runs apart. The tools inherit it: if this process is killed, the next run waits for what it started.
Only the standard library is used here, since nothing else exists yet.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes.util
import fcntl
import json
import os
import platform
import shutil
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

from bootstrap import (
    BASE_PYTHON,
    INDEX_HINT,
    REQUIREMENTS,
    ROOT,
    TOOLS,
    SetupError,
    Tools,
    digest,
    say,
    uv_program,
)
from package_index import pip_settings

VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
STAMP = VENV / "made-of.json"


def made_of() -> dict[str, str]:
    """What the environment depends on; a stamp with the same words means that nothing need be done.

    The folder counts because a virtual environment holds its own absolute path and breaks when it is moved.
    """
    python = (BASE_PYTHON, platform.python_version(), sysconfig.get_config_var("SOABI"))
    return {
        "python": " ".join(map(str, python)),
        "folder": str(ROOT),
        "packages": digest(REQUIREMENTS / "dev.txt"),
        "project": digest(ROOT / "pyproject.toml", Path(__file__)),
    }


def stamped() -> dict[str, str] | None:
    """What `.venv` says it was made of, or None where it is missing, unfinished or without its interpreter."""
    if not VENV_PYTHON.exists():
        return None
    try:
        stamp = json.loads(STAMP.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return stamp if isinstance(stamp, dict) else None


def make_environment(tools: Tools) -> None:
    """Bring `.venv` to what the lock file says; only as much anew as has changed.

    Raises:
        SetupError: a step failed. The stamp is gone then, and the next run begins anew.
    """
    uv = uv_program(tools)
    before, goal = stamped() or {}, made_of()
    STAMP.unlink(missing_ok=True)
    if any(before.get(word) != goal[word] for word in ("python", "folder")):
        before = {}
        say(f"making .venv with Python {platform.python_version()}")
        if VENV.is_dir() and not VENV.is_symlink():
            shutil.rmtree(VENV)
        else:
            VENV.unlink(missing_ok=True)
        tools.run("making .venv", [uv, "venv", "--python", BASE_PYTHON, str(VENV)])
    if before.get("packages") != goal["packages"]:
        say("installing the locked packages")
        install_packages(tools, uv)
    ourselves = ["--no-index", "--no-deps", "--no-build-isolation", "--editable", str(ROOT)]
    command = [uv, "pip", "install", "--python", str(VENV_PYTHON), *ourselves]
    tools.run("installing the project", command, hint="See pyproject.toml.")
    offer_zbar(tools)
    offer_postgresql(tools)
    part = STAMP.with_suffix(".part")
    part.write_text(json.dumps(goal, indent=1) + "\n", "utf-8")
    part.replace(STAMP)


def install_packages(tools: Tools, uv: str) -> None:
    """Install what the lock file names and remove what it doesn't.

    Raises:
        SetupError: a package is neither to be had nor in uv's cache, has no wheel for this machine, or a wrong hash.
    """
    no_index = pip_settings(os.environ).get("no-index", "").lower() in {"1", "true", "yes", "on"}
    only_locked = ["--require-hashes", "--no-build", *(["--no-index"] if no_index else [])]
    command = [uv, "pip", "sync", "--python", str(VENV_PYTHON), *only_locked, str(REQUIREMENTS / "dev.txt")]
    failure = tools.failure(command)
    # Away from the network, what an earlier run left in uv's cache may be enough.
    if failure is not None and tools.failure([*command, "--offline"]) is not None:
        raise SetupError(f"installing failed:\n{failure}\n{INDEX_HINT}")


def offer_zbar(tools: Tools) -> None:
    """Install libzbar0 where we may; say in one line what is missing where we may not. Never fails the set-up."""
    if ctypes.util.find_library("zbar"):
        return
    refusal = tools.debian_package("libzbar0")
    if refusal is None:
        say("installed libzbar0")
    else:
        say(f"no zbar here ({refusal}): zxing-cpp reads barcodes alone. On Debian: apt-get install libzbar0")


def offer_postgresql(tools: Tools) -> None:
    """Install PostgreSQL where CI wants it and we may; say what is missing where we may not. Never fails the set-up."""
    if shutil.which("initdb") or any(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        return
    refusal = "the set-up leaves it to you" if os.environ.get("CI") != "true" else install_postgresql(tools)
    if refusal is None:
        say("installed PostgreSQL, and started none")
    else:
        say(f"no PostgreSQL here ({refusal}): its tests skip. On Debian: apt-get install postgresql")


def install_postgresql(tools: Tools) -> str | None:
    """Install Debian's package; None, or why that was not possible."""
    refusal = tools.debian_package("postgresql-common")
    if refusal is not None:
        return refusal
    settings = Path("/etc/postgresql-common/createcluster.conf")
    wanted = "create_main_cluster = false"
    # The package would make a cluster of its own and run it for ever.
    with contextlib.suppress(OSError):
        said = settings.read_text("utf-8")
        if wanted not in said.splitlines():
            settings.write_text(f"{said}\n{wanted}\n", "utf-8")
    return tools.debian_package("postgresql")


@contextlib.contextmanager
def one_at_a_time() -> Iterator[int]:
    """Hold the checkout's set-up lock; the kernel lets go of it when the last process that holds it ends."""
    TOOLS.mkdir(exist_ok=True)
    descriptor = os.open(TOOLS / "lock", os.O_RDONLY | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another set-up of this folder to end")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:
            say("this file system has no locks; do not set up twice at the same time")
        yield descriptor
    finally:
        os.close(descriptor)


def set_up(*, verbose: bool) -> None:
    """Make the environment, unless it is what it should be already.

    Raises:
        SetupError: it cannot be made.
    """
    if stamped() == made_of():
        return
    started = time.monotonic()
    for folder in (ROOT, VENV, TOOLS):
        if folder.exists() and not os.access(folder, os.W_OK | os.X_OK):
            raise SetupError(f"{folder} is not yours to write to; run this as its owner")
    with one_at_a_time() as lock:
        if stamped() == made_of():
            return
        make_environment(Tools(verbose=verbose, lock=lock))
    say(f"done in {time.monotonic() - started:.0f} s")


def main() -> int:
    """The command line of `scripts/setup`, which explains the options."""
    parser = argparse.ArgumentParser(
        prog="scripts/setup",
        description="Make .venv from the lock files, each package checked against its hash, and install the project "
        "into it so that edits take effect at once. Fetches uv into .tools where the machine has none, and libzbar0, a "
        "second barcode reader, where it may (Debian, as root). A second run returns at once and needs no network.",
        epilog="Packages come from wherever pip or uv are told to look: pip.conf, PIP_INDEX_URL, uv.toml, "
        "UV_DEFAULT_INDEX.",
    )
    parser.add_argument(
        "--python",
        metavar="PROGRAM",
        help="build on this Python (3.11 or newer), not on .venv's or the first that fits",
    )
    parser.add_argument("--verbose", action="store_true", help="show what the tools print")
    arguments = parser.parse_args()
    try:
        set_up(verbose=arguments.verbose)
    except (SetupError, OSError) as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("setup: interrupted; run it again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
