"""`waggle tenants` as people run it."""

from __future__ import annotations

from messaging.broker import Broker
from tests.support.commands import Command
from tests.support.gateways import Gateway


async def test_from_nothing_agreed_to_something_and_back(broker: Broker, gateway: Gateway) -> None:
    waggle = Command("tenants", environment={"WAGGLE_URL": gateway.url})

    assert (await waggle("ls")).out.startswith("No tenants")
    agreed = await waggle(
        "set", "acme", "--rate-limit", "100/m", "--documents", "5", "--bytes", "2GiB", "--weight", "2"
    )
    assert agreed.code == 0, agreed.err
    assert {"acme", "100/m", "5", "2.0", "GiB"} <= set(agreed.out.split())

    changed = await waggle("set", "acme", "--documents", "none", "--json")
    assert changed.json["terms"] == {
        "rate_limit": "100/m",
        "max_documents": None,
        "max_bytes": 2 * 2**30,
        "weight": 2.0,
    }
    assert [each["tenant"] for each in (await waggle("ls", "--json")).json["items"]] == ["acme"]
    assert (await waggle("reset", "acme", "--json")).json["terms"]["weight"] == 1.0
    assert (await waggle("show", "nobody", "--json")).json["usage"] == {"documents": 0, "bytes": 0, "waiting": 0}


async def test_what_makes_no_sense_is_refused(broker: Broker, gateway: Gateway) -> None:
    waggle = Command("tenants", environment={"WAGGLE_URL": gateway.url})

    for arguments in ([], ["--documents", "many"], ["--bytes", "10 bananas"]):
        assert (await waggle("set", "acme", *arguments)).code == 2
    refused = await waggle("set", "acme", "--rate-limit", "lots")
    assert (refused.code, "for example 20/10s" in refused.err) == (2, True)
    for arguments in (["show", "../keys"], ["set", "a b", "--weight", "2"]):
        named = await waggle(*arguments)
        assert (named.code, "letters, digits, - and _ only" in named.err) == (2, True)
