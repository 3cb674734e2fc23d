"""Dockerfiles, as far as ours go: their instructions, and their RUN lines carried out in a folder without an engine."""

from __future__ import annotations

import fnmatch
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Instruction:
    """One instruction of a Dockerfile, and the stage that it is in: 0, 1, …; -1 before the first."""

    stage: int
    word: str
    rest: str


def instructions(text: str) -> Iterator[Instruction]:
    """The instructions, in order; continued lines are joined, comments left out."""
    stage = -1
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        word, _, rest = line.partition(" ")
        stage += word == "FROM"
        yield Instruction(stage, word, rest.strip())


@dataclass(frozen=True)
class Stage:
    """A stage carried out in `root`, which stands for the image's `/`, from the sources in `context`."""

    root: Path
    context: Path
    environment: Mapping[str, str]

    def carry_out(self, steps: list[Instruction]) -> None:
        """Copy what COPY says, and run what RUN says; the rest is for an engine."""
        folder = self.root
        for step in steps:
            if step.word == "WORKDIR":
                folder = self.root / step.rest.lstrip("/")
                folder.mkdir(parents=True, exist_ok=True)
            elif step.word == "COPY":
                *sources, target = shlex.split(step.rest)
                for source in sources:
                    self._copy(source, folder / target)
            elif step.word == "RUN":
                self._run(step.rest, folder)

    def _copy(self, source: str, target: Path) -> None:
        given = self.context / source
        if given.is_dir():
            shutil.copytree(given, target, ignore=ignored(self.context), dirs_exist_ok=True)
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(given, target)

    def _run(self, command: str, folder: Path) -> None:
        # In a container these are folders of the root.
        here = re.sub(r"(?<![\w./])/(?=(?:opt|wheels|src)\b)", f"{self.root}/", command)
        # What the tests themselves run with must not leak into the image's Python.
        environment = {
            name: value for name, value in self.environment.items() if not name.startswith("PYTHON")
        }
        done = subprocess.run(
            ["/bin/sh", "-c", here], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def ignored(context: Path) -> Callable[[str, list[str]], set[str]]:
    """What .dockerignore keeps out, for `shutil.copytree`."""
    patterns = (context / ".dockerignore").read_text().split()

    def ignore(folder: str, names: list[str]) -> set[str]:
        at_top = Path(folder) == context
        return {
            name
            for name in names
            for pattern in patterns
            if (at_top or pattern.startswith("**/"))
            and fnmatch.fnmatchcase(name, pattern.removeprefix("**/"))
        }

    return ignore
