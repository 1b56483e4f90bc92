"""AWS Lambda: a function in the VPC that runs SQL where the worker cannot reach the database."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from botocore.config import Config

from aurora_ops.core.errors import ConfigError, StateError, TransientError
from aurora_ops.hooks.base import AwsHook

LONGEST_RUN_S = 900
_MOST_PAYLOAD_BYTES = 6 * 1024 * 1024
_QUOTED = re.compile(r"['\"].*['\"]|['\"].*", re.S)
_NOT_BEGUN = ("TooManyRequestsException", "ResourceConflictException", "CodeArtifactUserPendingException")


class SqlFunctionsHook(AwsHook):
    """Functions of one account and region that run SQL.

    The client waits as long as Lambda lets a function run, and never calls twice: botocore's defaults, 60 seconds and four more
    tries, would run the SQL again while it runs.
    """

    service = "lambda"

    def get_client_type(self, *args: Any, **kwargs: Any) -> Any:
        """Give a client that waits and does not repeat."""
        once = Config(read_timeout=LONGEST_RUN_S + 30, retries={"total_max_attempts": 1})
        return super().get_client_type(*args, **{**kwargs, "config": once})

    def invoke(self, name: str, event: Mapping[str, Any]) -> Any:
        """Call a function and wait for its answer (``Invoke``).

        :param name: function name.
        :param event: what it is given; at most 6 MiB as JSON.
        :raises ConfigError: the event is too large.
        :raises TransientError: Lambda has not begun, since others run.
        :raises StateError: its code failed, or the answer was lost; a message of the code carries no quoted text, which may be
            data.
        """
        payload = json.dumps(event).encode()
        if len(payload) > _MOST_PAYLOAD_BYTES:
            raise ConfigError(
                "sql", f"{len(payload)} bytes", f"a function takes at most {_MOST_PAYLOAD_BYTES}; split it"
            )
        try:
            answer = self.call("invoke", FunctionName=name, Payload=payload)
        except TransientError as exc:
            if any(code in str(exc) for code in _NOT_BEGUN):
                raise
            raise StateError(f"{exc}; it is not known whether the SQL ran: look before it is run again") from exc
        content = json.loads(answer["Payload"].read() or b"null")
        about = content if isinstance(content, dict) else {}
        if answer.get("FunctionError"):
            message = _QUOTED.sub("…", str(about.get("errorMessage", "")), count=1)
            raise StateError(f"function {name} failed ({answer['FunctionError']}): {about.get('errorType')}: {message}")
        if about.get("statusCode", 200) != 200:
            raise StateError(f"function {name} answered statusCode {about['statusCode']}; its log group says why")
        return content
