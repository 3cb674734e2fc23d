"""docker-compose.yml: what every container must keep to, and that its commands are ones that the program knows."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service["image"] == "suyuan"]


def test_the_parts():
    assert set(SERVICES) == {"database", "ledger", "standby", "witness"}
    assert OURS == ["ledger", "standby", "witness"]
    assert {key: SERVICES["ledger"][key] for key in SERVICES["ledger"] if key != "ports"} == {
        key: SERVICES["standby"][key] for key in SERVICES["standby"] if key != "ports"
    }


@pytest.mark.parametrize("name", SERVICES)
def test_each_has_a_health_check_and_comes_back(name):
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"
    assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", OURS)
def test_ours_may_do_no_more_than_they_must(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_other_images_are_of_one_version():
    assert re.fullmatch(r"postgres:\d+\.\d+-[a-z]+", SERVICES["database"]["image"])


def test_secrets_come_by_file_only():
    named = {secret for service in SERVICES.values() for secret in service.get("secrets", [])}
    assert named == set(COMPOSE["secrets"])
    assert all(set(secret) == {"file"} for secret in COMPOSE["secrets"].values())
    for service in SERVICES.values():
        for name, value in service["environment"].items():
            if re.search(r"PASSWORD|KEY|PASSFILE", name):
                assert value.startswith("/run/secrets/")
        assert not re.search(r"://[^/@]*:[^/@]*@", service["environment"].get("SUYUAN_DATABASE", ""))


def test_nothing_is_open_to_other_machines():
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("name", OURS)
def test_its_command_is_one_that_the_program_knows(name):
    words = SERVICES[name]["command"]
    command = [word for word in words if not word.startswith("--")]
    done = subprocess.run(
        [Path(sys.executable).with_name("suyuan"), *command, "--help"],
        cwd=ROOT, env={"COLUMNS": "200"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for word in words[len(command) :]:
        assert word.split("=")[0] in done.stdout
    variables = [name for name in SERVICES[name]["environment"] if name.startswith("SUYUAN_")]
    assert variables
    assert all(variable in done.stdout for variable in variables)


def test_compose_can_read_it():
    for program in (["docker", "compose"], ["docker-compose"]):
        if (
            shutil.which(program[0])
            and not subprocess.run([*program, "version"], capture_output=True, check=False).returncode
        ):
            done = subprocess.run([*program, "config"], cwd=ROOT, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            return
    pytest.skip("no docker compose on this machine")
