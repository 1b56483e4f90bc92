"""AWS's errors turned into ours, one look at a waiter, the account asserted, lists read to their end."""

from __future__ import annotations

from types import SimpleNamespace

import boto3
import pytest
from aurora_ops.core import errors
from aurora_ops.core.wait import Wait
from aurora_ops.hooks import base
from aurora_ops.hooks.base import Look, aws_errors
from aurora_ops.hooks.buckets import BucketsHook
from aurora_ops.hooks.kms import KmsHook
from aurora_ops.hooks.rds import RdsHook
from aurora_ops.hooks.secrets import SecretsHook
from botocore import exceptions as boto
from botocore.stub import Stubber

REGION = "eu-west-1"
CLUSTER_WAIT = Wait("cluster_available", {"DBClusterIdentifier": "app"})


def refused(code: str, message: str = "why") -> boto.ClientError:
    return boto.ClientError({"Error": {"Code": code, "Message": message}}, "DescribeDBClusters")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("Throttling", errors.TransientError),
        ("ThrottlingException", errors.TransientError),
        ("RequestLimitExceeded", errors.TransientError),
        ("Throttled", errors.TransientError),
        ("TooManyRequestsException", errors.TransientError),
        ("InternalFailure", errors.TransientError),
        ("ServiceUnavailable", errors.TransientError),
        ("503", errors.TransientError),
        ("500", errors.TransientError),
        ("DBClusterNotFoundFault", errors.MissingError),
        ("DBInstanceNotFound", errors.MissingError),
        ("ResourceNotFoundException", errors.MissingError),
        ("NoSuchBucket", errors.MissingError),
        ("NoSuchKey", errors.MissingError),
        ("ParameterNotFound", errors.MissingError),
        ("404", errors.MissingError),
        ("InvalidDBClusterStateFault", errors.BusyError),
        ("InvalidDBInstanceState", errors.BusyError),
        ("InvalidDBClusterSnapshotStateFault", errors.BusyError),
        ("ResourceInUseException", errors.BusyError),
        ("ConflictException", errors.BusyError),
        ("ConcurrentModification", errors.BusyError),
        ("SnapshotQuotaExceeded", errors.TransientError),
        ("AccessDenied", errors.PermanentError),
        ("AccessDeniedException", errors.PermanentError),
        ("UnauthorizedOperation", errors.PermanentError),
        ("403", errors.PermanentError),
        ("InvalidParameterValue", errors.PermanentError),
        ("ValidationError", errors.PermanentError),
        ("DBClusterAlreadyExistsFault", errors.PermanentError),
        ("KMSKeyNotAccessibleFault", errors.PermanentError),
        ("", errors.PermanentError),
    ],
)
def test_codes_of_aws(code, kind) -> None:
    with pytest.raises(errors.AuroraOpsError) as raised, aws_errors("rds:stop_db_cluster app"):
        raise refused(code)
    assert type(raised.value) is kind
    assert str(raised.value).startswith(f"rds:stop_db_cluster app: {code}: why")


@pytest.mark.parametrize(
    ("status", "kind"), [(429, errors.TransientError), (503, errors.TransientError), (403, errors.PermanentError)]
)
def test_a_code_nobody_knows_is_judged_by_its_status(status, kind) -> None:
    answer = {"Error": {"Code": "Novelty", "Message": "why"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    with pytest.raises(kind), aws_errors("x"):
        raise boto.ClientError(answer, "DescribeDBClusters")


class TestLostAnswers:
    """What may have been done already is not repeated before somebody has looked."""

    @pytest.mark.parametrize(
        ("operation", "arguments", "tries"),
        [
            ("delete_db_cluster", {"DBClusterIdentifier": "app"}, 1),
            ("modify_db_cluster", {"DBClusterIdentifier": "app"}, 1),
            ("describe_db_clusters", {}, 3),
        ],
    )
    def test_only_reads_are_repeated(self, monkeypatch, operation, arguments, tries) -> None:
        sent = []

        def lose(_, request):
            sent.append(request.url)
            raise boto.ConnectionClosedError(endpoint_url=request.url)

        session = boto3.session.Session("AKIAFAKEFAKEFAKEFAKE", "fake", region_name=REGION)
        monkeypatch.setattr("botocore.httpsession.URLLib3Session.send", lose)
        monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
        monkeypatch.setattr(RdsHook, "get_session", lambda *_, **__: session)
        hook = RdsHook("aws_source", REGION)
        with pytest.raises(errors.TransientError, match=r"lost|closed"):
            hook.call(operation, **arguments)
        assert (len(sent) == 1) is (tries == 1)

    @pytest.mark.parametrize(("status", "kept"), [(500, True), (503, False), (400, False)])
    def test_a_failure_inside_aws_may_have_been_after_the_deed(self, status, kept) -> None:
        operation, answer = SimpleNamespace(name="CreateDBInstance"), (SimpleNamespace(status_code=status), {})
        if kept:
            with pytest.raises(errors.TransientError, match="inside"):
                base._not_blindly(operation, response=answer)
        else:
            base._not_blindly(operation, response=answer)
        base._not_blindly(SimpleNamespace(name="DescribeDBInstances"), response=answer)


@pytest.mark.parametrize(
    ("code", "advice"), [("AccessDenied", "include/iam"), ("SnapshotQuotaExceeded", "quota"), ("Throttling", "later")]
)
def test_message_says_the_next_step(code, advice) -> None:
    with pytest.raises(errors.AuroraOpsError, match=advice), aws_errors("x"):
        raise refused(code)


ROLE = "arn:aws:sts::222222222222:assumed-role/aurora-ops-destination/Airflow"


@pytest.mark.parametrize(
    ("code", "message", "said"),
    [
        (
            "AccessDenied",
            f"User: {ROLE} is not authorized to perform: rds:StopDBCluster on resource: arn:aws:rds:r:a:cluster:app because ...",
            "(role aurora-ops-destination lacks rds:StopDBCluster on arn:aws:rds:r:a:cluster:app; deploy",
        ),
        (
            "AccessDeniedException",
            f"User: {ROLE} is not authorized to perform: kms:ListKeys with an explicit deny in a service control policy",
            "(role aurora-ops-destination is denied kms:ListKeys; deploy",
        ),
        (
            "AccessDenied",
            "User: arn:aws:iam::000000000000:user/ops/airflow is not authorized to perform: sts:AssumeRole on resource: arn:r",
            "(user/ops/airflow lacks sts:AssumeRole on arn:r; deploy",
        ),
        ("KMSKeyNotAccessibleFault", "The specified KMS key [k] does not exist", "(grant the connection's role"),
        ("403", "Forbidden", "(grant the connection's role"),
    ],
)
def test_a_denial_says_who_lacks_what(code, message, said) -> None:
    with pytest.raises(errors.PermanentError) as raised, aws_errors("rds:stop_db_cluster app"):
        raise refused(code, message)
    assert f"rds:stop_db_cluster app: {code}: {message} {said}" in str(raised.value)
    assert "docs/how-to/iam.md" in str(raised.value)


@pytest.mark.parametrize(
    ("exc", "kind"),
    [
        (boto.EndpointConnectionError(endpoint_url="https://rds"), errors.TransientError),
        (boto.ConnectTimeoutError(endpoint_url="https://rds"), errors.TransientError),
        (boto.ReadTimeoutError(endpoint_url="https://rds"), errors.TransientError),
        (boto.ConnectionClosedError(endpoint_url="https://rds"), errors.TransientError),
        (boto.HTTPClientError(error="reset"), errors.TransientError),
        (boto.NoCredentialsError(), errors.PermanentError),
        (boto.ParamValidationError(report="bad"), errors.PermanentError),
    ],
)
def test_errors_without_an_answer(exc, kind) -> None:
    with pytest.raises(errors.AuroraOpsError) as raised, aws_errors("x"):
        raise exc
    assert type(raised.value) is kind


def test_other_errors_are_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError), aws_errors("x"):
        raise ZeroDivisionError


@pytest.fixture
def rds(aws_session) -> RdsHook:
    return RdsHook("aws_destination", REGION)


def statuses(*names: str) -> dict:
    return {"DBClusters": [{"DBClusterIdentifier": "app", "Status": name} for name in names]}


class TestLook:
    """One look: reached, pending, terminal, refused, throttled, lost."""

    @pytest.mark.parametrize(
        ("answer", "seen"),
        [
            (statuses("available"), Look.REACHED),
            (statuses("available", "available"), Look.REACHED),
            (statuses("creating"), Look.PENDING),
            (statuses("available", "modifying"), Look.PENDING),
            (statuses("status-of-next-year"), Look.PENDING),
            (statuses(), Look.PENDING),
        ],
    )
    def test_status(self, rds, answer, seen) -> None:
        with Stubber(rds.conn) as stub:
            stub.add_response("describe_db_clusters", answer, {"DBClusterIdentifier": "app"})
            assert rds.look(CLUSTER_WAIT) is seen
            stub.assert_no_pending_responses()

    @pytest.mark.parametrize("status", ["failed", "deleting", "inaccessible-encryption-credentials"])
    def test_terminal_status(self, rds, status) -> None:
        with Stubber(rds.conn) as stub:
            stub.add_response("describe_db_clusters", statuses(status))
            with pytest.raises(errors.WaitFailedError, match="cluster_available app"):
                rds.look(CLUSTER_WAIT)

    def test_missing_where_that_is_terminal(self, rds) -> None:
        with Stubber(rds.conn) as stub:
            stub.add_client_error("describe_db_clusters", "DBClusterNotFoundFault")
            with pytest.raises(errors.WaitFailedError):
                rds.look(CLUSTER_WAIT)

    def test_missing_where_that_is_not_yet(self, rds) -> None:
        with Stubber(rds.conn) as stub:
            stub.add_client_error("describe_db_clusters", "DBClusterNotFoundFault")
            assert rds.look(Wait("cluster_renamed", {"DBClusterIdentifier": "app"})) is Look.PENDING

    def test_missing_where_that_is_the_goal(self, rds) -> None:
        with Stubber(rds.conn) as stub:
            stub.add_client_error("describe_db_clusters", "DBClusterNotFoundFault")
            assert rds.look(Wait("cluster_deleted", {"DBClusterIdentifier": "app"})) is Look.REACHED

    @pytest.mark.parametrize("code", ["Throttling", "RequestLimitExceeded", "InternalFailure", "ServiceUnavailable"])
    def test_throttled_is_pending(self, rds, code) -> None:
        with Stubber(rds.conn) as stub:
            stub.add_client_error("describe_db_clusters", code)
            assert rds.look(CLUSTER_WAIT) is Look.PENDING

    @pytest.mark.parametrize(
        ("code", "kind"), [("AccessDenied", errors.PermanentError), ("InvalidParameterValue", errors.PermanentError)]
    )
    def test_refused_call_is_an_error_at_once(self, rds, code, kind) -> None:
        with Stubber(rds.conn) as stub:
            stub.add_client_error("describe_db_clusters", code, "no")
            with pytest.raises(kind) as raised:
                rds.look(CLUSTER_WAIT)
        assert not isinstance(raised.value, errors.WaitFailedError)
        assert code in str(raised.value)

    @pytest.mark.parametrize(
        "exc",
        [boto.EndpointConnectionError(endpoint_url="u"), boto.ReadTimeoutError(endpoint_url="u")],
        ids=lambda exc: type(exc).__name__,
    )
    def test_lost_connection_is_pending(self, rds, monkeypatch, exc) -> None:
        def lost(*_, **__):
            raise exc

        monkeypatch.setattr(rds.conn, "_make_api_call", lost)
        assert rds.look(CLUSTER_WAIT) is Look.PENDING

    def test_waiter_of_botocore_can_be_used(self, rds) -> None:
        with Stubber(rds.conn) as stub:
            stub.add_response(
                "describe_db_cluster_snapshots",
                {"DBClusterSnapshots": [{"Status": "available"}]},
                {"DBClusterSnapshotIdentifier": "s"},
            )
            wait = Wait("db_cluster_snapshot_available", {"DBClusterSnapshotIdentifier": "s"})
            assert rds.look(wait) is Look.REACHED

    @pytest.mark.parametrize(
        ("stages", "seen"),
        [
            ({"v1": ["AWSCURRENT"]}, Look.PENDING),
            ({"v1": ["AWSPREVIOUS"], "v2": ["AWSCURRENT"]}, Look.REACHED),
            ({"v2": ["AWSCURRENT"]}, Look.REACHED),
            ({"v1": ["AWSCURRENT"], "v2": ["AWSPENDING"]}, Look.PENDING),
        ],
    )
    def test_placeholders_of_a_waiter_are_filled_in(self, aws_session, stages, seen) -> None:
        hook = SecretsHook("aws_destination", REGION)
        versions = {name.replace("v", "aaaaaaaa-1111-2222-3333-00000000000"): value for name, value in stages.items()}
        wait = Wait(
            "current_version_moved",
            {"SecretId": "s"},
            parameters={"version_id": "aaaaaaaa-1111-2222-3333-000000000001"},
        )
        with Stubber(hook.conn) as stub:
            stub.add_response("describe_secret", {"VersionIdsToStages": versions}, {"SecretId": "s"})
            assert hook.look(wait) is seen


class TestAccount:
    """The connection must lead where the settings say."""

    def test_right_account(self, aws) -> None:
        RdsHook("aws_source", REGION).require_account("111111111111")
        RdsHook("aws_destination", REGION).require_account("222222222222")

    def test_other_account_is_refused(self, aws) -> None:
        with pytest.raises(errors.ConfigError, match="must lead to account 111111111111") as raised:
            RdsHook("aws_destination", REGION).require_account("111111111111")
        assert raised.value.field == "connection aws_destination"
        assert raised.value.value == "222222222222"

    def test_connection_that_does_not_exist_falls_back_to_own_keys_and_is_refused(self, aws) -> None:
        with pytest.raises(errors.ConfigError, match="create the connection"):
            RdsHook("aws_nowhere", REGION).require_account("222222222222")


class TestSession:
    """A role is assumed once a process, not once a hook."""

    def test_hooks_share_a_session(self, aws) -> None:
        one, two = RdsHook("aws_source", REGION), KmsHook("aws_source", REGION)
        assert one.get_session() is two.get_session()
        assert one.get_session() is not RdsHook("aws_destination", REGION).get_session()

    def test_a_fresh_hook_has_its_own(self, aws) -> None:
        shared = RdsHook("aws_source", REGION).get_session()
        assert RdsHook("aws_source", REGION, fresh=True).get_session() is not shared

    def test_region_is_part_of_it(self, aws) -> None:
        assert RdsHook("aws_source", "us-east-1").get_session().region_name == "us-east-1"


class TestCall:
    """Arguments that are None are left out, secrets stay out of messages, lists are read to their end."""

    def test_none_is_left_out(self, rds) -> None:
        with Stubber(rds.conn) as stub:
            stub.add_response("describe_db_clusters", {"DBClusters": []}, {"DBClusterIdentifier": "x"})
            rds.call("describe_db_clusters", DBClusterIdentifier="x", MaxRecords=None)

    def test_message_names_the_resource_and_no_secret(self, rds, aws_session) -> None:
        with Stubber(rds.conn) as stub:
            stub.add_client_error("modify_db_cluster", "DBClusterNotFoundFault", "no")
            with pytest.raises(errors.MissingError) as raised:
                rds.call("modify_db_cluster", DBClusterIdentifier="app", MasterUserPassword="hunter2hunter2")
        assert "rds:modify_db_cluster app: DBClusterNotFoundFault" in str(raised.value)
        assert "hunter2" not in str(raised.value)
        secrets = SecretsHook("aws_destination", REGION)
        with pytest.raises(errors.MissingError) as raised:
            secrets.put_pending("staging/app", {"password": "hunter2"}, "v" * 32)
        assert "staging/app" in str(raised.value)
        assert "hunter2" not in str(raised.value)

    def test_key_ids_and_passwords_are_never_subjects(self) -> None:
        shown = base._subject(
            {
                "DBClusterIdentifier": "app",
                "KmsKeyId": "alias/k",
                "MasterUserPassword": "p",
                "SecretString": "p",
                "Tags": [{"Key": "a"}],
                "TopicArn": "arn:t",
                "Bucket": "b",
                "Key": "k",
            }
        )
        assert shown == "app arn:t b k"

    def test_pages_are_read_to_the_last(self, rds) -> None:
        with Stubber(rds.conn) as stub:
            for number in range(5):
                marker = {"Marker": str(number)} if number < 4 else {}
                given = {"DBClusterIdentifier": "app"} | ({"Marker": str(number - 1)} if number else {})
                snapshots = [{"DBClusterSnapshotIdentifier": f"{number}-{n}"} for n in range(3)]
                stub.add_response("describe_db_cluster_snapshots", {"DBClusterSnapshots": snapshots, **marker}, given)
            found = rds.pages("describe_db_cluster_snapshots", "DBClusterSnapshots", DBClusterIdentifier="app")
        assert len(found) == 15
        assert found[-1]["DBClusterSnapshotIdentifier"] == "4-2"

    def test_error_on_a_later_page_is_translated(self, rds) -> None:
        with Stubber(rds.conn) as stub:
            stub.add_response("describe_db_clusters", {"DBClusters": [], "Marker": "1"})
            stub.add_client_error("describe_db_clusters", "Throttling")
            with pytest.raises(errors.TransientError):
                rds.pages("describe_db_clusters", "DBClusters")


class TestBuckets:
    """S3."""

    @pytest.fixture
    def buckets(self, aws_session) -> BucketsHook:
        hook = BucketsHook("aws_destination", REGION)
        hook.conn.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
        return hook

    def test_bucket_must_exist(self, buckets) -> None:
        buckets.require_bucket("bucket")
        with pytest.raises(errors.MissingError):
            buckets.require_bucket("other")

    def test_object_must_exist(self, buckets) -> None:
        with pytest.raises(errors.MissingError, match="bucket/none"):
            buckets.open("bucket", "none")

    def test_more_keys_than_a_page_or_a_call_takes(self, buckets) -> None:
        keys = [f"run/{number:04d}" for number in range(1001)]
        with Stubber(buckets.conn) as stub:
            for part in (keys[:1000], keys[1000:]):
                more = {"IsTruncated": part is not keys[1000:] and len(part) == 1000}
                token = {"NextContinuationToken": "t"} if more["IsTruncated"] else {}
                stub.add_response("list_objects_v2", {"Contents": [{"Key": key} for key in part], **more, **token})
            for part in (keys[:1000], keys[1000:]):
                given = {"Bucket": "bucket", "Delete": {"Objects": [{"Key": key} for key in part], "Quiet": True}}
                stub.add_response("delete_objects", {}, given)
            assert buckets.list_keys("bucket", "run/") == keys
            buckets.delete_keys("bucket", keys)
            stub.assert_no_pending_responses()

    def test_no_keys_no_call(self, buckets) -> None:
        with Stubber(buckets.conn):
            buckets.delete_keys("bucket", [])


class TestKms:
    """KMS."""

    def test_key_that_does_not_exist(self, aws_session) -> None:
        assert KmsHook("aws_source", REGION).find_key("alias/none") is None

    def test_grants_are_found_by_name(self, aws_session) -> None:
        hook = KmsHook("aws_source", REGION)
        arn = aws_session.client("kms").create_key()["KeyMetadata"]["Arn"]
        grant = hook.create_grant(arn, "arn:aws:iam::222222222222:role/x", "mine")
        hook.create_grant(arn, "arn:aws:iam::222222222222:role/x", "other")
        assert hook.list_grants(arn, "mine") == [grant]
        hook.revoke_grant(arn, grant)
        assert hook.list_grants(arn, "mine") == []


def test_look_translates_every_botocore_error(aws_session, monkeypatch) -> None:
    hook = RdsHook("aws_destination", "eu-west-1")

    def refused(*_, **__):
        raise boto.NoCredentialsError

    monkeypatch.setattr(hook.conn, "_make_api_call", refused)
    with pytest.raises(errors.PermanentError):
        hook.look(Wait("cluster_available", {"DBClusterIdentifier": "app"}))


def test_refused_deletion_is_an_error(aws_session) -> None:
    hook = BucketsHook("aws_destination", "eu-west-1")
    with Stubber(hook.conn) as stub:
        stub.add_response("delete_objects", {"Errors": [{"Key": "k", "Code": "AccessDenied", "Message": "no"}]})
        with pytest.raises(errors.AuroraOpsError, match="AccessDenied"):
            hook.delete_keys("bucket", ["k"])
