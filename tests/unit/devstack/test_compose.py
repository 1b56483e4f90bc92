"""docker-compose.yaml says what it means: real services, real mounts, real Airflow options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import airflow
import pytest
import yaml

from devstack.settings import REPO, StackConfig

OPTIONS = yaml.safe_load((Path(airflow.__file__).parent / "config_templates" / "config.yml").read_text())
COMPOSE: dict[str, Any] = yaml.safe_load((REPO / "docker-compose.yaml").read_text())


def unknown_options(names: list[str]) -> list[str]:
    """Names of the form AIRFLOW__SECTION__KEY that Airflow does not know."""
    unknown = []
    for name in names:
        if name.startswith("AIRFLOW__"):
            section, key = name.removeprefix("AIRFLOW__").lower().split("__", 1)
            if key not in OPTIONS.get(section, {}).get("options", {}):
                unknown.append(name)
    return unknown


def test_unknown_options_are_found():
    assert unknown_options(["AIRFLOW__CORE__NO_SUCH_THING", "AIRFLOW__CORE__EXECUTOR"]) == [
        "AIRFLOW__CORE__NO_SUCH_THING"
    ]


@pytest.mark.parametrize("name", sorted(COMPOSE["services"]))
def test_service(name):
    service = COMPOSE["services"][name]
    assert unknown_options(list(service["environment"])) == []
    assert set(service.get("depends_on", ())) <= set(COMPOSE["services"])
    for mount in service["volumes"]:
        source = mount.split(":")[0]
        assert (REPO / source).is_dir() if source.startswith(".") else source in COMPOSE["volumes"]


def test_all_components_of_airflow_are_there():
    commands = {service["command"][1] for service in COMPOSE["services"].values() if "command" in service}
    assert commands == {"db", "api-server", "scheduler", "dag-processor", "triggerer"}


def test_ports_are_published_on_loopback_only():
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_options_of_the_local_stack_are_real(tmp_path):
    config = StackConfig(tmp_path, tmp_path, tmp_path, 1, 2, 3, 1, 1, 1)
    assert unknown_options(list(config.airflow_env("postgresql://"))) == []
