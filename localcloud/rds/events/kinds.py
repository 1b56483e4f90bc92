"""The events that localcloud has, with AWS's ids, categories and messages.

https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/USER_Events.Messages.html. What has no id there is listed by
DescribeEvents, and told to no subscription.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A kind of event.

    :param id: digits of its id; empty if AWS has none.
    :param message: may have names in braces, of words that come with the event.
    """

    id: str
    category: str
    message: str


CLUSTER_CREATED = Kind("0170", "creation", "DB cluster created")
CLUSTER_DELETED = Kind("0171", "deletion", "DB cluster deleted")
CLUSTER_RESTORED = Kind("", "creation", "Restored cluster")
CLUSTER_STOPPED = Kind("0150", "notification", "DB cluster stopped")
CLUSTER_STARTED = Kind("0151", "notification", "DB cluster started")
CLUSTER_RENAMED = Kind("", "notification", "Renamed cluster from {old} to {new}")
FAILOVER_COMPLETED = Kind("0071", "failover", "Completed failover to DB instance")
CREDENTIALS_RESET = Kind("0016", "configuration change", "Reset master credentials")
INSTANCE_CREATED = Kind("0005", "creation", "DB instance created")
INSTANCE_DELETED = Kind("0003", "deletion", "DB instance deleted")
INSTANCE_RESTARTED = Kind("0006", "availability", "DB instance restarted")
INSTANCE_RENAMED = Kind("", "notification", "Renamed instance from {old} to {new}")
CLUSTER_SNAPSHOT_DELETED = Kind("", "deletion", "Deleted cluster snapshot")

# By whether the snapshot is automated: of a cluster ...
CLUSTER_SNAPSHOT_CREATING = {
    False: Kind("0074", "backup", "Creating manual cluster snapshot"),
    True: Kind("0168", "backup", "Creating automated cluster snapshot"),
}
CLUSTER_SNAPSHOT_CREATED = {
    False: Kind("0075", "backup", "Manual cluster snapshot created"),
    True: Kind("0169", "backup", "Automated cluster snapshot created"),
}
# ... and of an instance.
SNAPSHOT_CREATING = {
    False: Kind("0040", "creation", "Creating manual snapshot"),
    True: Kind("0090", "creation", "Creating automated snapshot"),
}
SNAPSHOT_CREATED = {
    False: Kind("0042", "creation", "Manual snapshot created"),
    True: Kind("0091", "creation", "Automated snapshot created"),
}
SNAPSHOT_DELETED = Kind("0041", "deletion", "Deleted user snapshot")
COPY_STARTED = Kind("0196", "notification", "Started copy of snapshot {name} in region {where}")
COPY_FINISHED = Kind("0197", "notification", "Finished copy of snapshot {name} in region {where}")
COPY_FROM_REGION_STARTED = Kind("0059", "notification", "Started copy of snapshot {name} from region {where}")
COPY_FROM_REGION_FINISHED = Kind("0060", "notification", "Finished copy of snapshot {name} from region {where}")

# By the kind of source, and the status that the task has ended in.
EXPORTS = {
    "snapshot": {
        "FAILED": Kind("0159", "notification", "The snapshot export task failed"),
        "CANCELED": Kind("0160", "notification", "The snapshot export task was canceled"),
        "COMPLETE": Kind("0161", "notification", "The snapshot export task completed"),
    },
    "cluster-snapshot": {
        "FAILED": Kind("0162", "notification", "The cluster snapshot export task failed"),
        "CANCELED": Kind("0163", "notification", "The cluster snapshot export task was canceled"),
        "COMPLETE": Kind("0164", "notification", "The cluster snapshot export task completed"),
    },
    "cluster": {
        "FAILED": Kind("0234", "notification", "The export task failed"),
        "CANCELED": Kind("0235", "notification", "The export task was canceled"),
        "COMPLETE": Kind("0236", "notification", "The export task completed"),
    },
}
SOURCE_TYPE = {"snapshot": "db-snapshot", "cluster-snapshot": "db-cluster-snapshot", "cluster": "db-cluster"}

# Categories of each source type that can be subscribed to.
CATEGORIES = {
    "db-instance": (
        "availability",
        "backtrack",
        "backup",
        "configuration change",
        "creation",
        "deletion",
        "failover",
        "failure",
        "low storage",
        "maintenance",
        "notification",
        "read replica",
        "recovery",
        "restoration",
        "security",
        "security patching",
    ),
    "db-cluster": (
        "configuration change",
        "creation",
        "deletion",
        "failover",
        "failure",
        "global failover",
        "maintenance",
        "migration",
        "notification",
        "serverless",
    ),
    "db-snapshot": ("creation", "deletion", "notification", "restoration"),
    "db-cluster-snapshot": ("backup", "notification"),
    "db-parameter-group": ("configuration change",),
    "db-security-group": ("configuration change", "failure"),
}
