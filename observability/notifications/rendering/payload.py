"""A notification as Alertmanager's webhook payload, version 4, and as alerts for its API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from contracts.alerts import AlertEvent
from observability.notifications.notification import Notification

VERSION = "4"
_NOT_YET = "0001-01-01T00:00:00Z"
"""How Go writes a time that is not set, which is what receivers of this payload expect."""
TURNS_UNTIL_FORGOTTEN = 4
"""As Prometheus: an Alertmanager that is not told an alert again for so many turns takes it to be over."""


def webhook_payload(notification: Notification, *, max_alerts: int) -> dict[str, Any]:
    """https://prometheus.io/docs/alerting/latest/configuration/#webhook_config"""
    alerts = notification.alerts
    return {
        "version": VERSION,
        "groupKey": notification.group_key,
        "truncatedAlerts": len(alerts[max_alerts:]) + notification.left_out,
        "status": notification.status,
        "receiver": notification.receiver,
        "groupLabels": dict(notification.group_labels),
        "commonLabels": notification.common_labels,
        "commonAnnotations": notification.common_annotations,
        "externalURL": notification.external_url,
        "alerts": [_webhook_alert(alert) for alert in alerts[:max_alerts]],
    }


def api_alerts(notification: Notification) -> list[dict[str, Any]]:
    """What `/api/v2/alerts` takes. A firing alert ends, for Alertmanager, when it is not told for four turns."""
    forgotten = notification.at + TURNS_UNTIL_FORGOTTEN * notification.group_interval
    return [
        {
            "labels": alert.labels,
            "annotations": alert.annotations,
            "startsAt": _time(alert.starts_at),
            "endsAt": _time(alert.ends_at or forgotten),
            "generatorURL": alert.generator_url,
        }
        for alert in notification.alerts
    ]


def _webhook_alert(alert: AlertEvent) -> dict[str, Any]:
    return {
        "status": alert.state.value,
        "labels": alert.labels,
        "annotations": alert.annotations,
        "startsAt": _time(alert.starts_at),
        "endsAt": _NOT_YET if alert.ends_at is None else _time(alert.ends_at),
        "generatorURL": alert.generator_url,
        "fingerprint": alert.fingerprint,
    }


def _time(moment: datetime) -> str:
    """RFC 3339 in UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
