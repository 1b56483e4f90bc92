"""What a source looked like: rows and checksums of its tables, in a small file that a restored cluster is compared with."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from aurora_ops.core.errors import ConfigError
from aurora_ops.core.section import Section
from aurora_ops.core.tables import Table

_MOST_PROBLEMS = 5


class Figures(Section):
    """What is known of a table; the checksum, and the columns it was made of in their order, only where it was asked for."""

    rows: int = Field(ge=0)
    checksum: str | None = None
    columns: list[str] | None = None


class Baseline(Section):
    """What is known of a database; counts, checksums and names only."""

    schema_version: Literal[1] = 1
    cluster_id: str
    taken_at: datetime
    tables: dict[Annotated[str, Field(pattern=r"^[0-9A-Za-z_$]{1,64}\..{1,64}$")], Figures] = Field(min_length=1)

    @property
    def rows(self) -> dict[Table, int]:
        """Rows of each table."""
        return {Table(*name.split(".", 1)): figures.rows for name, figures in self.tables.items()}


def as_json(baseline: Baseline) -> bytes:
    """Write a baseline."""
    return baseline.model_dump_json(indent=1, exclude_none=True).encode()


def read(raw: bytes, where: str) -> Baseline:
    """Read a baseline.

    :param raw: content of the file.
    :param where: how it is named in errors.
    :raises ConfigError: it is none.
    """
    try:
        return Baseline.model_validate_json(raw)
    except ValidationError as exc:
        said = [f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in exc.errors(include_url=False)]
        raise ConfigError("baseline", where, f"{'; '.join(said[:_MOST_PROBLEMS])}; take it anew") from None
