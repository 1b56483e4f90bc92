"""What the images run, run here with the packages of the images and the files that the Dockerfile copies."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

from devstack import waiting
from devstack.settings import REPO, free_port
from localcloud.client import role_client
from localcloud.config import CloudConfig
from localcloud.names import STAGING
from tests import layouts
from tests.contracts import compose
from tests.contracts.test_containers import dockerfile_command, stages

pytestmark = [pytest.mark.local, pytest.mark.long]
TASKS = {"refresh_staging": 45, "reap_expired": 11}
PARSE = "import sys; from airflow.cli.cli_parser import get_parser; print(get_parser().parse_args(sys.argv[1:]).func)"


def check(found: dict) -> None:
    """Everything loaded."""
    assert found["errors"] == {}
    assert set(found["dags"]) == set(TASKS)
    assert "refused" not in found["tags"]
    assert found["plugins"].count("aurora_ops") == 1


class TestProductionImage:
    def test_its_packages_suffice_for_every_dag(self, production_python, tmp_path):
        check(layouts.image(tmp_path).load(production_python))

    def test_it_has_the_celery_worker_and_its_health_check(self, production_python, tmp_path):
        services = compose.load(compose.filled(AIRFLOW_EXECUTOR="CeleryExecutor"), "celery")
        program, *arguments = services["worker"]["command"]
        assert program == "airflow"
        layout = layouts.image(tmp_path)
        assert layout.run("-c", PARSE, *arguments, python=production_python).strip()
        _, program, _, app, *_ = services["worker"]["healthcheck"]["test"]
        assert production_python.with_name(program).exists()
        module, _, name = app.rpartition(".")
        layout.run("-c", f"from {module} import {name}; print({name}.conf.broker_url)", python=production_python)

    def test_celerys_options_are_real(self, production_python):
        given = compose.load(compose.filled())["scheduler"]["environment"]
        names = {name.lower().split("__")[2] for name in given if name.startswith("AIRFLOW__CELERY__")}
        text = "from airflow.providers.celery.get_provider_info import get_provider_info as info\n"
        text += "print(*info()['config']['celery']['options'])"
        done = subprocess.run([production_python, "-c", text], capture_output=True, text=True, check=True)
        assert names
        assert names <= set(done.stdout.split())


class TestManagedAirflow:
    def test_every_dag_loads_with_its_packages(self, managed_python, tmp_path):
        check(layouts.managed(tmp_path).load(managed_python))

    def test_its_dag_processor_finds_them(self, managed_python, tmp_path):
        layout = layouts.managed(tmp_path)
        layout.run("-m", "airflow", "db", "migrate", python=managed_python)
        layout.run("-m", "airflow", "dag-processor", "--num-runs", "1", python=managed_python, timeout_s=240)
        with sqlite3.connect(layout.home / "airflow.db") as database:
            assert database.execute("select stacktrace from import_error").fetchall() == []
            assert {row[0] for row in database.execute("select dag_id from dag")} == set(TASKS)


class TestLocalcloudImage:
    @pytest.fixture
    def config(self, localcloud_python, tmp_path):
        """The image's command with the service's variables, on ports of its own, until the end of the test."""
        for item in stages()["localcloud"]:
            if item["instruction"] == "COPY":
                *sources, target = item["value"].split()
                for source in sources:
                    copy = shutil.copytree if (REPO / source).is_dir() else shutil.copy
                    copy(REPO / source, tmp_path / target)
        env = compose.filled(REPO / ".env.localcloud", SEED_ROWS="2000", LOCALCLOUD_WAIT_S="0.2")
        given = compose.load(env, "local")["localcloud"]["environment"] | {
            "LOCALCLOUD_HOME": str(tmp_path / "home"),
            "LOCALCLOUD_PORT": str(free_port()),
            "LOCALCLOUD_DB_PORT": str(free_port(everywhere=True)),
        }
        unpacked = REPO / ".local" / "mariadb" / "root"
        self.env = {"PATH": os.environ["PATH"], **given}
        if unpacked.exists():
            self.env["MARIADB_PREFIX"] = os.environ.get("MARIADB_PREFIX", str(unpacked))
        self.cwd, self.python = tmp_path, localcloud_python
        program, *arguments = dockerfile_command("localcloud")
        assert program == "python"
        with (tmp_path / "log").open("w") as log:
            self.server = subprocess.Popen(
                [localcloud_python, *arguments], env=self.env, cwd=tmp_path, stdout=log, stderr=log
            )
        try:
            yield CloudConfig.from_env(self.env)
        finally:
            self.server.terminate()
            self.server.wait(60)

    def healthy(self) -> bool:
        """What the health check of the service says."""
        test = compose.load(compose.filled(), "local")["localcloud"]["healthcheck"]["test"]
        assert self.server.poll() is None, (self.cwd / "log").read_text()[-3000:]
        done = subprocess.run(
            [self.python, *test[2:]], env=self.env, cwd=self.cwd, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0 or "localcloud: " in done.stderr
        return done.returncode == 0

    def test_it_is_well_once_its_accounts_are_filled_and_ends_when_told_to(self, config):
        assert not self.healthy()
        waiting.until(self.healthy, what="localcloud to be healthy", timeout_s=120, every_s=0.5)
        (cluster,) = role_client(STAGING, "rds", config).describe_db_clusters()["DBClusters"]
        assert cluster["Status"] == "available"
        assert cluster["Endpoint"].startswith("127.")

        self.server.terminate()
        assert self.server.wait(60) == 0
        listing = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if os.access(path, os.R_OK)]
        assert not [line for line in listing if b"mariadbd" in line and str(config.home).encode() in line]
