"""``python -m localcloud.health``: 0 if localcloud answers and its accounts are filled. For a container's health check.

Imports nothing but the standard library, since it runs every few seconds.
"""

from __future__ import annotations

import json
import sys
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from localcloud.config import CloudConfig, ConfigError


def problem(config: CloudConfig) -> str | None:
    """Say what keeps localcloud from being ready; None if nothing does."""
    opener = build_opener(ProxyHandler({}))
    try:
        with opener.open(f"{config.endpoint}/localcloud/health", timeout=5) as answer:
            status = json.load(answer)
    except (URLError, ConnectionError, TimeoutError, ValueError) as error:
        return f"{config.endpoint} does not answer: {error}"
    return None if status.get("seeded") else "its accounts are not filled yet"


def main() -> int:
    """Return the exit code."""
    try:
        said = problem(CloudConfig.from_env())
    except ConfigError as error:
        said = str(error)
    if said is None:
        return 0
    print(f"localcloud: {said}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
