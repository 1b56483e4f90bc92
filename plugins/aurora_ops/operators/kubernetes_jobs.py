"""Jobs on EKS: a container that does one thing, with a login it finds in a file, its log here, and nothing left behind.

The Kubernetes provider's ``KubernetesJobOperator`` is not used (``docs/adr/0020``): a second try makes a second job, the
whole job with its environment goes into an XCom, it waits without bound, in the worker until the pod runs, and its trigger needs a
kubeconfig with an exec plug-in on the triggerer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core import kubernetes as k8s
from aurora_ops.core import ownership
from aurora_ops.core.errors import BusyError, StateError
from aurora_ops.core.kubernetes import Object
from aurora_ops.core.safety import require_refreshable
from aurora_ops.core.wait import Wait
from aurora_ops.hooks.kubernetes import KubernetesApi, KubernetesHook
from aurora_ops.hooks.rds import RdsHook
from aurora_ops.hooks.secrets import SecretsHook
from aurora_ops.operators.base import RefreshOperator, Result
from aurora_ops.operators.sql import master_login

_LOG_LINES, _LOG_BYTES = 2000, 512 * 1024
_GRACE_S = 600


class KubernetesOperator(RefreshOperator[KubernetesHook]):
    """Work on objects of one cluster and namespace.

    :param cluster_name: EKS cluster (templated).
    :param namespace: namespace that exists (templated).
    """

    hook_class = KubernetesHook
    template_fields: Sequence[str] = (*RefreshOperator.template_fields, "cluster_name", "namespace")

    def __init__(self, *, cluster_name: str, namespace: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cluster_name = cluster_name
        self.namespace = namespace

    @property
    def api(self) -> KubernetesApi:
        """The cluster's API."""
        return self.hook.api(self.cluster_name)

    def wait_for_object(
        self, condition: str, within_s: int, context: Context, *, namespace: str | None = None, **args: Any
    ) -> Result:
        """Wait for a condition of an object (``hooks.kubernetes.CONDITIONS``), then take the next pass."""
        where = {"namespace": namespace} if namespace else {}
        until = Wait(
            waiter=condition, args={"cluster": self.cluster_name, **where, **args}, within_s=within_s, every_s=10
        )
        return self.wait_until(until, context)

    def wait_until_gone(self, kind: k8s.Kind, found: Object, within_s: int, context: Context) -> Result:
        """Wait until an object is gone, then take the next pass."""
        meta = found["metadata"]
        args = {"kind": kind.plural, "name": meta["name"], "uid": meta["uid"]}
        return self.wait_for_object("object_gone", within_s, context, namespace=meta.get("namespace"), **args)


class DeleteJobSecretOperator(KubernetesOperator):
    """Delete the secret of a run's job; gone already is fine, and so is a run whose check refused it, which has made none.

    :param name: name of the secret; ``None`` is nothing to do (templated).
    :return: ``{"deleted"}``.
    :raises SafetyError: somebody else made it.
    """

    permissions: ClassVar[tuple[str, ...]] = ("eks:DescribeCluster",)
    template_fields: Sequence[str] = (*KubernetesOperator.template_fields, "name")

    def __init__(self, *, name: str | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.name = name

    def take_pass(self, context: Context) -> Result:
        """Look; delete."""
        if self.name is None:
            return {"deleted": False}
        found = self.api.find(k8s.SECRETS, self.name, self.namespace)
        if found is None:
            return {"deleted": False}
        k8s.require_ours(k8s.SECRETS.plural, found)
        self.api.delete(k8s.SECRETS, found)
        return {"deleted": True}


class RunJobOperator(KubernetesOperator):
    """Run a command to its end in a pod of its own, and write the pod's log into the task's.

    It finds the login of a cluster's database in a file (``/run/aurora-ops/my.cnf``), an option file of MySQL's clients
    (``--defaults-extra-file``), so the password is in no environment, no manifest of a job and no command line. It is read from
    Secrets Manager here and put into a Kubernetes secret that the job owns: the job is made suspended, then the secret, then the
    job begins; whatever ends the job, Kubernetes removes the secret with it.

    A job of this run that still runs is waited for, one that has succeeded is the goal, one that failed in an earlier try is
    replaced. A job of another run under the same name is replaced where it has ended, and refused where it runs. Kubernetes
    gives it one try (``backoffLimit`` 0), a deadline, and removes it a day after its end. A pod that cannot start as it is
    (image, secret) fails the task at once instead of at the deadline.

    :param name: name of the job, at most 63 characters; ``None`` is nothing to do (templated).
    :param image: image with a version or digest (templated).
    :param command: command and its arguments; no secrets (templated).
    :param run_key: the run, as ``refresh_plan.run_key`` writes it (templated).
    :param expires_h: hours after which it may be removed, should its run be dead (templated).
    :param db_cluster_id: Aurora cluster whose login it is given; ``None``: none (templated).
    :param secret_id: secret of Secrets Manager to log in with; ``None``: the cluster's managed master secret (templated).
    :param writes: the job writes; the cluster must be tagged ``refresh=true``.
    :param tls_ca: file in the image that the server's certificate is checked against (templated).
    :param environment: environment of the container; no secrets (templated).
    :param mounts: claims, each ``{"claim", "path", "sub_path"}`` (templated).
    :param service_account: service account, for a role of AWS (IRSA, Pod Identity); ``None`` is the namespace's own (templated).
    :param node_selector: labels its node must have (templated).
    :param tolerations: taints it bears (templated).
    :param cpu: CPU it asks for, as Kubernetes writes it (templated).
    :param memory: memory it asks for and is limited to (templated).
    :param run_as: user and group id of its process, ``uid:gid`` (templated).
    :param deadline_s: seconds after which it is ended (templated).
    :param keep_s: seconds that Kubernetes keeps it after its end.
    :return: ``{"job", "pods", "log_lines"}``.
    :raises StateError: the job has failed, or a job of another run has its name and still runs.
    :raises SafetyError: a job or secret of that name is not this package's, or the cluster is not tagged.
    :raises MissingError: no such cluster or login.
    :raises WaitFailedError: its pod cannot start.
    """

    permissions: ClassVar[tuple[str, ...]] = (
        "eks:DescribeCluster",
        "rds:DescribeDBClusters",
        "secretsmanager:GetSecretValue",
        "kms:Decrypt",
    )
    template_fields: Sequence[str] = (
        *KubernetesOperator.template_fields,
        "name",
        "image",
        "command",
        "run_key",
        "expires_h",
        "db_cluster_id",
        "secret_id",
        "tls_ca",
        "environment",
        "mounts",
        "service_account",
        "node_selector",
        "tolerations",
        "cpu",
        "memory",
        "run_as",
        "deadline_s",
    )

    def __init__(
        self,
        *,
        name: str | None,
        image: str,
        command: list[str],
        run_key: str,
        expires_h: float,
        db_cluster_id: str | None = None,
        secret_id: str | None = None,
        writes: bool = False,
        tls_ca: str | None = None,
        environment: Mapping[str, str] | None = None,
        mounts: list[dict[str, str]] | None = None,
        service_account: str | None = None,
        node_selector: Mapping[str, str] | None = None,
        tolerations: list[dict[str, str]] | None = None,
        cpu: str = "500m",
        memory: str = "1Gi",
        run_as: str = "1000:1000",
        deadline_s: int = 3600,
        keep_s: int = 86400,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.image = image
        self.command = command
        self.run_key = run_key
        self.expires_h = expires_h
        self.db_cluster_id = db_cluster_id
        self.secret_id = secret_id
        self.writes = writes
        self.tls_ca = tls_ca
        self.environment = environment or {}
        self.mounts = mounts or []
        self.service_account = service_account
        self.node_selector = node_selector or {}
        self.tolerations = tolerations or []
        self.cpu = cpu
        self.memory = memory
        self.run_as = run_as
        self.deadline_s = deadline_s
        self.keep_s = keep_s

    def take_pass(self, context: Context) -> Result:
        """Look; adopt, replace or make the job, and wait for its end."""
        if self.name is None:
            return {"job": None, "pods": [], "log_lines": 0}
        this_try = int(getattr(context.get("ti"), "try_number", 1) or 1)
        found = self.api.find(k8s.JOBS, self.name, self.namespace)
        if found is None:
            return self._begin(None, this_try, context)
        k8s.require_ours(k8s.JOBS.plural, found)
        annotations, ended = found["metadata"].get("annotations") or {}, k8s.outcome(found)
        ours = annotations.get(k8s.RUN_LABEL) == self.run_key
        if found["metadata"].get("deletionTimestamp"):
            return self.wait_until_gone(k8s.JOBS, found, _GRACE_S, context)
        if ended is None and not ours:
            raise StateError(
                f"job {self.name} in {self.namespace} runs for {annotations.get(k8s.RUN_LABEL)}; wait for its end, or delete it"
            )
        if ended is None:
            return self._begin(found, this_try, context)
        if ours and ended.succeeded:
            return self._result(found)
        if ours and int(annotations.get(k8s.TRY_ANNOTATION, 0)) >= this_try:
            raise self._failure(found, ended)
        self.log.info("replacing job %s, which ended for %s", self.name, annotations.get(k8s.RUN_LABEL))
        self.api.delete(k8s.JOBS, found)
        return self.wait_until_gone(k8s.JOBS, found, _GRACE_S, context)

    def on_kill(self) -> None:
        """Leave the job: a cleared task adopts it, and otherwise its deadline ends it, or its expiry where it has not begun."""
        self.log.info("job %s goes on without this task; its deadline ends it after %s s", self.name, self.deadline_s)

    def _begin(self, found: Object | None, this_try: int, context: Context) -> Result:
        """Make the job, suspended where it needs a login, give it that, and let it begin; wait for the end of any."""
        if found is not None and not found["spec"].get("suspend"):
            return self._wait(context)
        # read first: what is refused leaves no job behind
        login = self._login_file() if self.db_cluster_id is not None else None
        job = found or self.api.create(k8s.JOBS, self._manifest(this_try), self.namespace)
        if login is not None:
            self._put_secret(job, login)
        if job["spec"].get("suspend"):
            try:
                self.api.patch(k8s.JOBS, job, {"spec": {"suspend": False}})
            except BusyError as exc:
                self.log.info("%s; looking again", exc)
                return self._next_pass(context)
        return self._wait(context)

    def _login_file(self) -> str:
        """Read the login of the cluster."""
        cluster = RdsHook(self.aws_conn_id, self.region_name).require_cluster(str(self.db_cluster_id))
        if self.writes:
            require_refreshable(cluster.cluster_id, cluster.tags)
        login = master_login(cluster, SecretsHook(self.aws_conn_id, self.region_name), self.secret_id, None)
        return k8s.login_file(
            host=login.host, port=login.port, user=login.user, password=login.password, tls_ca=self.tls_ca
        )

    def _put_secret(self, job: Object, login: str) -> None:
        """Make the secret of a job; one that an earlier try has left is made anew: the password may have changed."""
        found = self.api.find(k8s.SECRETS, str(self.name), self.namespace)
        if found is not None:
            k8s.require_ours(k8s.SECRETS.plural, found)
            self.api.delete(k8s.SECRETS, found)
        self.api.create(k8s.SECRETS, k8s.secret(job, self.run_key, {k8s.LOGIN_FILE: login}), self.namespace)

    def _wait(self, context: Context) -> Result:
        # Nodes may have to come first, so the wait is a little longer than the job may run.
        within_s = int(self.deadline_s) + _GRACE_S
        return self.wait_for_object("job_ended", within_s, context, namespace=self.namespace, name=str(self.name))

    def _manifest(self, this_try: int) -> Object:
        return k8s.job(
            name=str(self.name),
            image=self.image,
            command=list(self.command),
            run_key=self.run_key,
            created_in_try=this_try,
            expires=ownership.expiry(datetime.now(UTC), float(self.expires_h)),
            suspend=self.db_cluster_id is not None,
            environment=self.environment,
            secret_name=self.name if self.db_cluster_id else None,
            mounts=self.mounts,
            service_account=self.service_account,
            node_selector=self.node_selector,
            tolerations=self.tolerations,
            cpu=self.cpu,
            memory=self.memory,
            run_as=self.run_as,
            deadline_s=int(self.deadline_s),
            keep_s=self.keep_s,
        )

    def _pods(self) -> list[Object]:
        return self.api.list(k8s.PODS, self.namespace, {"job-name": str(self.name)})

    def _tell_log(self, pods: list[Object]) -> int:
        """Write the pods' logs into this task's, their last lines; how many."""
        count = 0
        for pod in pods:
            name = pod["metadata"]["name"]
            for line in self.api.log(self.namespace, name, lines=_LOG_LINES, most_bytes=_LOG_BYTES):
                self.log.info("[%s] %s", name, line)
                count += 1
        return count

    def _result(self, found: Object) -> Result:
        pods = self._pods()
        lines = self._tell_log(pods)
        return {"job": found["metadata"]["name"], "pods": [pod["metadata"]["name"] for pod in pods], "log_lines": lines}

    def _failure(self, found: Object, ended: k8s.Outcome) -> StateError:
        pods = self._pods()
        self._tell_log(pods)
        codes = k8s.exit_codes(pods)
        return StateError(
            f"job {found['metadata']['name']} in {self.namespace} failed: {ended.cause}"
            + (f" ({codes})" if codes else "")
            + "; its log is in this task's log; clear the task to run it again"
        )
