"""`waggle keys` as people run it: the first key from the broker, all others from a gateway that asks for one."""

from __future__ import annotations

from contracts.gateway_settings import Auth
from deploy.local.nats_server import NatsServer
from messaging.broker import Broker
from tests.support.commands import Command, Ran
from tests.support.gateways import running_gateway
from tests.support.waiting import until


async def test_from_the_first_key_to_one_that_is_revoked(broker: Broker, nats_server: NatsServer) -> None:
    async with running_gateway(nats_server.url, auth=Auth.KEYS) as gateway:
        await gateway.ready()
        environment = {"WAGGLE_NATS_URL": nats_server.url, "WAGGLE_URL": gateway.url}

        async def waggle(*arguments: str, key: str = "") -> Ran:
            shown = {"WAGGLE_API_KEY": key} if key else {}
            return await Command("keys", environment={**environment, **shown})(*arguments)

        nobody = await waggle("ls")
        assert nobody.code == 1
        assert "waggle keys create" in nobody.err

        first = await waggle("bootstrap", "--json")
        assert first.json["key"]["scopes"] == ["admin"]
        assert first.json["key"]["created_by"].startswith("broker:")
        admin = first.json["secret"]

        async def known() -> bool:
            return (await gateway.http.get("/v1/keys", headers={"X-API-Key": admin})).status_code == 200

        await until(known)
        made = await waggle("create", "import", "--scope", "read", "--tenant", "acme", key=admin)
        assert made.code == 0, made.err
        reads = {"X-API-Key": made.out.strip()}

        async def status() -> int:
            return (await gateway.http.get("/v1/documents", headers=reads)).status_code

        async def opens() -> bool:
            return await status() == 200

        async def shut() -> bool:
            return await status() == 401

        await until(opens)
        listed = await waggle("ls", "--tenant", "acme", "--json", key=admin)
        (item,) = listed.json["items"]
        assert (item["name"], item["created_by"]) == ("import", f"key:{first.json['key']['id']}")
        assert (await waggle("revoke", item["id"], key=admin)).code == 0
        await until(shut)
        assert (await waggle("ls", key=made.out.strip())).code == 1
