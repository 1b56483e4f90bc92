"""localcloud in a stack, without Airflow: ended and killed with its state, and put back to the seeded state."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pymysql
import pytest

from devstack.settings import STAGING, StackConfig, free_port
from devstack.stack import Stack
from localcloud.client import admin_client
from localcloud.config import CloudConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.local, pytest.mark.slow]


@pytest.fixture
def own(tmp_path) -> Iterator[Stack]:
    """A stack with localcloud alone, seeded."""
    config = dataclasses.replace(
        StackConfig.from_env(),
        home=tmp_path / "stack",
        cloud_port=free_port(),
        db_port=free_port(everywhere=True),
        wait_s=0.05,
        seed_rows=500,
    )
    stack = Stack(config)
    stack.claim()
    try:
        stack.start_cloud()
        stack.seed()
        yield stack
    finally:
        stack.stop()


def parameters(cloud: CloudConfig) -> set[str]:
    ssm = admin_client(STAGING, "ssm", cloud)
    return {found["Name"] for found in ssm.describe_parameters()["Parameters"]}


def endpoint_answers(cloud: CloudConfig) -> bool:
    [cluster] = admin_client(STAGING, "rds", cloud).describe_db_clusters()["DBClusters"]
    try:
        pymysql.connect(host=cluster["Endpoint"], port=cluster["Port"], user="nobody")
    except pymysql.err.OperationalError as error:
        return bool(error.args[0] == 1045)  # the server denies access
    return True


def test_bounce_keeps_and_reset_goes_back_to_the_seed(own: Stack) -> None:
    cloud = CloudConfig.from_env(own.config.cloud_env())
    seeded = parameters(cloud)
    for number, kill in enumerate((True, False)):
        admin_client(STAGING, "ssm", cloud).put_parameter(Name=f"/new/{number}", Value="v", Type="String")
        own.bounce_cloud(kill=kill)
        assert parameters(cloud) - seeded == {f"/new/{place}" for place in range(number + 1)}
        assert endpoint_answers(cloud)
    for _ in range(2):  # seeded anew, then copied
        own.restart_cloud()
        own.check()
        assert parameters(cloud) == seeded
        assert endpoint_answers(cloud)
        admin_client(STAGING, "ssm", cloud).put_parameter(Name="/later", Value="v", Type="String")
