"""CloudFormation's operations, from the call to the answer."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from moto.cloudformation.models import cloudformation_backends
from moto.cloudformation.responses import CloudFormationResponse
from moto.core.responses import ActionResult, EmptyResult

from localcloud.services.stacks.stack import Asked, LocalStack, LocalStacks
from localcloud.services.stacks.template_rules import check_capabilities

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moto.cloudformation.models import CloudFormationBackend


class StackResponse(CloudFormationResponse):
    """moto's answers, where localcloud has others."""

    @property
    def cloudformation_backend(self) -> CloudFormationBackend:
        """Stacks of the caller's account; those whose end has come are put away."""
        found = cloudformation_backends[self.current_account][self.region]
        assert isinstance(found, LocalStacks)
        found.settle()
        return found

    def _template(self) -> str:
        url = self._get_param("TemplateURL")
        body: str = self._get_stack_from_s3_url(url) if url else self._get_param("TemplateBody") or ""
        if not body and self._get_bool_param("UsePreviousTemplate", False):
            body = str(self.cloudformation_backend.get_stack(self._get_param("StackName")).template)
        return body

    def _check(self) -> None:
        body = self._template()
        if body:
            check_capabilities(LocalStack.parse_template(body), list(self._get_param("Capabilities", []) or []))

    def create_stack(self) -> ActionResult:
        """CreateStack."""
        self._check()
        failing = self._get_param("OnFailure")
        if self._get_bool_param("DisableRollback", False):
            failing = "DO_NOTHING"
        with self._asked(failing or "ROLLBACK"):
            return super().create_stack()

    def create_change_set(self) -> ActionResult:
        """CreateChangeSet."""
        self._check()
        return super().create_change_set()

    def update_stack(self) -> ActionResult:
        """UpdateStack."""
        stack: Any = self.cloudformation_backend.get_stack(self._get_param("StackName"))
        stack.check_idle("updated")
        self._check()
        with self._asked():
            return super().update_stack()

    def delete_stack(self) -> ActionResult:
        """DeleteStack."""
        backend = self.cloudformation_backend
        assert isinstance(backend, LocalStacks)
        with self._asked():
            backend.remove(self._get_param("StackName"), list(self._get_param("RetainResources", []) or []))
        return EmptyResult()

    @contextmanager
    def _asked(self, on_failure: str = "ROLLBACK") -> Iterator[None]:
        """Tell the stack how this call wants it done; calls of a service are answered one at a time."""
        retains = not self._get_bool_param("RetainExceptOnCreate", False)
        LocalStack.asked = Asked(on_failure, retains, self._get_param("ClientRequestToken"))
        try:
            yield
        finally:
            LocalStack.asked = Asked()
