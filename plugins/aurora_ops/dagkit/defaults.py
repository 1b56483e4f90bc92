"""Defaults of every DAG, and the one retry policy."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

from aurora_ops.core.errors import PermanentError, TransientError
from aurora_ops.operators.base import ENVIRONMENT_MACRO

# An AWS that answers in seconds (localcloud) need not be left alone for half a minute.
_RETRY_DELAY = timedelta(seconds=float(os.environ.get("AURORA_OPS_RETRY_S", "30")))

RETRY_POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule(exception=PermanentError, action=RetryAction.FAIL, reason="trying again cannot help"),
        RetryRule(exception=TransientError, action=RetryAction.RETRY, retry_delay=_RETRY_DELAY, reason="may pass"),
    ],
)

TASK_DEFAULTS: dict[str, Any] = {
    "owner": "aurora-ops",
    "retries": 5,
    "retry_delay": _RETRY_DELAY,
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=10),
    "retry_policy": RETRY_POLICY,
    "execution_timeout": timedelta(hours=6),
}

DAG_DEFAULTS: dict[str, Any] = {
    "default_args": TASK_DEFAULTS,
    "catchup": False,
    "max_active_runs": 1,
}


def defaults_of(environment: str) -> dict[str, Any]:
    """Give the defaults of a DAG that is for one environment; its tasks log that, and templates may use it.

    :param environment: name of the environment.
    """
    return {**DAG_DEFAULTS, "user_defined_macros": {ENVIRONMENT_MACRO: environment}}
