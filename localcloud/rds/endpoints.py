"""Addresses of database endpoints: a pure function of the name, so that a rename moves the data behind it."""

from __future__ import annotations

import hashlib
from typing import Literal

Kind = Literal["cluster", "reader", "instance"]

HOSTED_ZONE_ID = "Z29XKXDKYMONMX"


def address(account: str, region: str, kind: Kind, identifier: str) -> str:
    """Loopback address 127.a.b.c of an endpoint.

    :param account: account id.
    :param region: region name.
    :param kind: ``cluster`` (writer), ``reader`` or ``instance``.
    :param identifier: cluster or instance identifier; case does not matter.
    :return: never in 127.0.0.0/24, where other local services listen, and never ending in 0 or 255.
    """
    digest = hashlib.sha256(f"{account}/{region}/{kind}/{identifier.lower()}".encode()).digest()
    return f"127.{digest[0] % 254 + 1}.{digest[1]}.{digest[2] % 254 + 1}"
