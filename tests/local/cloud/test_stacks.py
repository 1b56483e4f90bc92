"""Stacks as CloudFormation has them: over time, with events, rolled back when something fails, changed and deleted."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from localcloud.client import admin_operation
from localcloud.names import AIRFLOW_USER_ARN, STAGING
from tests.local.cloud.databases import until
from tests.local.cloud.test_iam import allow, granted

pytestmark = pytest.mark.local
__all__ = ["granted"]
IAM = ["CAPABILITY_NAMED_IAM"]

LAKE = """
Parameters:
  Name: {Type: String, AllowedPattern: '[a-z][a-z0-9-]{2,30}'}
  GlacierDays: {Type: Number, Default: 97, MinValue: 1}
  Crawls: {Type: String, Default: 'yes', AllowedValues: ['yes', 'no']}
Conditions:
  HasCrawler: !Equals [!Ref Crawls, 'yes']
Resources:
  Key:
    Type: AWS::KMS::Key
    Properties:
      EnableKeyRotation: true
      KeyPolicy:
        Version: '2012-10-17'
        Statement:
          - {Effect: Allow, Principal: {AWS: !Sub 'arn:aws:iam::${AWS::AccountId}:root'}, Action: 'kms:*', Resource: '*'}
          - {Effect: Allow, Principal: {AWS: !GetAtt Role.Arn}, Action: [kms:Encrypt, kms:Decrypt], Resource: '*'}
  Alias:
    Type: AWS::KMS::Alias
    Properties: {AliasName: !Sub 'alias/${Name}', TargetKeyId: !Ref Key}
  Bucket:
    Type: AWS::S3::Bucket
    Properties:
      BucketName: !Sub '${Name}-${AWS::AccountId}'
      PublicAccessBlockConfiguration:
        {BlockPublicAcls: true, BlockPublicPolicy: true, IgnorePublicAcls: true, RestrictPublicBuckets: true}
      BucketEncryption:
        ServerSideEncryptionConfiguration:
          - BucketKeyEnabled: true
            ServerSideEncryptionByDefault: {SSEAlgorithm: aws:kms, KMSMasterKeyID: !GetAtt Key.Arn}
      LifecycleConfiguration:
        Rules:
          - Id: archive
            Status: Enabled
            Prefix: exports/
            Transitions:
              - {StorageClass: GLACIER, TransitionInDays: !Ref GlacierDays}
              - {StorageClass: DEEP_ARCHIVE, TransitionInDays: 365}
            ExpirationInDays: 2555
  BucketPolicy:
    Type: AWS::S3::BucketPolicy
    Properties:
      Bucket: !Ref Bucket
      PolicyDocument:
        Version: '2012-10-17'
        Statement:
          - Effect: Deny
            Principal: '*'
            Action: 's3:*'
            Resource: [!GetAtt Bucket.Arn, !Sub '${Bucket.Arn}/*']
            Condition: {Bool: {'aws:SecureTransport': 'false'}}
  Role:
    Type: AWS::IAM::Role
    Properties:
      RoleName: !Sub '${Name}-export'
      AssumeRolePolicyDocument:
        Version: '2012-10-17'
        Statement:
          - Effect: Allow
            Principal: {Service: [export.rds.amazonaws.com, glue.amazonaws.com]}
            Action: sts:AssumeRole
            Condition: {StringEquals: {'aws:SourceAccount': !Ref AWS::AccountId}}
          - {Effect: Allow, Principal: {Service: glue.amazonaws.com}, Action: sts:AssumeRole}
      Policies:
        - PolicyName: write
          PolicyDocument:
            Version: '2012-10-17'
            Statement:
              - {Effect: Allow, Action: s3:PutObject, Resource: !Sub 'arn:aws:s3:::${Name}-${AWS::AccountId}/*'}
  Topic:
    Type: AWS::SNS::Topic
    Properties: {TopicName: !Sub '${Name}-events'}
  TopicPolicy:
    Type: AWS::SNS::TopicPolicy
    Properties:
      Topics: [!Ref Topic]
      PolicyDocument:
        Version: '2012-10-17'
        Statement:
          - {Effect: Allow, Principal: {Service: events.rds.amazonaws.com}, Action: sns:Publish, Resource: !Ref Topic}
  Dead:
    Type: AWS::SQS::Queue
    Properties: {MessageRetentionPeriod: 1209600}
  Queue:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: !Sub '${Name}-events'
      VisibilityTimeout: 120
      RedrivePolicy: {deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 5}
  QueuePolicy:
    Type: AWS::SQS::QueuePolicy
    Properties:
      Queues: [!Ref Queue]
      PolicyDocument:
        Version: '2012-10-17'
        Statement:
          - {Effect: Allow, Principal: {Service: sns.amazonaws.com}, Action: sqs:SendMessage, Resource: !GetAtt Queue.Arn}
  Subscription:
    Type: AWS::SNS::Subscription
    Properties: {TopicArn: !Ref Topic, Protocol: sqs, Endpoint: !GetAtt Queue.Arn, RawMessageDelivery: true}
  Events:
    Type: AWS::RDS::EventSubscription
    Properties:
      SubscriptionName: !Sub '${Name}-snapshots'
      SnsTopicArn: !Ref Topic
      SourceType: db-cluster-snapshot
      EventCategories: [backup]
  Database:
    Type: AWS::Glue::Database
    Properties:
      CatalogId: !Ref AWS::AccountId
      DatabaseInput: {Name: !Join ['_', [lake, !Select [0, !Split ['-', !Ref Name]]]], Description: exports}
  Crawler:
    Type: AWS::Glue::Crawler
    Condition: HasCrawler
    Properties:
      Name: !Sub '${Name}-crawler'
      Role: !GetAtt Role.Arn
      DatabaseName: !Ref Database
      Targets: {S3Targets: [{Path: !Sub 's3://${Bucket}/exports', Exclusions: ['**.json']}]}
      SchemaChangePolicy: {UpdateBehavior: UPDATE_IN_DATABASE, DeleteBehavior: LOG}
  WorkGroup:
    Type: AWS::Athena::WorkGroup
    Properties:
      Name: !Ref Name
      RecursiveDeleteOption: true
      WorkGroupConfiguration:
        EnforceWorkGroupConfiguration: true
        ResultConfiguration: {OutputLocation: !Sub 's3://${Bucket}/athena/'}
  State:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: !Sub '${Name}-state'
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}]
Outputs:
  BucketName: {Value: !Ref Bucket}
  KeyArn: {Value: !GetAtt Key.Arn}
  QueueUrl: {Value: !Ref Queue}
  RoleArn: {Value: !GetAtt Role.Arn}
  Crawler: {Condition: HasCrawler, Value: !Ref Crawler}
"""


@pytest.fixture
def name() -> str:
    return f"lake{uuid4().hex[:6]}"


class Stacks:
    """Stacks of an account."""

    def __init__(self, cloud: Any) -> None:
        self.cloud, self.client = cloud, cloud.admin(STAGING, "cloudformation")

    def __getattr__(self, service: str) -> Any:
        return self.cloud.admin(STAGING, service)

    def find(self, name: str) -> dict[str, Any]:
        return dict(self.client.describe_stacks(StackName=name)["Stacks"][0])

    def ended(self, name: str) -> dict[str, Any]:
        assert until(lambda: not self.find(name)["StackStatus"].endswith("_IN_PROGRESS"))
        return self.find(name)

    def create(self, name: str, template: str | dict[str, Any], **more: Any) -> dict[str, Any]:
        body = template if isinstance(template, str) else json.dumps(template)
        self.client.create_stack(StackName=name, TemplateBody=body, **{"Capabilities": IAM, **more})
        return self.ended(name)

    def update(self, name: str, template: str | dict[str, Any], **more: Any) -> dict[str, Any]:
        body = template if isinstance(template, str) else json.dumps(template)
        self.client.update_stack(StackName=name, TemplateBody=body, **{"Capabilities": IAM, **more})
        return self.ended(name)

    def delete(self, name: str, **more: Any) -> str:
        """Delete a stack; its last status."""
        number = self.find(name)["StackId"]
        self.client.delete_stack(StackName=name, **more)
        return str(self.ended(number)["StackStatus"])

    def events(self, name: str) -> list[tuple[str, str, str]]:
        found = self.client.describe_stack_events(StackName=name)["StackEvents"]
        return [
            (one["LogicalResourceId"], one["ResourceStatus"], one.get("ResourceStatusReason", "")) for one in found
        ][::-1]


@pytest.fixture
def stacks(cloud) -> Stacks:
    return Stacks(cloud)


def values(**given: str) -> dict[str, Any]:
    return {"Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()]}


def outputs(stack: dict[str, Any]) -> dict[str, str]:
    return {one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs", [])}


def bucket(name: str, **more: Any) -> dict[str, Any]:
    return {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": name}, **more}


def has_bucket(stacks: Stacks, name: str) -> bool:
    return name in {one["Name"] for one in stacks.s3.list_buckets()["Buckets"]}


def test_everything_that_an_export_needs_is_made(stacks, name) -> None:
    stack = stacks.create(name, LAKE, **values(Name=name))
    assert stack["StackStatus"] == "CREATE_COMPLETE", stacks.events(name)
    made = outputs(stack)
    held = f"{name}-{STAGING}"
    assert made["BucketName"] == held
    assert all(stacks.s3.get_public_access_block(Bucket=held)["PublicAccessBlockConfiguration"].values())
    rule = stacks.s3.get_bucket_encryption(Bucket=held)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert rule["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"] == made["KeyArn"]
    [lifecycle] = stacks.s3.get_bucket_lifecycle_configuration(Bucket=held)["Rules"]
    assert [(one["StorageClass"], one["Days"]) for one in lifecycle["Transitions"]] == [
        ("GLACIER", 97),
        ("DEEP_ARCHIVE", 365),
    ]
    assert lifecycle["Filter"] == {"Prefix": "exports/"}
    assert "SecureTransport" in stacks.s3.get_bucket_policy(Bucket=held)["Policy"]
    assert stacks.kms.describe_key(KeyId=f"alias/{name}")["KeyMetadata"]["Arn"] == made["KeyArn"]
    assert stacks.kms.get_key_rotation_status(KeyId=made["KeyArn"])["KeyRotationEnabled"]
    assert stacks.iam.list_role_policies(RoleName=f"{name}-export")["PolicyNames"] == ["write"]
    topic = f"arn:aws:sns:eu-west-1:{STAGING}:{name}-events"
    assert "events.rds.amazonaws.com" in stacks.sns.get_topic_attributes(TopicArn=topic)["Attributes"]["Policy"]
    queue = stacks.sqs.get_queue_attributes(QueueUrl=made["QueueUrl"], AttributeNames=["All"])["Attributes"]
    assert json.loads(queue["RedrivePolicy"])["maxReceiveCount"] in {5, "5"}
    assert "sqs:SendMessage" in queue["Policy"]
    stacks.sns.publish(TopicArn=topic, Message="hello")
    [message] = stacks.sqs.receive_message(QueueUrl=made["QueueUrl"], WaitTimeSeconds=5)["Messages"]
    assert message["Body"] == "hello"
    [events] = stacks.rds.describe_event_subscriptions(SubscriptionName=f"{name}-snapshots")["EventSubscriptionsList"]
    assert (events["SnsTopicArn"], events["SourceType"]) == (topic, "db-cluster-snapshot")
    assert stacks.glue.get_database(Name=f"lake_{name}")["Database"]["Description"] == "exports"
    assert stacks.glue.get_crawler(Name=made["Crawler"])["Crawler"]["Role"] == made["RoleArn"]
    group = stacks.athena.get_work_group(WorkGroup=name)["WorkGroup"]["Configuration"]
    assert group["ResultConfiguration"]["OutputLocation"] == f"s3://{held}/athena/"
    assert stacks.dynamodb.describe_table(TableName=f"{name}-state")["Table"]["TableStatus"] == "ACTIVE"

    changed = stacks.update(name, LAKE, **values(Name=name, GlacierDays="120", Crawls="no"))
    assert changed["StackStatus"] == "UPDATE_COMPLETE", stacks.events(name)
    [lifecycle] = stacks.s3.get_bucket_lifecycle_configuration(Bucket=held)["Rules"]
    assert lifecycle["Transitions"][0]["Days"] == 120
    assert "Crawler" not in outputs(changed)
    with pytest.raises(stacks.glue.exceptions.EntityNotFoundException):
        stacks.glue.get_crawler(Name=made["Crawler"])

    assert stacks.delete(name) == "DELETE_COMPLETE"
    assert not has_bucket(stacks, held)
    with pytest.raises(ClientError, match="NoSuchEntity"):
        stacks.iam.get_role(RoleName=f"{name}-export")
    assert stacks.kms.describe_key(KeyId=made["KeyArn"])["KeyMetadata"]["KeyState"] == "PendingDeletion"
    with pytest.raises(ClientError, match="does not exist"):
        stacks.find(name)


def test_a_stack_takes_time(stacks, name) -> None:
    stacks.client.create_stack(StackName=name, TemplateBody=json.dumps({"Resources": {"B": bucket(name)}}))
    assert stacks.find(name)["StackStatus"] == "CREATE_IN_PROGRESS"
    with pytest.raises(ClientError, match="is in CREATE_IN_PROGRESS state and can not be updated"):
        stacks.client.update_stack(StackName=name, TemplateBody="{}")
    stacks.client.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    assert [one[:2] for one in stacks.events(name)] == [
        (name, "CREATE_IN_PROGRESS"),
        ("B", "CREATE_IN_PROGRESS"),
        ("B", "CREATE_COMPLETE"),
        (name, "CREATE_COMPLETE"),
    ]
    with pytest.raises(ClientError) as again:
        stacks.client.create_stack(StackName=name, TemplateBody=json.dumps({"Resources": {"B": bucket(f"{name}2")}}))
    assert again.value.response["Error"]["Code"] == "AlreadyExistsException"
    stacks.client.delete_stack(StackName=name)
    assert stacks.find(name)["StackStatus"] == "DELETE_IN_PROGRESS"
    stacks.client.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig={"Delay": 1})


def test_what_fails_takes_everything_back(stacks, name) -> None:
    stacks.s3.create_bucket(Bucket=f"{name}-taken", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name}}
    template = {"Resources": {"Q": queue, "B": bucket(f"{name}-taken"), "Never": {**queue, "DependsOn": "B"}}}
    stack = stacks.create(name, template)
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "[B]" in stack["StackStatusReason"]
    statuses = stacks.events(name)
    assert [one[:2] for one in statuses] == [
        (name, "CREATE_IN_PROGRESS"),
        ("Q", "CREATE_IN_PROGRESS"),
        ("Q", "CREATE_COMPLETE"),
        ("B", "CREATE_IN_PROGRESS"),
        ("B", "CREATE_FAILED"),
        (name, "ROLLBACK_IN_PROGRESS"),
        ("Q", "DELETE_IN_PROGRESS"),
        ("Q", "DELETE_COMPLETE"),
        (name, "ROLLBACK_COMPLETE"),
    ]
    assert "BucketAlreadyOwnedByYou" in statuses[4][2]
    assert stacks.sqs.list_queues(QueueNamePrefix=name).get("QueueUrls", []) == []
    assert has_bucket(stacks, f"{name}-taken"), "it is none of the stack's"
    with pytest.raises(ClientError, match="is in ROLLBACK_COMPLETE state and can not be updated"):
        stacks.client.update_stack(StackName=name, TemplateBody=json.dumps(template))
    assert stacks.delete(name) == "DELETE_COMPLETE"


@pytest.mark.parametrize("except_new", [True, False])
def test_what_is_to_be_kept_goes_with_what_fails_if_that_is_asked_for(stacks, name, except_new) -> None:
    queue = {"Type": "AWS::SQS::Queue", "DeletionPolicy": "Retain", "Properties": {"QueueName": name}}
    broken = {**bucket(f"{name}-taken"), "DependsOn": "Q"}
    stacks.s3.create_bucket(Bucket=f"{name}-taken", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    body = json.dumps({"Resources": {"Q": queue, "B": broken}})
    stacks.client.create_stack(
        StackName=name, TemplateBody=body, RetainExceptOnCreate=except_new, ClientRequestToken="this-one"
    )
    assert stacks.ended(name)["StackStatus"] == "ROLLBACK_COMPLETE"
    assert len(stacks.sqs.list_queues(QueueNamePrefix=name).get("QueueUrls", [])) == (0 if except_new else 1)
    told = stacks.client.describe_stack_events(StackName=name)["StackEvents"]
    assert {one.get("ClientRequestToken") for one in told} == {"this-one"}
    assert stacks.delete(name) == "DELETE_COMPLETE"


@pytest.mark.parametrize(
    ("choice", "status", "left"),
    [({"OnFailure": "DO_NOTHING"}, "CREATE_FAILED", 1), ({"OnFailure": "DELETE"}, "DELETE_COMPLETE", 0)],
)
def test_what_failing_does_can_be_chosen(stacks, name, choice, status, left) -> None:
    broken = {
        "Type": "AWS::SNS::Subscription",
        "Properties": {"TopicArn": "arn:aws:sns:eu-west-1:1:x", "Protocol": "sqs"},
    }
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name}}
    body = json.dumps({"Resources": {"Q": queue, "S": broken}})
    number = stacks.client.create_stack(StackName=name, TemplateBody=body, **choice)["StackId"]
    assert stacks.ended(number)["StackStatus"] == status
    assert len(stacks.sqs.list_queues(QueueNamePrefix=name).get("QueueUrls", [])) == left


def test_who_makes_roles_must_say_so(stacks, name) -> None:
    role = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": trust()}}
    named = {**role, "Properties": {**role["Properties"], "RoleName": name}}

    def refusal(resource: dict[str, Any], *given: str) -> str:
        with pytest.raises(ClientError) as refused:
            stacks.client.create_stack(
                StackName=name, TemplateBody=json.dumps({"Resources": {"R": resource}}), Capabilities=list(given)
            )
        assert refused.value.response["Error"]["Code"] == "InsufficientCapabilitiesException"
        return str(refused.value.response["Error"]["Message"])

    assert refusal(role) == "Requires capabilities : [CAPABILITY_IAM]"
    assert refusal(named) == "Requires capabilities : [CAPABILITY_NAMED_IAM]"
    assert refusal(named, "CAPABILITY_IAM") == "Requires capabilities : [CAPABILITY_NAMED_IAM]"
    done = stacks.create(name, {"Resources": {"R": role}}, Capabilities=["CAPABILITY_IAM"])
    assert done["StackStatus"] == "CREATE_COMPLETE"
    with pytest.raises(ClientError, match="CAPABILITY_IAM"):
        stacks.client.update_stack(StackName=name, TemplateBody=json.dumps({"Resources": {"R2": role}}))
    stacks.delete(name)


def trust() -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": {"AWS": AIRFLOW_USER_ARN}, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def test_an_update_without_changes_is_refused(stacks, name) -> None:
    stacks.create(name, LAKE, **values(Name=name))
    with pytest.raises(ClientError) as same:
        stacks.client.update_stack(StackName=name, TemplateBody=LAKE, Capabilities=IAM, **values(Name=name))
    assert same.value.response["Error"]["Code"] == "ValidationError"
    assert same.value.response["Error"]["Message"] == "No updates are to be performed."
    with pytest.raises(ClientError, match="No updates are to be performed"):
        stacks.client.update_stack(
            StackName=name, TemplateBody=f"Description: other\n{LAKE}", Capabilities=IAM, **values(Name=name)
        )
    assert stacks.find(name)["StackStatus"] == "CREATE_COMPLETE"
    stacks.delete(name)


def test_an_update_adds_changes_replaces_and_removes(stacks, name) -> None:
    one = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": f"{name}-1", "VisibilityTimeout": 10}}
    stacks.create(name, {"Resources": {"Same": bucket(f"{name}-same"), "One": one, "Two": bucket(f"{name}-two")}})
    changed = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": f"{name}-1", "VisibilityTimeout": 20}}
    moved = bucket(f"{name}-moved")
    stack = stacks.update(
        name, {"Resources": {"Same": moved, "One": changed, "Three": bucket(f"{name}-three")}, "Outputs": {}}
    )
    assert stack["StackStatus"] == "UPDATE_COMPLETE", stacks.events(name)
    url = stacks.sqs.get_queue_url(QueueName=f"{name}-1")["QueueUrl"]
    assert (
        stacks.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]["VisibilityTimeout"] == "20"
    )
    held = {one["Name"] for one in stacks.s3.list_buckets()["Buckets"] if one["Name"].startswith(name)}
    assert held == {f"{name}-moved", f"{name}-three"}
    told = stacks.client.list_stack_resources(StackName=name)["StackResourceSummaries"]
    assert {one["LogicalResourceId"] for one in told} == {"Same", "One", "Three"}
    assert stacks.delete(name) == "DELETE_COMPLETE"


def test_an_update_that_fails_is_taken_back(stacks, name) -> None:
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name, "VisibilityTimeout": 10}}
    stacks.create(name, {"Resources": {"Q": queue}})
    other = {**queue, "Properties": {**queue["Properties"], "VisibilityTimeout": 20}}
    broken = {"Type": "AWS::S3::BucketPolicy", "Properties": {"Bucket": f"{name}-none", "PolicyDocument": trust()}}
    stack = stacks.update(name, {"Resources": {"Q": other, "B": bucket(f"{name}-b"), "P": broken}})
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert any(one[:2] == ("P", "UPDATE_FAILED") for one in stacks.events(name))
    url = stacks.sqs.get_queue_url(QueueName=name)["QueueUrl"]
    assert (
        stacks.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]["VisibilityTimeout"] == "10"
    )
    assert not has_bucket(stacks, f"{name}-b")
    assert stacks.update(name, {"Resources": {"Q": other}})["StackStatus"] == "UPDATE_COMPLETE"
    assert stacks.delete(name) == "DELETE_COMPLETE"


def test_a_stack_s_tags_are_on_what_it_made_after_a_change_and_after_one_that_was_taken_back(stacks, name) -> None:
    def template(days: int, **more: Any) -> dict[str, Any]:
        rules = {"Rules": [{"Id": "end", "Status": "Enabled", "ExpirationInDays": days}]}
        kept = bucket(name)
        kept["Properties"] |= {"LifecycleConfiguration": rules, "Tags": [{"Key": "own", "Value": "mine"}]}
        return {"Resources": {"B": kept, **more}}

    def tags() -> dict[str, str]:
        found = stacks.s3.get_bucket_tagging(Bucket=name)["TagSet"]
        return {one["Key"]: one["Value"] for one in found if not one["Key"].startswith("aws:")}

    stacks.create(name, template(7), Tags=[{"Key": "team", "Value": "a"}, {"Key": "own", "Value": "theirs"}])
    assert tags() == {"team": "a", "own": "mine"}
    assert stacks.update(name, template(7), Tags=[{"Key": "team", "Value": "b"}])["StackStatus"] == "UPDATE_COMPLETE"
    assert tags() == {"team": "b", "own": "mine"}
    broken = {"Type": "AWS::S3::BucketPolicy", "Properties": {"Bucket": f"{name}-none", "PolicyDocument": trust()}}
    stack = stacks.update(name, template(8, P=broken), Tags=[{"Key": "team", "Value": "c"}])
    assert (stack["StackStatus"], tags()) == ("UPDATE_ROLLBACK_COMPLETE", {"team": "b", "own": "mine"})
    assert stacks.delete(name) == "DELETE_COMPLETE"


def test_a_bucket_with_objects_keeps_its_stack(stacks, name) -> None:
    stacks.create(name, {"Resources": {"B": bucket(name), "Q": {"Type": "AWS::SQS::Queue"}}})
    stacks.s3.put_object(Bucket=name, Key="x", Body=b"x")
    assert stacks.delete(name) == "DELETE_FAILED"
    assert stacks.find(name)["StackStatusReason"] == "The following resource(s) failed to delete: [B]. "
    assert any(one[:2] == ("B", "DELETE_FAILED") and "BucketNotEmpty" in one[2] for one in stacks.events(name))
    assert ("Q", "DELETE_COMPLETE", "") in stacks.events(name)
    assert stacks.delete(name, RetainResources=["B"]) == "DELETE_COMPLETE"
    assert has_bucket(stacks, name)


def test_what_is_to_be_kept_is_kept(stacks, name) -> None:
    kept = bucket(name, DeletionPolicy="Retain")
    stacks.create(name, {"Resources": {"B": kept, "C": bucket(f"{name}-c")}})
    assert stacks.delete(name) == "DELETE_COMPLETE"
    assert has_bucket(stacks, name)
    assert not has_bucket(stacks, f"{name}-c")


def test_what_is_replaced_can_be_kept(stacks, name) -> None:
    kept = bucket(name, UpdateReplacePolicy="Retain")
    stacks.create(name, {"Resources": {"B": kept, "C": bucket(f"{name}-c")}})
    moved = {"Resources": {"B": bucket(f"{name}-2", UpdateReplacePolicy="Retain"), "C": bucket(f"{name}-c2")}}
    assert stacks.update(name, moved)["StackStatus"] == "UPDATE_COMPLETE"
    held = {one["Name"] for one in stacks.s3.list_buckets()["Buckets"] if one["Name"].startswith(name)}
    assert held == {name, f"{name}-2", f"{name}-c2"}


def test_a_protected_stack_is_not_deleted(stacks, name) -> None:
    stacks.create(name, {"Resources": {"B": bucket(name)}}, EnableTerminationProtection=True)
    with pytest.raises(ClientError, match="TerminationProtection is enabled"):
        stacks.client.delete_stack(StackName=name)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, r"Parameters: \[Name\] must have values"),
        ({"Name": "x"}, "Parameter Name failed to satisfy constraint"),
        ({"Name": "fine", "Other": "1"}, r"Parameters: \[Other\] do not exist in the template"),
        ({"Name": "fine", "Crawls": "maybe"}, "must be one of AllowedValues"),
        ({"Name": "fine", "GlacierDays": "0"}, "must be a number not less than 1"),
        ({"Name": "fine", "GlacierDays": "many"}, "must be a number"),
    ],
)
def test_wrong_parameters_are_refused(stacks, name, given, reason) -> None:
    with pytest.raises(ClientError, match=reason) as refused:
        stacks.client.create_stack(StackName=name, TemplateBody=LAKE, Capabilities=IAM, **values(**given))
    assert refused.value.response["Error"]["Code"] == "ValidationError"
    with pytest.raises(ClientError, match="does not exist"):
        stacks.find(name)


def test_what_localcloud_cannot_make_is_said(stacks, name) -> None:
    with pytest.raises(ClientError, match="has no AWS::QLDB::Ledger"):
        stacks.client.create_stack(
            StackName=name, TemplateBody=json.dumps({"Resources": {"X": {"Type": "AWS::QLDB::Ledger"}}})
        )
    stack = stacks.create(name, {"Resources": {"B": bucket(name, Properties={"WebsiteConfiguration": {}})}})
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert any("does not support the properties WebsiteConfiguration" in one[2] for one in stacks.events(name))


def test_a_change_set_makes_and_changes_a_stack(stacks, name) -> None:
    body = json.dumps({"Resources": {"B": bucket(name)}})
    for kind, text in (
        ("CREATE", body),
        ("UPDATE", json.dumps({"Resources": {"B": bucket(name), "Q": {"Type": "AWS::SQS::Queue"}}})),
    ):
        made = stacks.client.create_change_set(
            StackName=name, ChangeSetName=f"c-{kind.lower()}", ChangeSetType=kind, TemplateBody=text
        )
        stacks.client.execute_change_set(ChangeSetName=made["Id"])
        assert stacks.ended(name)["StackStatus"] == f"{kind}_COMPLETE"
    assert stacks.delete(name) == "DELETE_COMPLETE"


def test_a_stack_is_made_with_the_rights_of_who_asks(stacks, name, granted, cloud) -> None:
    everything = {"Action": "cloudformation:*", "Resource": "*"}
    body = json.dumps({"Resources": {"B": bucket(name)}})
    client = granted(everything)("cloudformation")
    client.create_stack(StackName=name, TemplateBody=body)
    admin_operation("iam-enforce", cloud.config, on=True)
    assert stacks.ended(name)["StackStatus"] == "ROLLBACK_COMPLETE"
    assert any("not authorized to perform: s3:CreateBucket" in one[2] for one in stacks.events(name))
    client = granted(everything, allow("s3:*", f"arn:aws:s3:::{name}*"))("cloudformation")
    client.create_stack(StackName=f"{name}-2", TemplateBody=body)
    assert stacks.ended(f"{name}-2")["StackStatus"] == "CREATE_COMPLETE"
