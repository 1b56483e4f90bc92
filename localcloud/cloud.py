"""What the parts of localcloud share: the running cloud, and what RDS needs of KMS and Secrets Manager."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from localcloud.faults import Faults
from localcloud.state.store import Part, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    from localcloud.accounts import Identities
    from localcloud.config import CloudConfig
    from localcloud.efs.core import Core as Files
    from localcloud.iam.access import Access
    from localcloud.mariadb.engine import Engine
    from localcloud.rds.core import Core
    from localcloud.recorder import Recorder
    from localcloud.services.ram import Ram

    AdminOperation: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]
    EndResource: TypeAlias = Callable[[str, str, dict[str, Any], str], None]


# Services that change each other's state share a lock.
SHARED_LOCKS = {"sns": "sqs", "backup": "efs", "ram": "rds", "resourcegroupstaggingapi": "rds"}


@dataclass(frozen=True)
class Caller:
    """Who makes the current call.

    :param account: account id that the credentials belong to.
    :param arn: ``arn:aws:iam::A:user/u``, or ``arn:aws:sts::A:assumed-role/r/session``, or ``arn:aws:iam::A:root``.
    :param principal_arn: what policies name: the role's ARN for an assumed role, else ``arn``.
    :param called_via: services that call in the caller's name, as ``aws:CalledVia`` has them.
    """

    account: str
    arn: str
    principal_arn: str
    called_via: tuple[str, ...] = ()


@dataclass(frozen=True)
class KeyInfo:
    """A KMS key as RDS sees it.

    :param arn: key ARN (never the alias).
    :param account: owner.
    :param enabled: False if disabled or pending deletion.
    :param is_default_rds: the AWS managed key behind ``alias/aws/rds``; what it encrypts cannot be shared.
    """

    arn: str
    account: str
    enabled: bool
    is_default_rds: bool


class KeyNotAccessible(Exception):  # noqa: N818 - named after AWS's KMSKeyNotAccessibleFault, which RDS answers with
    """The key does not exist, or the asking account may not know that it does."""


class Kms(Protocol):
    """Key rules for other services (``cloud.kms``). Thread-safe."""

    def resolve(self, account: str, region: str, key: str) -> KeyInfo:
        """Look a key up for ``account``.

        :param key: key id, key ARN, alias name or alias ARN; ids and alias names are looked up in ``account``.
        :raises KeyNotAccessible: unknown key or alias, wrong region, or another account's key that ``account`` may
            not describe. A disabled key is returned with ``enabled=False``: the caller decides.
        """

    def default_key(self, account: str, region: str, service: str = "rds") -> KeyInfo:
        """AWS managed key ``alias/aws/<service>`` of the account, made on first use."""

    def allows(self, caller_account: str, key_arn: str, operation: str, *, principal_arn: str | None = None) -> bool:
        """Whether the key policy or a grant allows an operation; False too for an unknown key (not for a disabled one).

        :param operation: such as ``Decrypt``, ``CreateGrant``, ``DescribeKey`` (with or without ``kms:``).
        :param principal_arn: role or user; without it, what any principal of the account is allowed counts.
        """


@dataclass(frozen=True)
class MasterSecret:
    """A master secret managed by RDS: the fields of ``MasterUserSecret``."""

    arn: str
    kms_key_arn: str


class MasterSecrets(Protocol):
    """RDS-managed master secrets (``cloud.secrets``), ``rds!cluster-<uuid>``; users may read but not write them."""

    def create(
        self, account: str, region: str, *, username: str, password: str, cluster_arn: str, kms_key: str | None = None
    ) -> MasterSecret:
        """Create the secret, JSON ``{"username", "password"}``, OwningService rds, tag aws:rds:primaryDBClusterArn.

        :param kms_key: id, ARN or alias; default the AWS managed key ``alias/aws/secretsmanager``.
        :raises KeyNotAccessible: unknown key.
        """

    def rotate(self, account: str, region: str, arn: str, password: str) -> None:
        """Put a new version with this password under AWSCURRENT; the former one becomes AWSPREVIOUS."""

    def delete(self, account: str, region: str, arn: str) -> None:
        """Delete at once, without recovery window, as RDS does; unknown is fine."""

    def password(self, account: str, region: str, arn: str) -> str:
        """Password of AWSCURRENT.

        :raises KeyError: there is no such secret.
        """

    def new_password(self) -> str:
        """Random password such as RDS makes (28 characters)."""


class Cloud:
    """The running localcloud: one per server process, given to every ``install(cloud)``.

    :param config: settings.
    :param engine: databases behind the clusters.
    :param recorder: record of calls.
    :param identities: who an access key belongs to.
    :param kms: key rules.
    :param secrets: RDS-managed secrets.
    """

    def __init__(
        self,
        config: CloudConfig,
        engine: Engine,
        recorder: Recorder,
        identities: Identities,
        kms: Kms,
        secrets: MasterSecrets,
    ) -> None:
        self.config = config
        self.engine = engine
        self.recorder = recorder
        self.kms = kms
        self.secrets = secrets
        self.identities = identities
        self._local = threading.local()
        self._locks: dict[str, threading.RLock] = {}
        self._locks_lock = threading.Lock()
        self._startup: list[Callable[[], None]] = []
        self._shutdown: list[Callable[[], None]] = []
        self._admin: dict[str, AdminOperation] = {}
        self.rds: Core | None = None  # what identity policies are asked about; RDS puts itself here
        self.ram: Ram | None = None  # which clusters other accounts may clone; RAM puts itself here
        self.efs: Files | None = None  # likewise
        self.access: Access | None = None
        self._terminal: dict[str, EndResource] = {}
        self.store = Store(config.home / "state", self.lock)
        self.store.part("identities", Part(identities.dump, identities.load))
        self.faults = Faults(config.faults_file, lambda: self.store.save("faults"))
        self.store.part("faults", Part(self.faults.dump, self.faults.load))
        self.on_admin("faults-add", self.faults.add)
        self.on_admin("faults-remove", self.faults.remove)
        self.on_admin("faults-clear", self.faults.clear)
        self.on_admin("faults-list", self.faults.list)

    def lock(self, service: str) -> threading.RLock:
        """Reentrant lock of a service, held while one of its calls is answered; whoever changes its state takes it.

        Order, to exclude deadlocks: rds, then secretsmanager, then efs, then kms.
        """
        with self._locks_lock:
            return self._locks.setdefault(SHARED_LOCKS.get(service, service), threading.RLock())

    @property
    def caller(self) -> Caller:
        """Who makes the call that this thread is answering.

        :raises LookupError: the thread answers no call.
        """
        caller: Caller | None = getattr(self._local, "caller", None)
        if caller is None:
            raise LookupError("this thread answers no AWS call, so it has no caller")
        return caller

    @contextmanager
    def calling(self, caller: Caller) -> Iterator[None]:
        """Set the caller of this thread for the duration of one call (the guard does)."""
        former = getattr(self._local, "caller", None)
        self._local.caller = caller
        try:
            yield
        finally:
            self._local.caller = former

    @property
    def ends_in(self) -> str | None:
        """Status in which a fault rule lets the operation end that this thread is starting; None without."""
        status: str | None = getattr(self._local, "ends_in", None)
        return status

    @property
    def ends_because(self) -> str:
        """What a fault rule wants to be said of that end; empty without."""
        because: str = getattr(self._local, "ends_because", "")
        return because

    @contextmanager
    def ending(self, status: str, because: str = "") -> Iterator[None]:
        """Let the operations that this thread starts end in a status of failure (a fault rule does).

        :param because: what is said of it, such as the failure cause of an export task.
        """
        self._local.ends_in, self._local.ends_because = status, because
        try:
            yield
        finally:
            self._local.ends_in, self._local.ends_because = None, ""

    @property
    def odd(self) -> str:
        """What a fault rule wants odd about the answer that this thread gives; empty without."""
        odd: str = getattr(self._local, "odd", "")
        return odd

    @contextmanager
    def answering(self, odd: str) -> Iterator[None]:
        """Let the answer that this thread gives be odd (a fault rule does)."""
        self._local.odd = odd
        try:
            yield
        finally:
            self._local.odd = ""

    def on_terminal(self, service: str, function: EndResource) -> None:
        """Let ``function`` put the resource that a call names into a status of failure at once.

        :param function: takes account, region, the call's parameters and the status.
        """
        self._terminal[service] = function

    def end_resource(self, service: str, account: str, region: str, parameters: dict[str, Any], status: str) -> None:
        """Run what was registered with :meth:`on_terminal`."""
        self._terminal[service](account, region, parameters, status)

    def on_startup(self, function: Callable[[], None]) -> None:
        """Run ``function`` after every extension is installed, before the first request."""
        self._startup.append(function)

    def on_shutdown(self, function: Callable[[], None]) -> None:
        """Run ``function`` when the server ends, before ``engine.close()``; the last one registered runs first."""
        self._shutdown.append(function)

    def on_admin(self, name: str, operation: AdminOperation) -> None:
        """Offer ``operation`` to seed and tests, for what happens in AWS without a call (an automated snapshot).

        It is called by :func:`localcloud.client.admin_operation` with the JSON object given there, in a server thread
        without a caller, and returns a JSON object. A ValueError or LookupError is answered with its message.

        :param name: such as ``rds-automated-snapshot`` (parameters account, region, cluster, created).
        """
        self._admin[name] = operation

    def admin(self, name: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Run what was offered with :meth:`on_admin`.

        :raises LookupError: nothing of this name was offered.
        """
        if name not in self._admin:
            raise LookupError(f"there is no {name}; there are {', '.join(sorted(self._admin)) or 'none'}")
        return self._admin[name](parameters)

    def startup(self) -> None:
        """Run what was registered with :meth:`on_startup`."""
        for function in self._startup:
            function()

    def shutdown(self) -> None:
        """Run what was registered with :meth:`on_shutdown`, save the state, close the engine, whatever fails before."""
        pending = list(self._shutdown)
        try:
            while pending:
                pending.pop()()
        finally:
            if pending:
                self._shutdown = pending
                self.shutdown()
            else:
                try:
                    self.store.close()
                finally:
                    self.engine.close()
