"""RDS instances for MariaDB and MySQL: what they are is kept by moto, behind each runs a real server.

Unlike clusters they have no statuses that take time, snapshots without data, and no copies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.rds.models import DBInstance, rds_backends

from localcloud.rds.core import new_id
from localcloud.rds.endpoints import address

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localcloud.rds.core import Core

ENGINES = frozenset({"mariadb", "mysql"})
DEFAULT_MARIADB = "10.11.10"  # moto has none
_motos: Any = DBInstance
_motos_address = _motos.address.fget


def install() -> None:
    """Let the endpoints of served instances be addresses of localcloud."""
    _motos.default_engine_versions.setdefault("mariadb", DEFAULT_MARIADB)
    _motos.address = property(_address)


def _address(database: DBInstance) -> str:
    if is_served(database):
        return address(database.account_id, database.region, "instance", database.db_instance_identifier)
    return str(_motos_address(database))


def is_served(database: Any) -> bool:
    """Whether a server runs behind an instance of moto's."""
    return database.engine in ENGINES and not database.db_cluster_identifier


def served() -> Iterator[DBInstance]:
    """List the instances that have a server, in all accounts and regions."""
    backends: Any = rds_backends
    for _, _, backend in list(backends.iter_backends()):
        yield from [database for database in list(backend.databases.values()) if is_served(database)]


def created(core: Core, database: DBInstance) -> None:
    """Give an instance that moto has just made its server."""
    database.dbi_resource_id = new_id("db-")
    core.engine.create(database.dbi_resource_id)
    boot(core, database)


def boot(core: Core, database: DBInstance) -> None:
    """Run the server of an instance, with its database and master user."""
    key = database.dbi_resource_id
    database.port = core.cloud.config.db_port
    core.engine.start(key, core.logs.options_of_instance(database))
    if database.db_name:
        with core.engine.admin(key) as connection, connection.cursor() as cursor:
            name = database.db_name.replace("`", "``")
            cursor.execute(f"CREATE DATABASE IF NOT EXISTS `{name}`")
    _set_master(core, database)
    core.engine.expose(key, {database.address})


def reboot(core: Core, database: DBInstance) -> None:
    """Stop the server of an instance and start it again."""
    core.engine.stop(database.dbi_resource_id)
    boot(core, database)


def changed(core: Core, database: DBInstance) -> None:
    """Let the server follow its instance's name and password."""
    _set_master(core, database)
    core.engine.expose(database.dbi_resource_id, {database.address})


def deleted(core: Core, key: str) -> None:
    """Remove the server of an instance that moto has deleted."""
    core.engine.delete(key)


def _set_master(core: Core, database: DBInstance) -> None:
    password = database._master_user_password  # noqa: SLF001 - moto gives it to nobody
    if database.master_username and password:
        core.engine.set_master(database.dbi_resource_id, database.master_username, password)
