"""Where packages come from: what the machine tells pip holds for uv, and the other way round.

Neither reads the other's settings, and a machine behind a mirror is often set up for only one of them. Nothing here
names an index. Only the standard library is used, since `scripts/setup` runs this before anything is installed.

Sources: pip's documentation, "Configuration"; uv's documentation, "Environment variables" and "Configuration files".
"""

from __future__ import annotations

import configparser
import contextlib
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

FOREIGN_SETTINGS = frozenset(
    {
        "PYTHONHOME",
        "PYTHONPATH",
        "VIRTUAL_ENV",
        "PIP_CONSTRAINT",
        "PIP_NO_BINARY",
        "PIP_PREFIX",
        "PIP_ROOT",
        "PIP_TARGET",
        "UV_BREAK_SYSTEM_PACKAGES",
        "UV_CONSTRAINT",
        "UV_EXCLUDE_NEWER",
        "UV_NO_BINARY",
        "UV_NO_VERIFY_HASHES",
        "UV_OVERRIDE",
        "UV_PROJECT",
        "UV_PYTHON",
        "UV_SYSTEM_PYTHON",
        "UV_WORKING_DIR",
    }
)
"""Settings meant for other projects: they would change what is installed here, or where to."""

UNATTENDED = {
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_INPUT": "1",
    "PIP_REQUIRE_VIRTUALENV": "0",
    "PIP_ROOT_USER_ACTION": "ignore",
    "PIP_USER": "0",
    "UV_NO_PROGRESS": "1",
    "UV_PYTHON_DOWNLOADS": "never",
}

PIP_TO_UV = {
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "proxy": "ALL_PROXY",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "trusted-host": "UV_INSECURE_HOST",
}
"""pip's options about the connection, and the variables in which uv looks for the same."""


def tool_environment(environ: Mapping[str, str], *, spare_cache: Path) -> dict[str, str]:
    """The environment to run pip and uv in, in which either has been told what the other was.

    `spare_cache` is where uv keeps its downloads if the user's own cache folder cannot be written to.
    """
    result = {name: value for name, value in environ.items() if name not in FOREIGN_SETTINGS} | UNATTENDED
    pip = pip_settings(environ)
    if not uv_has_its_own_index(environ):
        if "index-url" in pip:
            result["UV_DEFAULT_INDEX"] = pip["index-url"].strip()
        if "extra-index-url" in pip:
            result["UV_INDEX"] = " ".join(pip["extra-index-url"].split())
            # pip takes the best match of all indexes. Hashes make that safe: a stranger's file does not have them.
            result.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
        # uv stops at a folder that does not exist, where pip goes on.
        links = [
            link for link in pip.get("find-links", "").split() if "://" in link or os.access(link, os.R_OK)
        ]
        if links:
            result.setdefault("UV_FIND_LINKS", ",".join(links))
    elif "index-url" not in pip:
        index = environ.get("UV_DEFAULT_INDEX") or environ.get("UV_INDEX_URL")
        if index:
            result["PIP_INDEX_URL"] = re.sub(r"^[\w-]+=", "", index)  # uv allows name=address
    for option, variable in PIP_TO_UV.items():
        if option in pip:
            result.setdefault(variable, " ".join(pip[option].split()))
    cache = Path(
        environ.get("UV_CACHE_DIR") or Path(environ.get("XDG_CACHE_HOME") or home(environ) / ".cache") / "uv"
    )
    if not can_be_written(cache):
        result["UV_CACHE_DIR"] = str(spare_cache)
    return result


def pip_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """What pip's configuration files and variables say, by option name.

    Read here rather than asked of pip, since a machine may be configured for pip and have none. pip's order holds:
    [install] over [global], a later file over an earlier one, variables over files.
    """
    files = [
        *(
            Path(folder) / "pip/pip.conf"
            for folder in (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")
        ),
        Path("/Library/Application Support/pip/pip.conf"),
        Path("/etc/pip.conf"),
        home(environ) / ".pip/pip.conf",
        home(environ) / "Library/Application Support/pip/pip.conf",
        config_home(environ) / "pip/pip.conf",
        Path(environ.get("VIRTUAL_ENV") or sys.base_prefix) / "pip.conf",
    ]
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        files = []
    elif named:
        files.append(Path(named))
    settings: dict[str, str] = {}
    for section in ("global", "install"):
        for file in files:
            parser = configparser.RawConfigParser()
            # pip itself will complain about a file that cannot be read.
            with contextlib.suppress(OSError, UnicodeDecodeError, configparser.Error):
                parser.read(file, encoding="utf-8")
                if parser.has_section(section):
                    settings |= {option(name): value for name, value in parser.items(section)}
    return settings | {
        option(name[4:]): value for name, value in environ.items() if name[:4] == "PIP_" and value
    }


def uv_has_its_own_index(environ: Mapping[str, str]) -> bool:
    """Whether uv was told where to look, by a variable or by a configuration file."""
    if any(
        environ.get(name) for name in ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL")
    ):
        return True
    files = [config_home(environ) / "uv/uv.toml", Path("/etc/xdg/uv/uv.toml"), Path("/etc/uv/uv.toml")]
    if environ.get("UV_CONFIG_FILE"):
        files = [Path(environ["UV_CONFIG_FILE"])]
    setting = re.compile(r"^\s*(\[\[(pip\.)?index\]\]|(pip\.)?(extra-)?index(-url)?\s*=)", re.MULTILINE)
    for file in files:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if setting.search(file.read_text("utf-8")):
                return True
    return False


def option(name: str) -> str:
    """An option's name as pip's documentation spells it: `INDEX_URL` and `index_url` are `index-url`."""
    return name.lower().replace("_", "-")


def home(environ: Mapping[str, str]) -> Path:
    """The user's home folder; one that cannot exist where the user has none."""
    folder = Path(environ.get("HOME") or os.path.expanduser("~"))  # noqa: PTH111 - pathlib's own raises
    return folder if folder.is_absolute() else Path("/nonexistent")


def config_home(environ: Mapping[str, str]) -> Path:
    """The folder of the user's configuration files (XDG Base Directory Specification)."""
    return Path(environ.get("XDG_CONFIG_HOME") or home(environ) / ".config")


def can_be_written(folder: Path) -> bool:
    """Whether this user may write to the folder, or make it where it does not exist yet."""
    # os.access rather than pathlib, which raises where a folder on the way may not be entered.
    existing = next(path for path in (folder, *folder.absolute().parents) if os.access(path, os.F_OK))
    return os.access(existing, os.W_OK | os.X_OK) and existing.is_dir()
