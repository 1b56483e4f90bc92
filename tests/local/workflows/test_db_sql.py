"""Running SQL from a bucket and as it is typed, in a real Airflow against a real database: rows, ledger, what is refused."""

from __future__ import annotations

import io
import json
import time
import zipfile

import pytest

from devstack.settings import REPO
from tests.local.refresh.conftest import STAGING

pytestmark = [pytest.mark.local, pytest.mark.slow]

S3, TYPED, LIVE, BUCKET = "db_run_sql_from_s3", "db_run_sql_lambda", "staging-shop", "aurora-ops-sql-222222222222"
SETUP = """
DROP TABLE IF EXISTS sql_probe;
CREATE TABLE sql_probe (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(40) UNIQUE);
"""
COUNT = "SELECT COUNT(*) FROM shop.sql_probe"


@pytest.fixture
def folder(workflows, request):
    """A prefix of its own, and an empty table."""
    execute(workflows, SETUP)
    name = f"{request.node.name.partition('[')[0]}-{time.time_ns()}/"
    yield name
    s3 = workflows.stack.aws(STAGING, "s3")
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=name):
        for item in page.get("Contents", []):
            s3.delete_object(Bucket=BUCKET, Key=item["Key"])
    execute(workflows, "DROP TABLE IF EXISTS sql_probe; DROP DATABASE IF EXISTS aurora_ops_scripts;")


def execute(workflows, script):
    connection = workflows.estate.connect(STAGING, LIVE)
    with connection, connection.cursor() as cursor:
        cursor.execute("USE shop")
        for statement in filter(None, map(str.strip, script.split(";"))):
            cursor.execute(statement)
        connection.commit()


def put(workflows, key, text):
    workflows.stack.aws(STAGING, "s3").put_object(Bucket=BUCKET, Key=key, Body=text.encode())


def names(workflows):
    return [name for (name,) in workflows.estate.rows(STAGING, LIVE, "SELECT name FROM shop.sql_probe ORDER BY id")]


def test_scripts_run_in_order_once_and_are_skipped_then(workflows, folder):
    put(workflows, f"{folder}02-more.sql", "INSERT INTO sql_probe (name) VALUES ('third');")
    put(workflows, f"{folder}01-first.sql", (
        "-- with a procedure\nDELIMITER //\nCREATE PROCEDURE probe_add(n VARCHAR(40)) BEGIN "
        "INSERT INTO sql_probe (name) VALUES (n); SELECT n; END //\n"
        "DELIMITER ;\nCALL probe_add('first');\nSET @x = 'second';\nINSERT INTO sql_probe (name) VALUES (@x);\n"
        "SELECT * FROM sql_probe;\n"
    ))  # fmt: skip
    put(workflows, f"{folder}readme.txt", "no script")
    put(workflows, folder, "")
    run = workflows.run(S3, cluster=LIVE, database="shop", prefix=folder)
    assert names(workflows) == ["first", "second", "third"]
    result = workflows.result(run, "run_scripts")
    assert [(one["key"], one["outcome"]) for one in result["files"]] == [
        (f"{folder}01-first.sql", "ran"), (f"{folder}02-more.sql", "ran"),
    ]  # fmt: skip
    assert "first" not in str([one for one in workflows.stack.api.all_xcoms(run) if "01-first" not in str(one)])
    assert workflows.record(run)["outcome"] == "succeeded"

    put(workflows, f"{folder}03-new.sql", "INSERT INTO sql_probe (name) VALUES ('fourth');")
    again = workflows.run(S3, cluster=LIVE, database="shop", prefix=folder)
    assert [one["outcome"] for one in workflows.result(again, "run_scripts")["files"]] == ["skipped", "skipped", "ran"]
    assert names(workflows) == ["first", "second", "third", "fourth"]
    workflows.stack.api.clear(again, only_failed=False)
    assert workflows.stack.wait(again).state == "success"
    assert len(names(workflows)) == 4

    put(workflows, f"{folder}03-new.sql", "INSERT INTO sql_probe (name) VALUES ('changed');")
    assert "changed since" in workflows.fails(S3, cluster=LIVE, database="shop", prefix=folder)
    workflows.run(S3, cluster=LIVE, database="shop", prefix=folder, pattern="03-*", mode="all")
    assert names(workflows)[-1] == "changed"
    execute(workflows, "DROP PROCEDURE probe_add")


def test_it_stops_at_the_first_error_and_goes_on_where_it_is_told_to(workflows, folder):
    key = f"{folder}10-broken.sql"
    text = (
        "SET @prefix = 'kept-';\nINSERT INTO sql_probe (name) VALUES ('one');\nBEGIN;\n"
        "INSERT INTO sql_probe (name) VALUES ('in a transaction');\nINSERT INTO sql_probe (name) VALUES ('one');\nCOMMIT;\n"
        "INSERT INTO sql_probe (name) VALUES (CONCAT(@prefix, 'last'));\n"
    )
    put(workflows, key, text)
    put(workflows, f"{folder}20-after.sql", "INSERT INTO sql_probe (name) VALUES ('after');")
    said = workflows.fails(S3, cluster=LIVE, database="shop", prefix=folder)
    assert f"{key}, line 5: statement 5 of 7 (INSERT INTO) failed; the first 2 have taken effect" in said
    assert "'one'" not in said, "values do not belong into messages"
    assert names(workflows) == ["one"], "the transaction was rolled back, and nothing behind it ran"

    assert "stopped after 2 statements" in workflows.fails(S3, cluster=LIVE, database="shop", prefix=folder)
    put(workflows, key, text.replace("('one');\nCOMMIT", "('two');\nCOMMIT"))
    run = workflows.run(S3, cluster=LIVE, database="shop", prefix=folder, mode="resume")
    assert names(workflows) == ["one", "in a transaction", "two", "kept-last", "after"]
    assert [one["outcome"] for one in workflows.result(run, "run_scripts")["files"]] == ["resumed", "ran"]


def test_many_scripts_are_found_on_all_pages(workflows, folder):
    s3 = workflows.stack.aws(STAGING, "s3")
    for number in range(1005):
        s3.put_object(Bucket=BUCKET, Key=f"{folder}skip/{number:04}.txt", Body=b"x")
    put(workflows, f"{folder}z-last.sql", "INSERT INTO sql_probe (name) VALUES ('z');")
    workflows.run(S3, cluster=LIVE, database="shop", prefix=folder)
    assert names(workflows) == ["z"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("DROP TABLE sql_probe;", "allow_destructive"),
        ("SELECT 1;\nDELETE FROM sql_probe;", "bad.sql:2: DELETE FROM"),
        ("CREATE USER x IDENTIFIED BY 'hunter2';", "never run from here"),
        ("-- nothing\n", "it has no statement"),
        ("BEGIN;\nINSERT INTO sql_probe (name) VALUES ('y');", "ends within a transaction"),
    ],
)  # fmt: skip
def test_scripts_that_are_refused(workflows, folder, text, said):
    put(workflows, f"{folder}bad.sql", text)
    found = workflows.fails(S3, cluster=LIVE, database="shop", prefix=folder)
    assert said in found
    assert "hunter2" not in found
    assert workflows.estate.rows(STAGING, LIVE, COUNT)[0][0] <= 1


def test_destructive_scripts_run_if_they_are_confirmed(workflows, folder):
    execute(workflows, "INSERT INTO sql_probe (name) VALUES ('x')")
    put(workflows, f"{folder}clear.sql", "DELETE FROM sql_probe;")
    workflows.run(S3, cluster=LIVE, database="shop", prefix=folder, allow_destructive=True, confirm=LIVE)
    assert names(workflows) == []


FROM_S3 = {"cluster": LIVE, "database": "shop", "prefix": "x/"}


def test_from_s3_refused(workflows):
    wrong = [
        ({"cluster": None}, "cluster"),
        ({"cluster": "prod-shop"}, "safety.allowed_clusters allows"),
        ({"database": "mysql"}, "not one of the server's own"),
        ({"database": "a b"}, "database"),
        ({"prefix": "/"}, "prefix"),
        ({"mode": "some"}, "mode"),
        ({"allow_destructive": True}, "type the cluster's name"),
        ({"bucket": "elsewhere"}, "known run parameters are"),
    ]
    given = [
        ({name: value for name, value in {**FROM_S3, **changes}.items() if value is not None}, said)
        for changes, said in wrong
    ]
    workflows.refuses(S3, given)


@pytest.mark.parametrize(
    ("changes", "said"), [({"prefix": "nothing/"}, "it must fit a key"), ({"database": "no_such"}, "databases of")]
)
def test_what_is_not_there(workflows, folder, changes, said):
    put(workflows, f"{folder}a.sql", "SELECT 1;")
    assert said in workflows.fails(S3, **{**FROM_S3, "prefix": folder, **changes})


def test_typed_sql_runs_from_the_worker_once_in_a_run(workflows, folder):
    sql = "INSERT INTO sql_probe (name) VALUES ('typed');\nUPDATE sql_probe SET name = 'typed again' WHERE name = 'typed';"
    run = workflows.run(TYPED, cluster=LIVE, database="shop", sql=sql)
    assert names(workflows) == ["typed again"]
    result = workflows.result(run, "run_sql")
    assert (result["statements"], result["rows"], result["through"]) == (2, 2, None)
    assert workflows.record(run)["conf"]["sql"] == f"({len(sql)} characters)"
    workflows.stack.api.clear(run, only_failed=False)
    assert workflows.stack.wait(run).state == "success"
    assert names(workflows) == ["typed again"], "the run has run it"


@pytest.fixture
def function(workflows):
    """A Lambda function that runs SQL, and an environment that names it."""
    lambdas, iam = workflows.stack.aws(STAGING, "lambda"), workflows.stack.aws(STAGING, "iam")
    role = iam.create_role(
        RoleName="run-sql",
        AssumeRolePolicyDocument='{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", '
        '"Principal": {"Service": "lambda.amazonaws.com"}}]}',
    )["Role"]["Arn"]
    reads = {"Effect": "Allow", "Action": ["rds:DescribeDBClusters", "secretsmanager:GetSecretValue"], "Resource": "*"}
    iam.put_role_policy(
        RoleName="run-sql",
        PolicyName="reads",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [reads]}),
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as code:
        code.write(REPO / "include" / "lambda" / "run_sql.py", "run_sql.py")
    lambdas.create_function(FunctionName="run-sql", Runtime="python3.11", Role=role, Handler="run_sql.handler", Timeout=60,
                            Code={"ZipFile": packed.getvalue()})  # fmt: skip
    lambdas.get_waiter("function_active_v2").wait(FunctionName="run-sql", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    file = workflows.stack.config.include / "config" / "staging.yaml"
    before = file.read_text()
    # as the policy generated from an environment that names the function says
    allowed = {
        "Effect": "Allow",
        "Action": "lambda:InvokeFunction",
        "Resource": f"arn:aws:lambda:eu-west-1:{STAGING}:function:run-sql",
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_role_policy(RoleName="aurora-ops-destination", PolicyName="run-sql", PolicyDocument=document)
    file.write_text(before.replace("  sql_bucket:", "  sql_function: run-sql\n  sql_bucket:"))
    yield lambdas
    file.write_text(before)
    iam.delete_role_policy(RoleName="aurora-ops-destination", PolicyName="run-sql")
    lambdas.delete_function(FunctionName="run-sql")
    iam.delete_role_policy(RoleName="run-sql", PolicyName="reads")
    iam.delete_role(RoleName="run-sql")


def test_typed_sql_runs_through_a_function(workflows, folder, function):
    run = workflows.run(TYPED, cluster=LIVE, database="shop", sql="INSERT INTO sql_probe (name) VALUES ('through');")
    assert names(workflows) == ["through"]
    result = workflows.result(run, "run_sql")
    assert (result["statements"], result["rows"], result["through"]) == (1, 1, "run-sql")

    sql = "INSERT INTO sql_probe (name) VALUES ('more');\nINSERT INTO sql_probe (name) VALUES ('more');"
    said = workflows.fails(TYPED, cluster=LIVE, database="shop", sql=sql)
    assert "StatementError: line 2: statement 2 of 2 failed: MySQL error 1062" in said
    assert "'more'" not in said
    assert names(workflows) == ["through", "more"], "once: what was refused is not tried again"


def test_typed_sql_refused(workflows):
    wrong = [
        ({"sql": ""}, "sql"),
        ({"sql": "-- nothing"}, "it has no statement"),
        ({"sql": "DROP TABLE orders"}, "allow_destructive"),
        ({"sql": "SELECT 1; GRANT ALL ON *.* TO a"}, "never run from here"),
        ({"sql": "DELIMITER"}, "DELIMITER"),
        ({"sql": "SELECT 1", "cluster": "prod-shop"}, "safety.allowed_clusters allows"),
        ({"sql": "DROP TABLE orders", "allow_destructive": True, "confirm": "yes"}, "type the cluster's name"),
    ]
    workflows.refuses(TYPED, [({"cluster": LIVE, "database": "shop", **changes}, said) for changes, said in wrong])
