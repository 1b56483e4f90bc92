"""Judging what a refresh and a restore need, before anything depends on it: pass, warn or fail, with the remedy.

Each function is told what AWS answered, and says what it means. None of them looks at AWS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from aurora_ops.core.masking import SHORTEST_SALT
from aurora_ops.core.people import code, table
from aurora_ops.core.table_page import Table, tables_page

Status = Literal["pass", "warn", "fail"]
STATUSES: tuple[Status, ...] = ("fail", "warn", "pass")
NFS_PORT = 2049
COPIES_AT_ONCE = 5
_WORLD = ("0.0.0.0/0", "::/0")
_HEAD = ("", "where", "check", "of", "found", "remedy")
_ZONES = 2
_NEARLY_FULL = 0.8


class Finding(NamedTuple):
    """What one look showed.

    :param status: pass; warn, which lets a run go on; fail, which would end one.
    :param found: what is there.
    :param remedy: what to do about it; empty where nothing is to be done.
    """

    status: Status
    found: str
    remedy: str = ""


@dataclass(frozen=True)
class Row:
    """A line of the report.

    :param where: ``source``, ``target`` or ``orchestrator``.
    :param check: what was looked at.
    :param subject: its name.
    :param finding: what was seen.
    """

    where: str
    check: str
    subject: str
    finding: Finding

    @property
    def cells(self) -> tuple[str, str, str, str, str, str]:
        """Write it for a table."""
        return (self.finding.status, self.where, self.check, self.subject, self.finding.found, self.finding.remedy)


# ---- accounts ------------------------------------------------------------------------------------------------------


def identity(caller: tuple[str, str], connection: str) -> Finding:
    """Judge who a connection makes us.

    :param caller: account and ARN behind it.
    :param connection: the connection.
    """
    _, arn = caller
    if ":assumed-role/" in arn:
        return Finding("pass", arn)
    return Finding(
        "warn", arn, f"give {connection} a role_arn: this is no role, so it may be the worker's own identity"
    )


def account(caller: tuple[str, str], account_id: str, connection: str) -> Finding:
    """Judge where a connection leads; a missing one silently becomes the worker's own credentials."""
    if caller[0] == account_id:
        return Finding("pass", account_id)
    remedy = f"it must be {account_id}: create the connection {connection}, or correct its role_arn"
    return Finding("fail", caller[0], remedy)


def role(caller: tuple[str, str], role_arn: str) -> Finding:
    """Judge whether a connection's role is the one that the settings name: the use of the source's key is granted to that."""
    wanted = role_arn.rpartition("/")[2]
    _, arn = caller
    found = arn.split("/")[1] if ":assumed-role/" in arn else arn
    if found == wanted:
        return Finding("pass", found)
    return Finding(
        "fail", found, f"make it {wanted}, or correct target.role_arn: the source's key is granted to that role"
    )


def trails(logging: Sequence[str]) -> Finding:
    """Judge whether calls are recorded.

    :param logging: names of the trails that are on.
    """
    if logging:
        return Finding("pass", ", ".join(sorted(logging)))
    return Finding(
        "warn", "none is on", "switch a trail of CloudTrail on: otherwise nobody can tell later who did what"
    )


def quota(found: tuple[int, int] | None, needed: int) -> Finding:
    """Judge a quota.

    :param found: used, and most; ``None`` where AWS does not tell.
    :param needed: what a run takes of it.
    """
    if found is None:
        return Finding("warn", "AWS does not tell", f"see that {needed} more are allowed")
    used, most = found
    text = f"{used} of {most} used"
    if used + needed > most:
        return Finding("fail", text, f"a run needs {needed} more: delete some, or raise the quota")
    return (
        Finding("warn", text, "raise the quota before it is full")
        if used >= _NEARLY_FULL * most
        else Finding("pass", text)
    )


def copies(in_flight: int) -> Finding:
    """Judge the copies of snapshots that are being made in a region."""
    text = f"{in_flight} of {COPIES_AT_ONCE} under way"
    if in_flight >= COPIES_AT_ONCE:
        return Finding("warn", text, "AWS refuses a further one until one of them is done")
    return Finding("pass", text)


# ---- keys, secrets -------------------------------------------------------------------------------------------------


def key(metadata: Mapping[str, Any] | None, *, region: str) -> Finding:
    """Judge a KMS key that snapshots and clusters are encrypted with.

    :param metadata: ``KeyMetadata``; ``None`` where there is none.
    :param region: region that it must be of.
    """
    if metadata is None:
        return Finding(
            "fail", "there is none", "create it, or name a key of the account and region: key id, ARN or alias/..."
        )
    arn, state = str(metadata["Arn"]), metadata.get("KeyState", "Enabled")
    if not metadata.get("Enabled", True) or state != "Enabled":
        return Finding("fail", f"{arn} is {state}", "enable it, or cancel its deletion")
    parts = arn.split(":")
    if len(parts) > 3 and parts[3] != region:
        return Finding("fail", f"{arn} is of another region", f"name a key of {region}")
    usage = (metadata.get("KeyUsage", "ENCRYPT_DECRYPT"), metadata.get("KeySpec", "SYMMETRIC_DEFAULT"))
    if usage != ("ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT"):
        return Finding("fail", f"{arn} is for {usage[0]}, {usage[1]}", "name a symmetric key for encryption")
    if metadata.get("KeyManager") == "AWS":
        return Finding(
            "warn",
            f"{arn} is managed by AWS",
            "use a customer key: others' use of this one can be neither granted nor ended",
        )
    return Finding("pass", arn)


def secret(value: Mapping[str, Any] | None, fields: Sequence[str]) -> Finding:
    """Judge the shape of a secret; what is in it is not told, only the names of fields that are missing.

    :param value: its JSON; ``None`` where there is none.
    :param fields: fields that it must have, as text that is not empty.
    """
    if value is None:
        return Finding("fail", "there is none", f"create it, as JSON with {' and '.join(fields)}")
    missing = [name for name in fields if not isinstance(value.get(name), str) or not value[name]]
    if missing:
        return Finding("fail", f"without {', '.join(missing)}", f"write {' and '.join(missing)} into it, as text")
    return Finding("pass", ", ".join(fields))


def salt(value: Mapping[str, Any] | None) -> Finding:
    """Judge the secret that keys the fakes of masking."""
    found = secret(value, ("salt",))
    if value is not None and found.status == "pass" and len(value["salt"]) < SHORTEST_SALT:
        return Finding("fail", "its salt is short", f"write at least {SHORTEST_SALT} random characters into it")
    return found


# ---- network -------------------------------------------------------------------------------------------------------


def subnet_group(raw: Mapping[str, Any]) -> Finding:
    """Judge a DB subnet group: Aurora wants two zones."""
    zones = sorted({subnet["SubnetAvailabilityZone"]["Name"] for subnet in raw.get("Subnets") or []})
    status = raw.get("SubnetGroupStatus", "Complete")
    if len(zones) < _ZONES:
        return Finding("fail", f"zones: {', '.join(zones) or 'none'}", "add subnets until two zones are covered")
    if status != "Complete":
        return Finding("fail", f"it is {status}", "mend the group: its subnets are no longer as RDS knows them")
    return Finding("pass", f"zones: {', '.join(zones)}")


def security_group(raw: Mapping[str, Any], port: int, *, isolated: bool) -> Finding:
    """Judge a security group by who is let in on a port.

    :param raw: ``SecurityGroup`` of the EC2 API.
    :param port: port that matters.
    :param isolated: data that is not yet masked is behind it.
    """
    if raw["GroupName"] == "default":
        return Finding(
            "fail", "the network's default group", "name a group of its own: everything without a group is in that one"
        )
    rules = [rule for rule in raw.get("IpPermissions") or [] if _covers(rule, port)]
    if any(_let_in(rule) & set(_WORLD) for rule in rules):
        who = "unmasked data would be open to it" if isolated else "only what uses it should be let in"
        return Finding("fail" if isolated else "warn", f"everybody is let in on {port}", f"name who is let in; {who}")
    if not rules:
        remedy = "let Airflow's workers in, by their security group" if isolated else "let in what uses it"
        return Finding("warn", f"nobody is let in on {port}", remedy)
    return Finding("pass", f"on {port}: {', '.join(sorted(set().union(*map(_let_in, rules))))}")


def _covers(rule: Mapping[str, Any], port: int) -> bool:
    if rule["IpProtocol"] == "-1":
        return True
    return rule["IpProtocol"] in ("tcp", "6") and rule.get("FromPort", 0) <= port <= rule.get("ToPort", 65535)


def _let_in(rule: Mapping[str, Any]) -> set[str]:
    return {
        str(source[name])
        for part, name in (
            ("IpRanges", "CidrIp"),
            ("Ipv6Ranges", "CidrIpv6"),
            ("UserIdGroupPairs", "GroupId"),
            ("PrefixListIds", "PrefixListId"),
        )
        for source in rule.get(part) or []
    }


# ---- database ------------------------------------------------------------------------------------------------------


def parameter_group(raw: Mapping[str, Any], engine_version: str) -> Finding:
    """Judge a cluster parameter group by the engine that it is for.

    :param raw: ``DBClusterParameterGroup``.
    :param engine_version: of what is restored, such as ``8.0.mysql_aurora.3.08.2``; empty where it is not known.
    """
    family = str(raw.get("DBParameterGroupFamily", ""))
    wanted = engine_family(engine_version)
    if wanted is None:
        return Finding("warn", family, "the source's engine version is not known; see that it is of this family")
    if family != wanted:
        return Finding("fail", family, f"name a group of family {wanted}: the source is {engine_version}")
    return Finding("pass", family)


def audited_masking(parameters: Mapping[str, str], user: str) -> Finding:
    """Judge whether the salt of masking would stand in an audit log: the session sets it, and ``QUERY`` records every SET.

    :param parameters: what the cluster parameter group sets.
    :param user: who masks: the master user.
    """
    if parameters.get("server_audit_logging", "0").upper() not in ("1", "ON"):
        return Finding("pass", "no audit log")
    included, excluded, events = (
        {item.strip() for item in parameters.get(f"server_audit_{name}", "").split(",")} - {""}
        for name in ("incl_users", "excl_users", "events")
    )
    recorded = user in included if included else user not in excluded
    if not recorded:
        return Finding("pass", f"not of {user}")
    told = ", ".join(sorted(events)) or "nothing"
    if "QUERY" not in {event.upper() for event in events}:
        return Finding("pass", told)
    remedy = (
        f"record QUERY_DCL,QUERY_DDL,QUERY_DML instead of QUERY, or name {user} in server_audit_excl_users: "
        "the salt of masking would be in the log"
    )
    return Finding("warn", told, remedy)


def engine_family(engine_version: str) -> str | None:
    """Name the parameter group family of an Aurora MySQL version; ``None`` where it is none."""
    major, found, _ = engine_version.partition(".mysql_aurora.")
    return f"aurora-mysql{major}" if found else None


# ---- table, topic, buckets -----------------------------------------------------------------------------------------


def table_keys(description: Mapping[str, Any]) -> Finding:
    """Judge the status and the keys of the table of runs."""
    status = description["TableStatus"]
    if status not in ("ACTIVE", "UPDATING"):
        return Finding(
            "fail", f"it is {status}", "wait until it is ACTIVE, or create it (include/templates/iam-orchestrator.yaml)"
        )
    kinds = {one["AttributeName"]: one["AttributeType"] for one in description.get("AttributeDefinitions") or []}
    keys = [(one["AttributeName"], kinds.get(one["AttributeName"]), one["KeyType"]) for one in description["KeySchema"]]
    if keys != [("pk", "S", "HASH"), ("sk", "S", "RANGE")]:
        found = ", ".join(f"{name} ({kind}, {role_})" for name, kind, role_ in keys)
        return Finding("fail", f"keys: {found}", "create a table with partition key pk and sort key sk, both strings")
    return Finding("pass", f"{status}, keys pk and sk")


def table_lifetime(description: Mapping[str, Any]) -> Finding:
    """Judge the time to live of the table of runs: without it records and void locks stay for ever."""
    status, attribute = description.get("TimeToLiveStatus"), description.get("AttributeName")
    if status not in ("ENABLED", "ENABLING"):
        return Finding("fail", f"it is {status or 'off'}", "switch time to live on, attribute expires_at")
    if attribute != "expires_at":
        return Finding("fail", f"on {attribute}", "set it on expires_at")
    return Finding("pass", f"on {attribute}")


def table_encryption(description: Mapping[str, Any]) -> Finding:
    """Judge under whose key a table is; DynamoDB encrypts every one."""
    kms_key = (description.get("SSEDescription") or {}).get("KMSMasterKeyArn")
    if kms_key:
        return Finding("pass", str(kms_key))
    return Finding(
        "warn", "under a key that AWS owns", "a key of KMS shows in CloudTrail who reads, if your rules ask for it"
    )


def table_recovery(description: Mapping[str, Any]) -> Finding:
    """Judge whether a table can be brought back to a moment."""
    inner = description.get("PointInTimeRecoveryDescription") or {}
    if inner.get("PointInTimeRecoveryStatus") == "ENABLED":
        return Finding("pass", "on")
    return Finding("warn", "off", "switch point-in-time recovery on: records cannot be brought back otherwise")


def topic(subscriptions: Sequence[str]) -> Finding:
    """Judge whether anybody hears what is announced.

    :param subscriptions: their ARNs; what is not confirmed has none yet.
    """
    confirmed = sum(arn.startswith("arn:") for arn in subscriptions)
    if confirmed:
        return Finding("pass", f"{confirmed} subscribed")
    if subscriptions:
        return Finding("warn", f"{len(subscriptions)} asked to confirm", "have them confirm: nobody hears of failures")
    return Finding("warn", "nobody is subscribed", "subscribe somebody: nobody hears of failures")


def bucket_encryption(rules: Sequence[Mapping[str, Any]]) -> Finding:
    """Judge a bucket's default encryption."""
    kinds = [rule.get("ApplyServerSideEncryptionByDefault", {}).get("SSEAlgorithm") for rule in rules]
    if any(kinds):
        return Finding("pass", ", ".join(str(kind) for kind in kinds if kind))
    return Finding("fail", "none", "switch default encryption on, SSE-S3 or SSE-KMS")


def public_access(block: Mapping[str, bool] | None) -> Finding:
    """Judge whether a bucket can be made public."""
    names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    lacking = [name for name in names if not (block or {}).get(name)]
    if lacking:
        return Finding("fail", f"without {', '.join(lacking)}", "block all public access of the bucket itself")
    return Finding("pass", "blocked")


def versioning(status: str | None) -> Finding:
    """Judge whether what is overwritten in a bucket can be brought back."""
    if status == "Enabled":
        return Finding("pass", "on")
    return Finding("warn", (status or "off").lower(), "switch versioning on, with a rule that ends old versions")


# ---- telling -------------------------------------------------------------------------------------------------------


def counts(rows: Sequence[Row]) -> dict[str, int]:
    """Count rows by status."""
    return {status: sum(row.finding.status == status for row in rows) for status in STATUSES}


def text(environment: str, rows: Sequence[Row]) -> str:
    """Write the table for the log, as Markdown: failures first, then warnings.

    :param environment: whose accounts.
    :param rows: what was looked at, in that order.
    """
    lines = [(*row.cells[:3], code(row.subject), *row.cells[4:]) for row in _worst_first(rows)]
    return f"# Preflight of {environment}: {_total(rows)}\n\n{table(_HEAD, lines)}"


def _worst_first(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: STATUSES.index(row.finding.status))


def _total(rows: Sequence[Row]) -> str:
    count = counts(rows)
    return f"{count['fail']} fail, {count['warn']} warn, {count['pass']} pass"


def failures(rows: Sequence[Row]) -> str:
    """Name what failed, a line each."""
    return "\n".join(
        f"- {row.where}, {row.check} of {row.subject}: {row.finding.found}; {row.finding.remedy}".rstrip("; ")
        for row in rows
        if row.finding.status == "fail"
    )


def data(environment: str, rows: Sequence[Row], *, run: str, now: datetime) -> dict[str, Any]:
    """Write the report for machines; see ``page``."""
    return {
        "environment": environment,
        "run": run,
        "checked_at": now.isoformat(timespec="seconds"),
        "counts": counts(rows),
        "rows": [dict(zip(("status", *_HEAD[1:]), row.cells, strict=True)) for row in rows],
    }


def page(environment: str, rows: Sequence[Row], *, run: str, now: datetime) -> bytes:
    """Write the report as a page.

    :param environment: whose accounts.
    :param rows: what was looked at.
    :param run: the run.
    :param now: present moment.
    """
    return tables_page(
        f"Preflight of {environment}",
        about=[run, f"checked {now.astimezone(UTC):%Y-%m-%d %H:%M} UTC"],
        figures=[(status, str(count)) for status, count in counts(rows).items()],
        tables=[Table("Prerequisites", _HEAD, [row.cells for row in _worst_first(rows)])],
    )
