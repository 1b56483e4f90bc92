"""Errors that EFS and AWS Backup answer with: code and HTTP status come from botocore's model of the service."""

from __future__ import annotations

from moto.core.exceptions import ServiceException


class EfsError(ServiceException):
    """An error of EFS. moto finds the service model by the class's module name.

    :param code: AWS's error code, such as ``FileSystemNotFound``.
    :param message: what was refused.
    :param more: further fields of the error, such as ``FileSystemId``.
    """

    __module__ = "moto.efs.exceptions"

    def __init__(self, code: str, message: str, **more: str) -> None:
        super().__init__(code, message)
        vars(self).update(more)


class BackupError(ServiceException):
    """An error of AWS Backup.

    :param code: AWS's error code, such as ``ResourceNotFoundException``.
    :param message: what was refused.
    """

    __module__ = "moto.backup.exceptions"

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)


def no_file_system(name: str) -> EfsError:
    """Say that there is no such file system."""
    return EfsError("FileSystemNotFound", f"File system '{name}' does not exist.")


def no_backup_thing(kind: str, name: str) -> BackupError:
    """Say that there is no such vault, recovery point or job."""
    return BackupError("ResourceNotFoundException", f"{kind} {name} cannot be found.")
