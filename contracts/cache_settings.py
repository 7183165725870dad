"""Settings of caches."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field, SecretStr, field_validator

from contracts.settings_source import Settings


class CacheBackend(StrEnum):
    MEMORY = "memory"
    NATS = "nats"
    REDIS = "redis"
    OFF = "off"


class CacheSettings(Settings):
    """Where what was computed is kept to be used again."""

    cache: CacheBackend = Field(
        default=CacheBackend.MEMORY,
        description="memory (of each process), nats or redis (shared, with a small memory before it), or off.",
        examples=["nats"],
    )
    cache_ttl_s: float = Field(
        default=3600.0, gt=0, le=86_400, description="How long an entry lives; at most a day.", examples=[3600]
    )
    cache_near_ttl_s: float = Field(
        default=30.0,
        gt=0,
        description="How long a process trusts its memory of a shared entry.",
        examples=[30],
    )
    cache_max_bytes: int = Field(
        default=64 * 1024 * 1024, ge=1024, description="Most memory of a process's cache.", examples=[67108864]
    )
    cache_max_entries: int = Field(
        default=50_000, ge=1, description="Most entries in a process's memory.", examples=[50000]
    )
    cache_timeout_s: float = Field(
        default=0.1, gt=0, description="How long a question waits for a shared cache.", examples=[0.1]
    )
    redis_url: str = Field(
        default="redis://127.0.0.1:6379/0",
        description="Redis (6 or newer) for `WAGGLE_CACHE=redis`, without user name and password; rediss:// for TLS.",
        examples=["rediss://cache:6379/0"],
    )
    redis_user: str | None = Field(default=None, description="Redis user; unset: the default one.", examples=["waggle"])
    redis_password: SecretStr | None = Field(default=None, description="Redis password.", examples=["…"])

    @property
    def shares_cache(self) -> bool:
        """Whether the cache is one of several processes."""
        return self.cache in {CacheBackend.NATS, CacheBackend.REDIS}

    @field_validator("redis_url")
    @classmethod
    def _is_a_redis_without_secret(cls, url: str) -> str:
        if "@" in url or "password=" in url:
            raise ValueError("give user name and password in WAGGLE_REDIS_USER and WAGGLE_REDIS_PASSWORD instead")
        if not url.startswith(("redis://", "rediss://")):
            raise ValueError("must begin with redis:// or rediss://")
        return url
