"""The door of localcloud: credentials are checked, each service answers one call at a time, every call is recorded.

Signatures are not checked: a wrong secret key with a right access key id is accepted.
"""

from __future__ import annotations

import json
import logging
import re
import time
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from moto.core.exceptions import ServiceException

from localcloud.accounts import ExpiredCredentialsError, UnknownCredentialsError
from localcloud.errors import error_body
from localcloud.fault_effects import Asked, DroppedError, break_off, struck
from localcloud.recorder import Call, is_mutating
from localcloud.request import LOG_FILE_ACTION, read_request, redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

    from localcloud.cloud import Caller, Cloud
    from localcloud.faults import Strike
    from localcloud.iam.access import Refusal

    StartResponse = Callable[..., Any]
    WsgiApp = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]

log = logging.getLogger(__name__)

ADMIN_PATH = "/localcloud/admin/"
FAULTS_PATH = "/localcloud/faults"
SCOPE = re.compile(r"Credential=([^/,\s]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")
# Services that wait or stream in a call, or are safe without: one lock around them would block everybody else.
UNLOCKED = {"s3", "lambda", "states"}
UNLOCKED_ACTIONS = {"ReceiveMessage", "DescribeDBLogFiles", "DownloadDBLogFilePortion", LOG_FILE_ACTION}
ERROR_CODE = re.compile(rb"<Code>([^<]+)</Code>")


class Guard:
    """WSGI application in front of moto.

    :param app: moto.
    :param cloud: the running localcloud.
    :param status: answers GET /localcloud/health.
    """

    def __init__(self, app: WsgiApp, cloud: Cloud, status: Callable[[], dict[str, Any]]) -> None:
        self._app = app
        self._cloud = cloud
        self._status = status

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        path = environ.get("PATH_INFO", "")
        if path.startswith("/localcloud/"):
            return self._own(path, environ, start_response)
        if path.startswith("/moto-api"):
            return _json_answer(
                start_response, 404, {"message": "moto's own API is closed; see python -m localcloud --help"}
            )
        return self._aws(environ, start_response)

    def _own(self, path: str, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if path == "/localcloud/health":
            return _json_answer(start_response, 200, self._status())
        if path == "/localcloud/calls":
            query = parse_qs(environ.get("QUERY_STRING", ""))
            try:
                since = float(query.get("since", ["0"])[0])
            except ValueError:
                return _json_answer(start_response, 400, {"message": "since is a number of seconds since the epoch"})
            mutating = query.get("mutating", ["0"])[0] not in {"0", "", "false"}
            return _json_answer(start_response, 200, self._cloud.recorder.calls(since=since, mutating=mutating))
        if path.startswith(ADMIN_PATH) and environ["REQUEST_METHOD"] == "POST":
            return self._admin(path.removeprefix(ADMIN_PATH), environ, start_response)
        if path == FAULTS_PATH or path.startswith(FAULTS_PATH + "/"):
            return self._faults(path.removeprefix(FAULTS_PATH).strip("/"), environ, start_response)
        return _json_answer(start_response, 404, {"message": f"there is no {path}; see localcloud/README.md"})

    def _faults(self, rule: str, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """POST adds a rule, GET lists them, DELETE removes all or the one whose id the path ends in."""
        method = environ["REQUEST_METHOD"]
        if method == "DELETE" and rule:
            return self._admin(
                "faults-remove", environ, start_response, {"rule": int(rule) if rule.isdigit() else rule}
            )
        name = {"POST": "faults-add", "GET": "faults-list", "DELETE": "faults-clear"}.get(method)
        if name is None or rule:
            message = (
                f"{method} {environ['PATH_INFO']}: POST, GET or DELETE {FAULTS_PATH}, or DELETE {FAULTS_PATH}/<id>"
            )
            return _json_answer(start_response, 404, {"message": message})
        return self._admin(name, environ, start_response)

    def _admin(
        self,
        name: str,
        environ: dict[str, Any],
        start_response: StartResponse,
        parameters: dict[str, Any] | None = None,
    ) -> Iterable[bytes]:
        if not self._cloud.identities.is_bootstrap_secret(environ.get("HTTP_X_LOCALCLOUD_SECRET", "")):
            return _json_answer(start_response, 403, {"message": "this needs the secret in bootstrap.json"})
        try:
            if parameters is None:
                parameters = json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)) or b"{}")
            return _json_answer(start_response, 200, self._cloud.admin(name, parameters))
        except (ValueError, LookupError, ServiceException) as error:
            return _json_answer(start_response, 400, {"message": str(error)})

    def _aws(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        began, ticks = time.time(), time.perf_counter()
        key_id, region, signing_name, token = _signature(environ)
        service, action, given = read_request(environ, signing_name)
        parameters = redact(given)
        answer = _Answer(start_response)
        caller: Caller | None = None
        strike: Strike | None = None
        dropped: DroppedError | None = None
        try:
            caller = self._cloud.identities.caller(key_id, token)
        except UnknownCredentialsError:
            body: Iterable[bytes] = refuse(environ, answer, service, "unknown" if key_id else "missing")
        except ExpiredCredentialsError:
            body = refuse(environ, answer, service, "expired")
        else:
            # moto takes the account from this header; what the client sent under this name is overwritten.
            environ["HTTP_X_MOTO_ACCOUNT_ID"] = caller.account
            strike = self._cloud.faults.strike(caller.account, service, action, parameters)
            refusal = self._judge(caller, region, service, action, given, environ)
            call = partial(self._call, environ, answer, service, action, caller, refusal)
            try:
                if strike is None:
                    body = call()
                else:
                    asked = Asked(caller.account, region, service, action, parameters)
                    refuse_call = partial(_error, environ, answer, service)
                    body = struck(strike, asked, self._cloud, call, refuse_call)
            except NotImplementedError as lack:
                body = _error(environ, answer, service, 501, "NotImplemented", str(lack))
            except DroppedError as drop:
                body, dropped = [], drop
        try:
            status, error, body = answer.outcome(body)
        except DroppedError as drop:  # within the answer that tells an error
            status, body, dropped = answer.status, [], drop
        if dropped:
            error = "ConnectionClosed"
        self._cloud.recorder.add(
            Call(
                time=began,
                duration_s=round(time.perf_counter() - ticks, 6),
                account=caller.account if caller else None,
                region=region,
                service=service,
                action=action,
                mutating=is_mutating(action),
                caller=caller.arn if caller else None,
                parameters=parameters,
                status=status,
                error=error,
                fault=strike.number if strike else None,
            )
        )
        if dropped:
            break_off(environ)
            raise dropped
        return body

    def _judge(
        self, caller: Caller, region: str, service: str, action: str, given: dict[str, Any], environ: dict[str, Any]
    ) -> Refusal | None:
        """Ask the identity policies of the caller, if they are enforced."""
        access = self._cloud.access
        if access is None:
            return None
        return access.check(caller, region, service, action, given, protocol_of(environ, service))

    def _call(
        self,
        environ: dict[str, Any],
        answer: _Answer,
        service: str,
        action: str,
        caller: Caller,
        refusal: Refusal | None,
    ) -> Iterable[bytes]:
        if refusal is not None:
            return _error(environ, answer, service, refusal.status, refusal.code, refusal.message)
        with self._lock(service, action), self._cloud.calling(caller):
            body = self._app(environ, answer)
            if answer.is_success:
                self._cloud.store.called(service, action)
            return body

    def _lock(self, service: str, action: str) -> AbstractContextManager[Any]:
        if service in UNLOCKED or action in UNLOCKED_ACTIONS:
            return nullcontext()
        return self._cloud.lock(service)


def _signature(environ: dict[str, Any]) -> tuple[str, str, str, str | None]:
    """Access key id, region, signing name and session token, from the header or a presigned URL; empty if unsigned."""
    match = SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    token = environ.get("HTTP_X_AMZ_SECURITY_TOKEN")
    if not match:
        query = parse_qs(environ.get("QUERY_STRING", ""))
        if "AWSAccessKeyId" in query:  # S3's old way of presigning, which boto3 still uses for some endpoints
            return query["AWSAccessKeyId"][0], "", "s3", query.get("x-amz-security-token", [None])[0]
        match = SCOPE.search(f"Credential={query.get('X-Amz-Credential', [''])[0]}")
        token = query.get("X-Amz-Security-Token", [None])[0]
    return (match[1], match[2], match[3], token) if match else ("", "", "s3", None)


class _Answer:
    """Keeps status and headers of an answer, to record them."""

    def __init__(self, start_response: StartResponse) -> None:
        self._start_response = start_response
        self._status = 0
        self._headers: dict[str, str] = {}

    def __call__(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        self._status = int(status.split()[0])
        self._headers = {name.lower(): value for name, value in headers}
        return self._start_response(status, headers, exc_info)

    @property
    def status(self) -> int:
        """HTTP status."""
        return self._status

    @property
    def is_success(self) -> bool:
        """Whether the answer is none of an error."""
        return 0 < self._status < 400

    def outcome(self, body: Iterable[bytes]) -> tuple[int, str | None, Iterable[bytes]]:
        """HTTP status, error code and the body, which is read only if it tells an error."""
        if self._status < 400:
            return self._status, None, body
        content = b"".join(body)
        return self._status, self._error(content), [content]

    def _error(self, content: bytes) -> str:
        header = self._headers.get("x-amzn-errortype")
        if header:
            return header.split(":")[0].rpartition("#")[2]
        match = ERROR_CODE.search(content)
        if match:
            return match.group(1).decode()
        try:
            kind = json.loads(content or b"{}").get("__type")
        except (ValueError, AttributeError):
            kind = None
        return str(kind).rpartition("#")[2] if kind else str(self._status)


# What AWS answers to credentials it does not accept, by protocol: (status, code, message).
_TOKEN_INVALID = "The security token included in the request is invalid."  # noqa: S105 - a message
_TOKEN_EXPIRED = "The security token included in the request is expired"  # noqa: S105 - a message
REFUSALS: dict[str, dict[str, tuple[int, str, str]]] = {
    "query": {
        "unknown": (403, "InvalidClientTokenId", _TOKEN_INVALID),
        "expired": (403, "ExpiredToken", _TOKEN_EXPIRED),
        "missing": (403, "MissingAuthenticationToken", "Request is missing Authentication Token"),
    },
    "json": {
        "unknown": (400, "UnrecognizedClientException", _TOKEN_INVALID),
        "expired": (400, "ExpiredTokenException", _TOKEN_EXPIRED),
        "missing": (400, "MissingAuthenticationTokenException", "Request is missing Authentication Token"),
    },
    "ec2": {
        "unknown": (401, "AuthFailure", "AWS was not able to validate the provided access credentials"),
        "expired": (400, "RequestExpired", "Request has expired."),
        "missing": (400, "MissingParameter", "The request must contain the parameter AWSAccessKeyId"),
    },
    "s3": {
        "unknown": (403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."),
        "expired": (400, "ExpiredToken", "The provided token has expired."),
        "missing": (403, "AccessDenied", "Access Denied"),
    },
}
REFUSALS["sqs"] = {**REFUSALS["query"]}


def protocol_of(environ: dict[str, Any], service: str) -> str:
    """Shape of the errors a client expects: query, json, ec2, s3, or sqs (JSON with query's error codes)."""
    if service in {"ec2", "s3", "sqs"}:
        return service
    content_type = environ.get("CONTENT_TYPE", "")
    if content_type.startswith("application/x-www-form-urlencoded") or "Action=" in environ.get("QUERY_STRING", ""):
        return "query"
    if service == "rds":  # its one call without a form
        return "query"
    return "json"


def refuse(environ: dict[str, Any], start_response: StartResponse, service: str, reason: str) -> Iterable[bytes]:
    """Answer that the credentials are not accepted.

    :param reason: ``unknown``, ``expired`` or ``missing``.
    """
    status, code, message = REFUSALS[protocol_of(environ, service)][reason]
    return _error(environ, start_response, service, status, code, message)


def _error(
    environ: dict[str, Any], start_response: StartResponse, service: str, status: int, code: str, message: str
) -> Iterable[bytes]:
    content_type, body = error_body(protocol_of(environ, service), code, message)
    start_response(_status_line(status), [("Content-Type", content_type), ("x-amzn-ErrorType", code)])
    return [body]


def _status_line(status: int) -> str:
    return f"{status} {'OK' if status < 400 else 'Error'}"


def _json_answer(start_response: StartResponse, status: int, content: Any) -> Iterable[bytes]:
    start_response(_status_line(status), [("Content-Type", "application/json")])
    return [json.dumps(content).encode()]
