"""Glue: the Data Catalog as AWS has it, and crawlers that crawl."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import moto.glue.models
from moto.glue.models import GlueBackend, glue_backends
from moto.glue.urls import url_paths

from localcloud.services.glue.catalog import LocalTable
from localcloud.services.glue.crawlers import CrawlerResponse, LocalCrawler, end, resume

if TYPE_CHECKING:
    from localcloud.cloud import Cloud


def install(cloud: Cloud) -> None:
    """Have Glue's rules kept, and crawlers crawl."""
    LocalCrawler.cloud = cloud
    pool = CrawlerResponse.pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="crawler")
    moto.glue.models.FakeTable = LocalTable  # type: ignore[misc]
    moto.glue.models.FakeCrawler = LocalCrawler  # type: ignore[misc]
    url_paths["{0}/$"] = CrawlerResponse.dispatch

    def begin() -> None:
        for _, _, backend in list(glue_backends.iter_backends()):
            assert isinstance(backend, GlueBackend)
            resume(backend)

    cloud.on_terminal("glue", end)
    cloud.on_startup(begin)
    cloud.on_shutdown(lambda: pool.shutdown(cancel_futures=True))
