"""CloudFormation: stacks over time, whose resources are made by calling the services as anybody else does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import moto.cloudformation.models
from moto.cloudformation import parsing
from moto.cloudformation.models import cloudformation_backends
from moto.cloudformation.urls import url_paths

from localcloud.services.stacks import lake, messaging, roles, storage, templates
from localcloud.services.stacks.responses import StackResponse
from localcloud.services.stacks.stack import LocalStack, LocalStacks

if TYPE_CHECKING:
    from localcloud.cloud import Cloud
    from localcloud.services.stacks.kinds import Resource

KINDS: tuple[type[Resource], ...] = (
    storage.Bucket,
    storage.BucketPolicy,
    storage.Key,
    storage.Alias,
    messaging.Topic,
    messaging.TopicPolicy,
    messaging.Subscription,
    messaging.Queue,
    messaging.QueuePolicy,
    messaging.EventSubscription,
    lake.Database,
    lake.Crawler,
    lake.WorkGroup,
    roles.Role,
)
_class_from_type = parsing.resource_class_from_type
_by_type = {one.type_name: one for one in KINDS}


def install(cloud: Cloud) -> None:
    """Have stacks live as AWS's do."""
    LocalStack.cloud = cloud
    parsing.clean_json = templates.read  # type: ignore[assignment]
    parsing.resource_class_from_type = class_from_type
    moto.cloudformation.models.Stack = LocalStack  # type: ignore[misc]
    cloudformation_backends.backend = LocalStacks
    url_paths["{0}/$"] = StackResponse.dispatch


def class_from_type(resource_type: str) -> Any:
    """Find who makes resources of a type: localcloud, else moto."""
    return _by_type.get(resource_type) or _class_from_type(resource_type)
