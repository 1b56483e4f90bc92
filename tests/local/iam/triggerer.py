"""What the triggerer does with two messages, without Airflow's services: their events are stored, and one of them is given back."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from airflow.models.asset import AssetEvent, AssetModel  # noqa: TID251 - there is no API server to tell
from airflow.triggers.shared_stream import AdvanceItem, AdvanceOutcome
from airflow.utils.session import create_session
from aurora_ops.dagkit.environments import configured
from aurora_ops.dagkit.export_events import snapshot_events
from aurora_ops.triggers.queue_messages import QueueProducer
from sqlalchemy import select


async def hear(arguments: dict[str, Any]) -> list[str]:
    """Receive two messages, and say that one is stored."""
    producer = QueueProducer(**arguments)
    stream = producer.open_stream()
    heard = [await anext(stream) for _ in range(2)]
    outcomes = (AdvanceOutcome(acked=1, failed=0), AdvanceOutcome(acked=0, failed=1))
    for (_, receipt), outcome in zip(heard, outcomes, strict=True):
        await producer.advance([AdvanceItem(receipt, outcome)])
    await producer.aclose()
    return [message.body for message, _ in heard]


def main() -> None:
    """Hear, and store events of the asset."""
    (settings,) = (found.settings for found in configured() if found.name == "staging")
    assert settings is not None
    assert settings.exports is not None
    assert settings.exports.events is not None
    asset = snapshot_events(settings, settings.exports, settings.exports.events)
    (watcher,) = asset.watchers
    _, arguments = watcher.trigger.serialize()
    bodies = asyncio.run(hear(arguments))
    with create_session() as session:
        asset_id = session.scalars(select(AssetModel.id).where(AssetModel.name == asset.name)).one()
        for number, body in enumerate(bodies):
            payload = {"message_id": f"message-{number}", "sent_at_ms": int(time.time() * 1000), "body": body}
            session.add(AssetEvent(asset_id=asset_id, extra={"payload": payload}))


if __name__ == "__main__":
    main()
