"""STS with its rules: AssumeRole only into a role that exists and trusts the caller, and sessions that end."""

from __future__ import annotations

import re
from datetime import UTC
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar

import moto.sts.urls
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.iam.models import iam_backends
from moto.sts.responses import TokenResponse

from localcloud import policy
from localcloud.accounts import Session, find_role
from localcloud.cloud import Caller
from localcloud.errors import error_body

if TYPE_CHECKING:
    from moto.core.common_types import TYPE_RESPONSE
    from moto.iam.models import Role

    from localcloud.cloud import Cloud

SHORTEST_SESSION_S = 900
LONGEST_CHAINED_SESSION_S = 3600
SESSION_NAME = re.compile(r"^[\w+=,.@-]{2,64}$")


class AccessDeniedError(Exception):
    """The caller may not assume the role; AWS does not say whether it exists."""

    def __init__(self, caller: Caller, role_arn: str) -> None:
        super().__init__(f"User: {caller.arn} is not authorized to perform: sts:AssumeRole on resource: {role_arn}")


class ValidationError(ServiceException):
    """A parameter is out of bounds."""

    __module__ = "moto.sts.exceptions"
    code = "ValidationError"


def install(cloud: Cloud) -> None:
    """Replace moto's answers of STS."""
    Response.cloud = cloud
    moto.sts.urls.url_paths["{0}/$"] = Response.dispatch


class Response(TokenResponse):
    """STS for callers that the guard has identified."""

    cloud: ClassVar[Cloud]

    def call_action(self) -> TYPE_RESPONSE:
        """Answer 403 where access is denied; moto's serializer answers 400 to every code botocore does not know."""
        try:
            return super().call_action()
        except AccessDeniedError as error:
            content_type, body = error_body("query", "AccessDenied", str(error))
            return HTTPStatus.FORBIDDEN, {"Content-Type": content_type}, body.decode()

    def assume_role(self) -> ActionResult:
        """https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html."""
        caller = self.cloud.caller
        arn = self._get_param("RoleArn")
        name = self._get_param("RoleSessionName") or ""
        if not SESSION_NAME.match(name):
            raise ValidationError(
                f"1 validation error detected: Value '{name}' at 'roleSessionName' failed to satisfy constraint:"
                r" Member must satisfy regular expression pattern: [\w+=,.@-]{2,64}"
            )
        role = find_role(arn)
        if role is None or not trusts(role, caller, self._get_param("ExternalId")):
            raise AccessDeniedError(caller, arn)
        check_duration(self._get_int_param("DurationSeconds", 3600), role, caller)
        result = super().assume_role()
        granted: Any = result.result
        session = granted["Credentials"]
        self.cloud.identities.add_session(
            session.access_key_id,
            Session(
                caller=Caller(session.account_id, session.arn, arn),
                token=session.session_token,
                user_id=session.user_id,
                # moto keeps UTC without a time zone
                expires=session.expiration.replace(tzinfo=UTC).timestamp(),
            ),
        )
        return result

    def get_caller_identity(self) -> ActionResult:
        """https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html."""
        caller = self.cloud.caller
        session = self.cloud.identities.session(self.get_access_key())
        if session:
            user_id = session.user_id
        elif ":user/" in caller.arn:
            user_id = iam_backends[caller.account]["aws"].get_user(caller.arn.rpartition("/")[2]).id
        else:
            user_id = caller.account
        return ActionResult({"UserId": user_id, "Account": caller.account, "Arn": caller.arn})

    def get_session_token(self) -> ActionResult:
        """Not offered: moto would give out credentials that belong to nobody."""
        raise NotImplementedError("GetSessionToken is not implemented by localcloud; use AssumeRole")

    def get_federation_token(self) -> ActionResult:
        """Not offered, see :meth:`get_session_token`."""
        raise NotImplementedError("GetFederationToken is not implemented by localcloud; use AssumeRole")


def trusts(role: Role, caller: Caller, external_id: str | None) -> bool:
    """Whether the trust policy of a role lets the caller assume it."""
    context = {"aws:PrincipalArn": caller.principal_arn, "aws:PrincipalAccount": caller.account}
    if external_id is not None:
        context["sts:ExternalId"] = external_id
    return policy.allows(
        role.assume_role_policy_document,
        policy.Request("sts:AssumeRole", caller.account, caller.principal_arn, context=context),
    )


def check_duration(duration_s: int, role: Role, caller: Caller) -> None:
    """Refuse a session that is shorter or longer than AWS allows.

    :raises ValidationError: below 900 s, above the role's maximum, or above an hour for a role assumed by a role.
    """
    longest = int(role.max_session_duration or 3600)
    if duration_s < SHORTEST_SESSION_S:
        raise ValidationError(
            f"1 validation error detected: Value '{duration_s}' at 'durationSeconds' failed to satisfy constraint:"
            f" Member must have value greater than or equal to {SHORTEST_SESSION_S}"
        )
    if duration_s > longest:
        raise ValidationError("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
    if ":assumed-role/" in caller.arn and duration_s > LONGEST_CHAINED_SESSION_S:
        raise ValidationError(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
        )
