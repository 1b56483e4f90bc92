"""EFS and AWS Backup: file systems with real files, replication, recovery points, copies and restores.

moto's own are not used: they have no replication, no jobs, no files, and answer at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import moto.backup.urls
import moto.efs.urls
from moto.kms.utils import RESERVED_ALIASES

from localcloud.efs.backups import Backups
from localcloud.efs.core import Core
from localcloud.efs.file_systems import FileSystems
from localcloud.efs.replications import Replications
from localcloud.efs.response import BACKUP, FILE_SYSTEMS, REPLICATION, EfsResponse, LocalBackupResponse
from localcloud.state.store import Part

if TYPE_CHECKING:
    from localcloud.cloud import Cloud
    from localcloud.efs.model import Params, Region


BACKUP_KEY = "alias/aws/backup"


def install(cloud: Cloud) -> None:
    """Answer EFS and AWS Backup with this package; before the first request, as moto builds its routes then."""
    core = cloud.efs = Core(cloud)
    systems = FileSystems(core)
    replications, backups = Replications(core, systems), Backups(core, systems)
    EfsResponse.core = LocalBackupResponse.core = core
    EfsResponse.operations = {name: getattr(systems, name) for name in FILE_SYSTEMS} | {
        name: getattr(replications, name) for name in REPLICATION
    }
    LocalBackupResponse.operations = {name: getattr(backups, name) for name in BACKUP}
    if BACKUP_KEY not in RESERVED_ALIASES:  # moto knows the other AWS managed keys
        RESERVED_ALIASES.append(BACKUP_KEY)
    moto.efs.urls.url_paths.clear()
    moto.efs.urls.url_paths["{0}/.*$"] = EfsResponse.dispatch
    moto.backup.urls.url_paths.clear()
    moto.backup.urls.url_paths["{0}/.*$"] = LocalBackupResponse.dispatch
    cloud.store.part("efs", Part(core.dump, core.load, "efs"))
    cloud.on_admin("efs-directory", lambda parameters: _directory(core, parameters))
    cloud.on_admin("backup-recovery-point", backups.change_point)
    cloud.on_terminal("efs", lambda account, region, given, status: _end(core, account, region, given, status))
    cloud.on_terminal("backup", lambda account, region, given, status: _end(core, account, region, given, status))


def _directory(core: Core, parameters: Params) -> dict[str, Any]:
    """Tell the directory that holds the files of a file system, as a mount would show them (``efs-directory``).

    :param parameters: file_system: id or ARN, of any account.
    :raises LookupError: there is none.
    """
    name = str(parameters["file_system"]).rpartition("/")[2]
    with core.lock:
        core.settle()
        for region in core.regions.values():
            if name in region.file_systems:
                return {
                    "directory": str(core.directory(name)),
                    "read_only": region.file_systems[name].protection == "REPLICATING",
                }
    raise LookupError(f"there is no file system {name}")


def _end(core: Core, account: str, region_name: str, given: Params, status: str) -> None:
    """Put what a call's parameters name into a status of failure; what is unknown is left to the call."""
    with core.lock:
        core.settle()
        here: Region = core.region(account, region_name)
        names = [str(value).rpartition("/")[2] for value in given.values() if isinstance(value, str)]
        for name in names:
            for table in (here.file_systems, here.mount_targets, here.access_points, here.jobs):
                if name in table:
                    table[name].turn(status, "", 0.0)
            replication = core.replications.get(name)
            if replication is not None and status in ("ERROR", "PAUSED", "PAUSING"):
                replication.turn(status, "", 0.0)
