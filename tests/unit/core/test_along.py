"""What goes along with the database: settings, and the plan of what tasks on files and jobs are given."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from aurora_ops.core import environments
from aurora_ops.core.errors import PermanentError
from aurora_ops.core.files import RecoveryPoint
from aurora_ops.operators.prepare_files import Along, file_guards, keep_guards, plan_along

from tests.unit.core import samples

MOMENT = datetime(2026, 7, 1, 2, tzinfo=UTC)
NOTHING = Along(None, {})
FOUND = Along(RecoveryPoint("arn:point", "vault", "arn:fs", "COMPLETED", MOMENT, 1), {"Deployment/web": 2})
FILES: dict[str, Any] = {
    "source_file_system": "prod-media", "source_vault": "v", "source_backup_role_arn": "arn:aws:iam::111111111111:role/b",
    "name": "media", "vault": "w", "backup_role_arn": "arn:aws:iam::222222222222:role/b", "security_groups": ["efs"],
    "id_parameter": "/f/id", "subpath_parameter": "/f/path", "function_role_arn": "arn:aws:iam::222222222222:role/p",
}  # fmt: skip
EKS: dict[str, Any] = {
    "cluster": "apps", "namespace": "shop", "image": "tools:1", "nodegroups": ["jobs"], "nodes": 2, "claim": "dumps",
    "claims": ["media"],
}  # fmt: skip


def settings(changes: dict[str, Any] | None = None, **sections: dict[str, Any]) -> Any:
    content = {**samples.raw(changes), **sections}
    return environments.resolve(content).settings


def test_neither_section_leaves_both_alone() -> None:
    plan = plan_along(settings(), MOMENT, NOTHING)
    assert plan["files_token"] is plan["dump_job"] is plan["load_job"] is plan["keep_nodes"] is None
    assert plan["keep_nodegroups"] == plan["keep_schemas"] == []
    assert plan["environment"] == "staging"


def test_both_sections() -> None:
    plan = plan_along(settings(files=FILES, eks=EKS), MOMENT, FOUND)
    assert plan["files_token"] == "efs-staging-media-20260701t020000"
    assert plan["files_backed_up_at"] == "2026-07-01T02:00:00+00:00"
    assert (plan["dump_job"], plan["load_job"]) == (
        "keep-dump-staging-20260701t020000", "keep-load-staging-20260701t020000",
    )  # fmt: skip
    assert (plan["keep_nodegroups"], plan["keep_nodes"]) == (["jobs"], 2)
    assert plan["scaled_workloads"] == {"Deployment/web": 2}
    assert (plan["keep_schemas"], plan["keep_rows"]) == (["shop"], {"shop.feature_flags": None})


def test_without_tables_there_is_no_job_and_no_node() -> None:
    plan = plan_along(settings({"database.keep_tables": []}, eks=EKS), MOMENT, NOTHING)
    assert plan["dump_job"] is plan["load_job"] is plan["keep_nodes"] is None
    assert plan["keep_nodegroups"] == []


@pytest.mark.parametrize("section", ["files", "eks"])
def test_a_section_can_be_left_out_of_refreshes(section) -> None:
    given = {"files": FILES, "eks": EKS}
    plan = plan_along(settings(**{section: {**given[section], "with_refresh": False}}), MOMENT, NOTHING)
    assert plan["files_token"] is plan["dump_job"] is None


def test_names_stay_legal_however_long_the_environment_is_called() -> None:
    long = "e" * 31
    found = settings({"environment": long}, files={**FILES, "name": "n" * 128}, eks=EKS)
    plan = plan_along(found, MOMENT, FOUND)
    assert len(plan["files_token"]) <= 64
    assert max(len(plan["dump_job"]), len(plan["load_job"])) <= 63


@pytest.mark.parametrize(("eks", "claims"), [({}, ["media"]), ({"eks": EKS}, ["media", "others"])])
def test_claims_must_be_managed(eks, claims) -> None:
    with pytest.raises(PermanentError, match=r"^files.claims: \[.*\] is not allowed; eks.claims are"):
        settings(files={**FILES, "claims": claims}, **eks)


def test_a_name_that_is_not_allowed_is_refused_only_where_files_are_refreshed() -> None:
    [refusal] = file_guards(settings(files=FILES))
    assert "files.name" in str(refusal)
    assert file_guards(settings({"safety.allowed_file_systems": ["media"]}, files=FILES)) == []
    assert file_guards(settings(files={**FILES, "with_refresh": False})) == []


def test_tables_are_kept_through_a_bucket_or_by_jobs() -> None:
    [refusal] = keep_guards(settings({"database.keep_bucket": None}))
    assert "database.keep_bucket" in str(refusal)
    assert keep_guards(settings({"database.keep_bucket": None}, eks=EKS)) == []
    assert keep_guards(settings({"database.keep_bucket": None}, eks={**EKS, "with_refresh": False})) != []


@pytest.mark.parametrize("name", ["Deployment/web", "StatefulSet/db.shop-2"])
def test_workloads_are_named_by_kind(name) -> None:
    assert settings(eks={**EKS, "workloads": [name]}).eks.workloads == [name]


@pytest.mark.parametrize("name", ["web", "DaemonSet/web", "Deployment/", "Deployment/Web", "deployment/web", "Job/a/b"])
def test_what_is_no_workload_is_refused(name) -> None:
    with pytest.raises(PermanentError, match=r"eks\.workloads"):
        settings(eks={**EKS, "workloads": [name]})
