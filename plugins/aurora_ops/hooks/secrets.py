"""AWS Secrets Manager: reading secrets and moving versions."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from aurora_ops.core.errors import MissingError, StateError
from aurora_ops.hooks.base import AwsHook

CURRENT, PENDING, PREVIOUS = "AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"


class SecretsHook(AwsHook):
    """Secrets of one account and region. Values never leave the process that reads them."""

    service = "secretsmanager"

    def find_secret(self, secret_id: str, stage: str = CURRENT) -> dict[str, Any] | None:
        """Read a secret's JSON at a stage (``GetSecretValue``); ``None`` where it or the stage is absent.

        :raises StateError: the value is not a JSON object.
        """
        try:
            raw = self.call("get_secret_value", SecretId=secret_id, VersionStage=stage)
        except MissingError:
            return None
        try:
            value = json.loads(raw.get("SecretString") or "null")
        except json.JSONDecodeError:
            value = None
        if not isinstance(value, dict):
            raise StateError(f"secret {secret_id} ({stage}) is not a JSON object; write username and password into it")
        return value

    def require_secret(self, secret_id: str, stage: str = CURRENT) -> dict[str, Any]:
        """Read a secret that must exist.

        :raises MissingError: there is none of this name and stage.
        """
        found = self.find_secret(secret_id, stage)
        if found is None:
            raise MissingError(f"no secret {secret_id} ({stage}) behind {self.aws_conn_id}; create it")
        return found

    def exists(self, secret_id: str) -> bool:
        """Tell whether a secret exists (``DescribeSecret``)."""
        try:
            self.call("describe_secret", SecretId=secret_id)
        except MissingError:
            return False
        return True

    def stages(self, secret_id: str) -> dict[str, str]:
        """Tell which version each stage is on (``DescribeSecret``): stage to version id."""
        versions = self.call("describe_secret", SecretId=secret_id).get("VersionIdsToStages") or {}
        return {stage: version for version, stages in versions.items() for stage in stages}

    def find_pending(self, secret_id: str) -> tuple[str, datetime | None] | None:
        """Look the version up that nobody reads yet (``ListSecretVersionIds``): its id, and when it was written.

        Versions with a stage are at most twenty, so there is one page. A version that is current as well is in use, and
        ``None`` here.
        """
        try:
            found = self.call("list_secret_version_ids", SecretId=secret_id).get("Versions") or []
        except MissingError:
            return None
        for version in found:
            stages = version.get("VersionStages") or []
            if PENDING in stages and CURRENT not in stages:
                return str(version["VersionId"]), version.get("CreatedDate")
        return None

    def drop_pending(self, secret_id: str, version_id: str) -> None:
        """Take the stage of what nobody reads yet off a version, which AWS then removes (``UpdateSecretVersionStage``)."""
        self.call(
            "update_secret_version_stage", SecretId=secret_id, VersionStage=PENDING, RemoveFromVersionId=version_id
        )

    def find_version(self, secret_id: str, version_id: str) -> dict[str, Any] | None:
        """Read a version's JSON; ``None`` where there is none."""
        try:
            raw = self.call("get_secret_value", SecretId=secret_id, VersionId=version_id)
        except MissingError:
            return None
        value = json.loads(raw.get("SecretString") or "{}")
        return value if isinstance(value, dict) else None

    def put_pending(self, secret_id: str, value: dict[str, Any], version_id: str) -> None:
        """Write a version that nobody reads yet (``PutSecretValue``, stage ``AWSPENDING``)."""
        self.call(
            "put_secret_value",
            SecretId=secret_id,
            SecretString=json.dumps(value),
            ClientRequestToken=version_id,
            VersionStages=[PENDING],
        )

    def move_current(self, secret_id: str, version_id: str) -> None:
        """Make a version the current one; what was current becomes the previous one (``UpdateSecretVersionStage``)."""
        now = self.stages(secret_id).get(CURRENT)
        if now == version_id:
            return
        self.call(
            "update_secret_version_stage",
            SecretId=secret_id,
            VersionStage=CURRENT,
            MoveToVersionId=version_id,
            RemoveFromVersionId=now,
        )
