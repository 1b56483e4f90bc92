"""Changes are written down before they are made and after, or they are not made."""

from __future__ import annotations

import io
import re
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from aurora_ops.core.errors import BusyError, PermanentError, StateError, TransientError
from aurora_ops.hooks import auditing
from aurora_ops.hooks.auditing import Change
from aurora_ops.hooks.buckets import BucketsHook
from aurora_ops.hooks.eks import EksHook
from aurora_ops.hooks.kubernetes import KubernetesApi
from aurora_ops.hooks.mysql import Login, MySqlHook
from aurora_ops.hooks.parameters import ParametersHook
from aurora_ops.hooks.rds import RdsHook
from aurora_ops.hooks.runs import RunsHook
from aurora_ops.hooks.secrets import SecretsHook
from aurora_ops.hooks.topics import TopicsHook
from botocore import exceptions as boto
from moto import mock_aws

REGION = "eu-west-1"


class Noted:
    """A recorder that keeps what it is told, or refuses."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.refuses = False

    def before(self, change: Change) -> int:
        if self.refuses:
            raise PermanentError("no audit trail, no change")
        self.told.append(
            ("before", change.service, change.operation, dict(change.parameters), change.region, change.who()[0])
        )
        return len(self.told)

    def after(self, token: int, outcome: str, *, duration_ms: int, error: str | None, answer: Any) -> None:
        assert duration_ms >= 0
        self.told.append(("after", token, outcome, error, answer))

    @property
    def short(self) -> list[tuple[Any, ...]]:
        return [(one[0], one[2] if one[0] == "before" else one[2:4]) for one in self.told]


@pytest.fixture
def aws_of_this_test(monkeypatch):
    """AWS with clients of this test's own: those that are shared keep the handlers of the first hook."""
    with mock_aws():
        session = boto3.session.Session(region_name=REGION)
        monkeypatch.setattr("aurora_ops.hooks.base.AwsHook.get_session", lambda *_, **__: session)
        yield session


@pytest.fixture
def noted():
    found = Noted()
    with auditing.recorded_by(found):
        yield found


def test_a_change_is_written_down_before_and_after_and_a_look_is_not(aws_of_this_test, noted) -> None:
    parameters = ParametersHook("aws_orchestrator", REGION)
    parameters.put("/a", "secret value")
    assert parameters.find("/a") == "secret value"
    [before, after] = noted.told
    assert before[:3] == ("before", "ssm", "PutParameter")
    assert before[3]["Name"] == "/a"
    assert before[4:] == (REGION, "123456789012")
    assert after[:4] == ("after", 1, "done", None)
    assert after[4]["ResponseMetadata"]["RequestId"]


def test_without_a_recorder_nothing_is_written_and_nobody_is_asked_who(aws_of_this_test, monkeypatch) -> None:
    monkeypatch.setattr(ParametersHook, "caller", lambda _: pytest.fail("asked"))
    ParametersHook("aws_orchestrator", REGION).put("/a", "x")


def test_what_cannot_be_written_down_is_not_done(aws_of_this_test, noted) -> None:
    noted.refuses = True
    parameters = ParametersHook("aws_orchestrator", REGION)
    with pytest.raises(PermanentError, match="no audit trail, no change"):
        parameters.put("/a", "x")
    noted.refuses = False
    assert parameters.find("/a") is None


def test_that_holds_for_every_changing_operation_of_a_client(noted, monkeypatch) -> None:
    """None is sent: RDS has about a hundred."""
    noted.refuses = True
    session = boto3.session.Session("AKIAFAKEFAKEFAKEFAKE", "fake", region_name=REGION)
    monkeypatch.setattr("botocore.httpsession.URLLib3Session.send", lambda *_: pytest.fail("sent"))
    monkeypatch.setattr(RdsHook, "get_session", lambda *_, **__: session)
    client: Any = RdsHook("aws_source", REGION).conn
    tried = 0
    for operation in client.meta.service_model.operation_names:
        if not auditing.changes(operation):
            continue
        model = client.meta.service_model.operation_model(operation)
        if any(shape.type_name != "string" for shape in needed(model)):
            continue
        with pytest.raises(PermanentError, match="no audit trail"):
            client._make_api_call(operation, dict.fromkeys(model.input_shape.required_members, "x" * 30))
        tried += 1
    assert tried > 80


def needed(model: Any) -> list[Any]:
    return [model.input_shape.members[name] for name in model.input_shape.required_members] if model.input_shape else []


def test_a_refusal_is_written_down_with_its_code(aws_of_this_test, noted) -> None:
    with pytest.raises(PermanentError):
        SecretsHook("aws_orchestrator", REGION).drop_pending("none", "0" * 36)
    assert noted.short == [("before", "UpdateSecretVersionStage"), ("after", ("refused", "ResourceNotFoundException"))]


def test_a_lost_answer_is_unknown(noted, monkeypatch) -> None:
    def lose(_: Any, request: Any) -> None:
        raise boto.ConnectionClosedError(endpoint_url=request.url)

    session = boto3.session.Session("AKIAFAKEFAKEFAKEFAKE", "fake", region_name=REGION)
    monkeypatch.setattr("botocore.httpsession.URLLib3Session.send", lose)
    monkeypatch.setattr(RdsHook, "get_session", lambda *_, **__: session)
    monkeypatch.setattr(RdsHook, "caller", lambda _: ("1", "arn"))
    with pytest.raises(TransientError, match="lost"):
        RdsHook("aws_source", REGION).call("delete_db_cluster", DBClusterIdentifier="app")
    assert noted.short == [("before", "DeleteDBCluster"), ("after", ("unknown", "TransientError"))]


def test_what_is_sent_again_is_one_change(noted, monkeypatch) -> None:
    """botocore repeats what was throttled; that is one call."""
    sent = []

    def throttle(_: Any, request: Any) -> Any:
        sent.append(request.url)
        raise boto.EndpointConnectionError(endpoint_url=request.url)

    session = boto3.session.Session("AKIAFAKEFAKEFAKEFAKE", "fake", region_name=REGION)
    monkeypatch.setattr("botocore.httpsession.URLLib3Session.send", throttle)
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
    monkeypatch.setattr(RdsHook, "get_session", lambda *_, **__: session)
    monkeypatch.setattr(RdsHook, "caller", lambda _: ("1", "arn"))
    with pytest.raises(TransientError):
        RdsHook("aws_source", REGION).call("delete_db_cluster", DBClusterIdentifier="app")
    assert len(sent) > 1
    assert noted.short == [("before", "DeleteDBCluster"), ("after", ("unknown", "EndpointConnectionError"))]


def test_uploads_in_threads_of_boto3_are_seen_too(aws_of_this_test, noted) -> None:
    place = {"LocationConstraint": REGION}
    aws_of_this_test.client("s3").create_bucket(Bucket="bucket", CreateBucketConfiguration=place)
    hook = BucketsHook("aws_orchestrator", REGION)
    hook.upload("bucket", "small", io.BytesIO(b"x"))
    hook.upload("bucket", "large", io.BytesIO(b"x" * (9 * 1024 * 1024)))
    operations = [one[2] for one in noted.told if one[0] == "before"]
    assert operations == ["PutObject", "CreateMultipartUpload", "CompleteMultipartUpload"]
    noted.refuses = True
    with pytest.raises(PermanentError, match="no audit trail"):
        hook.upload("bucket", "other", io.BytesIO(b"x"))
    assert hook.find("bucket", "other") is None


def test_a_thread_of_the_task_cannot_get_by(aws_of_this_test, noted) -> None:
    noted.refuses = True
    raised: list[BaseException] = []

    def work() -> None:
        try:
            ParametersHook("aws_orchestrator", REGION).put("/a", "x")
        except PermanentError as exc:
            raised.append(exc)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(raised) == 1


def test_our_own_books_and_announcements_are_none_of_its_business(aws_of_this_test, noted) -> None:
    noted.refuses = True
    topic = aws_of_this_test.client("sns").create_topic(Name="t")["TopicArn"]
    TopicsHook("aws_orchestrator", REGION).publish(topic, "s", "m")
    with pytest.raises(PermanentError, match="ResourceNotFound"):
        RunsHook("aws_orchestrator", REGION).put("none", {"pk": "a", "sk": "b"})
    assert noted.told == []


def test_no_hook_makes_a_client_that_is_not_watched() -> None:
    """But for who one is and the token of a cluster, which change nothing."""
    made = {
        path.name: count
        for path in Path(auditing.__file__).parent.glob("*.py")
        if (count := len(re.findall(r"\.(client|resource)\(|create_client\(", path.read_text())))
    }
    assert made == {"base.py": 1, "eks.py": 1}


def test_the_recorder_before_is_back_afterwards() -> None:
    first, second = Noted(), Noted()
    with auditing.recorded_by(first):
        with pytest.raises(StateError), auditing.recorded_by(second):
            raise StateError("x")
        assert auditing._recorder is first
    assert not auditing.is_recorded()


class TestKubernetes:
    """Changing requests to a cluster's API."""

    KIND = SimpleNamespace(group="batch", plural="jobs", namespaced=True)

    @pytest.fixture
    def api(self, monkeypatch):
        api = KubernetesApi(EksHook("aws_destination", REGION), "apps")
        monkeypatch.setattr(EksHook, "caller", lambda _: ("222222222222", "arn"))
        answers: list[Any] = []

        def send(_: Any, method: str, path: str, payload: bytes | None, doing: str) -> Any:
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return SimpleNamespace(status=answer, data=b'{"metadata": {}}')

        monkeypatch.setattr(KubernetesApi, "_sent", send)
        return api, answers

    def test_are_written_down_by_name(self, api, noted) -> None:
        api, answers = api
        answers += [200, 201]
        api.find(self.KIND, "dump", "staging")
        api.create(self.KIND, {"metadata": {"name": "dump"}, "spec": {"password": "x"}}, "staging")
        [before, after] = noted.told
        assert before[1:4] == ("kubernetes", "post jobs", {"cluster": "apps", "namespace": "staging", "name": "dump"})
        assert before[5] == "222222222222"
        assert after[2:4] == ("done", None)

    @pytest.mark.parametrize(
        ("answer", "kind", "outcome"),
        [
            (403, PermanentError, "refused"),
            (409, BusyError, "refused"),
            (TransientError("lost"), TransientError, "unknown"),
        ],
    )
    def test_that_fail(self, api, noted, answer, kind, outcome) -> None:
        api, answers = api
        answers.append(answer)
        with pytest.raises(kind):
            api.create(self.KIND, {"metadata": {"name": "dump"}}, "staging")
        assert noted.short[1] == ("after", (outcome, kind.__name__))

    def test_a_question_is_none(self, api, noted, monkeypatch) -> None:
        api, _ = api
        reviewed = SimpleNamespace(status=201, data=b'{"status": {"allowed": true}}')
        monkeypatch.setattr(KubernetesApi, "_sent", lambda *_: reviewed)
        assert api.may("patch", self.KIND, "staging", "dump")
        assert noted.told == []

    def test_are_not_sent_unwritten(self, api, noted) -> None:
        api, answers = api
        noted.refuses = True
        with pytest.raises(PermanentError, match="no audit trail"):
            api.create(self.KIND, {"metadata": {"name": "dump"}}, "staging")
        assert answers == []


class TestSql:
    """Statements: kinds and counts, never text."""

    @pytest.fixture
    def sql(self, monkeypatch):
        ran: list[str] = []

        class Cursor:
            description, rowcount = None, 1

            def __enter__(self):
                return self

            def __exit__(self, *_):
                return None

            def execute(self, text, args=None):
                ran.append(text)
                if "fail" in text:
                    raise TransientError("lost")
                return 1

            def fetchall(self):
                return []

        connection = SimpleNamespace(ping=lambda **_: None, close=lambda: None, cursor=Cursor)
        monkeypatch.setattr("aurora_ops.hooks.mysql.pymysql.connect", lambda **_: connection)
        hook = MySqlHook(Login("db.example", 3306, "admin", "pw"))
        return hook, ran

    def test_are_counted_by_kind(self, sql, noted) -> None:
        hook, _ran = sql
        with hook:
            hook.rows("SELECT 1")
            assert noted.told == []
            for name in ("a", "b"):
                hook.run(f"ALTER USER {name} IDENTIFIED BY 'hunter2'", what="set password")
            hook.run("DROP USER c", what="drop user")
        [before, after] = noted.told
        assert before[1:4] == ("mysql", "statements", {"host": "db.example", "user": "admin", "Port": 3306})
        assert after[2:] == ("done", None, {"counts": {"set password": 2, "drop user": 1}})
        assert "hunter2" not in str(noted.told)

    def test_each_connection_is_one_change(self, sql, noted) -> None:
        hook, _ = sql
        for _ in range(2):
            with hook:
                hook.run("UPDATE a", what="mask")
        assert [one[0] for one in noted.told] == ["before", "after"] * 2

    def test_that_failed_say_so(self, sql, noted) -> None:
        hook, _ = sql
        with pytest.raises(TransientError), hook:
            hook.run("fail", what="mask")
        assert noted.told[1][2:] == ("unknown", "TransientError", {"counts": {"mask": 1}})

    def test_are_not_run_unwritten(self, sql, noted) -> None:
        hook, ran = sql
        noted.refuses = True
        with pytest.raises(PermanentError, match="no audit trail"), hook:
            hook.run("DROP USER c", what="drop user")
        assert ran == []

    def test_kinds_are_bounded(self, sql, noted) -> None:
        hook, _ = sql
        with hook:
            for number in range(70):
                hook.run("x", what=f"mask t{number}")
        counts = noted.told[1][4]["counts"]
        assert len(counts) == 51
        assert counts["others"] == 20
