"""Errors that RDS answers with: code and HTTP status come from botocore's model of the service."""

from __future__ import annotations

from moto.core.exceptions import ServiceException


class RdsError(ServiceException):
    """Base of all. moto finds the service model by the class's module name, hence ``__init_subclass__``.

    :param message: what was refused, and the remedy.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)

    def __init_subclass__(cls) -> None:
        cls.__module__ = "moto.rds.exceptions"


class InvalidParameterValueError(RdsError):
    """A value that no call may have."""

    code = "InvalidParameterValue"


class InvalidParameterCombinationError(RdsError):
    """Parameters that exclude or need each other, or that localcloud does not emulate."""

    code = "InvalidParameterCombination"


class AccessDeniedError(RdsError):
    """The resource belongs to another account."""

    code = "AccessDenied"


class ClusterNotFoundError(RdsError):
    """No such cluster in this account and region."""

    code = "DBClusterNotFoundFault"


class ClusterAlreadyExistsError(RdsError):
    """The identifier is taken: nothing is overwritten, by create, restore or rename."""

    code = "DBClusterAlreadyExistsFault"


class InvalidClusterStateError(RdsError):
    """The cluster's status does not allow the operation now."""

    code = "InvalidDBClusterStateFault"


class InstanceQuotaExceededError(RdsError):
    """40 instances per region by default."""

    code = "InstanceQuotaExceeded"


class ClusterQuotaExceededError(RdsError):
    """40 clusters per region by default."""

    code = "DBClusterQuotaExceededFault"


class ClusterParameterGroupNotFoundError(RdsError):
    """No such cluster parameter group."""

    code = "DBClusterParameterGroupNotFound"


class ParameterGroupNotFoundError(RdsError):
    """No such (instance) parameter group."""

    code = "DBParameterGroupNotFound"


class SubnetGroupNotFoundError(RdsError):
    """No such subnet group."""

    code = "DBSubnetGroupNotFoundFault"


class SubnetGroupDoesNotCoverEnoughAzsError(RdsError):
    """An Aurora cluster needs subnets in two zones at least."""

    code = "DBSubnetGroupDoesNotCoverEnoughAZs"


class RoleAlreadyExistsError(RdsError):
    """The role is associated already."""

    code = "DBClusterRoleAlreadyExists"


class RoleQuotaExceededError(RdsError):
    """A cluster has five roles at most."""

    code = "DBClusterRoleQuotaExceeded"


class RoleNotFoundError(RdsError):
    """The role is not associated with the cluster."""

    code = "DBClusterRoleNotFound"


class AutomatedBackupNotFoundError(RdsError):
    """No such automated backup in this account and region."""

    code = "DBClusterAutomatedBackupNotFoundFault"


class InvalidAutomatedBackupStateError(RdsError):
    """The backup's status does not allow the operation."""

    code = "InvalidDBClusterAutomatedBackupStateFault"


class InstanceNotFoundError(RdsError):
    """No such instance in this account and region."""

    code = "DBInstanceNotFound"


class InstanceAlreadyExistsError(RdsError):
    """The identifier is taken."""

    code = "DBInstanceAlreadyExists"


class InvalidInstanceStateError(RdsError):
    """The instance's status does not allow the operation now."""

    code = "InvalidDBInstanceState"


class SnapshotNotFoundError(RdsError):
    """No such snapshot, or not shared with this account."""

    code = "DBClusterSnapshotNotFoundFault"


class SnapshotAlreadyExistsError(RdsError):
    """The identifier is taken."""

    code = "DBClusterSnapshotAlreadyExistsFault"


class InvalidSnapshotStateError(RdsError):
    """The snapshot's status, type or key does not allow the operation."""

    code = "InvalidDBClusterSnapshotStateFault"


class SnapshotQuotaExceededError(RdsError):
    """100 manual snapshots per region, or 5 copies in progress to it: AWS uses one code for both."""

    code = "SnapshotQuotaExceeded"


class SharedSnapshotQuotaExceededError(RdsError):
    """A snapshot is shared with 20 accounts at most."""

    code = "SharedSnapshotQuotaExceeded"


class KmsKeyNotAccessibleError(RdsError):
    """The key is unknown, disabled, or this account may not use it."""

    code = "KMSKeyNotAccessibleFault"


class LogFileNotFoundError(RdsError):
    """The instance has no such log file, or not any more."""

    code = "DBLogFileNotFoundFault"


class InstanceNotReadyError(RdsError):
    """The instance's logs cannot be read while it is in its status."""

    code = "DBInstanceNotReady"


class DBSnapshotNotFoundError(RdsError):
    """No such snapshot of an instance in this account and region."""

    code = "DBSnapshotNotFound"


class ExportTaskAlreadyExistsError(RdsError):
    """The identifier was used before, also by a task that has ended."""

    code = "ExportTaskAlreadyExists"


class ExportTaskNotFoundError(RdsError):
    """No such export task in this account and region."""

    code = "ExportTaskNotFound"


class InvalidExportTaskStateError(RdsError):
    """The task has ended, or is being canceled."""

    code = "InvalidExportTaskStateFault"


class ExportTaskLimitReachedError(RdsError):
    """Too many tasks run in this account and region.

    The code is not in botocore's model of the service; users report it, with HTTP status 400.
    """

    code = "ExportTaskLimitReachedFault"


class InvalidExportSourceStateError(RdsError):
    """The source's status does not allow an export."""

    code = "InvalidExportSourceState"


class InvalidExportOnlyError(RdsError):
    """ExportOnly is not a list of databases and tables."""

    code = "InvalidExportOnly"


class InvalidS3BucketError(RdsError):
    """The bucket does not exist, is in another region, or may not be looked at."""

    code = "InvalidS3BucketFault"


class IamRoleNotFoundError(RdsError):
    """No such role, or RDS may not assume it."""

    code = "IamRoleNotFound"


class IamRoleMissingPermissionsError(RdsError):
    """The role may not do what an export does in the bucket."""

    code = "IamRoleMissingPermissions"


class SubscriptionNotFoundError(RdsError):
    """No such event subscription in this account and region."""

    code = "SubscriptionNotFound"


class SubscriptionAlreadyExistsError(RdsError):
    """The name is taken."""

    code = "SubscriptionAlreadyExist"


class SubscriptionCategoryNotFoundError(RdsError):
    """The source type has no such category of events."""

    code = "SubscriptionCategoryNotFound"


class SubscriptionQuotaExceededError(RdsError):
    """20 event subscriptions per region by default."""

    code = "EventSubscriptionQuotaExceeded"


class TopicNotFoundError(RdsError):
    """No such SNS topic."""

    code = "SNSTopicArnNotFound"


class InvalidTopicError(RdsError):
    """RDS cannot publish to such a topic."""

    code = "SNSInvalidTopic"


class TopicNotAuthorizedError(RdsError):
    """The topic's policy does not let RDS publish."""

    code = "SNSNoAuthorization"


class SourceNotFoundError(RdsError):
    """The source of events does not exist."""

    code = "SourceNotFound"
