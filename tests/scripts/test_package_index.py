import importlib
import os
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
INDEX = "https://index.test/simple"
OTHER = "https://other.test/simple"


@pytest.fixture
def index(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("package_index")


@pytest.fixture
def environ(tmp_path):
    """A user who has told neither pip nor uv anything, whatever this machine says."""
    (tmp_path / "uv.toml").write_text("")
    return {"HOME": str(tmp_path), "PIP_CONFIG_FILE": os.devnull, "UV_CONFIG_FILE": str(tmp_path / "uv.toml")}


def told(index, environ):
    """What of the index the tools are told."""
    names = (
        "PIP_INDEX_URL",
        "UV_DEFAULT_INDEX",
        "UV_INDEX",
        "UV_INDEX_STRATEGY",
        "UV_INDEX_URL",
        "UV_FIND_LINKS",
    )
    made = index.tool_environment(environ, spare_cache=Path("/spare"))
    return {name: made[name] for name in names if name in made}


def test_nothing_told(index, environ):
    assert told(index, environ) == {}


def test_variable_of_pip(index, environ):
    assert told(index, environ | {"PIP_INDEX_URL": INDEX}) == {
        "PIP_INDEX_URL": INDEX,
        "UV_DEFAULT_INDEX": INDEX,
    }


@pytest.mark.parametrize("place", [".config/pip/pip.conf", ".pip/pip.conf", "named.conf"])
@pytest.mark.parametrize("text", ["[global]\nindex-url = {}\n", "[install]\nindex_url: {}\n"])
def test_file_of_pip(index, environ, tmp_path, place, text):
    file = tmp_path / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text.format(INDEX))
    del environ["PIP_CONFIG_FILE"]
    if place == "named.conf":
        environ["PIP_CONFIG_FILE"] = str(file)
    assert told(index, environ)["UV_DEFAULT_INDEX"] == INDEX


def test_pips_own_order(index, environ, tmp_path):
    named = tmp_path / "named.conf"
    named.write_text("[global]\nindex-url = a\ntimeout = 1\nproxy = p\n[install]\nindex-url = b\n")
    environ |= {"PIP_CONFIG_FILE": str(named), "PIP_TIMEOUT": "2", "PIP_PROXY": ""}
    settings = index.pip_settings(environ)
    assert {name: settings[name] for name in ("index-url", "timeout", "proxy")} == {
        "index-url": "b",
        "timeout": "2",
        "proxy": "p",
    }


@pytest.mark.parametrize("content", [b"index-url = no section\n", b"\xff\xfe", b"[global]\nindex-url\n"])
def test_a_damaged_file_is_left_to_pip(index, environ, tmp_path, content):
    named = tmp_path / "named.conf"
    named.write_bytes(content)
    assert told(index, environ | {"PIP_CONFIG_FILE": str(named)}) == {}


def test_more_indexes_and_folders(index, environ, tmp_path):
    environ |= {
        "PIP_EXTRA_INDEX_URL": f"{INDEX}\n{OTHER}",
        "PIP_FIND_LINKS": f"{tmp_path} {tmp_path}/missing https://links.test/",
    }
    assert told(index, environ) == {
        "UV_INDEX": f"{INDEX} {OTHER}",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": f"{tmp_path},https://links.test/",
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [("UV_DEFAULT_INDEX", f"local={INDEX}"), ("UV_DEFAULT_INDEX", INDEX), ("UV_INDEX_URL", INDEX)],
)
def test_variable_of_uv(index, environ, name, value):
    assert told(index, environ | {name: value}) == {name: value, "PIP_INDEX_URL": INDEX}


def test_each_told_its_own(index, environ):
    both = {"PIP_INDEX_URL": INDEX, "UV_DEFAULT_INDEX": OTHER}
    assert told(index, environ | both) == both


@pytest.mark.parametrize(
    "text",
    [
        '[[index]]\nurl = "https://other.test"\n',
        'index-url = "https://other.test"\n',
        '[pip]\nextra-index-url = ["https://other.test"]\n',
    ],
)
def test_file_of_uv(index, environ, tmp_path, text):
    (tmp_path / "uv.toml").write_text(text)
    assert told(index, environ | {"PIP_INDEX_URL": INDEX}) == {"PIP_INDEX_URL": INDEX}


def test_connection(index, environ):
    pip = {"PIP_CERT": "/ca.pem", "PIP_TRUSTED_HOST": "a.test\nb.test", "PIP_DEFAULT_TIMEOUT": "60"}
    made = index.tool_environment(environ | pip, spare_cache=Path("/spare"))
    assert made["SSL_CERT_FILE"] == "/ca.pem"
    assert made["UV_INSECURE_HOST"] == "a.test b.test"
    assert made["UV_HTTP_TIMEOUT"] == "60"
    made = index.tool_environment(environ | pip | {"SSL_CERT_FILE": "/own.pem"}, spare_cache=Path("/spare"))
    assert made["SSL_CERT_FILE"] == "/own.pem"


def test_settings_of_other_projects_are_dropped(index, environ):
    foreign = dict.fromkeys(index.FOREIGN_SETTINGS, "x")
    made = index.tool_environment(environ | foreign | {"PIP_USER": "1"}, spare_cache=Path("/spare"))
    assert foreign.keys() & made.keys() == set()
    assert made["PIP_USER"] == "0"


def test_the_users_cache_or_the_spare_one(index, environ, tmp_path):
    spare = tmp_path / "spare"
    assert "UV_CACHE_DIR" not in index.tool_environment(environ, spare_cache=spare)
    (tmp_path / "a file").touch()
    made = index.tool_environment(environ | {"XDG_CACHE_HOME": str(tmp_path / "a file")}, spare_cache=spare)
    assert made["UV_CACHE_DIR"] == str(spare)
