"""What a refresh will take: its time from earlier runs, its cost from a dated list of prices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from aurora_ops.core.errors import ConfigError
from aurora_ops.core.settings import Instances

_HOURS_OF_MONTH = 730
_LEAST_BILLED_S = (
    600  # of an instance; https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/User_DBInstanceBilling.html
)
_EARLIER_RUNS = 5


@dataclass(frozen=True)
class Estimate:
    """Time and cost of a refresh.

    :param seconds: expected time; ``None`` where no run has succeeded yet.
    :param runs: how many earlier runs that rests on.
    :param dollars: expected cost of what exists only while it runs; ``None`` where a price or the time is not known.
    :param basis: what the cost rests on, or what is missing.
    """

    seconds: float | None
    runs: int
    dollars: float | None
    basis: str


def expected_s(durations_s: Sequence[float]) -> tuple[float | None, int]:
    """Expect what the last runs took: their median.

    :param durations_s: seconds of runs that succeeded, newest first.
    :return: seconds (``None``: there was none) and the number of runs.
    """
    recent = list(durations_s)[:_EARLIER_RUNS]
    return (median(recent) if recent else None), len(recent)


def read_prices(path: Path) -> dict[str, Any]:
    """Read the list of prices.

    :param path: ``include/prices.yaml``.
    :raises ConfigError: it is not a list of prices.
    """
    try:
        prices: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as exc:
        raise ConfigError(path.name, str(exc).replace("\n", " "), "write valid YAML") from exc
    needed = {"noted", "region", "currency", "instance_hour", "acu_hour", "storage_gib_month", "snapshot_gib_month"}
    if not isinstance(prices, dict) or set(prices) != needed:
        known = sorted(prices) if isinstance(prices, dict) else prices
        raise ConfigError(path.name, known, f"its fields are {sorted(needed)}")
    amounts = [*_amounts(prices), *(prices["instance_hour"] or {}).items()]
    if wrong := [name for name, value in amounts if not isinstance(value, int | float) or value < 0]:
        raise ConfigError(f"{path.name}:{wrong[0]}", dict(amounts)[wrong[0]], "write an amount of 0 or more")
    return prices


def _amounts(prices: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name, prices[name]) for name in ("acu_hour", "storage_gib_month", "snapshot_gib_month")]


def estimate(
    instances: Instances, *, size_gib: float, durations_s: Sequence[float], prices: Mapping[str, Any]
) -> Estimate:
    """Estimate time and cost of a refresh.

    Counted is what exists only while it runs: the instances and the storage of a second cluster, and the copied snapshot.
    Not counted are requests, input and output, the transfer of a copy between regions, and the old cluster afterwards.

    :param instances: instances of the new cluster.
    :param size_gib: size of the snapshot.
    :param durations_s: seconds of earlier runs that succeeded, newest first.
    :param prices: from ``read_prices``.
    """
    seconds, runs = expected_s(durations_s)
    listed = _listed(prices)
    hourly = _hourly(instances, prices)
    if hourly is None:
        return Estimate(seconds, runs, None, f"include/prices.yaml has no price of {instances.instance_class}")
    if seconds is None:
        return Estimate(None, 0, None, f"{prices['currency']} {hourly:.2f} an hour for its instances; {listed}")
    storage = size_gib * (prices["storage_gib_month"] + prices["snapshot_gib_month"]) / _HOURS_OF_MONTH
    dollars = hourly * max(seconds, _LEAST_BILLED_S) / 3600 + storage * seconds / 3600
    return Estimate(seconds, runs, round(dollars, 4), listed)


def costs(instances: Instances, *, size_gib: float, copied_gib: float, prices: Mapping[str, Any]) -> dict[str, Any]:
    """Give what the cost of a restore follows from once its time is known: plain values for :func:`spent`.

    :param instances: instances of the new cluster.
    :param size_gib: size of the snapshot; 0 where it is not known before.
    :param copied_gib: what of it is copied first.
    :param prices: from ``read_prices``.
    """
    hourly = _hourly(instances, prices)
    kept = size_gib * prices["storage_gib_month"] + copied_gib * prices["snapshot_gib_month"]
    return {
        "copied_gib": copied_gib,
        "instances": 1 + instances.readers,
        "hourly": None if hourly is None else hourly + kept / _HOURS_OF_MONTH,
        "currency": prices["currency"],
        "prices": _listed(prices),
    }


def spent(about: Mapping[str, Any], seconds: float) -> str:
    """Say what a restore has copied and used so far, and what that costs.

    :param about: from :func:`costs`.
    :param seconds: how long its instances have existed, at most.
    """
    hours = max(seconds, _LEAST_BILLED_S) / 3600
    price = "cost not known" if about["hourly"] is None else f"about {about['currency']} {about['hourly'] * hours:.2f}"
    used = f"{about['copied_gib']:g} GiB copied, {about['instances'] * hours:.2f} instance hours"
    return f"{used}, {price} ({about['prices']})"


def _listed(prices: Mapping[str, Any]) -> str:
    return f"list prices of {prices['region']}, noted {prices['noted']}"


def _hourly(instances: Instances, prices: Mapping[str, Any]) -> float | None:
    count = 1 + instances.readers
    if instances.instance_class == "db.serverless":
        capacity = instances.serverless.max_acu if instances.serverless else None
        return None if capacity is None else float(count * capacity * prices["acu_hour"])
    price = (prices["instance_hour"] or {}).get(instances.instance_class)
    return None if price is None else float(count * price)
