"""The base of every AWS hook here: AWS's errors turned into ours, our waiters, and the account asserted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar

import boto3
import jmespath
from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
from airflow.providers.amazon.aws.utils.waiter_with_logging import RETRIABLE_ERROR_CODES
from botocore import exceptions as boto

from aurora_ops.core import errors
from aurora_ops.core.wait import Wait
from aurora_ops.hooks import auditing

_WAITERS = Path(__file__).resolve().parents[1] / "waiters"
_MISSING = re.compile(r"NotFound|NoSuch|^404$")
_BUSY = re.compile(r"^Invalid\w*State|InUse|NotReady|Conflict|OperationInProgress|ConcurrentModification")
_LATER = frozenset({429, 500, 502, 503, 504})
_DENIED = (
    "AccessDenied",
    "AccessDeniedException",
    "UnauthorizedOperation",
    "AuthorizationError",
    "KMSKeyNotAccessibleFault",
    "403",
)
_WHO_MAY_NOT = re.compile(
    r"User: \S*?(?P<who>assumed-role/[^/\s]+|user/\S+)\S* is not authorized to perform: (?P<action>[\w-]+:\w+)"
    r"(?: on resource: (?P<resource>\S+))?"
)


class Look(Enum):
    """What one look at a resource showed."""

    REACHED = "reached"
    PENDING = "pending"


@contextmanager
def aws_errors(doing: str) -> Iterator[None]:
    """Translate a botocore error raised while ``doing`` something into one of ``core.errors``.

    :param doing: the operation and its resource, for the message.
    :raises AuroraOpsError: always one of these in place of a botocore error.
    """
    try:
        yield
    except (boto.ConnectionError, boto.HTTPClientError) as exc:
        raise errors.TransientError(f"{doing}: {exc}") from exc
    except boto.ClientError as exc:
        error = exc.response.get("Error", {})
        raise _translated(exc.response, f"{doing}: {error.get('Code', '')}: {error.get('Message', '')}") from exc
    except boto.BotoCoreError as exc:
        raise errors.PermanentError(f"{doing}: {exc}") from exc


def _translated(response: Mapping[str, Any], message: str) -> errors.AuroraOpsError:
    code = str(response.get("Error", {}).get("Code", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if code in RETRIABLE_ERROR_CODES or code.startswith(("5", "Throttl")) or status in _LATER:
        return errors.TransientError(f"{message} (AWS asks to try again later)")
    if _MISSING.search(code):
        return errors.MissingError(message)
    if _BUSY.search(code):
        return errors.BusyError(f"{message} (retried until it is free)")
    if "QuotaExceeded" in code:
        return errors.TransientError(f"{message} (free something or raise the quota; retried)")
    if code in _DENIED:
        return errors.PermanentError(f"{message} ({_remedy(message)})")
    return errors.PermanentError(message)


def _remedy(message: str) -> str:
    """Say who lacks which permission on what, as far as AWS tells it, and what to do."""
    found = _WHO_MAY_NOT.search(message)
    if found is None:
        return "grant the connection's role this action; include/iam has the policies, docs/how-to/iam.md says how"
    who = found["who"].replace("assumed-role/", "role ")
    verb = "is denied" if "explicit deny" in message else "lacks"
    what = f"{found['action']} on {found['resource']}" if found["resource"] else found["action"]
    return f"{who} {verb} {what}; deploy its policy from include/iam again, docs/how-to/iam.md says how"


@lru_cache(maxsize=32)
def _shared_session(aws_conn_id: str, region_name: str | None) -> boto3.session.Session:
    """Assume a connection's role once a process, not once a hook; its credentials renew themselves."""
    return AwsGenericHook[Any](aws_conn_id=aws_conn_id, region_name=region_name, client_type="sts").get_session()


def _not_blindly(operation: Any, response: Any = None, caught_exception: Any = None, **_: Any) -> None:
    """Keep botocore from repeating a changing call whose answer was lost: whoever called looks first, on the next try.

    A repeated rename or delete would meet nothing by the old name, which AWS answers with not found, or, where the policy is
    bound to tags, with access denied.

    :raises TransientError: the connection broke after the request, or AWS failed inside.
    """
    if not auditing.changes(operation.name):
        return
    if isinstance(caught_exception, (boto.ConnectionClosedError, boto.ReadTimeoutError)):
        raise errors.TransientError(f"{operation.name}: the answer was lost: {caught_exception}")
    if response is not None and response[0].status_code in (500, 502, 504):
        raise errors.TransientError(f"{operation.name}: AWS failed inside (HTTP {response[0].status_code})")


class AwsHook(AwsGenericHook[Any]):
    """AWS API of one account and region.

    A subclass names its boto3 client in ``service``; it also names the file of our waiters. Its changing calls are written down
    where the process is recorded (``hooks.auditing``), unless it says that they are not ``audited``: those that keep our own books
    and announce change nothing that is anybody's.

    :param aws_conn_id: connection whose role is assumed; ``None``: whatever credentials boto3 finds, for a person's own commands.
    :param region_name: region, where it is not the connection's own.
    :param fresh: have a session of its own, for a process that outlives changes of connections (the triggerer).
    """

    service: ClassVar[str]
    waits_as: ClassVar[str | None] = None
    """By what name a trigger finds a hook that shares its client with another one (``hooks.registry``)."""
    audited: ClassVar[bool] = True

    def __init__(self, aws_conn_id: str | None, region_name: str | None = None, *, fresh: bool = False) -> None:
        super().__init__(aws_conn_id=aws_conn_id, region_name=region_name, client_type=self.service)
        self._fresh = fresh

    def get_session(self, region_name: str | None = None, deferrable: bool = False) -> boto3.session.Session:
        """Give the session of the connection, shared with the other hooks of this process."""
        if self._fresh or deferrable or self.aws_conn_id is None:
            return super().get_session(region_name, deferrable)
        return _shared_session(str(self.aws_conn_id), region_name or self.region_name)

    def get_client_type(self, *args: Any, **kwargs: Any) -> Any:
        """Give a client that does not repeat blindly what may have been done already."""
        client: Any = super().get_client_type(*args, **kwargs)
        client.meta.events.register_first("needs-retry", _not_blindly, unique_id="aurora-ops-not-blindly")
        if self.audited:
            auditing.watch(client, str(self.aws_conn_id), self.caller)
        return client

    @cached_property
    def waiter_path(self) -> Path | None:
        """File of our own waiters of this service; botocore's are found by the base class."""
        path = _WAITERS / f"{self.service}.json"
        return path if path.exists() else None

    def call(self, operation: str, /, **arguments: Any) -> dict[str, Any]:
        """Call an operation; arguments that are ``None`` are left out.

        :param operation: boto3 name, such as ``describe_db_clusters``.
        :raises AuroraOpsError: AWS refused or could not be reached.
        """
        given = {key: value for key, value in arguments.items() if value is not None}
        with aws_errors(f"{self.service}:{operation} {_subject(given)}".rstrip()):
            return dict(getattr(self.conn, operation)(**given))

    def pages(self, operation: str, key: str, /, **arguments: Any) -> list[dict[str, Any]]:
        """Call a list operation to its last page and join the items under ``key``.

        :param operation: boto3 name of an operation that botocore can page.
        :param key: where the items are in each page.
        :raises AuroraOpsError: AWS refused or could not be reached.
        """
        given = {name: value for name, value in arguments.items() if value is not None}
        with aws_errors(f"{self.service}:{operation} {_subject(given)}".rstrip()):
            return [item for page in self.conn.get_paginator(operation).paginate(**given) for item in page[key]]

    def look(self, until: Wait) -> Look:
        """Look once whether a wait has reached its goal.

        :param until: what is waited for.
        :return: reached, or pending; throttling and lost connections are pending too.
        :raises WaitFailedError: a terminal state other than the goal was reached.
        :raises PermanentError: AWS refused the call for another reason.
        """
        try:
            with aws_errors(f"{until.waiter} {_subject(until.args)}"):  # making the client may assume the role anew
                waiter = self.get_waiter(until.waiter, parameters=until.parameters or None)
                try:
                    waiter.wait(**until.args, WaiterConfig={"Delay": 0, "MaxAttempts": 1})
                except boto.WaiterError as exc:
                    return self._unreached(until, exc)
        except errors.TransientError as exc:
            self.log.warning("%s; looking again", exc)
            return Look.PENDING
        return Look.REACHED

    def shown(self, until: Wait, response: Any) -> Any:
        """Say for the log what a look has seen: what the wait wants shown of AWS's answer."""
        return jmespath.search(until.show, response)

    def _unreached(self, until: Wait, exc: boto.WaiterError) -> Look:
        """Tell a goal not yet reached (botocore: attempts used up) from a terminal state and from a refused call."""
        if "terminal failure" in str(exc):
            raise errors.WaitFailedError(f"{until.waiter} {_subject(until.args)}: {exc}") from exc
        if "Max attempts exceeded" in str(exc):
            self.log.info("%s: %s", until.waiter, self.shown(until, exc.last_response))
            return Look.PENDING
        last = exc.last_response if isinstance(exc.last_response, dict) else {}
        translated = _translated(last, f"{until.waiter} {_subject(until.args)}: {exc}")
        if isinstance(translated, errors.TransientError):
            return Look.PENDING
        raise translated from exc

    def caller(self) -> tuple[str, str]:
        """Tell account and ARN behind the connection (``sts:GetCallerIdentity``, which needs no permission).

        :raises AuroraOpsError: AWS could not be reached, or the role could not be assumed.
        """
        with aws_errors(f"sts:get_caller_identity through {self.aws_conn_id}"):
            found = self.get_session(region_name=self.region_name).client("sts").get_caller_identity()
        return str(found["Account"]), str(found["Arn"])

    def require_account(self, account_id: str) -> None:
        """Make sure that the connection leads where the settings say.

        A connection that Airflow cannot find silently becomes the worker's own credentials, so the account behind it is
        asked for.

        :param account_id: the account expected.
        :raises ConfigError: it leads elsewhere.
        """
        found, _ = self.caller()
        if found != account_id:
            raise errors.ConfigError(
                f"connection {self.aws_conn_id}",
                found,
                f"it must lead to account {account_id}: create the connection, or correct its role_arn",
            )


def _subject(arguments: Mapping[str, Any]) -> str:
    """Name the resources of a call, never a secret: identifiers, ARNs and names only."""
    shown = [
        str(value)
        for key, value in arguments.items()
        if isinstance(value, str) and re.search(r"(Identifier|Arn|Id|Name|Bucket|Key)$", key) and "Kms" not in key
    ]
    return " ".join(shown)
