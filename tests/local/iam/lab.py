"""A localcloud whose roles come from the CloudFormation templates, and runs recorded under their policies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aurora_ops.core import environments
from policygen import policies
from policygen.needs import needs_of

from devstack.settings import EXTERNAL_ID, REPO, ROLES, connection, spare_loopback
from localcloud.client import admin_operation
from localcloud.config import CloudConfig
from localcloud.names import AIRFLOW_USER, AIRFLOW_USER_ARN, PRODUCTION, SHARED, STAGING
from localcloud.seed.accounts import AUDIT_TABLE, EXPORTS_TABLE, LOGS_TABLE, RUNS_TABLE
from tests.graph.conftest import read_dags
from tests.local.cloud.conftest import LocalCloud, free_port, localcloud_environment, run_localcloud
from tests.local.cloud.databases import until
from tests.local.dag_process import DagProcess, task_at
from tests.local.iam.policies import LOG_KEY, POLICIES, SQL_FUNCTION
from tests.local.include import place_include

TEMPLATES = REPO / "include" / "templates"
PLACES = {"orchestrator": SHARED, "source": PRODUCTION, "destination": STAGING}
SEED_ROWS = 300


@dataclass
class Run:
    """A recorded run.

    :param tasks: state, operator, error and spans of each.
    :param decisions: what was asked of policies, see ``localcloud.iam.access``; each with the ``operator`` that made the call.
    """

    state: str
    tasks: dict[str, dict[str, Any]]
    decisions: list[dict[str, Any]]

    @property
    def errors(self) -> dict[str, str]:
        """Return why tasks failed."""
        return {name: task["error"] for name, task in self.tasks.items() if task["state"] == "failed"}

    def error(self, task_id: str) -> str:
        """Return why a task failed."""
        assert self.tasks[task_id]["state"] == "failed", self.errors
        return str(self.tasks[task_id]["error"])

    @property
    def calls(self) -> set[str]:
        """Return which operations were called, such as ``rds:StopDBCluster``."""
        return {made["call"] for made in self.decisions}

    @property
    def refused(self) -> list[str]:
        """Return what policies did not allow."""
        return [
            f"{made['call']}: {made['action']} on {made['resource']}"
            for made in self.decisions
            if made["decision"] != "allowed"
        ]


def airflow_environment(config: CloudConfig, home: Path, include: Path) -> dict[str, str]:
    """Return the environment of a process that runs DAGs without Airflow's services.

    :param config: its cloud.
    :param home: folder for what it writes.
    :param include: folder of its environments.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "AWS_", "AURORA_"))}
    spare_loopback(kept)
    nowhere = str(home / "no-such-file")
    return (
        kept
        | {f"AIRFLOW_CONN_{name.upper()}": connection(role) for name, role in ROLES.items()}
        | {
            "AIRFLOW_HOME": str(home / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(REPO / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPO / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "PYTHONPATH": f"{REPO / 'plugins'}:{REPO}",
            "AWS_ENDPOINT_URL": config.endpoint,
            "AWS_DEFAULT_REGION": config.region,
            "AWS_CONFIG_FILE": nowhere,
            "AWS_SHARED_CREDENTIALS_FILE": nowhere,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AURORA_OPS_INCLUDE": str(include),
            "AURORA_OPS_POLL_S": "0.05",
            "AURORA_OPS_RETRY_S": "0.1",
        }
    )


@dataclass
class Lab:
    """The cloud, and one process that runs DAGs against it."""

    cloud: LocalCloud
    home: Path
    _process: DagProcess | None = None

    @property
    def include(self) -> Path:
        """Folder of environments that DAGs see; it may be changed."""
        return self.home / "include"

    @property
    def dag_ids(self) -> list[str]:
        """Every DAG there is."""
        return self._started().dag_ids

    def admin(self, account: str, service: str) -> Any:
        """Return a boto3 client as the root of an account."""
        return self.cloud.admin(account, service)

    def operation(self, name: str, **parameters: Any) -> dict[str, Any]:
        """Run an admin operation of localcloud."""
        return admin_operation(name, self.cloud.config, **parameters)

    def fail(self, **rule: Any) -> None:
        """Have one call refused that matches."""
        self.operation("faults-add", message="a planted refusal", times=1, **rule)

    def run(self, dag_id: str, conf: dict[str, Any], moment: str | None = None, *, since: float | None = None) -> Run:
        """Run a DAG to its end, and take what was asked of policies meanwhile.

        :param moment: when the run is for; its id is then ``manual__<moment>``.
        :param since: take also what was asked from then on, epoch seconds.
        """
        process = self._started()
        began = since or time.time()
        found = process.run(dag_id, conf, **({"moment": moment} if moment else {}))
        decisions = self.operation("iam-decisions", since=began)["decisions"]
        for decision in decisions:
            decision["operator"] = operator_at(found["tasks"], decision["time"])
        return Run(found["state"], found["tasks"], decisions)

    def place_include(self, *, along: bool) -> None:
        """Have DAGs read the repository's environment anew.

        :param along: whether a refresh takes files and jobs along.
        """
        place_include(self.include, along=along)
        self.reread()

    def reread(self) -> None:
        """Have the files of DAGs read anew: the environment's file has changed."""
        if self._process is not None:
            self._process.reread()

    def _started(self) -> DagProcess:
        if self._process is None:
            env = airflow_environment(self.cloud.config, self.home, self.include)
            self._process = DagProcess(env, self.home / "driver.log")
        return self._process

    def play(self, script: Path, *arguments: str) -> None:
        """Run a script in the environment of the process that runs DAGs, on its database."""
        env = airflow_environment(self.cloud.config, self.home, self.include)
        subprocess.run([sys.executable, str(script), *arguments], env=env, check=True, cwd=REPO, timeout=120)

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.close()


def operator_at(tasks: dict[str, dict[str, Any]], moment: float) -> str | None:
    """Name the operator of the task that ran at a moment."""
    task = task_at(tasks, moment)
    return None if task is None else str(tasks[task]["operator"])


@contextmanager
def seeded_lab(home: Path, **env: str) -> Iterator[Lab]:
    """Run a seeded cloud that enforces policies; its roles have those of the seed.

    :param home: folder for all of it.
    :param env: more of localcloud's settings.
    """
    environment = localcloud_environment(home / "cloud", free_port(), free_port()) | {
        "LOCALCLOUD_WAIT_S": "0.05",
        "LOCALCLOUD_IAM": "enforce",
        "SEED_ROWS": str(SEED_ROWS),
        **env,
    }
    config = CloudConfig.from_env(environment)
    up = run_localcloud(environment, "up")
    assert up.returncode == 0, up.stderr
    found = Lab(LocalCloud(config, environment), home)
    try:
        seeded = run_localcloud(environment, "seed")
        assert seeded.returncode == 0, seeded.stdout + seeded.stderr
        yield found
    finally:
        found.close()
        run_localcloud(environment, "down")


@contextmanager
def running_lab(home: Path) -> Iterator[Lab]:
    """Run a seeded cloud that enforces the policies of the templates.

    :param home: folder for all of it.
    """
    with seeded_lab(home) as found:
        for name, account in PLACES.items():
            deploy(found, name, account)
        found.admin(SHARED, "iam").put_user_policy(
            UserName=AIRFLOW_USER, PolicyName="aurora-ops", PolicyDocument=(POLICIES / "worker.json").read_text()
        )
        found.place_include(along=False)
        yield found


def attach(lab: Lab) -> None:
    """Give each role the policies that follow from the operators as they are, and from the lab's own settings."""
    settings = environments.resolve(environments.read(lab.include / "config" / "staging.yaml")).settings
    documents = policies.files(settings, needs_of(read_dags().dags.values(), settings))
    for name, account in PLACES.items():
        iam, role = lab.admin(account, "iam"), f"aurora-ops-{name}"
        for file, document in documents.items():
            if file.removesuffix(".json").split("-")[0] == name:
                text = json.dumps(document)
                iam.put_role_policy(RoleName=role, PolicyName=file.removesuffix(".json"), PolicyDocument=text)
    worker = json.dumps(documents["worker.json"])
    lab.admin(SHARED, "iam").put_user_policy(UserName=AIRFLOW_USER, PolicyName="worker", PolicyDocument=worker)


def deploy(lab: Lab, name: str, account: str) -> None:
    """Replace what the seed has made of an account's role, tables and topic by what the template makes."""
    lab.admin(account, "iam").delete_role(RoleName=f"aurora-ops-{name}")
    if name == "orchestrator":
        for table in (RUNS_TABLE, AUDIT_TABLE, LOGS_TABLE, EXPORTS_TABLE):
            lab.admin(account, "dynamodb").delete_table(TableName=table)
        lab.admin(account, "sns").delete_topic(TopicArn=f"arn:aws:sns:{lab.cloud.config.region}:{account}:aurora-ops")
    parameters = {"TrustedPrincipalArn": AIRFLOW_USER_ARN, "ExternalId": EXTERNAL_ID}
    if name == "destination":
        parameters["SqlFunction"] = SQL_FUNCTION
    if name == "orchestrator":
        parameters["LogKey"] = LOG_KEY
    make_stack(lab, account, f"aurora-ops-{name}", f"iam-{name}.yaml", parameters)


def make_stack(lab: Lab, account: str, name: str, template: str, parameters: dict[str, str]) -> None:
    """Make a stack of one of the package's templates, with all rights.

    :param template: file in ``include/templates``.
    """
    stacks = lab.admin(account, "cloudformation")
    stacks.create_stack(
        StackName=name,
        TemplateBody=(TEMPLATES / template).read_text(),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )

    def status() -> str:
        return str(stacks.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"])

    assert until(lambda: status() != "CREATE_IN_PROGRESS")
    assert status() == "CREATE_COMPLETE", stacks.describe_stack_events(StackName=name)["StackEvents"]
