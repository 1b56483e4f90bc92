"""What a query does in the name of who started it, judged by that one's policies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from localcloud.iam.facts import Facts
from localcloud.iam.model import Call, Need
from localcloud.iam.rds_needs import key_needs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from localcloud.cloud import Caller, Cloud
    from localcloud.iam.access import Refusal


@dataclass(frozen=True)
class Asking:
    """Who started a query, and where.

    :param caller: who.
    :param region: where.
    """

    cloud: Cloud
    caller: Caller
    region: str

    @property
    def account(self) -> str:
        """Account whose catalogue is asked."""
        return self.caller.account

    @property
    def call(self) -> Call:
        """The call that started the query."""
        return Call(self.caller, self.region, "athena", "StartQueryExecution", {})

    def may(self, action: str, resource: str, **context: str) -> Refusal | None:
        """Judge what the query does; None if it is allowed.

        :param context: condition keys; two underscores stand for the colon.
        """
        keys = {key.replace("__", ":"): value for key, value in context.items()}
        return self._all([Need(action, resource, keys, via="athena")])

    def may_use_key(self, key: str, operations: Iterable[str]) -> Refusal | None:
        """Judge what S3 does with a KMS key for the query."""
        return self._all(list(key_needs(self.call, Facts(self.cloud), key, operations, via="s3")))

    def _all(self, needs: list[Need]) -> Refusal | None:
        access = self.cloud.access
        if access is None:
            return None
        return next((found for need in needs if (found := access.ask(self.call, need, "json")) is not None), None)
