"""EKS: statuses that take time, sizes that fit, the machines and the Auto Scaling group behind a node group, access entries."""

from __future__ import annotations

import pytest

from tests.local.cloud.kube_helpers import (
    ROLE,
    STAGING,
    Kube,
    make_cluster,
    make_nodegroup,
    nodegroup_statuses,
    until,
)
from tests.local.cloud.rds_helpers import refused, watch

pytestmark = pytest.mark.local
SIZES = {"minSize": 0, "maxSize": 3, "desiredSize": 2}


@pytest.fixture(scope="module")
def eks(cloud):
    """A cluster with a node group of one."""
    make_cluster(cloud, "control")
    assert make_nodegroup(cloud, "control", "apps", 1) == ["CREATING", "ACTIVE"]
    return cloud.admin(STAGING, "eks")


def scaled(eks, desired, name="apps", **more):
    return eks.update_nodegroup_config(
        clusterName="control", nodegroupName=name, scalingConfig={"desiredSize": desired}, **more
    )["update"]


def asg(cloud, eks, name="apps"):
    group = eks.describe_nodegroup(clusterName="control", nodegroupName=name)["nodegroup"]
    asg_name = group["resources"]["autoScalingGroups"][0]["name"]
    [found] = cloud.admin(STAGING, "autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[asg_name])[
        "AutoScalingGroups"
    ]
    return found


def test_a_cluster_is_created_and_deleted_in_time(cloud) -> None:
    eks = cloud.admin(STAGING, "eks")
    made = eks.create_cluster(name="brief", roleArn=ROLE, resourcesVpcConfig={"subnetIds": []})["cluster"]
    assert made["status"] == "CREATING"
    assert made["endpoint"].startswith("https://127.0.0.1:")
    status = lambda: eks.describe_cluster(name="brief")["cluster"]["status"]  # noqa: E731
    assert watch(status, "ACTIVE")[-1] == "ACTIVE"
    eks.delete_cluster(name="brief")
    assert status() == "DELETING"
    until(lambda: "brief" not in eks.list_clusters()["clusters"])
    with refused("ResourceNotFoundException", "brief"):
        eks.describe_cluster(name="brief")


def test_scaling_takes_time_and_reaches_nodes_and_asg(cloud, eks) -> None:
    kube = Kube(cloud, "control")
    update = scaled(eks, 2)
    assert update["status"] == "InProgress"
    with refused("ResourceInUseException", "not in Active State"):
        scaled(eks, 1)
    assert nodegroup_statuses(cloud, "control", "apps") == ["UPDATING", "ACTIVE"]
    described = eks.describe_update(name="control", updateId=update["id"], nodegroupName="apps")["update"]
    assert (described["status"], described["errors"]) == ("Successful", [])
    ready = lambda: [node for node in kube.core.list_node().items if node.status.conditions[0].status == "True"]  # noqa: E731
    assert len(until(lambda: len(ready()) == 2 and ready())) == 2
    assert asg(cloud, eks)["DesiredCapacity"] == 2
    scaled(eks, 0)
    nodegroup_statuses(cloud, "control", "apps")
    until(lambda: not kube.core.list_node().items)
    assert asg(cloud, eks)["DesiredCapacity"] == 0
    scaled(eks, 1)
    nodegroup_statuses(cloud, "control", "apps")


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"desiredSize": 4}, "Desired capacity 4 can't be greater than max size 3"),
        ({"minSize": 2, "desiredSize": 1}, "Minimum capacity 2 can't be greater than desired size 1"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(eks, sizes, words) -> None:
    with refused("InvalidParameterException", words):
        eks.update_nodegroup_config(clusterName="control", nodegroupName="apps", scalingConfig=sizes)


def test_unknown_names_are_missing(eks) -> None:
    with refused("ResourceNotFoundException"):
        eks.describe_nodegroup(clusterName="control", nodegroupName="none")
    with refused("ResourceNotFoundException"):
        eks.list_nodegroups(clusterName="none")
    with refused("ResourceNotFoundException"):
        eks.describe_update(name="control", updateId="none", nodegroupName="apps")


def test_node_groups_come_in_pages(cloud, eks) -> None:
    make_nodegroup(cloud, "control", "second", 0)
    first = eks.list_nodegroups(clusterName="control", maxResults=1)
    assert first["nodegroups"] == ["apps"]
    assert eks.list_nodegroups(clusterName="control", maxResults=1, nextToken=first["nextToken"])["nodegroups"] == [
        "second"
    ]


def test_labels_and_taints_reach_the_nodes(cloud, eks) -> None:
    taint = {"key": "jobs", "value": "only", "effect": "NO_SCHEDULE"}
    make_nodegroup(cloud, "control", "tainted", 1, labels={"role": "jobs"}, taints=[taint])
    [node] = Kube(cloud, "control").core.list_node(label_selector="role=jobs").items
    assert [(found.key, found.value, found.effect) for found in node.spec.taints] == [("jobs", "only", "NoSchedule")]
    assert node.metadata.labels["eks.amazonaws.com/nodegroup"] == "tainted"


def test_a_fault_lets_an_update_fail(cloud, eks) -> None:
    from localcloud.client import admin_operation

    rule = admin_operation(
        "faults-add", cloud.config, service="eks", action="UpdateNodegroupConfig", effect="status", becomes="DEGRADED"
    )["rule"]
    update = scaled(eks, 2)
    assert nodegroup_statuses(cloud, "control", "apps")[-1] == "DEGRADED"
    described = eks.describe_update(name="control", updateId=update["id"], nodegroupName="apps")["update"]
    assert described["status"] == "Failed"
    group = eks.describe_nodegroup(clusterName="control", nodegroupName="apps")["nodegroup"]
    assert group["health"]["issues"][0]["code"] == "AsgInstanceLaunchFailures"
    admin_operation("faults-remove", cloud.config, rule=rule)
    scaled(eks, 1)
    assert nodegroup_statuses(cloud, "control", "apps")[-1] == "ACTIVE"


def test_access_entries(cloud, eks) -> None:
    principal = f"arn:aws:iam::{STAGING}:role/somebody"
    eks.create_access_entry(clusterName="control", principalArn=principal, kubernetesGroups=["jobs"])
    with refused("ResourceInUseException"):
        eks.create_access_entry(clusterName="control", principalArn=principal)
    with refused("InvalidParameterException"):
        eks.create_access_entry(
            clusterName="control", principalArn=principal + "2", kubernetesGroups=["system:masters"]
        )
    found = eks.describe_access_entry(clusterName="control", principalArn=principal)["accessEntry"]
    assert (found["kubernetesGroups"], found["username"]) == (["jobs"], principal)
    policy = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"
    scope = {"type": "namespace", "namespaces": ["staging"]}
    eks.associate_access_policy(clusterName="control", principalArn=principal, policyArn=policy, accessScope=scope)
    [listed] = eks.list_associated_access_policies(clusterName="control", principalArn=principal)[
        "associatedAccessPolicies"
    ]
    assert (listed["policyArn"], listed["accessScope"]) == (policy, scope)
    assert principal in eks.list_access_entries(clusterName="control")["accessEntries"]
    eks.delete_access_entry(clusterName="control", principalArn=principal)
    with refused("ResourceNotFoundException"):
        eks.describe_access_entry(clusterName="control", principalArn=principal)
