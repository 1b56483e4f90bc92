"""SQS with the policies of queues: they decide who else may use one, and no other attribute resets them as in moto."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from moto.core.exceptions import ServiceException
from moto.sqs import urls
from moto.sqs.models import Queue, SQSBackend, sqs_backends
from moto.sqs.responses import SQSResponse

from localcloud import policy
from localcloud.policy import Decision

if TYPE_CHECKING:
    from localcloud.cloud import Cloud
    from localcloud.policy import Values


class QueueAccessDenied(ServiceException):
    """Neither the queue is the caller's, nor does its policy let the caller do it; or the policy denies it."""

    code = "AccessDenied"

    def __init__(self, arn: str) -> None:
        super().__init__(f"Access to the resource {arn} is denied.")


QueueAccessDenied.__module__ = "moto.sqs.exceptions"
_set_attributes = Queue._set_attributes  # noqa: SLF001 - moto has no other place for it


def install(cloud: Cloud) -> None:
    """Answer SQS calls with policies applied."""
    Response.cloud = cloud
    dispatch = Response().dispatch
    for path in urls.url_paths:
        urls.url_paths[path] = dispatch
    Queue._set_attributes = set_attributes  # type: ignore[method-assign]  # noqa: SLF001


def set_attributes(self: Queue, attributes: dict[str, Any], now: float | None = None) -> None:
    """Set attributes of a queue; those that are not named stay, its policy too."""
    if "Policy" not in attributes and hasattr(self, "_policy_json"):
        attributes = {**attributes, "Policy": self.policy}
    _set_attributes(self, attributes, now)


class Response(SQSResponse):
    """SQS. A queue of another account is reached by its URL, if its policy allows."""

    cloud: ClassVar[Cloud]

    @property
    def sqs_backend(self) -> SQSBackend:
        """Queues of the account that the call is about."""
        url = str(self._get_param("QueueUrl") or "")
        named = url.split("/")[-2:-1] if url.startswith("http") else [self._get_param("QueueOwnerAWSAccountId") or ""]
        account = named[0] if named and named[0].isdigit() else self.current_account
        backend: SQSBackend = sqs_backends[account][self.region]
        name = url.rpartition("/")[2] or str(self._get_param("QueueName") or "")
        queue = backend.queues.get(name)
        if queue is not None:
            self._check(queue)
        elif account != self.current_account:
            raise QueueAccessDenied(f"arn:aws:sqs:{self.region}:{account}:{name}")
        return backend

    def _determine_resource(self) -> str:
        """Tell moto's own judgement, which is off, nothing: it asks before errors are answered."""
        return "*"

    def _check(self, queue: Queue) -> None:
        caller = self.cloud.caller
        action = f"sqs:{self._get_action()}".removesuffix("Batch")
        context: dict[str, Values] = {
            "aws:PrincipalArn": caller.principal_arn,
            "aws:PrincipalAccount": caller.account,
            "aws:SecureTransport": "true",
        }
        asked = policy.Request(
            action, caller.account, caller.principal_arn, context=context, resource=str(queue.queue_arn)
        )
        decision = decide(queue, asked)
        own = queue.account_id == caller.account
        if decision is Decision.DENIED or (not own and decision is not Decision.ALLOWED):
            raise QueueAccessDenied(str(queue.queue_arn))


def decide(queue: Queue, asked: policy.Request) -> Decision:
    """Decide by a queue's policy; one without has allowed nothing."""
    document = queue.policy
    return policy.decide_by_resource(document, asked) if document else Decision.NOT_ALLOWED


def find_queue(arn: str) -> Queue | None:
    """Queue by ARN, in any account."""
    parts = arn.split(":")
    if len(parts) != 6 or parts[2] != "sqs" or parts[4] not in sqs_backends:
        return None
    return sqs_backends[parts[4]][parts[3]].queues.get(parts[5])
