"""Which addresses notifications may go to."""

from __future__ import annotations

import socket

import pytest

from contracts.networks import parse_networks
from contracts.notification_settings import NotificationSettings
from contracts.settings_source import ConfigurationError
from observability.notifications.channels.addresses import AddressGuard
from observability.notifications.errors import DeliveryError


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.9.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
        "100.64.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192", "192.0.2.1", "198.18.0.1", "198.51.100.1",
        "203.0.113.9", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0",
        "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "2001:db8::1", "2001::1", "100::1", "::ffff:127.0.0.1",
        "::ffff:169.254.169.254", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1",
        "2002:7f00:1::", "2002:a00:1::1", "::127.0.0.1",
    ],
)  # fmt: skip
async def test_addresses_that_are_not_public_are_refused(address: str) -> None:
    guard = AddressGuard()
    assert not guard.lets_through(address)
    await guard.close()


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "172.32.0.1", "64:ff9b::808:808", "2002:808:808::1"]
)
async def test_public_addresses_are_let_through(address: str) -> None:
    guard = AddressGuard()
    assert guard.lets_through(address)
    await guard.close()


@pytest.mark.parametrize(
    ("address", "passes"), [("10.20.1.1", True), ("10.21.1.1", False), ("::ffff:10.20.1.1", True), ("127.0.0.1", False)]
)
async def test_a_network_that_is_allowed_is_let_through_and_no_more(address: str, passes: bool) -> None:
    guard = AddressGuard(parse_networks("10.20.0.0/16, fd00::/8"))
    assert guard.lets_through(address) is passes
    await guard.close()


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1", "0177.0.0.1", "localhost"])
async def test_other_ways_to_write_an_address_lead_to_the_same_refusal(host: str) -> None:
    guard = AddressGuard(timeout_s=30)
    with pytest.raises(DeliveryError, match="not a public address") as raised:
        await guard.addresses(host, 80)
    assert raised.value.final
    await guard.close()


@pytest.mark.parametrize("problem", [socket.gaierror(socket.EAI_NONAME, "unknown"), UnicodeError("label too long")])
async def test_a_name_that_leads_nowhere_may_lead_somewhere_later(problem: Exception) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        raise problem

    guard = AddressGuard(resolve=resolve)
    with pytest.raises(DeliveryError) as raised:
        await guard.addresses("nowhere.test", 443)
    assert not raised.value.final
    await guard.close()


def test_a_setting_that_is_no_network_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAGGLE_NOTIFY_ALLOWED_NETWORKS", "10.0.0.1/8")

    with pytest.raises(ConfigurationError, match=r"WAGGLE_NOTIFY_ALLOWED_NETWORKS.*10\.0\.0\.1/8.*Example"):
        NotificationSettings.load()
