"""What Athena says when it does not do what it was asked."""

from __future__ import annotations

from moto.core.exceptions import JsonRESTError


class InvalidRequest(JsonRESTError):  # noqa: N818 - named after AWS's InvalidRequestException
    """Refused at once.

    :param message: what is wrong.
    """

    code = 400

    def __init__(self, message: str) -> None:
        super().__init__("InvalidRequestException", message)


class QueryError(Exception):
    """A query fails; the text is the reason of the change of its state.

    :param code: name of the error in Athena's engine, such as ``TABLE_NOT_FOUND``; empty for messages that have none.
    :param message: what is wrong.
    :param place: line and column in the text of the query.
    """

    def __init__(self, code: str, message: str, place: tuple[int, int] | None = None) -> None:
        where = f"line {place[0]}:{place[1]}: " if place else ""
        super().__init__(f"{code}: {where}{message}" if code else f"{where}{message}")


class MalformedQueryError(Exception):
    """The text is no statement, which StartQueryExecution says at once."""


def unsupported(what: str, place: tuple[int, int] | None = None) -> QueryError:
    """Say that localcloud cannot do what Athena may well be able to."""
    return QueryError("NOT_SUPPORTED", f"localcloud's Athena does not support {what}; see its README", place)


class MetadataError(JsonRESTError):
    """The catalogue has no such thing.

    :param message: what it has not.
    """

    code = 400

    def __init__(self, message: str) -> None:
        super().__init__("MetadataException", message)
