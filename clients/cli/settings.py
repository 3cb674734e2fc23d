"""What the command line is told beside its arguments: the configuration file, and where the user's state is kept.

The file is TOML: `$SUYUAN_CONFIG`, or `suyuan/config.toml` in `$XDG_CONFIG_HOME` (by default `~/.config`). It holds
what options and environment variables also say, and stands behind both:

    server = "ledger.example.com:7443"
    vkey = "ledger.example.com/fuzhou+1c2d3e4f+ATxp…"
    key = "key.pem"               # paths are relative to this file
    place = "350102"

State is what commands remember from one run to the next: the newest verified checkpoint, the texts that events only
commit to, and sales of which it is not known whether they were recorded. It is kept in `$SUYUAN_STATE`, or `suyuan` in
`$XDG_STATE_HOME` (by default `~/.local/state`). (XDG Base Directory Specification 0.8.)
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ledger.errors import BadInput, Reason

DEFAULT_SERVER: Final = "127.0.0.1:7443"
"""Where `suyuan operator serve` listens if not told otherwise."""

SETTINGS: Final = (
    "server",
    "vkey",
    "policy",
    "ca",
    "key",
    "passphrase_file",
    "party",
    "place",
    "gln",
    "carrier",
    "scanner_prefix",
    "scanner_suffix",
    "scanner_gap",
    "scanner_baud",
    "font",
    "format",
    "timeout",
    "state",
)
"""What the file may set. Secrets are not among it."""

_NUMBERS: Final = frozenset({"timeout", "scanner_gap", "scanner_baud"})


@dataclass(frozen=True, slots=True)
class Settings:
    """What the configuration file says."""

    values: dict[str, str] = field(default_factory=dict)
    folder: Path = Path()
    """Where the file is; paths in it are relative to this."""

    @classmethod
    def load(cls, given: Path | None) -> Settings:
        """Read the file.

        Args:
            given: as the user named it, and then it must be there; by default the user's own, if there is one.

        Raises:
            BadInput: `INVALID_REQUEST` if it cannot be read, or says something that it may not.
        """
        path = given or _home("XDG_CONFIG_HOME", ".config") / "config.toml"
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            if given is None:
                return cls()
            raise _refusal(path, "no such file", "a configuration file") from None
        except (OSError, ValueError) as error:
            given_text = error.strerror if isinstance(error, OSError) else "text that is not UTF-8"
            raise _refusal(path, given_text or "", "a readable file") from error
        try:
            parsed = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise _refusal(path, str(error), "TOML") from error
        return cls({name: _checked(path, name, value) for name, value in parsed.items()}, path.parent)

    def text(self, name: str) -> str | None:
        """A setting; None if the file says nothing."""
        return self.values.get(name)

    def path(self, name: str) -> Path | None:
        """A setting that is a path."""
        value = self.values.get(name)
        return None if value is None else self.folder / Path(value).expanduser()

    @property
    def state(self) -> Path:
        """The folder of the user's state; it need not exist."""
        told = os.environ.get("SUYUAN_STATE")
        return Path(told) if told else self.path("state") or _home("XDG_STATE_HOME", ".local/state")


def default_key_path() -> Path:
    """Where a signing key is kept if nobody says otherwise."""
    return _home("XDG_CONFIG_HOME", ".config") / "key.pem"


def _home(variable: str, otherwise: str) -> Path:
    base = os.environ.get(variable, "")
    # The specification has relative paths ignored.
    folder = Path(base) if base.startswith("/") else Path.home() / otherwise
    return folder / "suyuan"


def _checked(path: Path, name: str, value: object) -> str:
    if name not in SETTINGS:
        raise _refusal(path, f"setting {name!r}", f"one of {', '.join(SETTINGS)}")
    if name in _NUMBERS and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value:
        raise _refusal(path, f"{name} = {value!r}", "a text in quotation marks")
    return value


def _refusal(path: Path, given: str, expected: str) -> BadInput:
    return BadInput(Reason.INVALID_REQUEST, f"configuration file {path}", given=given, expected=expected)
