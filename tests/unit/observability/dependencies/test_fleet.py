"""The graph of a fleet: from the topology and from heartbeats, not by hand."""

from __future__ import annotations

from observability.dependencies import fleet_graph, known_services
from observability.dependencies.fleet import MOST_BACKENDS
from tests.unit.observability.health.beats import beat


def test_who_puts_work_into_a_queue_needs_who_takes_it_out() -> None:
    graph = fleet_graph(())
    assert graph.needs("retrieve") == ("broker", "generate")
    assert graph.needs("ingest") == ("broker", "embed")
    assert graph.needs("gateway") == ("broker", "embed", "ingest", "retrieve")


def test_everybody_needs_the_broker_and_so_do_its_buckets() -> None:
    graph = fleet_graph(())
    assert {*graph.needed_by("broker")} == known_services() | {"ledger", "uploads"}


def test_a_process_needs_the_backends_that_its_heartbeats_tell_of() -> None:
    graph = fleet_graph([beat("retrieve", index="ok", encoder="bad"), beat("embed", index="ok"), beat("embed", 2)])
    assert "index" in graph.needs("embed")
    assert {"encoder", "index"} < {*graph.needs("retrieve")}
    assert graph.impacted({"index"}).keys() == {"retrieve", "embed", "ingest", "gateway", "keeper"}


def test_a_cache_in_the_broker_needs_it_and_one_in_redis_does_not() -> None:
    for kept_in, needs in (("nats", ("broker",)), ("redis", ())):
        assert fleet_graph([beat("retrieve", cache="ok", facts={"cache": kept_in})]).needs("cache") == needs


def test_a_service_that_the_topology_does_not_know_is_there_too() -> None:
    assert fleet_graph([beat("translate", index="ok")]).needs("translate") == ("broker", "index")


def test_what_somebody_invents_does_not_grow_without_bound() -> None:
    invented = [beat("embed", n, **{f"x{n}-{i}": "ok" for i in range(50)}) for n in range(20)]
    assert len(fleet_graph(invented).needs("embed")) <= MOST_BACKENDS + 1
    services = [beat(f"s{n}") for n in range(500)]
    assert len(fleet_graph(services).components) < 150


def test_alerts_of_queues_and_consumers_are_about_services() -> None:
    graph = fleet_graph(())
    names = ("purge", "embed", "generate-canary", "query", "index", "host")
    assert [graph.named(name) for name in names] == ["embed", "embed", "generate", "gateway", "index", "host"]
