"""What a request asks: service, operation and parameters in every protocol of AWS, never a secret."""

from __future__ import annotations

import gzip
import json
import logging
import re
import zlib
from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote
from xml.sax.saxutils import unescape

from moto.core.request import Request
from moto.core.routing import get_service_router
from werkzeug.exceptions import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable

log = logging.getLogger(__name__)

REDACTED = "***"
LARGEST_BODY = 4 * 1024 * 1024
LONGEST_VALUE = 300
MOST_ITEMS = 50

# Names of fields whose content may be secret. Identifiers and switches that merely contain such a word are let through.
SECRET_NAME = re.compile(
    r"passw|secret|token|credential|plaintext|ciphertext|privatekey|payload|message|signature|authorization|externalid",
    re.IGNORECASE,
)
HARMLESS_NAME = re.compile(
    r"(^SecretId|^SecretIdList|^ManageMasterUserPassword|^RotateMasterUserPassword|SecretKmsKeyId|MessageAttributeNames"
    r"|MaxNumberOfMessages)(\.|$)"
)
# Content of the request rather than its description: nobody needs a table's item to know what was done.
CONTENT_NAME = re.compile(
    r"^(Value|Item|ExpressionAttributeValues|RequestItems|TransactItems|UserData|Environment|Body)(\.|$)"
)
# The ExternalId of a trust policy, which is a text among the parameters.
TRUSTED_WITH = re.compile(r'(ExternalId"\s*:\s*\[?\s*")[^"]*')
OBJECT_KEY = re.compile(r"<Key>([^<]*)</Key>")
# The one call of RDS by path; it has an action for policies, but no model.
LOG_FILE_PATH, LOG_FILE_ACTION = "/v13/downloadCompleteLogFile/", "DownloadCompleteDBLogFile"
# What S3 is told in headers.
HEADERS = {
    "HTTP_X_AMZ_OBJECT_LOCK_MODE": "ObjectLockMode",
    "HTTP_X_AMZ_SERVER_SIDE_ENCRYPTION": "ServerSideEncryption",
    "HTTP_X_AMZ_SERVER_SIDE_ENCRYPTION_AWS_KMS_KEY_ID": "SSEKMSKeyId",
    "HTTP_X_AMZ_COPY_SOURCE": "CopySource",
}
PRESIGNING = {"AWSAccessKeyId", "Signature", "Expires"}
SERVICE_BY_SIGNING_NAME = {
    "elasticfilesystem": "efs",
    "monitoring": "cloudwatch",
    "email": "ses",
    "awslambda": "lambda",
    "tagging": "resourcegroupstaggingapi",
}


def read_request(environ: dict[str, Any], signing_name: str) -> tuple[str, str, dict[str, Any]]:
    """Service, operation and parameters of a request, as sent: to be redacted before anybody sees them.

    Its body can be read again afterwards.

    :param signing_name: service name in the credential scope.
    """
    service = SERVICE_BY_SIGNING_NAME.get(signing_name, signing_name)
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
    if target:
        if target.startswith("DynamoDBStreams"):
            service = "dynamodbstreams"
        return service, target.rpartition(".")[2], _json(_body(environ))
    if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded") and service != "s3":
        form = dict(parse_qsl(_body(environ).decode("utf-8", "replace"), keep_blank_values=True))
        if "Action" in form:
            return service, form.pop("Action"), {k: v for k, v in form.items() if k != "Version"}
    if "Action" in query and service != "s3":
        return service, query.pop("Action"), {k: v for k, v in query.items() if k != "Version"}
    return _rest_request(environ, service, query)


def _rest_request(environ: dict[str, Any], service: str, query: dict[str, str]) -> tuple[str, str, dict[str, Any]]:
    parameters: dict[str, Any] = {
        name: value for name, value in query.items() if not name.lower().startswith("x-amz-") and name not in PRESIGNING
    }
    path = environ.get("PATH_INFO", "")
    if service == "rds" and path.startswith(LOG_FILE_PATH):
        return service, LOG_FILE_ACTION, {**parameters, **log_file_asked_for(path)}
    router = _router(service)
    action = "Unknown"
    if router is not None:
        try:
            operation, path_parameters = router.match(Request(environ))
        except NotFound:
            pass
        else:
            action = str(operation.name)
            parameters |= path_parameters
    if service != "s3" and "json" in environ.get("CONTENT_TYPE", "application/json"):
        parameters |= _json(_body(environ))
    parameters |= {name: unquote(environ[header]) for header, name in HEADERS.items() if environ.get(header)}
    if action == "DeleteObjects":
        parameters["Keys"] = [unescape(key) for key in OBJECT_KEY.findall(_body(environ).decode("utf-8", "replace"))]
    return service, action, parameters


def log_file_asked_for(path: str) -> dict[str, str]:
    """Parameters of a call for a whole log file, whose path has them; the server has decoded it."""
    instance, _, name = path.removeprefix(LOG_FILE_PATH).partition("/")
    return {"DBInstanceIdentifier": instance, "LogFileName": name}


@lru_cache(maxsize=64)
def _router(service: str) -> Any:
    try:
        return get_service_router(service)
    except (NotImplementedError, FileNotFoundError, ValueError):
        log.debug("no REST operations known for %s", service)
        return None


def _body(environ: dict[str, Any]) -> bytes:
    """Body of the request, put back for the next reader; empty if it is too large to be a description of a call."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if not 0 < length <= LARGEST_BODY:
        return b""
    body: bytes = environ["wsgi.input"].read(length)
    environ["wsgi.input"] = BytesIO(body)
    if environ.get("HTTP_CONTENT_ENCODING") == "gzip":  # long calls of CloudWatch
        try:
            return gzip.decompress(body)
        except (OSError, EOFError, zlib.error):
            return b""
    return body


def _json(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body or b"{}")
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def redact(parameters: dict[str, Any]) -> dict[str, Any]:
    """Parameters without secrets and without content; long values are cut, long lists too."""
    return {
        name: REDACTED if CONTENT_NAME.match(name) or _is_secret(name) else _shorten(value)
        for name, value in _first(parameters.items())
    }


def _is_secret(name: str) -> bool:
    return bool(SECRET_NAME.search(name)) and not HARMLESS_NAME.search(name)


def _shorten(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: REDACTED if _is_secret(k) else _shorten(v) for k, v in _first(value.items())}
    if isinstance(value, list):
        return [_shorten(item) for item in value[:MOST_ITEMS]]
    if not isinstance(value, str):
        return value
    value = TRUSTED_WITH.sub(rf"\g<1>{REDACTED}", value)
    return value[:LONGEST_VALUE] + "..." if len(value) > LONGEST_VALUE else value


def _first(items: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    return list(items)[:MOST_ITEMS]
