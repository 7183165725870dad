"""A Weaviate that tests use: where it is, who may do what there, and settings that lead to it."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import weaviate
from pydantic import SecretStr
from weaviate.classes.rbac import Permissions
from weaviate.exceptions import InsufficientPermissionsError
from weaviate.rbac.models import PermissionsInputType

from contracts.settings import IndexKind, IndexSettings
from tests.support.weaviate_server import ADMIN_KEY, USERS, WAGGLE_KEY, WeaviateServer, require_binary

URL, GRPC_PORT, API_KEY = (f"WAGGLE_TEST_WEAVIATE_{name}" for name in ("URL", "GRPC_PORT", "API_KEY"))
"""Variables that name a server to use instead of one of our own, with the key of a user who may do everything."""
RIGHTS_S = 30.0


@dataclass(frozen=True, kw_only=True)
class WeaviateSite:
    """A running Weaviate. `key` is that of a user with just the rights that the adapter needs."""

    url: str
    grpc_port: int
    admin_key: str | None = None
    key: str | None = None

    def settings(self, collection: str, *, key: str | None = None, **changed: object) -> IndexSettings:
        """Settings of a process that keeps its index here."""
        secret = key or self.key
        given = {
            "index": IndexKind.WEAVIATE,
            "weaviate_url": self.url,
            "weaviate_grpc_port": self.grpc_port,
            "weaviate_api_key": SecretStr(secret) if secret else None,
            "weaviate_collection": collection,
        }
        return IndexSettings.model_validate(given | changed)

    def environment(self, collection: str) -> dict[str, str]:
        """The same as variables."""
        return {
            "WAGGLE_INDEX": "weaviate",
            "WAGGLE_WEAVIATE_URL": self.url,
            "WAGGLE_WEAVIATE_GRPC_PORT": str(self.grpc_port),
            "WAGGLE_WEAVIATE_API_KEY": self.key or "",
            "WAGGLE_WEAVIATE_COLLECTION": collection,
        }

    @contextmanager
    def collection(self) -> Iterator[str]:
        """The name of a collection that is not there yet; it is dropped at the end, with those that were made beside it."""
        name = f"Waggle{uuid.uuid4().hex}"
        yield name
        with self.admin() as admin:
            admin.collections.delete([each for each in admin.collections.list_all() if each.startswith(name)])

    @contextmanager
    def admin(self) -> Iterator[weaviate.WeaviateClient]:
        parts = urlsplit(self.url)
        host, port, secure = parts.hostname or "", parts.port or 80, parts.scheme == "https"
        with weaviate.connect_to_custom(
            host, port, secure, host, self.grpc_port, secure, auth_credentials=self.admin_key, skip_init_checks=True
        ) as client:
            yield client

    def give_role(self, user: str, permissions: PermissionsInputType) -> None:
        """Let a user do just this, by a role of the user's name."""
        with self.admin() as admin:
            admin.roles.delete(user)
            admin.roles.create(role_name=user, permissions=permissions)
            admin.users.db.assign_roles(user_id=user, role_names=[user])

    def await_rights(self) -> None:
        """Return once the user of `key` may do something: the servers of a cluster learn of a role one after the other."""
        deadline = time.monotonic() + RIGHTS_S
        with replace(self, admin_key=self.key).admin() as client:
            while True:
                try:
                    client.collections.exists("Waggle")
                except InsufficientPermissionsError:
                    assert time.monotonic() < deadline, "the role is not in force"
                    time.sleep(0.1)
                else:
                    return


def adapter_rights() -> PermissionsInputType:
    """What the adapter needs."""
    return [
        Permissions.collections(
            collection="Waggle*", create_collection=True, read_config=True, update_config=True, delete_collection=True
        ),
        Permissions.data(collection="Waggle*", tenant="*", create=True, read=True, update=True, delete=True),
        Permissions.tenants(collection="Waggle*", tenant="*", create=True, read=True),
    ]


def site_of(server: WeaviateServer) -> WeaviateSite:
    """A server of our own, with the role of the adapter's user."""
    site = WeaviateSite(url=server.url, grpc_port=server.grpc_port, admin_key=ADMIN_KEY, key=WAGGLE_KEY)
    site.give_role(USERS[WAGGLE_KEY], adapter_rights())
    site.await_rights()
    return site


@contextmanager
def running_site(directory: Path) -> Iterator[WeaviateSite]:
    """The server that the environment names, else one of our own. Without either the test is skipped, or fails."""
    if URL in os.environ:
        key = os.environ.get(API_KEY)
        yield WeaviateSite(
            url=os.environ[URL], grpc_port=int(os.environ.get(GRPC_PORT, "50051")), admin_key=key, key=key
        )
        return
    with WeaviateServer(directory, require_binary()) as server:
        yield site_of(server)
