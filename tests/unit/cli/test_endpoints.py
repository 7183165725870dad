"""What is known of the endpoints of all workers, and how people are shown it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from rich.console import Console

from cli.endpoint_tables import behind, items, nobody, remarks, silence, table_of
from contracts.endpoint_reports import EndpointOrder, EndpointReport, EndpointState, EndpointStats
from contracts.message import utc_now
from messaging.endpoints import EndpointSurvey

A, B = "http://a/v1", "http://b/v1"
DRAINING, HEALTHY, FAILING = EndpointState.DRAINING, EndpointState.HEALTHY, EndpointState.FAILING
EMPTY = EndpointSurvey(reports=(), silent=(), without=0)


def stats(url: str, state: EndpointState = HEALTHY, *, in_flight: int = 0, error: str = "") -> EndpointStats:
    return EndpointStats(
        url=url,
        state=state,
        weight=2,
        standby=url == B,
        requests=7,
        failures=1,
        in_flight=in_flight,
        last_error=error,
        latency_s=None if error else 0.25,
    )


def survey(*workers: tuple[EndpointStats, ...], silent: tuple[str, ...] = ()) -> EndpointSurvey:
    return EndpointSurvey(
        reports=tuple(
            EndpointReport(service="generate", instance=f"worker-{n}", model="small", endpoints=endpoints)
            for n, endpoints in enumerate(workers)
        ),
        silent=tuple(("generate", name) for name in silent),
        without=0,
    )


def printed(of: EndpointSurvey) -> list[str]:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(table_of(of))
    return capture.get().splitlines()


@pytest.mark.parametrize(
    ("drained", "workers", "silent"),
    [
        (True, [(stats(A, DRAINING), stats(B, in_flight=3)), (stats(A, DRAINING),)], ()),
        (True, [(stats(B),)], ()),
        (False, [(stats(A, DRAINING),), (stats(A, DRAINING, in_flight=1),)], ()),
        (False, [(stats(A, DRAINING),), (stats(A),)], ()),
        (False, [(stats(A, DRAINING),)], ("mute",)),
    ],
    ids=["idle everywhere", "nobody has it", "busy in one", "used by one", "one is silent"],
)
def test_an_endpoint_is_drained_when_all_workers_are_known_to_leave_it_alone(
    drained: bool, workers: list[tuple[EndpointStats, ...]], silent: tuple[str, ...]
) -> None:
    assert survey(*workers, silent=silent).is_drained(A) is drained


def test_requests_of_all_workers_are_counted_together() -> None:
    seen = survey((stats(A, in_flight=2), stats(B, in_flight=5)), (stats(A, in_flight=1),))
    assert (seen.urls, seen.in_flight(A), seen.in_flight("http://c/v1")) == ((A, B), 3, 0)


def test_the_table_has_one_row_for_each_endpoint_in_each_worker() -> None:
    _, *rows = printed(
        survey((stats(B, FAILING, error="cannot\n be reached"), stats(A, DRAINING)), (stats(A, DRAINING, in_flight=2),))
    )
    assert [row.split()[:5] for row in rows] == [
        [A, "worker-0", "generator", "small", "drained"],
        [A, "worker-1", "generator", "small", "draining"],
        [B, "worker-0", "generator", "small", "failing"],
    ]
    assert rows[1].split()[5:] == ["2", "2", "7", "1", "250", "ms"]
    assert rows[2].split()[5:] == ["standby", "0", "7", "1", "cannot", "be", "reached"]


def test_scripts_get_the_same_as_people() -> None:
    first, *_ = found = items(survey((stats(A), stats(B)), (stats(A),)))
    assert [(item["url"], item["instance"]) for item in found] == [(A, "worker-0"), (A, "worker-1"), (B, "worker-0")]
    assert first == {
        "service": "generate",
        "instance": "worker-0",
        "kind": "generator",
        "model": "small",
        **stats(A).model_dump(mode="json"),
    }
    assert [item["instance"] for item in items(survey((stats(A), stats(B)), (stats(A),)), A)] == [
        "worker-0",
        "worker-1",
    ]


def test_what_the_table_does_not_say_is_remarked() -> None:
    seen = survey((stats(A, DRAINING),), (stats(A, DRAINING), stats(B)), silent=("mute",))
    before = utc_now() - timedelta(minutes=5)
    orders = [
        EndpointOrder(url=A, draining=True, principal="ada", created_at=before),
        EndpointOrder(url="http://gone/v1", draining=True, principal="eve", created_at=before),
    ]
    assert remarks(seen, orders) == [
        f"{A} is drained by ada, 5 min ago.",
        "http://gone/v1 is drained by eve, 5 min ago (no worker that answered has it; `waggle endpoints undrain` forgets it).",
        "worker-0 has no endpoint left that is not drained: its questions wait.",
        "1 worker with endpoints did not answer: mute.",
    ]
    assert silence(EMPTY) == remarks(EMPTY, []) == []


def test_who_has_not_done_yet_what_was_ordered() -> None:
    seen = survey((stats(A, DRAINING),), (stats(A),))
    assert behind(seen, A, draining=True) == ["worker-1"]
    assert behind(seen, A, draining=False) == ["worker-0"]


def test_why_there_is_nothing_to_show() -> None:
    assert "No worker runs that could have endpoints" in nobody(EMPTY)
    assert "2 workers without any" in nobody(EndpointSurvey(reports=(), silent=(), without=2))
    assert "has told" in nobody(survey(silent=("mute",)))
