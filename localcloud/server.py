"""The server process: moto with the extensions installed, behind the guard, on loopback only."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, request
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.exceptions import InternalServerError, MethodNotAllowed, NotFound
from werkzeug.serving import BaseWSGIServer, make_server

from localcloud import accounts, backdate, efs, eks, faults, rds
from localcloud.cloud import Cloud
from localcloud.errors import error_body
from localcloud.guard import Guard, protocol_of
from localcloud.iam.access import Access
from localcloud.mariadb.engine import Engine, end_orphans
from localcloud.process import HOST, PortInUseError, bind, lock_home
from localcloud.recorder import Recorder
from localcloud.services import (
    alarms,
    athena,
    buckets,
    functions,
    glue,
    iam,
    items,
    kms,
    kms_rules,
    queues,
    ram,
    secretsmanager,
    stacks,
    sts,
    tables,
    tagging,
    topics,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.config import CloudConfig

log = logging.getLogger(__name__)


class Dispatcher(DomainDispatcherApplication):
    """moto's choice of a service, which says so where there is none."""

    def get_backend_for_host(self, host: str | None) -> Any:
        """Name of moto's backend.

        :raises NotImplementedError: moto does not have the service; it would crash.
        """
        backend = super().get_backend_for_host(host)
        if backend is None and host is not None:
            raise NotImplementedError(f"localcloud has no service {host.split('.')[0]}")
        return backend


class _QuietHandler(MotoRequestHandler):
    """No access log: the recorder has every call."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


def clear_state(config: CloudConfig) -> None:
    """Remove clusters, snapshots, state and records that an earlier server left. Only under the home's lock."""
    for folder in ("clusters", "snapshots"):
        path = config.home / "mariadb" / folder
        if path.exists():
            shutil.rmtree(path)
    for name in ("athena", "efs", "backup", "kube", "logs", "state"):
        shutil.rmtree(config.home / name, ignore_errors=True)
    config.calls_file.unlink(missing_ok=True)
    config.seeded_file.unlink(missing_ok=True)


def build(config: CloudConfig) -> tuple[Cloud, Guard]:
    """Install every extension into moto and put the guard in front of it; with ``keep``, bring the state back.

    moto builds the application of a service on its first request, so what is patched before that takes effect.
    """
    # This variable would give every call to one account, whatever its credentials.
    os.environ.pop("MOTO_ACCOUNT_ID", None)
    keep = config.keep and config.has_state
    if not keep:
        clear_state(config)
    if config.faults_file is not None:
        faults.read_file(config.faults_file)
    identities = accounts.Identities()
    key_rules = kms_rules.KeyRules()
    cloud = Cloud(
        config=config,
        engine=Engine(config.home, db_port=config.db_port, prefix=config.mariadb_prefix),
        recorder=Recorder(config.calls_file),
        identities=identities,
        kms=key_rules,
        secrets=secretsmanager.RdsMasterSecrets(key_rules),
    )
    for extension in (
        iam,
        sts,
        kms,
        secretsmanager,
        rds,
        backdate,
        ram,
        tagging,
        efs,
        functions,
        eks,
        alarms,
        stacks,
        tables,
        items,
        buckets,
        queues,
        topics,
        athena,
        glue,
    ):
        extension.install(cloud)
    access = cloud.access = Access(cloud, on=config.iam)
    cloud.on_admin("iam-enforce", access.switch)
    cloud.on_admin("iam-decisions", access.decisions)
    if not cloud.store.open(keep=keep):
        identities.create_airflow_user()
    identities.write_bootstrap(config.credentials_file)
    cloud.store.save("iam")
    cloud.store.save("identities")
    cloud.startup()

    def status() -> dict[str, Any]:
        return {"pid": os.getpid(), "home": str(config.home), "seeded": config.seeded_file.exists()}

    return cloud, Guard(Dispatcher(_service_app), cloud, status)


def _service_app(service: Any) -> Flask:
    """Moto's application of one service, with AWS-shaped answers for what moto lacks and for its crashes."""
    app = create_backend_app(service)
    app.debug = False
    app.config["PROPAGATE_EXCEPTIONS"] = False

    def answer(status: int, code: str, message: str) -> Response:
        protocol = protocol_of(request.environ, str(service))
        content_type, body = error_body(protocol, code, message)
        return Response(body, status, {"x-amzn-ErrorType": code}, content_type=content_type)

    def no_route(_error: NotFound | MethodNotAllowed) -> Response:
        message = f"localcloud has no {request.method} {request.path} for {service}"
        return answer(HTTPStatus.NOT_IMPLEMENTED, "NotImplemented", message)

    def missing(error: NotImplementedError) -> Response:
        return answer(HTTPStatus.NOT_IMPLEMENTED, "NotImplemented", str(error) or "not implemented by localcloud")

    def crash(error: InternalServerError) -> Response:
        # Flask has logged the traceback.
        original = error.original_exception
        return answer(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            "InternalFailure",
            f"localcloud crashed: {type(original).__name__}: {original}; the traceback is in server.log",
        )

    app.register_error_handler(NotFound, no_route)
    app.register_error_handler(MethodNotAllowed, no_route)
    app.register_error_handler(NotImplementedError, missing)
    app.register_error_handler(InternalServerError, crash)
    return app


def serve(config: CloudConfig, fill: Callable[[CloudConfig], None] | None = None) -> bool:
    """Run the server until SIGTERM or SIGINT, then stop every database.

    :param fill: fills the accounts as soon as the server answers; if it fails, the server ends.
    :return: whether the accounts were filled, or were not to be.
    :raises AlreadyRunningError: see :func:`lock_home`.
    :raises PortInUseError: see :func:`bind`.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    home_lock = lock_home(config)
    try:
        listener = bind(config.port)
    except PortInUseError:
        os.ftruncate(home_lock, 0)
        raise
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    end_orphans(config.home)
    cloud, guard = build(config)
    try:
        server = make_server(
            HOST, config.port, guard, threaded=True, request_handler=_QuietHandler, fd=listener.fileno()
        )
        log.info("localcloud answers on %s, home %s, process %s", config.endpoint, config.home, os.getpid())
        if fill is not None:
            threading.Thread(target=_fill, args=(fill, config, stop), name="fill", daemon=True).start()
        _serve_until(stop, server)
        return fill is None or config.seeded_file.exists()
    finally:
        cloud.faults.release()
        cloud.shutdown()
        cloud.recorder.close()
        config.credentials_file.unlink(missing_ok=True)
        os.ftruncate(home_lock, 0)
        log.info("localcloud has stopped")


def _fill(fill: Callable[[CloudConfig], None], config: CloudConfig, stop: threading.Event) -> None:
    try:
        fill(config)
    finally:
        if not config.seeded_file.exists():
            stop.set()


def _serve_until(stop: threading.Event, server: BaseWSGIServer) -> None:
    worker = threading.Thread(target=server.serve_forever, name="http", daemon=True)
    worker.start()
    stop.wait()
    log.info("stopping")
    server.shutdown()
    worker.join()
