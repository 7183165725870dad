"""Tells from a reply that is not the one asked for whose fault it is."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from workers.endpoints.faults import STRANGE, Fault, FaultKind, StrangeReplyError
from workers.endpoints.purpose import Purpose

DEFAULT_REST_S = 1.0
"""How long an endpoint rests that does not say how long."""
MAX_REST_S = 60.0
"""An endpoint that wants to rest longer is asked again all the same."""
MAX_QUOTE = 300
"""Characters of a server's own words in an error."""

_CONTEXT = re.compile(r"context[ _](length|size|window)|exceed_context|max_model_len|too many tokens", re.IGNORECASE)
_UNSUPPORTED = re.compile(
    r"unsupported|not (currently )?support|unknown|unrecogni[sz]ed|unexpected|extra|not (permitted|allowed)|deprecated|不支持",
    re.IGNORECASE,
)
_WRONG_ADDRESS = frozenset({404, 405, 501})
_UNREADY = frozenset({408, 409, 423, 425})
_TOO_MUCH = frozenset({402, 429})
"""A quota that is used up passes, too."""
_FAILED = 500
"""May be what was sent: nobody asks when to send it again."""


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A reply other than 200, or an error inside a stream."""

    status: int
    body: bytes
    retry_after: str | None = None
    location: str | None = None


def classify(refusal: Refusal, purpose: Purpose) -> Fault:
    """Whose fault it is; the reason names the setting that may help."""
    status, told = refusal.status, _Told.by(refusal.body)
    for judge in (_of_key, _of_model, _of_load, _of_address):
        fault = judge(refusal, told, purpose)
        if fault is not None:
            return fault
    if status >= 500 or status in _UNREADY:
        return _fault(FaultKind.FAILURE, status, f"answered {status}{told.quoted}")
    if _CONTEXT.search(told.everything):
        reason = f"the text is longer than the model's context{told.quoted}; {purpose.shorten}"
        return _fault(FaultKind.REFUSED, status, reason)
    reason = f"refused the request with {status}{told.quoted}"
    return Fault(kind=FaultKind.REFUSED, label=str(status), reason=reason, unsupported=told.unsupported)


def not_json(what: str, purpose: Purpose) -> Fault:
    """A reply of 200 that is no JSON, or no stream: somebody else answers at this address."""
    reason = f"answered with {what}: {purpose.check_addresses}"
    return Fault(kind=FaultKind.FAILURE, label="not_json", reason=reason, strange=True)


def not_whole() -> Fault:
    """A reply of 200 that begins as JSON."""
    return Fault(kind=FaultKind.FAILURE, label="not_whole", reason="broke off in the middle of its answer")


def strange(error: StrangeReplyError, purpose: Purpose) -> Fault:
    """A reply in JSON that is not what was asked for."""
    settings = " and ".join(purpose.setting(name) for name in error.settings)
    reason = f"{error}: check {settings}"
    return Fault(kind=FaultKind.FAILURE, label=STRANGE, reason=reason, strange=True)


def rest_s(retry_after: str | None, now: datetime | None = None) -> float:
    """How long to leave an endpoint alone (RFC 9110, section 10.2.3): seconds, or until a date."""
    if not retry_after:
        return DEFAULT_REST_S
    try:
        wanted = float(retry_after)
    except ValueError:
        wanted = _seconds_until(retry_after, now or datetime.now(UTC))
    return min(max(wanted, 0.0), MAX_REST_S) if math.isfinite(wanted) else DEFAULT_REST_S


def _seconds_until(date: str, now: datetime) -> float:
    try:
        then = parsedate_to_datetime(date)
    except ValueError:
        return DEFAULT_REST_S
    return ((then if then.tzinfo else then.replace(tzinfo=UTC)) - now).total_seconds()


@dataclass(frozen=True, kw_only=True)
class _Told:
    """What the server itself says."""

    is_json: bool
    message: str = ""
    about: str = ""
    """Code, type and parameter of the error."""
    parameter: str = ""

    @classmethod
    def by(cls, body: bytes) -> _Told:
        try:
            told: Any = json.loads(body)
        except ValueError:
            return cls(is_json=False)
        error = told.get("error", told) if isinstance(told, dict) else told
        if not isinstance(error, Mapping):
            return cls(is_json=True, message=str(error))
        message = next((error[key] for key in ("message", "detail", "error") if error.get(key)), "")
        about = " ".join(str(error.get(key) or "") for key in ("code", "type", "param"))
        return cls(
            is_json=True,
            message=message if isinstance(message, str) else json.dumps(message),
            about=about,
            parameter=str(error.get("param") or ""),
        )

    @property
    def quoted(self) -> str:
        words = " ".join(self.message.split())
        return f": {words[:MAX_QUOTE]}{'…' if len(words) > MAX_QUOTE else ''}" if words else ""

    @property
    def unsupported(self) -> str:
        """Where it says that it does not take a field: the field, or the words that name it."""
        return (self.parameter or self.message) if _UNSUPPORTED.search(self.everything) else ""

    @property
    def everything(self) -> str:
        return f"{self.about} {self.message}"


def _of_key(refusal: Refusal, _told: _Told, purpose: Purpose) -> Fault | None:
    if refusal.status not in {401, 403}:
        return None  # what the server says may quote the key, so it is not repeated
    reason = f"refuses the key with {refusal.status}: set {purpose.setting('API_KEY')} to one that it takes"
    return _fault(FaultKind.MISCONFIGURED, refusal.status, reason)


def _of_model(refusal: Refusal, told: _Told, purpose: Purpose) -> Fault | None:
    named = "model_not_found" in told.about or told.about.endswith(" model")
    missing = refusal.status == 404 and told.is_json and "model" in told.everything.lower()
    if not missing and not (named and refusal.status in {400, 404, 422}):
        return None
    reason = f"does not serve the model {purpose.model!r}{told.quoted}; set {purpose.setting('MODEL')} to one it serves"
    return _fault(FaultKind.MISCONFIGURED, refusal.status, reason)


def _of_load(refusal: Refusal, told: _Told, _purpose: Purpose) -> Fault | None:
    passes = refusal.status in _UNREADY or (refusal.status > _FAILED and refusal.status not in _WRONG_ADDRESS)
    if refusal.status not in _TOO_MUCH and not (passes and refusal.retry_after):
        return None
    pause_s = rest_s(refusal.retry_after)
    return Fault(
        kind=FaultKind.BUSY,
        label=str(refusal.status),
        reason=f"answered {refusal.status} and rests for {pause_s:.3g} s{told.quoted}",
        rest_s=pause_s,
    )


def _of_address(refusal: Refusal, told: _Told, purpose: Purpose) -> Fault | None:
    """Wrong addresses lead to other servers, proxies and pages; a maintenance page in front passes."""
    status = refusal.status
    elsewhere = f" (it points to {refusal.location})" if refusal.location else ""
    strange = status < 400 or status in _WRONG_ADDRESS or (status in {400, 406, 415, 421} and not told.is_json)
    if not strange:
        return None
    reason = f"answered {status}{elsewhere}{told.quoted}: {purpose.check_addresses}"
    return Fault(kind=FaultKind.FAILURE, label=str(status), reason=reason, strange=True)


def _fault(kind: FaultKind, status: int, reason: str) -> Fault:
    return Fault(kind=kind, label=str(status), reason=reason)
