"""The providers that are shipped, as data: what each serves, where it is, how it ranks.

Only references: loading this table loads no provider and no third-party package. No provider listed here may win,
unselected, over one that a user registers: each has a negative stack level, and none has a priority.
"""

from collections.abc import Mapping
from types import MappingProxyType

from pointsman.adapters.facade import FACADE
from pointsman.declarations import Candidate

EMBEDDED = -1
"""Serves when nothing else is registered or selected."""
EMBEDDED_SECOND = -2
"""Needs no server, but something that has to be named."""
SERVER = -10
"""Needs a server or a vendor."""

_PER_TENANT: Mapping[str, str] = MappingProxyType({FACADE: "tenant"})

SHIPPED: tuple[Candidate, ...] = (
    Candidate(
        "adapter", "cache", "memory", "pointsman.adapters.cache.memory:memory_cache",
        settings_model="pointsman.adapters.cache.memory:MemoryCacheSettings",
        stack_level=EMBEDDED, capabilities=("counters", "ttl"), metadata=_PER_TENANT,
        description="In the memory of this replica, bounded, least recently used first.",
    ),
    Candidate(
        "adapter", "cache", "redis", "pointsman.adapters.cache.redis:redis_cache",
        settings_model="pointsman.adapters.cache.redis:RedisCacheSettings",
        stack_level=SERVER, capabilities=("counters", "fleet-wide", "ttl"), metadata=_PER_TENANT,
        description="On a Redis server, shared by every replica.",
    ),
    Candidate(
        "adapter", "database", "sqlite", "pointsman.adapters.database.sqlite:sqlite_database",
        settings_model="pointsman.adapters.database.sqlite:SqliteSettings",
        stack_level=EMBEDDED, capabilities=("returning", "sql"),
        description="In one file, or in memory, on this replica.",
    ),
    Candidate(
        "adapter", "secrets", "env", "pointsman.adapters.secrets.env:EnvSecrets",
        settings_model="pointsman.adapters.secrets.env:EnvSecretsSettings",
        stack_level=EMBEDDED,
        description="From the environment of the process.",
    ),
    Candidate(
        "adapter", "secrets", "file", "pointsman.adapters.secrets.file:FileSecrets",
        settings_model="pointsman.adapters.secrets.file:FileSecretsSettings",
        stack_level=EMBEDDED_SECOND, capabilities=("rotate",),
        description="From a folder, one file a secret.",
    ),
    Candidate(
        "adapter", "secrets", "gcp-secret-manager", "pointsman.adapters.secrets.gcp:gcp_secrets",
        settings_model="pointsman.adapters.secrets.gcp:GcpSecretsSettings",
        stack_level=SERVER, capabilities=("fleet-wide", "rotate", "versions"),
        description="From Google Secret Manager.",
    ),
    Candidate(
        "adapter", "identity", "google", "pointsman.adapters.identity.google:google_identity",
        settings_model="pointsman.adapters.identity.google:GoogleIdentitySettings",
        stack_level=SERVER, capabilities=("iap", "id-token"),
        description="ID tokens of Google accounts, and assertions of the Identity-Aware Proxy.",
    ),
)  # fmt: skip
