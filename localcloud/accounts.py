"""Who an access key belongs to, and which roles and users there are."""

from __future__ import annotations

import json
import os
import secrets
import string
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moto.iam.models import AccessKey, Role, iam_backends

from localcloud import policy
from localcloud.cloud import Caller
from localcloud.names import (
    ACCOUNT_NAMES,
    AIRFLOW_ACCESS_KEY_ID,
    AIRFLOW_SECRET_ACCESS_KEY,
    AIRFLOW_USER,
    SHARED,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True)
class Session:
    """Credentials that AssumeRole gave out.

    :param expires: seconds since the epoch.
    """

    caller: Caller
    token: str
    user_id: str
    expires: float


class UnknownCredentialsError(Exception):
    """No such access key, or the session token is not the one that belongs to it."""


class ExpiredCredentialsError(Exception):
    """The session is over."""


class Identities:
    """Who is who. Thread-safe.

    :param clock: seconds since the epoch; replaced in tests of expiry.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}
        self._bootstrap: dict[str, str] = {}
        self._bootstrap_secrets: set[str] = set()
        self._bootstrap_content: dict[str, dict[str, str]] = {}

    def write_bootstrap(self, path: Path) -> None:
        """Make root credentials for every account, and write them where only the owner of this process can read.

        After a restart with the state they are those of before. Somebody must create the first role of an account.
        Seeding and tests use them, workflows never do.
        """
        alphabet = string.ascii_uppercase + string.digits
        content = self._bootstrap_content
        for account in ACCOUNT_NAMES if not content else ():
            key_id = "AKIABOOT" + "".join(secrets.choice(alphabet) for _ in range(12))
            self._bootstrap[key_id] = account
            secret = secrets.token_urlsafe(30)
            self._bootstrap_secrets.add(secret)
            content[account] = {"access_key_id": key_id, "secret_access_key": secret}
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(content, file)

    def dump(self) -> dict[str, Any]:
        """Return everything to come back to after a restart."""
        with self._lock:
            return {
                "sessions": dict(self._sessions),
                "bootstrap": self._bootstrap,
                "secrets": self._bootstrap_secrets,
                "content": self._bootstrap_content,
            }

    def load(self, state: dict[str, Any]) -> None:
        """Go back to what :meth:`dump` gave."""
        with self._lock:
            self._sessions, self._bootstrap = state["sessions"], state["bootstrap"]
            self._bootstrap_secrets, self._bootstrap_content = state["secrets"], state["content"]

    def is_bootstrap_secret(self, secret: str) -> bool:
        """Whether this is the secret key of bootstrap credentials."""
        return any(secrets.compare_digest(secret.encode(), known.encode()) for known in self._bootstrap_secrets)

    @staticmethod
    def create_airflow_user() -> None:
        """Create the IAM user with its fixed access key; through IAM's API the key id could not be chosen."""
        backend = iam_backends[SHARED]["aws"]
        backend.create_user("us-east-1", AIRFLOW_USER)
        key: AccessKey = backend.create_access_key(AIRFLOW_USER)
        del backend.access_keys[key.access_key_id]
        key.access_key_id, key.secret_access_key = AIRFLOW_ACCESS_KEY_ID, AIRFLOW_SECRET_ACCESS_KEY
        backend.access_keys[key.access_key_id] = key

    def add_session(self, access_key_id: str, session: Session) -> None:
        """Remember a session that AssumeRole gave out, and forget those that ended over an hour ago."""
        with self._lock:
            limit = self._clock() - 3600
            self._sessions = {key: known for key, known in self._sessions.items() if known.expires > limit}
            self._sessions[access_key_id] = session

    def session(self, access_key_id: str) -> Session | None:
        """Session of an access key, ended or not."""
        with self._lock:
            return self._sessions.get(access_key_id)

    def caller(self, access_key_id: str, token: str | None) -> Caller:
        """Who signed with this access key.

        :param token: X-Amz-Security-Token, None if there was none.
        :raises UnknownCredentialsError: unknown or inactive key, wrong, missing or superfluous token.
        :raises ExpiredCredentialsError: session over.
        """
        session = self.session(access_key_id)
        if session:
            if token != session.token:
                raise UnknownCredentialsError(access_key_id)
            if session.expires <= self._clock():
                raise ExpiredCredentialsError(access_key_id)
            return session.caller
        if token:
            raise UnknownCredentialsError(access_key_id)
        account = self._bootstrap.get(access_key_id)
        if account:
            root = f"arn:aws:iam::{account}:root"
            return Caller(account, root, root)
        for account, backends in list(iam_backends.items()):
            key = backends["aws"].access_keys.get(access_key_id)
            if key and key.user_name and key.status == "Active":
                arn = backends["aws"].get_user(key.user_name).arn
                return Caller(account, arn, arn)
        raise UnknownCredentialsError(access_key_id)


def find_role(arn: str) -> Role | None:
    """Find the role with this ARN in any account, None if there is none."""
    parts = arn.split(":")
    if len(parts) != 6 or parts[2] != "iam" or parts[4] not in iam_backends:
        return None
    return next((role for role in iam_backends[parts[4]]["aws"].roles.values() if role.arn == arn), None)


def principal_exists(arn: str) -> bool:
    """Whether an IAM role or user exists, or an account root is well formed (accounts are not checked)."""
    if policy.ACCOUNT_ROOT.match(arn):
        return True
    account = (arn.split(":") + [""] * 5)[4]
    if account not in iam_backends:
        return False
    return find_role(arn) is not None or any(user.arn == arn for user in iam_backends[account]["aws"].users.values())


def role_trusts_service(arn: str, service: str, account: str | None = None) -> bool:
    """Whether a role exists and its trust policy lets an AWS service assume it.

    :param service: such as ``rds.amazonaws.com``.
    :param account: account that it asks for, where the service says so (``aws:SourceAccount``).
    """
    role = find_role(arn)
    context = {"aws:SourceAccount": account} if account else {}
    return role is not None and policy.allows(
        role.assume_role_policy_document, policy.Request("sts:AssumeRole", service=service, context=context)
    )
