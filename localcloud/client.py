"""boto3 clients for localcloud: through AssumeRole as workflows work, or as root for seed and tests."""

from __future__ import annotations

import json
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import boto3
from botocore.config import Config

from localcloud import names
from localcloud.config import CloudConfig


class NotRunningError(RuntimeError):
    """localcloud does not run."""


class AdminError(RuntimeError):
    """An admin operation was refused."""


# No retries by default: against one machine they only hide errors.
CLIENT_CONFIG = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=120)  # type: ignore[no-untyped-call]


def make_client(
    config: CloudConfig, service: str, access_key_id: str, secret_access_key: str, token: str | None = None
) -> Any:
    """Make a boto3 client with explicit credentials; reads no profile and no environment credentials."""
    session = boto3.session.Session(  # type: ignore[no-untyped-call]
        aws_access_key_id=access_key_id,
        aws_secret_access_key=secret_access_key,
        aws_session_token=token,
        region_name=config.region,
    )
    return session.client(service, endpoint_url=config.endpoint, config=CLIENT_CONFIG)  # type: ignore[no-untyped-call]


def admin_client(account: str, service: str, config: CloudConfig | None = None) -> Any:
    """Make a boto3 client as the root of an account, with the bootstrap credentials of the running server.

    :raises NotRunningError: the server never ran in this home.
    """
    config = config or CloudConfig.from_env()
    keys = _bootstrap(config)[account]
    return make_client(config, service, keys["access_key_id"], keys["secret_access_key"])


def admin_operation(name: str, config: CloudConfig | None = None, **parameters: Any) -> dict[str, Any]:
    """Make something happen that in AWS happens without a call; see :meth:`localcloud.cloud.Cloud.on_admin`.

    :raises AdminError: the server refused, with its message.
    """
    config = config or CloudConfig.from_env()
    request = Request(  # noqa: S310 - http on loopback
        f"{config.endpoint}/localcloud/admin/{name}",
        data=json.dumps(parameters).encode(),
        headers={"X-Localcloud-Secret": next(iter(_bootstrap(config).values()))["secret_access_key"]},
    )
    try:
        with urlopen(request, timeout=120) as answer:  # noqa: S310 - http on loopback
            result: dict[str, Any] = json.load(answer)
    except HTTPError as error:
        raise AdminError(f"{name}: {json.load(error)['message']}") from None
    return result


def _bootstrap(config: CloudConfig) -> dict[str, dict[str, str]]:
    try:
        keys: dict[str, dict[str, str]] = json.loads(config.credentials_file.read_text())
    except FileNotFoundError:
        raise NotRunningError(f"localcloud does not run in {config.home}; run python -m localcloud up") from None
    return keys


def user_client(service: str, config: CloudConfig | None = None) -> Any:
    """Make a boto3 client of the IAM user ``airflow`` in shared services."""
    config = config or CloudConfig.from_env()
    return make_client(config, service, names.AIRFLOW_ACCESS_KEY_ID, names.AIRFLOW_SECRET_ACCESS_KEY)


def role_client(account: str, service: str, config: CloudConfig | None = None) -> Any:
    """Make a boto3 client in an account through AssumeRole from the user ``airflow``, as workflows work.

    :raises botocore.exceptions.ClientError: AccessDenied, if the account is not seeded.
    """
    config = config or CloudConfig.from_env()
    credentials = user_client("sts", config).assume_role(
        RoleArn=names.role_arn(account), RoleSessionName="localcloud", ExternalId=names.EXTERNAL_ID
    )["Credentials"]
    return make_client(
        config, service, credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"]
    )
