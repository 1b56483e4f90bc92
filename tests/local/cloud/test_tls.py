"""TLS on a real server that listens by itself: what is proven of a session, and who is refused without."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aurora_ops.core.errors import AuroraOpsError
from aurora_ops.core.verification import Finding, Suite
from aurora_ops.hooks.mysql import Login, MySqlHook, can_log_in
from aurora_ops.operators.checks import check_tls
from aurora_ops.operators.user_probes import Tried, probe_users

from localcloud.mariadb.engine import Engine
from tests.local.cloud.databases import free_port, rows
from tests.local.cloud.servers import Secrets

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PORT = free_port()
DEMANDED = "session without TLS is refused"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A server on a port of its own, since one behind a relay takes every connection for a safe one."""
    engine = Engine(tmp_path_factory.mktemp("home"), db_port=free_port())
    engine.create("tls")
    engine._certify("tls")
    engine._server("tls").start(extra=("--skip-networking=0", f"--port={PORT}", "--bind-address=127.0.0.1"))
    engine.set_master("tls", "admin", "pw")
    yield engine
    engine.close()


@pytest.fixture(params=["OFF", "ON"])
def demands(engine: Engine, request: pytest.FixtureRequest) -> Iterator[bool]:
    """Whether the server demands TLS."""
    with engine.admin("tls") as sql:
        rows(sql, f"SET GLOBAL require_secure_transport = {request.param}")
        yield request.param == "ON"
        rows(sql, "SET GLOBAL require_secure_transport = OFF")


def login(**more: Any) -> Login:
    return Login("127.0.0.1", PORT, "admin", "pw", **more)


def found(tls: str, **more: Any) -> list[Finding]:
    with MySqlHook(login(**more)) as sql:
        return check_tls(sql, login(**more), Suite.model_validate({"schemas": ["shop"], "tls": tls}))


def test_session_is_proven_to_be_encrypted(engine: Engine, demands: bool) -> None:
    [encrypted, *more] = found("encrypted")
    assert encrypted.passed
    assert encrypted.detail.startswith("TLSv1.3, TLS_")
    assert "not checked" in encrypted.detail
    assert more == ([Finding("tls", DEMANDED, True, "refused")] if demands else [])
    [verified, *_] = found("encrypted", tls_ca=str(engine.ca_file))
    assert verified.detail.endswith("certificate checked")
    assert found("off") == []


def test_suite_may_demand_it_of_the_server(engine: Engine, demands: bool) -> None:
    [_, refused] = found("demanded")
    said = "refused" if demands else "admin is let in; require_secure_transport is OFF"
    assert refused == Finding("tls", DEMANDED, demands, said)


def test_session_that_is_not_is_a_finding(engine: Engine) -> None:
    with MySqlHook(login(plain=True)) as sql:
        [encrypted] = check_tls(sql, login(), Suite.model_validate({"schemas": ["shop"]}))
    assert encrypted == Finding("tls", "session is encrypted", False, "it is not")


def test_server_of_another_authority_is_refused(engine: Engine, tmp_path: Path) -> None:
    other = Engine(tmp_path, db_port=free_port())
    other.close()
    with pytest.raises(AuroraOpsError, match="CERTIFICATE_VERIFY_FAILED"):
        can_log_in(login(tls_ca=str(other.ca_file)))


def test_each_user_is_tried_without_it(engine: Engine) -> None:
    with engine.admin("tls") as sql:
        rows(sql, "CREATE OR REPLACE USER safe@'%' IDENTIFIED BY 'x' REQUIRE SSL")
        rows(sql, "CREATE OR REPLACE USER open@'%' IDENTIFIED BY 'x'")
    secrets = Secrets()
    secrets.current = {name: {"username": name, "password": "x"} for name in ("safe", "open")}
    users = [{"username": name, "secret": name, "writes": True} for name in ("safe", "open")]
    said = {f.name: f for f in probe_users(users, secrets, login(), None, Tried(demands_tls=True))}  # type: ignore[arg-type]
    assert said["login safe without TLS is refused"].passed
    assert said["login open without TLS is refused"] == Finding(
        "user", "login open without TLS is refused", False, "it is let in"
    )
    assert "login safe without TLS is refused" not in {f.name for f in probe_users(users, secrets, login(), None)}  # type: ignore[arg-type]
