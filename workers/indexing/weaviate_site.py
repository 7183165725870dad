"""Waggle's collections in a Weaviate server, and a small one that names the current collection of each encoder."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from weaviate.classes.config import Configure, DataType, Property

from contracts.errors import PermanentError
from contracts.identifiers import new_id
from contracts.settings import IndexSettings
from workers.encoding.base import EncoderIdentity
from workers.indexing.base import VectorIndex
from workers.indexing.pointer import Pointer, fresh_name, is_named_after
from workers.indexing.weaviate import WeaviateIndex
from workers.indexing.weaviate_collection import recorded_in
from workers.indexing.weaviate_connection import Connection
from workers.indexing.weaviate_errors import AnsweredError, DeniedError

if TYPE_CHECKING:
    from weaviate.collections import CollectionAsync

    Pointers = CollectionAsync[dict[str, Any], None]

SUFFIX = "_Current"
MOST_POINTERS = 1_000

_PROPERTIES = ("key", "state")
_POINTERS = uuid.UUID("0c2f6b0e-4f5c-5a39-9d51-52d1f0a9f6c3")


class WeaviateSite:
    """A `Site` in Weaviate. Pointers are objects, which are replaced as a whole.

    Aliases would do for one encoder, but servers before 1.32 know none.
    """

    def __init__(self, settings: IndexSettings) -> None:
        self.must_be: str | None = None
        """The mark of the only site that this address may lead to, where nothing is made then; None: whichever, or a new one."""
        self._settings = settings
        self._name = settings.weaviate_collection + SUFFIX
        self._connection = Connection(settings.model_copy(update={"weaviate_collection": self._name}))

    @property
    def default(self) -> str:
        return self._settings.weaviate_collection

    @property
    def where(self) -> str:
        return f"Weaviate at {self._connection.address.url}"

    @property
    def pointers_in(self) -> str:
        return f"the collection {self._name}"

    async def open(self) -> None:
        try:
            await self._connection.open()
            if await self._exists(self._name):
                await self._require_ours()
            elif self.must_be is None:
                await self._create()
            await self._require_expected()
        except DeniedError as error:
            await self._connection.close()
            raise PermanentError(str(error)) from error
        except BaseException:
            await self._connection.close()
            raise

    async def mark(self) -> str | None:
        """What no other site has, and the same at every address of one; None: nothing of Waggle is there, or it has none."""
        if not await self._exists(self._name):
            return None
        config = await self._connection.ask(self._pointers.config.get)
        return config.description or None

    async def pointer(self, key: str) -> Pointer:
        found: Any = await self._connection.ask(lambda: self._pointers.query.fetch_object_by_id(_id(key)))
        return Pointer() if found is None else Pointer.from_json(str(found.properties["state"]))

    async def pointers(self) -> dict[str, Pointer]:
        found = await self._connection.ask(lambda: self._pointers.query.fetch_objects(limit=MOST_POINTERS))
        return {str(each.properties["key"]): Pointer.from_json(str(each.properties["state"])) for each in found.objects}

    async def point(self, key: str, pointer: Pointer) -> None:
        properties, data = {"key": key, "state": pointer.to_json()}, self._pointers.data
        if await self._connection.ask(lambda: data.exists(_id(key))):
            await self._connection.ask(lambda: data.replace(_id(key), properties), writes=True)
        else:
            await self._connection.ask(lambda: data.insert(properties, uuid=_id(key)), writes=True)

    async def names(self) -> list[str]:
        """Those that the key may see: servers before 1.30 list none for who may not read all of somebody else's."""
        try:
            found = await self._connection.ask(self._connection.client.collections.list_all)
        except DeniedError:
            return []
        return [name for name in found if is_named_after(name, self.default)]

    async def recorded(self, name: str) -> Mapping[str, str] | None:
        if not await self._exists(name):
            return None
        config = await self._connection.ask(self._connection.client.collections.use(name).config.get)
        found = recorded_in(config.description)
        if found is None:
            raise PermanentError(
                f"the collection {name} of {self.where} was not made by Waggle: give another name as "
                "WAGGLE_WEAVIATE_COLLECTION"
            )
        return found

    def index(self, name: str, identity: EncoderIdentity, *, any_format: bool = False) -> VectorIndex:
        settings = self._settings.model_copy(update={"weaviate_collection": name})
        return WeaviateIndex(settings, identity, any_format=any_format)

    def fresh(self) -> str:
        return fresh_name(self.default)

    async def drop(self, name: str) -> None:
        await self._connection.ask(lambda: self._connection.client.collections.delete(name), writes=True)

    async def close(self) -> None:
        await self._connection.close()

    @property
    def _pointers(self) -> Pointers:
        return self._connection.collection()

    async def _exists(self, name: str) -> bool:
        return await self._connection.ask(lambda: self._connection.client.collections.exists(name))

    async def _require_ours(self) -> None:
        config = await self._connection.ask(self._pointers.config.get)
        if config.multi_tenancy_config.enabled or not {known.name for known in config.properties}.issuperset(
            _PROPERTIES
        ):
            raise PermanentError(
                f"the collection {self._name} of {self.where} was not made by Waggle, which keeps there what names its "
                f"current index: remove it, or give another name as WAGGLE_WEAVIATE_COLLECTION"
            )

    async def _require_expected(self) -> None:
        if self.must_be is not None and await self.mark() != self.must_be:
            raise PermanentError(
                f"{self.where} is not known to be the Weaviate that holds the index: WAGGLE_WEAVIATE_URL and "
                "WAGGLE_WEAVIATE_STANDBY_URL have to be addresses of one cluster, and the first one has to have been used before"
            )

    async def _create(self) -> None:
        kept = [
            Property(name=name, data_type=DataType.TEXT, index_filterable=False, index_searchable=False)
            for name in _PROPERTIES
        ]
        create = self._connection.client.collections.create
        vectors, mark = Configure.Vectors.self_provided(), new_id()
        try:
            await self._connection.ask(
                lambda: create(self._name, description=mark, properties=kept, vector_config=vectors), writes=True
            )
        except AnsweredError:  # another process was first, or it truly failed
            if not await self._exists(self._name):
                raise


def _id(key: str) -> uuid.UUID:
    return uuid.uuid5(_POINTERS, key)
