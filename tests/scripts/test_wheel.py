import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"clients", "ledger", "scanner", "server", "suyuan"}


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    """The files in a wheel that is built from a copy, as a packager would: setuptools writes beside the sources."""
    copy = tmp_path_factory.mktemp("wheel") / "source"
    unwanted = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, copy, ignore=unwanted)
    build = "import setuptools.build_meta as backend; print(backend.build_wheel('..'))"
    done = subprocess.run(
        [sys.executable, "-c", build], cwd=copy, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = copy.parent.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_packages_and_nothing_else(names):
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == PACKAGES


def test_every_module(names):
    modules = {
        str(file.relative_to(root))
        for root in (ROOT, ROOT / "proto")
        for package in PACKAGES
        for file in (root / package).rglob("*.py")
    }
    assert "ledger/errors.py" in modules
    assert modules == {name for name in names if name.endswith(".py")}


def test_types_contract_and_licence(names):
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    assert {"suyuan/v1/event.proto", "suyuan/v1/event_pb2.pyi"} <= names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
