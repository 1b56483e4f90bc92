"""RDS for Aurora MySQL clusters, their members and cluster snapshots; every cluster has a real server behind it.

moto's own clusters are not used: they overwrite, forget members and answer at once. Subnet groups, parameter groups and
the rest stay moto's.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from moto.rds import urls

from localcloud.rds import standalone
from localcloud.rds.backups import Backups
from localcloud.rds.calendar import Calendar
from localcloud.rds.core import Core
from localcloud.rds.errors import RdsError
from localcloud.rds.logs.collector import Collector
from localcloud.rds.logs.operations import Operations
from localcloud.rds.recovery import Recovery
from localcloud.rds.response import Response, Service
from localcloud.rds.rules import Quotas
from localcloud.request import LOG_FILE_PATH
from localcloud.state.store import Part

if TYPE_CHECKING:
    from localcloud.cloud import Cloud


def install(cloud: Cloud) -> None:
    """Answer RDS calls with this package; before the first request, as moto builds its routes then."""
    core = cloud.rds = Core(cloud, Quotas.from_env())
    core.logs = Collector(core)
    Response.service = Service(core)
    urls.url_paths["{0}/$"] = Response.dispatch
    urls.url_paths["{0}" + LOG_FILE_PATH + "(?P<instance>[^/]+)/(?P<file>.+)$"] = Response.complete_log_file
    standalone.install()
    calendar = Calendar(core, Response.service.snapshots, Response.service.instance_snapshots)
    cloud.on_admin("rds-automated-snapshot", calendar.automated)
    cloud.on_admin("rds-backup-snapshot", calendar.backup)
    cloud.on_admin("rds-past-snapshots", calendar.past)
    cloud.on_admin("rds-hold", partial(_hold, core))
    cloud.on_terminal("rds", partial(_end, Response.service))
    recovery, backups = Recovery(core), Backups(core)
    anchors = {
        "cloud": cloud,
        "core": core,
        "engine": core.engine,
        "lifecycle": core.lifecycle,
        "delivery": core.delivery,
        "runs": Response.service.exports.runs,
        **vars(Response.service),
    }
    cloud.store.part("rds", Part(recovery.dump, recovery.load, "rds", anchors))
    cloud.on_admin("engine-kill", recovery.kill)
    cloud.on_admin("engines", recovery.servers)
    cloud.on_startup(recovery.start)
    operations = Operations(core, Response.service.logs)
    cloud.on_admin("rds-idle-instances", operations.make_idle)
    cloud.on_admin("log-append", operations.append)
    cloud.on_admin("log-folder", operations.folder)
    cloud.on_startup(backups.start)
    cloud.on_startup(core.logs.start)
    cloud.on_shutdown(core.lifecycle.close)
    cloud.on_shutdown(recovery.close)
    cloud.on_shutdown(backups.close)
    cloud.on_shutdown(core.logs.close)


def _end(service: Service, account: str, name: str, parameters: dict[str, Any], status: str) -> None:
    """Put the resources that a call's parameters name into a status of failure; unknown ones are left to the call."""
    core = service.core
    with core.lock:
        region = core.region(account, name)
        for parameter, find in (
            ("DBClusterIdentifier", core.cluster),
            ("DBInstanceIdentifier", core.instance),
            ("DBClusterSnapshotIdentifier", core.own_snapshot),
        ):
            try:
                resource = find(region, parameters.get(parameter))
            except RdsError:
                continue
            core.lifecycle.end(resource, status)
        task = region.exports.get(parameters.get("ExportTaskIdentifier") or "")
        if task is not None:
            service.exports.runs.end(task, status)


def _hold(core: Core, parameters: dict[str, Any]) -> dict[str, Any]:
    """Keep every operation of RDS under way, or end what would be over by now.

    :param parameters: held: whether operations are held from now on.
    :raises ValueError: held is neither true nor false.
    """
    if (held := parameters.get("held")) not in (True, False):
        raise ValueError(f"held={held!r} is not true or false")
    (core.lifecycle.hold if held else core.lifecycle.release)()
    return {}
