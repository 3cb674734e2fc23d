"""The container image without an engine: what its Dockerfile says, and its build stage carried out in a folder."""

import importlib
import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from dockerfile import Stage, ignored, instructions

ROOT = Path(__file__).resolve().parents[2]
STEPS = list(instructions((ROOT / "Dockerfile").read_text()))
LAST = [step for step in STEPS if step.stage == 1]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The build stage's root."""
    root = tmp_path_factory.mktemp("image")
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.syspath_prepend(ROOT / "scripts")
    environment = importlib.import_module("package_index").tool_environment(
        os.environ, spare_cache=root / "cache"
    )
    monkeypatch.undo()
    Stage(root, ROOT, environment).carry_out([step for step in STEPS if step.stage == 0])
    return root


def only(word):
    (step,) = [step for step in LAST if step.word == word]
    return step.rest


def test_the_base_is_one_version():
    (base,) = [step.rest.removeprefix("BASE=") for step in STEPS if step.word == "ARG"]
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+", base)
    assert [step.rest.split()[0] for step in STEPS if step.word == "FROM"] == ["${BASE}"] * 2


def test_every_package_is_locked():
    installs = [
        part
        for step in STEPS
        if step.word == "RUN"
        for part in step.rest.split("&&")
        if "pip install" in part
    ]
    assert len(installs) == 3
    assert all("--require-hashes" in part or "--no-index" in part for part in installs)


def test_it_does_not_run_as_root():
    made = shlex.split(next(step.rest for step in LAST if "useradd" in step.rest))
    assert made[-1] == only("USER")
    assert int(made[made.index("--uid") + 1]) >= 1000
    words = [step.word for step in LAST]
    assert words.index("USER") > max(at for at, word in enumerate(words) if word == "RUN")


def test_secrets_and_tests_stay_out_of_the_context():
    names = [".git", ".venv", "secrets", "policies", "tests", "log.pem", "log.db", "server", "pyproject.toml"]
    assert ignored(ROOT)(str(ROOT), names) == set(names) - {"server", "pyproject.toml"}
    assert ignored(ROOT)(str(ROOT / "server"), ["__pycache__", "store"]) == {"__pycache__"}


def test_what_is_copied_has_the_service_and_no_build_tools(built):
    copied = [step.rest for step in LAST if step.word == "COPY"]
    assert copied == ["--from=build /opt/suyuan /opt/suyuan"]
    site = next((built / "opt" / "suyuan" / "lib").glob("python3.*")) / "site-packages"
    assert {"clients", "ledger", "scanner", "server", "suyuan"} <= {path.name for path in site.iterdir()}
    assert not {"pip", "setuptools"}.intersection(path.name for path in site.iterdir())
    assert not (site / "tests" / "world.py").exists()


def test_its_command_is_one_that_the_program_knows(built):
    entry, command = json.loads(only("ENTRYPOINT")), json.loads(only("CMD"))
    program = built / "opt" / "suyuan" / "bin" / entry[0]
    done = subprocess.run([program, *command, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    options = [word for word in command if word.startswith("--")]
    assert options
    assert all(option in done.stdout for option in options)
