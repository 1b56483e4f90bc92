"""Refusals of the Kubernetes API, as ``Status`` objects."""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """A request is refused.

    :param status: HTTP status.
    :param reason: Kubernetes' word for it, such as ``NotFound``.
    """

    def __init__(self, status: int, reason: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status, self.reason, self.details = status, reason, details or {}

    def body(self) -> dict[str, Any]:
        """Return the ``Status`` object."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": str(self),
            "reason": self.reason,
            "details": self.details,
            "code": self.status,
        }


def not_found(plural: str, name: str) -> ApiError:
    """404 of an object."""
    return ApiError(404, "NotFound", f'{plural} "{name}" not found', {"name": name, "kind": plural})


def already_exists(plural: str, name: str) -> ApiError:
    """409 of an object that is there."""
    return ApiError(409, "AlreadyExists", f'{plural} "{name}" already exists', {"name": name, "kind": plural})


def conflict(plural: str, name: str, why: str) -> ApiError:
    """409 of a change that came too late."""
    message = f'Operation cannot be fulfilled on {plural} "{name}": {why}'
    return ApiError(409, "Conflict", message, {"name": name, "kind": plural})


def invalid(kind: str, name: str, causes: list[tuple[str, str]]) -> ApiError:
    """422 of an object.

    :param causes: field and what is wrong with it.
    """
    text = causes[0] if len(causes) == 1 else None
    told = f"{text[0]}: {text[1]}" if text else "[" + ", ".join(f"{field}: {why}" for field, why in causes) + "]"
    listed = [{"reason": "FieldValueInvalid", "message": why, "field": field} for field, why in causes]
    return ApiError(
        422, "Invalid", f'{kind} "{name}" is invalid: {told}', {"name": name, "kind": kind, "causes": listed}
    )


def bad_request(message: str) -> ApiError:
    """400."""
    return ApiError(400, "BadRequest", message)
