"""
Tag clusters and instances of the target's account, many at once.

Tags are added, or their values replaced; other tags stay. What is tagged so already is left alone. `aws:` tags are AWS's own and
are left out; `refresh` and `aurora-ops:...` decide what may be overwritten or deleted, and are refused.

**When.** By hand, from the trigger form in Airflow, for cost centres, owners, or whatever a company wants to see on resources.

**Safe to run again?** Yes. A second run finds everything tagged, and changes nothing.

**Triage.** `check` red: an ARN is of another account or not on the allow-list, or a tag is refused; nothing was changed.
`tag_resources` red: the message names each resource that AWS did not tag, and why; the others are tagged.
"""

from __future__ import annotations

from aurora_ops.dagkit.workflows import Job, workflow
from aurora_ops.operators.tagging import TagResourcesOperator


@workflow(__doc__)
def utils_tag_resources(job: Job) -> None:
    """Place its task."""
    TagResourcesOperator(
        task_id="tag_resources", resource_arns=job["resource_arns"], new_tags=job["tags"], **job.at("target")
    )
