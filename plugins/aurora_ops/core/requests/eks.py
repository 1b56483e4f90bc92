"""Requests of the workflows on EKS; those that belong to another area are named there too."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from aurora_ops.core import job_commands, naming
from aurora_ops.core.errors import ConfigError, PermanentError
from aurora_ops.core.requests.base import Request, confirmed
from aurora_ops.core.section import Identifier
from aurora_ops.core.settings import Eks, Environment, KubernetesName
from aurora_ops.core.tables import TABLE_PATTERN

Cluster = Annotated[
    Identifier,
    Field(
        title="Cluster",
        description="Aurora cluster of the target's account: one of safety.allowed_clusters, or its -restore or -old.",
        examples=["staging-shop"],
    ),
]
Tables = Annotated[
    list[Annotated[str, Field(pattern=TABLE_PATTERN)]],
    Field(
        min_length=1, max_length=500, title="Tables", description="schema.table, one a line.", examples=[["shop.flags"]]
    ),
]
DumpName = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?$",
        title="Name of the dump",
        description="Folder below eks.dump_path in the claim eks.claim.",
        examples=["kept"],
    ),
]


class OnEks(Request):
    """A request for an environment that has an EKS cluster."""

    def problems(self, settings: Environment, /) -> list[PermanentError]:
        """Refuse an environment without one."""
        if settings.eks is None:
            return [
                ConfigError(
                    "eks", None, "the environment's file has no section eks; describe cluster and namespace there"
                )
            ]
        return self.problems_on(settings, settings.eks)

    def problems_on(self, _settings: Environment, _eks: Eks, /) -> list[PermanentError]:
        """Say what is wrong with it where there is a cluster."""
        return []

    def inputs(self, settings: Environment, moment: datetime, /) -> dict[str, Any]:
        """Give where jobs run, and what else the tasks need."""
        eks = settings.eks
        if eks is None:
            raise ConfigError("eks", None, "the environment's file has no section eks")
        return {**place_of(eks), **self.inputs_on(settings, eks, moment)}

    def inputs_on(self, _settings: Environment, _eks: Eks, _moment: datetime, /) -> dict[str, Any]:
        """Make what the tasks need beside the place."""
        return {}


def place_of(eks: Eks) -> dict[str, Any]:
    """Give where jobs run and what they are given, as arguments of operators."""
    return {
        "eks_cluster": eks.cluster,
        "namespace": eks.namespace,
        "image": eks.image,
        "allowed_nodegroups": list(eks.nodegroups),
        "nodes": eks.nodes,
        "node_selector": dict(eks.node_selector),
        "tolerations": [toleration.model_dump(exclude_none=True) for toleration in eks.tolerations],
        "service_account": eks.service_account,
        "storage_class": eks.storage_class,
        "cpu": eks.cpu,
        "memory": eks.memory,
        "run_as": eks.run_as,
        "deadline_s": int(eks.deadline_h * 3600),
        "job_tls_ca": eks.tls_ca,
        "environment_of_job": {},
    }


def dump_mount(eks: Eks, name: str) -> list[dict[str, str]]:
    """Mount a dump's folder where the commands look for it."""
    return [{"claim": eks.claim, "path": job_commands.DUMP_PATH, "sub_path": f"{eks.dump_path}/{name}"}]


class ManageStorage(OnEks):
    """Have a claim at a directory of a file system, or delete it."""

    action: Literal["create", "delete"] = Field(
        "create", title="Action", description="create: claim, volume and class, bound. delete: gone; files stay."
    )
    claim: KubernetesName = Field(title="Claim", description="One of eks.claims.", examples=["media"])
    file_system_id: Annotated[str, Field(pattern=r"^fs-[0-9a-f]{8,40}$")] | None = Field(
        None, title="File system", description="EFS file system; to create.", examples=["fs-0123456789abcdef0"]
    )
    path: Annotated[str, Field(pattern=r"^/([\w.-]+(/[\w.-]+)*)?$")] = Field(
        "/", title="Directory", description="In the file system.", examples=["/aws-backup-restore_2026-07-01T02-00-00"]
    )
    access_point_id: Annotated[str, Field(pattern=r"^fsap-[0-9a-f]{8,40}$")] | None = Field(
        None, title="Access point", description="That it is mounted through. Empty: none."
    )
    scale_workloads: bool = Field(
        False,
        title="Scale workloads",
        description="To create: scale those of eks.workloads that use the claim to 0 meanwhile, and back.",
    )
    confirm: str | None = Field(None, title="Confirm", description="To delete: type the claim's name once more.")

    def problems_on(self, _settings: Environment, eks: Eks, /) -> list[PermanentError]:
        """Refuse claims of others, and what does not belong together."""
        found: list[PermanentError] = []
        if self.claim not in eks.claims:
            found.append(ConfigError("claim", self.claim, f"eks.claims of the environment are {list(eks.claims)}"))
        if ".." in self.path.split("/"):
            found.append(ConfigError("path", self.path, "write a path without '..'"))
        if self.action == "create" and self.file_system_id is None:
            found.append(ConfigError("file_system_id", None, "name the file system that the claim shall show"))
        if self.action == "delete":
            found += confirmed(self.confirm, self.claim, "the claim's name")
        if self.action == "delete" and self.scale_workloads:
            found.append(
                ConfigError(
                    "scale_workloads",
                    True,
                    "to delete, scale them to 0 yourself: without the claim they cannot come back",
                )
            )
        if self.scale_workloads and not eks.workloads:
            found.append(ConfigError("scale_workloads", True, "eks.workloads of the environment names none"))
        return found

    def inputs_on(self, _settings: Environment, eks: Eks, _moment: datetime, /) -> dict[str, Any]:
        """Give what is scaled to 0 meanwhile."""
        return {"workloads": list(eks.workloads) if self.scale_workloads else []}


class ScaleNodegroupAsg(OnEks):
    """Give a node group so many nodes, or its former size again."""

    action: Literal["scale", "restore"] = Field(
        "scale", title="Action", description="scale: so many nodes. restore: as before it was scaled."
    )
    nodegroup: Annotated[str, Field(pattern=r"^[0-9A-Za-z][\w-]{0,62}$")] | None = Field(
        None,
        title="Node group",
        description="One of eks.nodegroups. Empty: the one whose labels and taints let jobs in.",
    )
    nodes: int | None = Field(None, ge=0, le=100, title="Nodes", description="Empty: eks.nodes of the environment.")
    shrink: bool = Field(
        False, title="Fewer is meant", description="Take nodes away where there are more; pods on them are evicted."
    )

    def problems_on(self, _settings: Environment, eks: Eks, /) -> list[PermanentError]:
        """Refuse node groups of others."""
        if self.nodegroup in (None, *eks.nodegroups):
            return []
        return [
            ConfigError("nodegroup", self.nodegroup, f"eks.nodegroups of the environment are {list(eks.nodegroups)}")
        ]

    def inputs_on(self, _settings: Environment, eks: Eks, _moment: datetime, /) -> dict[str, Any]:
        """Give the number of nodes."""
        return {"nodes": eks.nodes if self.nodes is None else self.nodes}


class JobOfCluster(OnEks):
    """A request for a job that works on a cluster's database."""

    cluster: Cluster

    def problems_on(self, settings: Environment, _eks: Eks, /) -> list[PermanentError]:
        """Refuse to read clusters that are none of the environment's."""
        live = settings.safety.allowed_clusters
        known = {name for found in live for name in (found, naming.temporary_cluster(found), naming.old_cluster(found))}
        if self.cluster in known:
            return []
        return [
            ConfigError("cluster", self.cluster, f"safety.allowed_clusters and their names aside are {sorted(known)}")
        ]


class RunMysqldumpOnEks(JobOfCluster):
    """Dump tables of a cluster to a file system, by a job."""

    tables: Tables
    dump: DumpName = "kept"

    def inputs_on(self, settings: Environment, eks: Eks, moment: datetime, /) -> dict[str, Any]:
        """Give the job, and where its dump is."""
        return {
            "job": naming.job("mysqldump", settings.environment, moment),
            "mounts": dump_mount(eks, self.dump),
        }


class RunMysqlimportOnEks(JobOfCluster):
    """Load dumped tables into a cluster, by a job."""

    databases: Annotated[
        list[Annotated[str, Field(pattern=r"^[0-9A-Za-z_$]{1,64}$")]],
        Field(min_length=1, title="Databases", description="Whose dumps are loaded, one a line.", examples=[["shop"]]),
    ]
    dump: DumpName = "kept"

    def changed_clusters(self) -> dict[str, str]:
        """Name the cluster."""
        return {"cluster": self.cluster}

    def inputs_on(self, settings: Environment, eks: Eks, moment: datetime, /) -> dict[str, Any]:
        """Give the job, and where its dump is."""
        return {
            "job": naming.job("mysqlimport", settings.environment, moment),
            "mounts": dump_mount(eks, self.dump),
        }


class RunArchiveJob(JobOfCluster):
    """Archive databases and files, by a job whose command the environment names."""

    def problems_on(self, settings: Environment, eks: Eks, /) -> list[PermanentError]:
        """Refuse an environment that says nothing of archives."""
        found = super().problems_on(settings, eks)
        if eks.archive is None:
            found.append(
                ConfigError(
                    "eks.archive", None, "the environment's file has no section eks.archive; add command and url"
                )
            )
        return found

    def inputs_on(self, settings: Environment, eks: Eks, moment: datetime, /) -> dict[str, Any]:
        """Give job, command and environment."""
        archive = eks.archive
        if archive is None:
            raise ConfigError("eks.archive", None, "the environment's file has no section eks.archive")
        mounts = dump_mount(eks, "archive")
        files = job_commands.FILES_PATH if archive.files_claim else ""
        if archive.files_claim:
            mounts.append({"claim": archive.files_claim, "path": job_commands.FILES_PATH, "sub_path": ""})
        return {
            "job": naming.job("archive", settings.environment, moment),
            "image": archive.image or eks.image,
            "command": list(archive.command),
            "mounts": mounts,
            "deadline_s": int(archive.deadline_h * 3600),
            "environment_of_job": {
                "LOGIN_FILE": job_commands.LOGIN,
                "DATABASES": " ".join(archive.databases),
                "FILES": files,
                "WORK": job_commands.DUMP_PATH,
                "ARCHIVE_URL": f"{archive.url.rstrip('/')}/{settings.environment}/{self.cluster}/{naming.stamp(moment)}",
            },
        }
