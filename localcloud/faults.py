"""Faults by rule: a call that matches is throttled, refused, left without an answer, slowed, or its resource fails.

How the struck call is answered is the business of :mod:`localcloud.guard`; this is who is struck, and when.
"""

from __future__ import annotations

import json
import logging
import re
import threading
from dataclasses import MISSING, asdict, dataclass, fields
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import count
from typing import TYPE_CHECKING, Any

import botocore.session
import yaml

from localcloud.request import LOG_FILE_ACTION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

log = logging.getLogger(__name__)

EFFECTS = ("throttle", "error", "hang", "slow", "lost", "broken", "status", "odd")
# What users report of pages of log files: an end that is none, told or not told; no data; the beginning as the next page;
# the page before once more.
ODD = ("early-end", "silent-end", "empty", "zero-marker", "again")
LOG_PAGE = ("rds", "DownloadDBLogFilePortion")
LONGEST_S = 3600.0
COUNTERS = {"seen", "hits"}
PATTERN = re.compile(r"[*?\[]")

# What AWS answers when it throttles, by service: code, message, HTTP status.
_RATE = "Rate exceeded"
THROTTLES: dict[str, tuple[str, str, int]] = {
    "kubernetes": (
        "TooManyRequests",
        "the server has received too many requests and has asked us to try again later",
        429,
    ),
    "rds": ("Throttling", _RATE, 400),
    "sts": ("Throttling", _RATE, 400),
    "iam": ("Throttling", _RATE, 400),
    "cloudwatch": ("Throttling", _RATE, 400),
    "cloudformation": ("Throttling", _RATE, 400),
    "autoscaling": ("Throttling", _RATE, 400),
    "dynamodb": (
        "ProvisionedThroughputExceededException",
        "The level of configured provisioned throughput for the table was exceeded.",
        400,
    ),
    "s3": ("SlowDown", "Please reduce your request rate.", 503),
    "sns": ("Throttled", _RATE, 429),
    "sqs": ("RequestThrottled", "The request was denied due to request throttling.", 400),
    "ec2": ("RequestLimitExceeded", "Request limit exceeded.", 503),
    "lambda": ("TooManyRequestsException", _RATE, 429),
}
THROTTLE_ELSEWHERE = ("ThrottlingException", _RATE, 400)

# Statuses in which a cluster, an instance or a cluster snapshot stays until somebody deletes it.
TERMINAL = frozenset(
    {
        "failed",
        "inaccessible-encryption-credentials",
        "incompatible-credentials",
        "incompatible-network",
        "incompatible-option-group",
        "incompatible-parameters",
        "incompatible-restore",
        "insufficient-capacity",
        "restore-error",
        "storage-full",
    }
)
# Statuses that an export task may end or stay in.
EXPORT_TERMINAL = frozenset({"FAILED", "STARTING", "IN_PROGRESS", "CANCELING"})
# What an operation may be made to end in, by service: statuses of RDS, life-cycle states of EFS and statuses of its
# replications, states of jobs and recovery points of AWS Backup, of queries, and of crawls.
ENDS = {
    "rds": TERMINAL,
    "efs": frozenset({"error", "ERROR", "PAUSED", "PAUSING"}),
    "backup": frozenset({"FAILED", "ABORTED", "PARTIAL", "EXPIRED"}),
    "eks": frozenset({"CREATE_FAILED", "DEGRADED", "FAILED"}),
    "athena": frozenset({"FAILED", "CANCELLED", "RUNNING"}),
    "glue": frozenset({"FAILED", "CANCELLED"}),
}


# Localcloud's own name for calls of a cluster's Kubernetes API, and what their operations begin with.
KUBERNETES, KUBERNETES_ACTION = "kubernetes", re.compile(r"(Get|List|Create|Replace|Patch|Delete)[A-Z]\w+")


class RuleError(ValueError):
    """A rule cannot be used; the message names the field, its value, and what is allowed."""


@dataclass
class Rule:
    """Which calls are struck, and what happens to them.

    :param service: boto3's name, such as ``rds``; may be a pattern with ``*``, ``?``, ``[...]``.
    :param action: operation, such as ``ModifyDBCluster``; may be a pattern.
    :param account: of one account only.
    :param match: text that the call's parameters, written as JSON, contain.
    :param resource: pattern of an identifier or ARN among the parameters; case does not matter.
    :param nth: only the nth matching call, counted from 1; excludes ``after`` and ``times``.
    :param after: so many matching calls are let through first.
    :param times: how many calls are struck then; 0 is all of them.
    :param effect: ``throttle`` (AWS's answer for that service), ``error``, ``hang`` (no answer, then the connection is
        closed), ``slow`` (answered late), ``lost`` (done, but the connection breaks before the answer), ``broken`` (it breaks
        within the answer), ``odd`` (a page of a log file is answered as AWS should not), ``status`` (RDS, EKS,
        EFS, Backup, Athena, Glue's crawlers: the call is answered, and its resource ends in ``becomes``). Default: error
        if there is a code, else throttle.
    :param code: AWS error code of the answer; of ``error``.
    :param message: its message, of ``throttle`` and ``error``; failure cause of an export task, of ``status``.
    :param status: HTTP status of the answer; of ``throttle`` and ``error``.
    :param becomes: status of the resource or job that the call makes or changes; of ``status``.
    :param hang_s: seconds until the connection is closed; of ``hang``.
    :param delay_s: seconds until the call is made; of ``slow``.
    :param cut_bytes: so much of the answer's body comes before the connection breaks; of ``broken``.
    :param odd: what is odd about the page; of ``odd``.
    :param seen: how many matching calls there were.
    :param hits: how many of them were struck.
    """

    service: str
    action: str
    account: str = ""
    match: str = ""
    resource: str = ""
    nth: int = 0
    after: int = 0
    times: int = 1
    effect: str = ""
    code: str = ""
    message: str = ""
    status: int = 0
    becomes: str = ""
    hang_s: float = 120.0
    delay_s: float = 5.0
    cut_bytes: int = 100
    odd: str = ""
    seen: int = 0
    hits: int = 0

    def matches(self, account: str, service: str, action: str, parameters: dict[str, Any]) -> bool:
        """Tell whether the rule is about a call."""
        return (
            fnmatchcase(service, self.service)
            and fnmatchcase(action, self.action)
            and self.account in ("", account)
            and self.match in json.dumps(parameters, default=str)
            and (not self.resource or any(names(text, self.resource.lower()) for text in texts(parameters)))
        )

    def strikes(self) -> bool:
        """Count a matching call, and tell whether it is struck."""
        self.seen += 1
        struck = self.seen > self.after and (not self.times or self.hits < self.times)
        self.hits += struck
        return struck

    def answer(self, service: str) -> tuple[str, str, int]:
        """Error code, message and HTTP status for a call of a service."""
        code, message, status = THROTTLES.get(service, THROTTLE_ELSEWHERE)
        if self.effect == "error":
            code, message, status = self.code, "The call was refused by a fault rule.", 400
        return code, self.message or message, self.status or status


def texts(value: Any) -> Iterator[str]:
    """Every text among the values of a call's parameters."""
    if isinstance(value, dict):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts(item)
    elif isinstance(value, str):
        yield value


def names(text: str, pattern: str) -> bool:
    """Whether a text is, or as an ARN ends in, what a pattern in lower case describes."""
    text = text.lower()
    return fnmatchcase(text, pattern) or (text.startswith("arn:") and fnmatchcase(re.split("[:/]", text)[-1], pattern))


def parse(parameters: dict[str, Any]) -> Rule:
    """Make a rule of what somebody wrote.

    :raises RuleError: names the field, its value, and what is allowed.
    """
    known = {field.name: field for field in fields(Rule) if field.name not in COUNTERS}
    if not isinstance(parameters, dict):
        raise RuleError(f"a rule is a mapping of {', '.join(known)}; got {parameters!r}")
    for name, value in parameters.items():
        if name not in known:
            raise RuleError(f"a rule has {', '.join(known)}; there is no {name!r}")
        _check_type(name, value, str(known[name].type))
    for name, field in known.items():
        if field.default is MISSING and not parameters.get(name):
            raise RuleError(f"{name} is missing: a rule has service and action at least, each a name or a pattern")
    if parameters.get("nth") and {"after", "times"} & parameters.keys():
        raise RuleError(f"nth={parameters['nth']} excludes after and times: nth strikes one call alone")
    rule = Rule(**parameters)
    rule.effect = rule.effect or ("error" if rule.code else "throttle")
    if rule.nth:
        rule.after = rule.nth - 1
    _check(rule)
    _check_effect(rule, parameters)
    return rule


def _check_type(name: str, value: Any, kind: str) -> None:
    allowed: dict[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (int, float)}
    if isinstance(value, bool) or not isinstance(value, allowed[kind]):
        what = {"str": "a text", "int": "a whole number", "float": "a number of seconds"}[kind]
        raise RuleError(f"{name}={value!r} is not {what}")


def _check(rule: Rule) -> None:
    """Check values one by one."""
    for name in ("nth", "after", "times", "cut_bytes"):
        if getattr(rule, name) < 0:
            raise RuleError(f"{name}={getattr(rule, name)} is below 0")
    for name in ("hang_s", "delay_s"):
        if not 0 <= getattr(rule, name) <= LONGEST_S:
            raise RuleError(f"{name}={getattr(rule, name)} is not between 0 and {LONGEST_S:g} seconds")
    if rule.account and not re.fullmatch(r"\d{12}", rule.account):
        raise RuleError(f"account={rule.account!r} is not an account: 12 digits, or leave it out for all")
    if rule.status and not 400 <= rule.status <= 599:
        raise RuleError(f"status={rule.status} is not an HTTP error: 400 to 599 (a resource's status is `becomes`)")
    if PATTERN.search(rule.service):
        return
    if rule.service == KUBERNETES:
        if not PATTERN.search(rule.action) and not KUBERNETES_ACTION.fullmatch(rule.action):
            raise RuleError(f"action={rule.action!r} is no verb and kind, such as CreateJob, ListPods or GetPodLog")
        return
    if rule.service not in _services():
        raise RuleError(f"service={rule.service!r} is not boto3's name of a service, nor a pattern with * ? [")
    if not PATTERN.search(rule.action) and rule.action not in _actions(rule.service):
        close = get_close_matches(rule.action, sorted(_actions(rule.service)), n=3, cutoff=0.5)
        raise RuleError(
            f"action={rule.action!r} is not an operation of {rule.service}, nor a pattern with * ? [;"
            f" near it: {', '.join(close) or 'none'}"
        )


def _check_effect(rule: Rule, given: dict[str, Any]) -> None:
    """Check that the effect is one, and has what it needs and nothing of another."""
    if rule.effect not in EFFECTS:
        raise RuleError(f"effect={rule.effect!r} is none of {', '.join(EFFECTS)}")
    belongs = {
        "code": ("error",),
        "message": ("error", "throttle", "status"),
        "status": ("error", "throttle"),
        "becomes": ("status",),
        "hang_s": ("hang",),
        "delay_s": ("slow",),
        "cut_bytes": ("broken",),
        "odd": ("odd",),
    }
    for name, effects in belongs.items():
        if name in given and rule.effect not in effects:
            raise RuleError(f"{name}={given[name]!r} is for effect {' or '.join(effects)}, not {rule.effect}")
    if rule.effect == "error" and not rule.code:
        raise RuleError("code is missing: effect error answers with an AWS error code")
    if rule.effect == "odd":
        if (rule.service, rule.action) != LOG_PAGE:
            raise RuleError(f"action={rule.action!r} has no effect odd; only {LOG_PAGE[1]} of {LOG_PAGE[0]} has")
        if rule.odd not in ODD:
            raise RuleError(f"odd={rule.odd!r} is none of {', '.join(ODD)}")
    if rule.effect == "status":
        if rule.service not in ENDS:
            raise RuleError(f"service={rule.service!r} has no effect status; only {', '.join(ENDS)} have")
        of_export = rule.service == "rds" and "ExportTask" in rule.action
        allowed = EXPORT_TERMINAL if of_export else ENDS[rule.service]
        if rule.becomes not in allowed:
            raise RuleError(f"becomes={rule.becomes!r} is none of {', '.join(sorted(allowed))}")
        if rule.message and not of_export:
            raise RuleError(f"message={rule.message!r} with effect status is the failure cause of an export task only")


@lru_cache(maxsize=1)
def _botocore() -> Any:
    return botocore.session.get_session()  # type: ignore[no-untyped-call]


@lru_cache(maxsize=1)
def _services() -> frozenset[str]:
    return frozenset(_botocore().get_available_services())


@lru_cache(maxsize=32)
def _actions(service: str) -> frozenset[str]:
    by_path = {LOG_FILE_ACTION} if service == "rds" else set()
    return frozenset(by_path.union(_botocore().get_service_model(service).operation_names))


@dataclass(frozen=True)
class Strike:
    """A rule has struck a call.

    :param number: id of the rule.
    :param ended: set when rules are removed or the server ends.
    """

    number: int
    rule: Rule
    ended: threading.Event


class Faults:
    """The rules in force; thread-safe. A call is struck by the first rule that strikes it, and counted by those before.

    :param path: YAML file with a list of rules, read at the first call and again whenever it changes; None for none.
    :param changed: called after rules or their counts have changed.
    """

    def __init__(self, path: Path | None = None, changed: Callable[[], None] = lambda: None) -> None:
        self._rules: dict[int, Rule] = {}
        self._ids = count(1)
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._path = path
        self._changed = changed
        self._version: tuple[int, int] | None = None
        self._of_file: set[int] = set()
        self._problem = ""

    def add(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Add a rule.

        :return: its id as ``rule``.
        :raises RuleError: see :func:`parse`.
        """
        rule = parse(parameters)
        with self._lock:
            number = self._enter(rule)
        self._changed()
        return {"rule": number}

    def remove(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Remove one rule.

        :param parameters: ``rule``, its id.
        :raises LookupError: there is none.
        """
        number = parameters.get("rule")
        with self._lock:
            if self._rules.pop(number, None) is None:  # type: ignore[arg-type]  # whatever was asked for
                raise LookupError(f"rule={number!r} is none of {', '.join(map(str, self._rules)) or 'no rules'}")
        self._release()
        return {}

    def clear(self, _: dict[str, Any]) -> dict[str, Any]:
        """Remove every rule, those of the file too until it changes; what hangs is let go."""
        with self._lock:
            self._rules.clear()
            self._of_file.clear()
        self._release()
        return {}

    def list(self, _: dict[str, Any]) -> dict[str, Any]:
        """List the rules with their counts, and what is wrong with the file."""
        self._read_file()
        with self._lock:
            rules = {
                str(number): {**asdict(rule), "source": "file" if number in self._of_file else "http"}
                for number, rule in self._rules.items()
            }
            return {"rules": rules, "file_problem": self._problem}

    def strike(self, account: str, service: str, action: str, parameters: dict[str, Any]) -> Strike | None:
        """Find the rule by which a call is struck, if any; count the call."""
        self._read_file()
        counted = False
        struck = None
        with self._lock:
            for number, rule in self._rules.items():
                if rule.matches(account, service, action, parameters):
                    counted = True
                    if rule.strikes():
                        struck = Strike(number, rule, self._ended)
                        break
        if counted:
            self._changed()
        return struck

    def dump(self) -> dict[str, Any]:
        """Everything to come back to after a restart."""
        with self._lock:
            return {"rules": dict(self._rules), "of_file": set(self._of_file), "version": self._version}

    def load(self, state: dict[str, Any]) -> None:
        """Go back to what :meth:`dump` gave."""
        with self._lock:
            self._rules, self._of_file = dict(state["rules"]), set(state["of_file"])
            self._version = state["version"]
            self._ids = count(max(self._rules, default=0) + 1)

    def release(self) -> None:
        """Let go what hangs; the server ends."""
        with self._lock:
            ended, self._ended = self._ended, threading.Event()
        ended.set()

    def _release(self) -> None:
        self.release()
        self._changed()

    def _enter(self, rule: Rule) -> int:
        number = next(self._ids)
        self._rules[number] = rule
        return number

    def _read_file(self) -> None:
        """Take the rules of the file if it has changed; a file that is wrong changes nothing, and is told of."""
        if self._path is None:
            return
        try:
            stat = self._path.stat()
            version = (stat.st_mtime_ns, stat.st_size)
        except FileNotFoundError:
            version = (0, 0)
        with self._lock:
            if version == self._version:
                return
            self._version = version
            try:
                rules = read_file(self._path)
            except RuleError as error:
                self._problem = str(error)
                log.error("the fault rules stay as they are: %s", error)  # noqa: TRY400 - the message says it all
                return
            self._problem = ""
            for number in self._of_file:
                self._rules.pop(number, None)
            self._of_file = {self._enter(rule) for rule in rules}
        log.info("%s fault rules from %s", len(rules), self._path)


def read_file(path: Path) -> list[Rule]:
    """Read a file of rules; one that is not there has none.

    :raises RuleError: it is not YAML, not a list, or a rule is wrong (its place is named).
    """
    if not path.exists():
        return []
    try:
        content = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise RuleError(f"{path} is not YAML: {error}") from None
    if content is None:
        return []
    if not isinstance(content, list):
        raise RuleError(f"{path} holds {type(content).__name__}; give a list of rules")
    rules = []
    for place, item in enumerate(content, 1):
        try:
            rules.append(parse(item))
        except RuleError as error:
            raise RuleError(f"{path}, rule {place}: {error}") from None
    return rules
