"""`waggle endpoints ls|drain|undrain`: the servers that generate workers have their answers written by."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import typer

from cli.acting import told
from cli.broker import connected
from cli.endpoint_tables import behind, items, nobody, remarks, silence, table_of
from cli.exits import CommandError, Exit
from cli.output import Json, console, counted, messages, print_json
from cli.person import whoever
from contracts.audit import AuditKind
from contracts.endpoint_reports import EndpointOrder
from messaging.broker import Broker
from messaging.endpoints import EndpointDesk, EndpointSurvey

app = typer.Typer()
endpoints = typer.Typer(no_args_is_help=True, help="Servers of models behind the workers: list, take out, use again.")
app.add_typer(endpoints, name="endpoints")

POLL_S = 0.2

Url = Annotated[str, typer.Argument(help="Where its API begins, as `waggle endpoints ls` shows it.")]


@endpoints.command("ls")
def ls(as_json: Json = False) -> None:
    """Every endpoint as each worker has it. Exit code 1 when a worker did not answer."""
    survey, orders = asyncio.run(_ls())
    if as_json:
        print_json(
            {
                "items": items(survey),
                "drained": [{"url": o.url, "by": o.principal, "at": o.created_at} for o in orders],
                "silent": _instances(survey),
                "without": survey.without,
            }
        )
    elif survey.reports:
        console().print(table_of(survey))
    else:
        console().print(nobody(survey))
    if not as_json:
        for remark in remarks(survey, orders):
            messages().print(remark, style="yellow")
    raise typer.Exit(Exit.FAILED if survey.silent else Exit.OK)


@endpoints.command("drain")
def drain(
    url: Url,
    wait: Annotated[
        float | None, typer.Option(help="Seconds to wait until nothing is under way there any more.", min=0)
    ] = None,
    as_json: Json = False,
) -> None:
    """Send an endpoint nothing new; what is under way there finishes. Holds for all workers, until it is undrained."""
    survey = asyncio.run(_drain(_address(url), wait))
    _finish(survey, _address(url), draining=True, waited_s=wait, as_json=as_json)


@endpoints.command("undrain")
def undrain(url: Url, as_json: Json = False) -> None:
    """Use an endpoint again."""
    survey = asyncio.run(_undrain(_address(url)))
    _finish(survey, _address(url), draining=False, waited_s=None, as_json=as_json)


async def _ls() -> tuple[EndpointSurvey, list[EndpointOrder]]:
    async with _desk() as (_, desk):
        kept = (await desk.orders.kept()).values()
        return await desk.survey(), sorted((order for order in kept if order.draining), key=lambda order: order.url)


async def _drain(url: str, wait_s: float | None) -> EndpointSurvey:
    async with _desk() as (broker, desk):
        _require_known(url, await desk.survey(), kept=set())
        async with told(broker, AuditKind.ENDPOINTS, "drain", target=url):
            survey = await desk.order(EndpointOrder(url=url, draining=True, principal=whoever()))
        if wait_s is None:
            return survey
        return await _drained(desk, survey, url, wait_s)


async def _drained(desk: EndpointDesk, survey: EndpointSurvey, url: str, wait_s: float) -> EndpointSurvey:
    """The newest survey once nothing is under way there, or when the time is up."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_s
    with messages().status("waiting") as status:
        while not survey.is_drained(url) and loop.time() < deadline:
            status.update(f"{counted(survey.in_flight(url), 'request')} under way at {url}")
            await asyncio.sleep(min(POLL_S, max(0.0, deadline - loop.time())))
            survey = await desk.survey()
    return survey


async def _undrain(url: str) -> EndpointSurvey:
    async with _desk() as (broker, desk):
        _require_known(url, await desk.survey(), kept=set(await desk.orders.kept()))
        async with told(broker, AuditKind.ENDPOINTS, "undrain", target=url):
            return await desk.order(EndpointOrder(url=url, draining=False, principal=whoever()))


@asynccontextmanager
async def _desk() -> AsyncIterator[tuple[Broker, EndpointDesk]]:
    with messages().status("listening who runs") as status:
        async with connected("endpoints") as broker, EndpointDesk.open(broker) as desk:
            status.stop()
            yield broker, desk


def _require_known(url: str, survey: EndpointSurvey, *, kept: set[str]) -> None:
    """An endpoint of a worker, or one about which an order is `kept`."""
    if url in survey.urls or url in kept:
        return
    known = f"There are: {', '.join(survey.urls)}" if survey.urls else nobody(survey)
    raise CommandError(f"no worker that answered has an endpoint {url}", hint=known, code=Exit.USAGE)


def _finish(survey: EndpointSurvey, url: str, *, draining: bool, waited_s: float | None, as_json: bool) -> None:
    late = behind(survey, url, draining=draining)
    unfinished = waited_s is not None and not survey.is_drained(url)
    if as_json:
        print_json(
            {
                "url": url,
                "draining": draining,
                "in_flight": survey.in_flight(url),
                "items": items(survey, url),
                "behind": late,
                "silent": _instances(survey),
            }
        )
    else:
        console().print(_done(survey, url, draining=draining, waited=waited_s is not None))
    for remark in silence(survey) + ([f"Not done yet by {', '.join(late)}."] if late else []):
        messages().print(remark, style="yellow")
    if unfinished:
        left = [f"{report.instance}: {stats.in_flight}" for report, stats in survey.of(url) if stats.in_flight]
        raise CommandError(
            f"{url} is not known to be idle after {waited_s:g} s ({', '.join(left) or 'a worker did not answer'})",
            hint="It stays drained: run the same command again to wait on, or `waggle endpoints undrain` to use it again.",
        )
    raise typer.Exit(Exit.FAILED if late or survey.silent else Exit.OK)


def _done(survey: EndpointSurvey, url: str, *, draining: bool, waited: bool) -> str:
    workers = counted(survey.workers(url), "worker")
    if not draining:
        return f"{url} is used again by {workers}."
    if waited and survey.is_drained(url):
        return f"{url} is drained: nothing is under way there in {workers}."
    under_way = counted(survey.in_flight(url), "request")
    return f"{url} gets nothing new from {workers}; {under_way} under way there."


def _instances(survey: EndpointSurvey) -> list[str]:
    return [instance for _, instance in survey.silent]


def _address(url: str) -> str:
    return url.strip().rstrip("/")
