"""The OpenAPI document: every operation says what it does, what it takes, what it answers, and what it refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from jsonschema_rs import Draft202012Validator

from contracts.settings import GatewaySettings
from gateway.app import ROUTES, create_app
from gateway.identity import OPEN
from gateway.openai_api.errors import PATHS as OPENAI

IDS = """
agree answer_decision ask add_silence alert_history cancel change_config complete create_key delete_document document_content document_events
document_text drop_dead_letter embed end_agreement end_silence exchange_key fleet_metrics follow list_acts list_alerts list_dead_letters list_diagnoses list_documents
list_incidents list_keys list_models list_queries list_recoveries list_revisions list_rules list_silences list_tenants live metrics pause_recovery
prometheus_alerts_get prometheus_alerts_post prometheus_buildinfo_get prometheus_buildinfo_post prometheus_label_values_get
prometheus_label_values_post prometheus_labels_get prometheus_labels_post prometheus_metadata_get prometheus_metadata_post
prometheus_query_get prometheus_query_post prometheus_query_range_get prometheus_query_range_post prometheus_rules_get
prometheus_rules_post prometheus_series_get prometheus_series_post put_rules ready remove_rules replay_dead_letter replay_dead_letters
resume_recovery revoke_key roll_back_config rotate_key show_alert show_config show_dead_letter show_dependencies show_document
show_figures show_fleet show_health show_incident show_model show_pause show_plan show_policy show_query show_revision show_tenant submit_documents submit_url
"""


class Operation(NamedTuple):
    path: str
    method: str
    said: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def media(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Of its answers: status, type, and what is said of it."""
        for status, response in self.said["responses"].items():
            for media_type, media in response.get("content", {}).items():
                yield status, media_type, media


def _document() -> dict[str, Any]:
    document: dict[str, Any] = create_app(GatewaySettings()).openapi()
    return document


DOCUMENT = _document()
OPERATIONS = [
    Operation(path, method, said)
    for path, operations in DOCUMENT["paths"].items()
    for method, said in operations.items()
]
every = pytest.mark.parametrize("operation", OPERATIONS, ids=str)


def test_every_route_is_in_it() -> None:
    routes = {
        (route.path, method.lower()) for module in ROUTES for route in module.router.routes for method in route.methods
    }
    assert routes == {(operation.path, operation.method) for operation in OPERATIONS}


def test_ids_are_those_that_clients_were_made_from() -> None:
    assert sorted(operation.said["operationId"] for operation in OPERATIONS) == sorted(IDS.split())


@every
def test_an_operation_says_what_it_does(operation: Operation) -> None:
    assert operation.said["summary"]
    assert operation.said["description"].rstrip().endswith(".")
    assert len(operation.said["tags"]) == 1


@every
def test_an_operation_says_what_it_refuses(operation: Operation) -> None:
    refused = {int(status) for status in operation.said["responses"] if int(status) >= 400}
    wanted = {421, 500}
    if operation.path not in OPEN:
        wanted |= {401, 403, 429, 503}
    if "requestBody" in operation.said:
        wanted |= {400, 408, 413, 415, 422}
    if operation.said.get("parameters"):
        wanted |= {422}
    if operation.path.startswith(OPENAI):
        wanted -= {422}
    if re.search(r"\{\w+_id\}", operation.path):
        wanted |= {404}
    if any(parameter["name"] == "Idempotency-Key" for parameter in operation.said.get("parameters", ())):
        wanted |= {409}
    assert wanted <= refused
    assert (operation.said["security"] == []) == (operation.path in OPEN)


@every
def test_what_is_answered_has_an_example_of_its_schema(operation: Operation) -> None:
    answers = [status for status, _, _ in operation.media if status.startswith("2")]
    assert answers or "204" in operation.said["responses"]
    for status, media_type, media in operation.media:
        assert "example" in media, (status, media_type)
        if media_type.endswith("json"):
            _validate(media["schema"], media["example"])


@every
def test_what_is_sent_has_an_example_of_its_schema(operation: Operation) -> None:
    for media_type, media in operation.said.get("requestBody", {}).get("content", {}).items():
        assert media["example"] or media["schema"]["properties"] == {}, media_type
        _validate(media["schema"], media["example"])


@every
def test_what_makes_or_does_something_takes_an_idempotency_key(operation: Operation) -> None:
    names = {parameter["name"] for parameter in operation.said.get("parameters", ())}
    reads = "prometheus" in operation.path or operation.said["operationId"] in {"exchange_key", "embed"}
    does = operation.method in {"post", "patch"} and not reads
    assert ("Idempotency-Key" in names) == does


def test_it_holds_nothing_of_the_framework() -> None:
    text = json.dumps(DOCUMENT)
    assert "HTTPValidationError" not in text
    for reference in set(re.findall(r'"#/components/schemas/(\w+)"', text)):
        assert reference in DOCUMENT["components"]["schemas"]


def _validate(schema: dict[str, Any], example: object) -> None:
    Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(example)
