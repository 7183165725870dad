"""The bucket of API keys: one entry for each key, and one for when it was last used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import structlog

from contracts import topology
from contracts.api_keys import ApiKey, KeyUse, Scope
from contracts.errors import PermanentError, WaggleError
from messaging.api_keys.text import digest_of, id_for, new_id, new_secret, text_of
from messaging.broker import Broker
from messaging.buckets import Bucket, Entry, StaleRevisionError

KEYS: Final = "key"
USES: Final = "used"
MOST_KEYS: Final = 10_000
OVER_KEPT: Final = timedelta(days=30)
"""How long one that is over can still be looked at."""
LONGEST: Final = timedelta(days=3650)
MAX_TRIES: Final = 10

log = structlog.get_logger(__name__)


class KeyRefusedError(PermanentError):
    """Nothing was changed: the key would be over already or last too long, is over, or is one too many."""


class NoSuchKeyError(PermanentError):
    """There is no key under this id."""


class KeyOver(StrEnum):
    """Why a key opens nothing any more."""

    REVOKED = "revoked"
    EXPIRED = "expired"


@dataclass(frozen=True, kw_only=True)
class NewKey:
    """A key as it was made. `text` is the only place where its secret is; it is in no representation. It is empty where the
    same request made the key before: only who got it then knows it.
    """

    key: ApiKey
    text: str

    def __repr__(self) -> str:
        return f"NewKey(key={self.key!r})"


def over(key: ApiKey, now: datetime) -> KeyOver | None:
    """Why it opens nothing; None: it does."""
    if key.revoked_at is not None:
        return KeyOver.REVOKED
    ends_at = end_of(key)
    return KeyOver.EXPIRED if ends_at is not None and ends_at <= now else None


def end_of(key: ApiKey) -> datetime | None:
    """When it ends by itself, or since another one is in its place; None: never."""
    return min((each for each in (key.expires_at, key.replaced_at) if each is not None), default=None)


class KeyBook:
    """Everything raises `BrokerUnavailableError` when the broker is away."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._bucket = Bucket(broker, topology.APIKEYS)

    async def create(
        self,
        *,
        name: str,
        tenant: str,
        scopes: Sequence[Scope],
        principal: str,
        expires_at: datetime | None = None,
        rate_limit: str | None = None,
        replaces: str | None = None,
        request: str | None = None,
    ) -> NewKey:
        """Make a key, one for each `request` if that is named. Raises `KeyRefusedError`, and `ValidationError` for names,
        tenants or scopes that are none.
        """
        key_id = new_id() if request is None else id_for(request)
        if request is not None and (known := await self.get(key_id)) is not None:
            return NewKey(key=known, text="")
        now = self._broker.clock.now()
        if expires_at is not None and not now < expires_at <= now + LONGEST:
            raise KeyRefusedError(
                f"a key lasts {LONGEST.days} days at most, and this one would end at {expires_at.isoformat()}"
            )
        await self._require_room(now)
        secret = new_secret()
        key = ApiKey(
            id=key_id,
            name=name,
            tenant=tenant,
            scopes=tuple(sorted(set(scopes))),
            digest=digest_of(secret),
            expires_at=expires_at,
            rate_limit=rate_limit,
            replaces=replaces,
            created_at=now,
            principal=principal,
        )
        await self._bucket.write(_at(KEYS, key.id), key.to_bytes(), revision=0)
        return NewKey(key=key, text=text_of(key.id, secret))

    async def get(self, key_id: str) -> ApiKey | None:
        """One by its id, or None."""
        entry = await self._bucket.get(_at(KEYS, key_id))
        return None if entry is None else read_key(entry)

    async def all(self) -> list[ApiKey]:
        """All of them, also those that are over since at most 30 days; the newest first."""
        entries = (await self._bucket.newest(_at(KEYS, "*"))).values()
        keys = [key for entry in entries if (key := read_key(entry)) is not None]
        return sorted(keys, key=lambda each: (each.created_at, each.id), reverse=True)

    async def used(self) -> dict[str, datetime]:
        """When each key that was used at all was last used, to the minute."""
        found = {}
        for entry in (await self._bucket.newest(_at(USES, "*"))).values():
            use = _read_use(entry)
            if use is not None:
                found[use.id] = use.used_at
        return found

    async def note(self, key_id: str, used_at: datetime) -> None:
        """Take note that a key was used; a later note stays."""
        use = KeyUse(id=key_id, used_at=used_at)
        for left in reversed(range(MAX_TRIES)):
            entry = await self._bucket.get(_at(USES, key_id))
            known = None if entry is None else _read_use(entry)
            if known is not None and known.used_at >= used_at:
                return
            try:
                await self._bucket.write(_at(USES, key_id), use.to_bytes(), revision=entry.revision if entry else 0)
            except StaleRevisionError:
                if not left:
                    raise
            else:
                return

    async def revoke(self, key_id: str, *, principal: str) -> ApiKey:
        """Have a key open nothing from now on, and return it as it is then. One that was revoked stays as it is.

        Raises `NoSuchKeyError`.
        """
        now = self._broker.clock.now()
        return await self._change(
            key_id, lambda key: {} if key.revoked_at is not None else {"revoked_at": now, "revoked_by": principal}
        )

    async def rotate(self, key_id: str, *, overlap: timedelta, principal: str, request: str | None = None) -> NewKey:
        """Make a key like this one, for as long as this one was made for; both open for `overlap`, then only the new one.
        The same `request` again makes the same one.

        The new one is made first: cut off in between there are two, and none is lost. Raises `NoSuchKeyError`, and
        `KeyRefusedError` for one that is over, or that has another one in its place already.
        """
        now = self._broker.clock.now()
        old = await self._rotatable(key_id, now, successor=None if request is None else id_for(request))
        made = await self.create(
            name=old.name,
            tenant=old.tenant,
            scopes=old.scopes,
            principal=principal,
            expires_at=None if old.expires_at is None else now + (old.expires_at - old.created_at),
            rate_limit=old.rate_limit,
            replaces=key_id,
            request=request,
        )

        def replaced(key: ApiKey) -> dict[str, object]:
            if key.revoked_at or key.replaced_by != old.replaced_by:
                return {}
            return {"replaced_at": key.replaced_at or now + overlap, "replaced_by": made.key.id}

        changed = await self._change(key_id, replaced)
        if changed.revoked_at is not None:
            await self.revoke(made.key.id, principal=principal)
            raise KeyRefusedError(f"key {key_id} was revoked meanwhile: make a new one")
        if changed.replaced_by != made.key.id:
            await self.revoke(made.key.id, principal=principal)
            raise KeyRefusedError(f"key {key_id} was rotated by somebody else meanwhile: use that one")
        return made

    async def _rotatable(self, key_id: str, now: datetime, *, successor: str | None) -> ApiKey:
        keys = {key.id: key for key in await self.all()}
        old = keys.get(key_id)
        if old is None:
            raise NoSuchKeyError(f"there is no key {key_id}")
        if successor in keys:
            return old
        if (why := over(old, now)) is not None:
            raise KeyRefusedError(f"key {key_id} is {why.value} already: make a new one")
        found = next((key for key in keys.values() if key.replaces == key_id and over(key, now) is None), None)
        if found is not None:
            raise KeyRefusedError(
                f"key {key_id} has {found.id} in its place already: rotate that one, or revoke it if nobody has it"
            )
        return old

    async def _change(self, key_id: str, change: Callable[[ApiKey], dict[str, object]]) -> ApiKey:
        for left in reversed(range(MAX_TRIES)):
            entry = await self._bucket.get(_at(KEYS, key_id))
            key = None if entry is None else read_key(entry)
            if entry is None or key is None:
                raise NoSuchKeyError(f"there is no key {key_id}")
            update = change(key)
            if not update:
                return key
            changed = key.model_copy(update=update)
            try:
                await self._bucket.write(_at(KEYS, key_id), changed.to_bytes(), revision=entry.revision)
            except StaleRevisionError:
                if not left:
                    raise
            else:
                return changed
        raise AssertionError("not reached")

    async def _require_room(self, now: datetime) -> None:
        """Forgets what is over for long, so that there is room."""
        keys = await self.all()
        gone = [each for each in keys if _over_since(each, now) > OVER_KEPT]
        for each in gone:
            for kind in (KEYS, USES):
                await self._bucket.storage.purge(self._bucket.stream, self._bucket.subject(_at(kind, each.id)))
        if len(keys) - len(gone) >= MOST_KEYS:
            raise KeyRefusedError(
                f"there are {MOST_KEYS} keys already: those that are over go after {OVER_KEPT.days} days"
            )


def _at(kind: str, key_id: str) -> str:
    return f"{kind}.{key_id}"


def _over_since(key: ApiKey, now: datetime) -> timedelta:
    ends = [each for each in (key.revoked_at, end_of(key)) if each is not None]
    return now - min(ends) if ends else timedelta(0)


def read_key(entry: Entry) -> ApiKey | None:
    """The key of an entry; None: it is none, or of another id than its entry's."""
    if entry.value is None:
        return None
    try:
        key = ApiKey.from_bytes(entry.value)
    except WaggleError as error:
        log.warning("not an API key", key=entry.key, reason=str(error))
        return None
    return key if _at(KEYS, key.id) == entry.key else None


def _read_use(entry: Entry) -> KeyUse | None:
    if entry.value is None:
        return None
    try:
        use = KeyUse.from_bytes(entry.value)
    except WaggleError as error:
        log.warning("not a use of an API key", key=entry.key, reason=str(error))
        return None
    return use if _at(USES, use.id) == entry.key else None
