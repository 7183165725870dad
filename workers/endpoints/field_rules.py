"""Fields of a request that not every server takes, or not by the same name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog
from pydantic import JsonValue

from workers.endpoints.endpoint import Endpoint
from workers.endpoints.faults import Fault

_REFUSED = frozenset({"400", "422"})

Body = Mapping[str, JsonValue]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class FieldRules:
    """What may become of a field that a server says it does not take: `renamed` ones get their other name, the `optional`
    are left out. The `suspected` are left out, too, where a server refuses a request and names no field.
    """

    renamed: Mapping[str, str] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    suspected: frozenset[str] = frozenset()

    def applied(self, body: Body, refused: frozenset[str]) -> Body:
        """`body` for a server that does not take the `refused` fields."""
        return {
            self.renamed.get(name, name) if name in refused else name: value
            for name, value in body.items()
            if name not in refused or name in self.renamed
        }

    def blamed(self, fault: Fault, body: Body) -> frozenset[str]:
        """The fields of `body` that a refusal names, of those that may be changed."""
        changeable = (self.renamed.keys() | self.optional | self.suspected) & body.keys()
        return frozenset(name for name in changeable if re.search(rf"\b{re.escape(name)}\b", fault.unsupported))


@dataclass(frozen=True, kw_only=True)
class _Learnt:
    """What an endpoint does not take, as long as it has not been away: it may come back as another."""

    refused: frozenset[str]
    departures: int


class KnownFields:
    """Remembers which fields each endpoint does not take. Only what then was answered is remembered."""

    def __init__(self) -> None:
        self._learnt: dict[Endpoint, _Learnt] = {}

    def refused(self, endpoint: Endpoint) -> frozenset[str]:
        """What it is not to be sent, as far as it is known."""
        learnt = self._known(endpoint)
        return learnt.refused if learnt else frozenset()

    def more(
        self, endpoint: Endpoint, fault: Fault, body: Body, rules: FieldRules, tried: frozenset[str]
    ) -> frozenset[str]:
        """Which fields beyond those `tried` may be the reason of a refusal; none: it has another one."""
        if fault.label not in _REFUSED:
            return frozenset()
        named = rules.blamed(fault, body) - tried
        if named or self._known(endpoint):
            return named
        return (rules.suspected & body.keys()) - tried

    def answered(self, endpoint: Endpoint, refused: frozenset[str]) -> None:
        """The endpoint has answered a request without these fields."""
        before = self.refused(endpoint)
        for name in sorted(refused - before):
            log.info("endpoint does not take a field", endpoint=endpoint.url, field=name)
        self._learnt[endpoint] = _Learnt(refused=before | refused, departures=endpoint.departures)

    def _known(self, endpoint: Endpoint) -> _Learnt | None:
        learnt = self._learnt.get(endpoint)
        return learnt if learnt and learnt.departures == endpoint.departures else None
