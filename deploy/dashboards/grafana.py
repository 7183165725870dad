"""Dashboards as Grafana reads them (schema 41: Grafana 12; newer ones take it, too)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from deploy.dashboards.panels import Dashboard, Panel, PanelKind, Target

SCHEMA: Final = 41
COLUMNS: Final = 24
DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
TAG: Final = "waggle"

Json = dict[str, Any]


def rendered(dashboard: Dashboard) -> str:
    """The file, with a line feed at its end."""
    return json.dumps(_dashboard(dashboard), indent=2, ensure_ascii=False) + "\n"


def _dashboard(dashboard: Dashboard) -> Json:
    return {
        "uid": f"waggle-{dashboard.name}",
        "title": dashboard.title,
        "tags": [TAG],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "links": [{"type": "dashboards", "title": "Waggle", "tags": [TAG], "asDropdown": True, "keepTime": True}],
        "annotations": {"list": []},
        "templating": {"list": _variables(dashboard)},
        "panels": list(_panels(dashboard)),
    }


def _variables(dashboard: Dashboard) -> list[Json]:
    source: Json = {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}
    service: Json = {
        "name": "service",
        "label": "Service",
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": "label_values(waggle_up, service)", "refId": "service"},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".+",
        "current": {"text": "All", "value": "$__all"},
    }
    texts = [
        {
            "name": text.name,
            "label": text.label,
            "type": "textbox",
            "query": text.value,
            "current": {"text": text.value, "value": text.value},
        }
        for text in dashboard.texts
    ]
    return [source, *([service] if dashboard.by_service else []), *texts]


def _panels(dashboard: Dashboard) -> Iterator[Json]:
    number, y = 0, 0
    for row in dashboard.rows:
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "gridPos": {"h": 1, "w": COLUMNS, "x": 0, "y": y},
            "panels": [],
        }
        x, y, height = 0, y + 1, 0
        for panel in row.panels:
            number += 1
            if x + panel.width > COLUMNS:
                x, y, height = 0, y + height, 0
            yield _panel(panel, number, x, y)
            x, height = x + panel.width, max(height, panel.height)
        y += height


def _panel(panel: Panel, number: int, x: int, y: int) -> Json:
    return {
        "id": number,
        "type": panel.kind.value,
        "title": panel.title,
        **({"description": panel.description} if panel.description else {}),
        "datasource": DATASOURCE,
        "gridPos": {"h": panel.height, "w": panel.width, "x": x, "y": y},
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _OPTIONS[panel.kind],
        "targets": [_target(target, index, panel.kind) for index, target in enumerate(panel.targets)],
        **({"transformations": _TABLE} if panel.kind is PanelKind.TABLE else {}),
    }


def _defaults(panel: Panel) -> Json:
    steps = _steps(panel.warning, panel.critical)
    defaults: Json = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.most is not None:
        defaults |= {"min": 0, "max": panel.most}
    if panel.kind is PanelKind.TIME_SERIES:
        defaults["custom"] = {
            "lineWidth": 1,
            "fillOpacity": 20 if panel.stacked else 0,
            "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
            "thresholdsStyle": {"mode": "dashed" if len(steps) > 1 else "off"},
        }
    return defaults


def _steps(warning: float | None, critical: float | None) -> list[Json]:
    """Colours from the lowest value up."""
    if warning is None and critical is None:
        return [{"color": "green", "value": None}]
    bounds = [(color, value) for color, value in (("orange", warning), ("red", critical)) if value is not None]
    if warning is not None and critical is not None and warning > critical:
        return [
            {"color": "red", "value": None},
            {"color": "orange", "value": critical},
            {"color": "green", "value": warning},
        ]
    return [{"color": "green", "value": None}, *({"color": color, "value": value} for color, value in bounds)]


def _target(target: Target, index: int, kind: PanelKind) -> Json:
    return {
        "refId": chr(ord("A") + index),
        "datasource": DATASOURCE,
        "expr": target.expression,
        "legendFormat": target.legend or "__auto",
        "range": kind is PanelKind.TIME_SERIES,
        "instant": kind is not PanelKind.TIME_SERIES,
        **({"format": "table"} if kind is PanelKind.TABLE else {}),
    }


_LEGEND: Final = {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []}
_OPTIONS: Final[dict[PanelKind, Json]] = {
    PanelKind.TIME_SERIES: {"legend": _LEGEND, "tooltip": {"mode": "multi", "sort": "desc"}},
    PanelKind.STAT: {
        "colorMode": "value",
        "graphMode": "none",
        "textMode": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    },
    PanelKind.TABLE: {"showHeader": True, "cellHeight": "sm"},
}
_TABLE: Final = [{"id": "organize", "options": {"excludeByName": {"Time": True, "__name__": True, "Value": True}}}]
