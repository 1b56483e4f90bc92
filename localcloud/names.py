"""Well-known names: the accounts, and the identities by which Airflow works in them."""

from __future__ import annotations

SHARED = "000000000000"
PRODUCTION = "111111111111"
STAGING = "222222222222"
DEV = "333333333333"
ACCOUNT_NAMES = {SHARED: "shared services", PRODUCTION: "production", STAGING: "staging", DEV: "dev"}

AIRFLOW_USER = "airflow"
AIRFLOW_USER_ARN = f"arn:aws:iam::{SHARED}:user/{AIRFLOW_USER}"
AIRFLOW_ACCESS_KEY_ID = "AKIALOCALCLOUDAIRFL0"
AIRFLOW_SECRET_ACCESS_KEY = "localcloud-secret-key"  # noqa: S105 - opens nothing but this machine's localcloud
ORCHESTRATOR_ROLE_ARN = f"arn:aws:iam::{SHARED}:role/aurora-ops-orchestrator"
EXTERNAL_ID = "localcloud-external-id"
ROLES = {
    SHARED: "aurora-ops-orchestrator",
    PRODUCTION: "aurora-ops-source",
    STAGING: "aurora-ops-destination",
    DEV: "aurora-ops-destination",
}


def role_arn(account: str) -> str:
    """ARN of the role by which Airflow works in an account."""
    return f"arn:aws:iam::{account}:role/{ROLES[account]}"
