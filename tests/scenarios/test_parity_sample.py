"""The predecessor's page, line by line, under the new names: what it promises is what happens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pointsman

PAGE = """
import asyncio

from pointsman import (
    AdapterMetadata,
    Candidate,
    LifecycleManager,
    Resolver,
    ServiceBridge,
    Settings,
    register_adapter_metadata,
)


class RedisCache: ...


class MemcachedCache: ...


class StripePaymentService:
    async def process_payment(self, *, amount: int) -> int:
        return amount


async def main() -> None:
    settings = Settings.load()
    resolver = Resolver()
    register_adapter_metadata(
        resolver,
        package_name="myapp",
        package_path=__file__,
        adapters=[
            AdapterMetadata(
                category="cache",
                provider="redis",
                stack_level=10,
                factory=lambda: RedisCache(),
                description="Production Redis cache",
            ),
            AdapterMetadata(category="cache", provider="memcached", factory=MemcachedCache),
        ],
    )
    resolver.register(
        Candidate(
            domain="service",
            key="payment-processor",
            provider="stripe",
            stack_level=5,
            factory=lambda: StripePaymentService(),
        )
    )

    cache = await resolver.resolve("adapter", "cache")  # a Resolution; awaiting it is allowed, not needed
    assert cache.provider == "redis"
    explanation = resolver.explain("adapter", "cache")
    print(explanation.why)
    print(f"Selected: {explanation.selected}")
    print(f"Reasons: {explanation.reasons}")
    print(f"Shadowed: {explanation.shadowed}")
    resolver.resolve("adapter", "cache", tenant="tenant_a")

    lifecycle = LifecycleManager(resolver, status_snapshot_path=".pointsman/lifecycle_status.json")
    instance = await lifecycle.activate("adapter", "cache")
    assert isinstance(instance, RedisCache)
    instance = await lifecycle.swap("adapter", "cache", provider="memcached")
    assert isinstance(instance, MemcachedCache)
    print(await lifecycle.probe_instance_health("adapter", "cache"))
    print(lifecycle.get_status("adapter", "cache").state)

    service_bridge = ServiceBridge(resolver=resolver, lifecycle=lifecycle, settings=settings.services)
    handle = await service_bridge.use("payment-processor")
    assert await handle.instance.process_payment(amount=100) == 100

    async with service_bridge.use("payment-processor", tenant="acme") as handle:  # better: the lease ends here
        await handle.instance.process_payment(amount=100)


asyncio.run(main())
"""


def test_the_page_runs_as_it_is_written_and_leaves_no_warning(tmp_path: Path) -> None:
    page = tmp_path / "page.py"
    page.write_text(PAGE, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", page.name],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(pointsman.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    why, selected, reasons, shadowed, health, state = done.stdout.splitlines()
    assert why.startswith("redis selected: stack level 10 beats memcached's 0")
    assert selected == "Selected: adapter/cache=redis"
    assert "stack level 10" in reasons
    assert "provider='memcached'" in shadowed
    assert (health, state) == ("None", "ready")
    board = json.loads((tmp_path / ".pointsman" / "lifecycle_status.json").read_text(encoding="utf-8"))
    assert {name: entry["state"] for name, entry in board.items()} == {"adapter/cache=memcached": "ready"}
