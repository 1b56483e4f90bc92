"""Tags on many resources at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core.errors import ConfigError, PermanentError, SafetyError, TransientError
from aurora_ops.core.ownership import is_guarded
from aurora_ops.hooks.tagging import TaggingHook
from aurora_ops.operators.base import RefreshOperator, Result

_LATER = ("InternalServiceException", "Throttl")


class TagResourcesOperator(RefreshOperator[TaggingHook]):
    """Add tags to resources, or replace their values; those that are so already are left alone.

    The AWS operation is ``TagResources``, 20 resources a call; it succeeds although single resources fail, so what it says of each
    is read. ``aws:`` tags are AWS's own and are left out.

    :param resource_arns: ARNs (templated).
    :param new_tags: tag to value (templated).
    :return: ``{"tagged": [ARNs], "unchanged": [ARNs], "tags": {tag: value}}``.
    :raises ConfigError: nothing is left after ``aws:`` tags.
    :raises SafetyError: a tag is one that this package's guards rely on.
    :raises PermanentError: single resources could not be tagged; all are named. The others are tagged.
    """

    hook_class = TaggingHook
    permissions: ClassVar[tuple[str, ...]] = ("tag:GetResources", "tag:TagResources", "rds:AddTagsToResource")
    template_fields: Sequence[str] = (*RefreshOperator.template_fields, "resource_arns", "new_tags")

    def __init__(self, *, resource_arns: list[str], new_tags: dict[str, str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.resource_arns = resource_arns
        self.new_tags = new_tags

    def take_pass(self, context: Context) -> Result:
        """Compare; tag what differs."""
        wanted = {key: value for key, value in self.new_tags.items() if not key.startswith("aws:")}
        if not wanted:
            raise ConfigError("tags", self.new_tags, "name at least one that does not begin with aws:")
        guarded = sorted(key for key in wanted if is_guarded(key))
        if guarded:
            raise SafetyError(f"tags: {guarded} decide what may be overwritten or deleted; they are not set from here")
        arns = list(dict.fromkeys(self.resource_arns))
        present = self.hook.read_tags(arns)
        differing = [arn for arn in arns if wanted.items() - present.get(arn, {}).items()]
        failed = self.hook.set_tags(differing, wanted)
        if failed:
            text = "; ".join(f"{arn}: {why}" for arn, why in sorted(failed.items()))
            kind = (
                TransientError
                if all(any(code in why for code in _LATER) for why in failed.values())
                else PermanentError
            )
            raise kind(f"{len(failed)} of {len(arns)} resources are not tagged: {text}")
        return {"tagged": differing, "unchanged": [arn for arn in arns if arn not in differing], "tags": wanted}
