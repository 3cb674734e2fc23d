from __future__ import annotations

from pathlib import Path

import pytest

from clients.cli.settings import SETTINGS, Settings, default_key_path
from ledger.errors import BadInput

VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"


@pytest.fixture
def config(suyuan, tmp_path):
    """Writes the user's own configuration file."""

    def write(text):
        path = tmp_path / "config" / "suyuan" / "config.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_nothing_is_configured(suyuan):
    assert Settings.load(None) == Settings()


def test_every_setting(config):
    config("\n".join(f'{name} = "{name} x"' for name in SETTINGS))
    settings = Settings.load(None)
    assert {name: settings.text(name) for name in SETTINGS} == {name: f"{name} x" for name in SETTINGS}


def test_paths_are_relative_to_the_file(config):
    folder = config('key = "keys/a.pem"\nca = "/etc/ca.pem"\nstate = "~/elsewhere"\n').parent
    settings = Settings.load(None)
    assert settings.path("key") == folder / "keys" / "a.pem"
    assert settings.path("ca") == Path("/etc/ca.pem")
    assert settings.path("state") == settings.state == Path.home() / "elsewhere"
    assert settings.path("passphrase_file") is None


def test_the_environment_says_where_state_is(config, monkeypatch):
    config('state = "a"\n')
    monkeypatch.setenv("SUYUAN_STATE", "/srv/state")
    assert Settings.load(None).state == Path("/srv/state")


@pytest.mark.parametrize("variable", ["XDG_STATE_HOME", "XDG_CONFIG_HOME"])
@pytest.mark.parametrize("value", ["", "relative/folder"])
def test_without_xdg(suyuan, monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    home = Path.home()
    if variable == "XDG_STATE_HOME":
        assert Settings().state == home / ".local" / "state" / "suyuan"
    else:
        assert default_key_path() == home / ".config" / "suyuan" / "key.pem"


@pytest.mark.parametrize(
    ("text", "given", "expected"),
    [
        ('sever = "x"\n', "setting 'sever'", f"one of {', '.join(SETTINGS)}"),
        ("server = 1\n", "server = 1", "a text in quotation marks"),
        ("server = true\n", "server = True", "a text in quotation marks"),
        ("timeout = true\n", "timeout = True", "a text in quotation marks"),
        ('server = ""\n', "server = ''", "a text in quotation marks"),
        ("[server]\n", "server = {}", "a text in quotation marks"),
    ],
)
def test_what_may_not_be_said(config, text, given, expected):
    path = config(text)
    with pytest.raises(BadInput) as caught:
        Settings.load(None)
    assert str(caught.value) == f"configuration file {path}: given {given}, expected {expected}"


def test_no_toml(config):
    config("server = \n")
    with pytest.raises(BadInput, match=r"configuration file .*: given Invalid value .*, expected TOML"):
        Settings.load(None)


def test_no_utf_8(config):
    config("").write_bytes(b"\xff")
    with pytest.raises(BadInput, match="given text that is not UTF-8, expected a readable file"):
        Settings.load(None)


def test_a_file_that_was_named_must_be_there(suyuan, tmp_path):
    done = suyuan("platform", "history", "6901234567892", "--config", "mine.toml")
    assert done.status == 2
    assert done.err == (
        "Error: configuration file mine.toml: given no such file, expected a configuration file [INVALID_REQUEST]\n"
    )
    with pytest.raises(BadInput, match="Is a directory"):
        Settings.load(tmp_path)


# What comes before what


@pytest.mark.parametrize(
    ("told", "used"),
    [
        ({"option": "127.0.0.1:1", "environment": "127.0.0.1:2", "file": "127.0.0.1:3"}, "127.0.0.1:1"),
        ({"environment": "127.0.0.1:2", "file": "127.0.0.1:3"}, "127.0.0.1:2"),
        ({"file": "127.0.0.1:3"}, "127.0.0.1:3"),
        ({"environment": "", "file": "127.0.0.1:3"}, "127.0.0.1:3"),
        ({}, "127.0.0.1:7443"),
    ],
)
def test_options_before_environment_before_file(suyuan, config, told, used):
    server = f'server = "{told["file"]}"\n' if "file" in told else ""
    config(f'vkey = "{VKEY}"\ntimeout = 5\n{server}')
    option = ["--server", told["option"]] if "option" in told else []
    environment = {"SUYUAN_SERVER": told["environment"]} if "environment" in told else {}
    done = suyuan("platform", "history", "6901234567892", *option, **environment)
    assert done.status == 3
    assert done.err.startswith(f"Error: service at {used}: ")


def test_everything_from_the_file(suyuan, config, service, keys):
    config(
        f'server = "{service.target}"\nvkey = "{service.vkey}"\nkey = "{keys["member"]}"\nplace = "350104"\n'
        f'gln = "6901234567892"\ncarrier = "zto"\nformat = "json"\nstate = "mine"\ntimeout = 30.5\n'
    )
    done = suyuan("courier", "scan", "arrived", "75300000000001")
    assert done.status == 0, done.err
    assert done.record["chain"] == "waybill/zto/75300000000001"
    [entry] = suyuan("platform", "history", "75300000000001").record["entries"]
    assert (entry["place"], entry["gln"]) == ("350104", "6901234567892")
    assert (suyuan.folder / "config" / "suyuan" / "mine" / "trust").is_dir()


def test_a_format_that_there_is_not(suyuan, config):
    config('format = "yaml"\n')
    done = suyuan("label", "6901234567892", "--out", "x.png")
    assert done.status == 2
    assert done.err == (
        "Error: format in the configuration file: given yaml, expected text or json [INVALID_REQUEST]\n"
    )
    assert suyuan("label", "6901234567892", "--out", "x.png", "--format", "text").status == 0


def test_certificates_that_are_not_there(suyuan, service):
    done = suyuan("platform", "history", "ledger", "--vkey", service.vkey, "--ca", "ca.pem")
    assert done.status == 2
    assert done.err.startswith("Error: root certificates ca.pem: given No such file or directory")


def test_the_own_party_from_the_file(suyuan, config, keys):
    config('party = "11350100003604566X"\n')
    done = suyuan.json(
        "regulator", "genesis", "--origin", "a", "--name", "b", "--out", "c", "--key", keys["regulator"]
    )
    assert done.record["regulator"] == "party/11350100003604566X"
