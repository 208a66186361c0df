"""Panels and dashboards as Grafana's classic JSON: ids, places on the grid, units, thresholds. Pure.

It knows how a dashboard is written, and no metric by name.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

COLUMNS = 24
SCHEMA_VERSION = 39
"""Of Grafana 10 to 13; newer ones bring it up to date as they load it."""
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
INSTANCES = 'instance=~"$instance"'
"""In every selector: the gateways that are looked at."""


@dataclass(frozen=True, slots=True)
class Query:
    """One line or number of a panel."""

    expr: str
    legend: str
    below: bool = False
    """Drawn below the axis."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel. `limits` are (value from which, colour); without them nothing is coloured."""

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    kind: str = "timeseries"
    """'timeseries', 'stat' or 'table'."""
    width: int = 8
    height: int = 8
    limits: tuple[tuple[float, str], ...] = ()
    stacked: bool = False
    shows_name: bool = False
    """Of a stat: the legend instead of the number."""


@dataclass(frozen=True, slots=True)
class Row:
    """A heading and what stands below it."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One page of Grafana."""

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]
    since: str = "now-6h"

    @property
    def panels(self) -> list[Panel]:
        """All of them, in order."""
        return [panel for row in self.rows for panel in row.panels]


def selector(name: str, *matchers: str) -> str:
    """A metric of the gateways that are looked at."""
    return f"{name}{{{','.join((INSTANCES, *matchers))}}}"


def rate(name: str, *matchers: str, by: str = "") -> str:
    """How fast a counter rises, added up, or apart by labels."""
    return f"sum{f' by ({by})' if by else ''} (rate({selector(name, *matchers)}[$__rate_interval]))"


def total(name: str, *matchers: str, by: str = "") -> str:
    """A gauge added up over gateways."""
    return f"sum{f' by ({by})' if by else ''} ({selector(name, *matchers)})"


def largest(name: str, *matchers: str, by: str = "") -> str:
    """The largest of all gateways."""
    return f"max{f' by ({by})' if by else ''} ({selector(name, *matchers)})"


def quantile(share: str, name: str, *matchers: str, by: str = "") -> str:
    """A quantile of a histogram."""
    return f"histogram_quantile({share}, {rate(f'{name}_bucket', *matchers, by=f'{by}, le' if by else 'le')})"


def or_zero(expr: str) -> str:
    """0 where nothing has been counted yet."""
    return f"({expr} or vector(0))"


def text(dashboard: Dashboard) -> str:
    """The file: keys sorted, so that a change of a panel is a small difference."""
    return json.dumps(_document(dashboard), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def panel_id(dashboard: Dashboard, title: str) -> int:
    """The same for as long as a panel keeps its title, wherever it stands."""
    return zlib.crc32(f"{dashboard.uid}/{title}".encode()) % 1_000_000 + 1


def _document(dashboard: Dashboard) -> dict[str, object]:
    return {
        "annotations": {"list": []},
        "description": dashboard.description,
        "editable": False,
        "graphTooltip": 1,
        "id": None,
        "links": [
            {
                "asDropdown": False, "icon": "external link", "includeVars": True, "keepTime": True,
                "tags": ["weir"], "targetBlank": False, "title": "", "type": "dashboards",
            }
        ],
        "panels": list(_placed(dashboard)),
        "refresh": "30s",
        "schemaVersion": SCHEMA_VERSION,
        "tags": ["weir"],
        "templating": {"list": _variables()},
        "time": {"from": dashboard.since, "to": "now"},
        "timezone": "utc",
        "title": f"Weir: {dashboard.title}",
        "uid": dashboard.uid,
        "version": 1,
    }  # fmt: skip


def _variables() -> list[dict[str, object]]:
    return [
        {
            "hide": 0, "label": "Data source", "multi": False, "name": "datasource", "options": [],
            "query": "prometheus", "refresh": 1, "regex": "", "type": "datasource",
        },
        {
            "allValue": ".*", "current": {"text": ["All"], "value": ["$__all"]}, "datasource": SOURCE,
            "definition": "label_values(weir_build_info, instance)", "hide": 0, "includeAll": True,
            "label": "Gateway", "multi": True, "name": "instance", "options": [],
            "query": {"query": "label_values(weir_build_info, instance)", "refId": "instances"},
            "refresh": 2, "regex": "", "sort": 1, "type": "query",
        },
    ]  # fmt: skip


def _placed(dashboard: Dashboard) -> Iterator[dict[str, object]]:
    top = 0
    for row in dashboard.rows:
        yield {
            "collapsed": False, "gridPos": {"h": 1, "w": COLUMNS, "x": 0, "y": top},
            "id": panel_id(dashboard, f"row {row.title}"), "panels": [], "title": row.title, "type": "row",
        }  # fmt: skip
        top += 1
        for line in _lines(row.panels):
            left = 0
            for panel in line:
                place = {"h": panel.height, "w": panel.width, "x": left, "y": top}
                yield _panel(panel, place, panel_id(dashboard, panel.title))
                left += panel.width
            top += max(panel.height for panel in line)


def _lines(panels: Iterable[Panel]) -> Iterator[list[Panel]]:
    """Panels side by side as far as the columns reach."""
    line: list[Panel] = []
    for panel in panels:
        if line and sum(one.width for one in line) + panel.width > COLUMNS:
            yield line
            line = []
        line.append(panel)
    if line:
        yield line


def _panel(panel: Panel, place: dict[str, int], number: int) -> dict[str, object]:
    options, custom = _looks(panel)
    defaults = {
        "color": {"mode": "palette-classic" if not panel.limits else "thresholds"},
        "custom": custom,
        "noValue": "nothing yet",
        "thresholds": {"mode": "absolute", "steps": _steps(panel.limits)},
        "unit": panel.unit,
    }
    return {
        "datasource": SOURCE,
        "description": panel.description,
        "fieldConfig": {"defaults": defaults, "overrides": _overrides(panel.queries)},
        "gridPos": place,
        "id": number,
        "options": options,
        "targets": [_target(panel, index, query) for index, query in enumerate(panel.queries)],
        "title": panel.title,
        "transformations": _columns() if panel.kind == "table" else [],
        "type": panel.kind,
    }


def _steps(limits: Sequence[tuple[float, str]]) -> list[dict[str, object]]:
    base = "green" if limits else "text"
    return [
        {"color": base, "value": None},
        *({"color": colour, "value": value} for value, colour in limits),
    ]


def _target(panel: Panel, index: int, query: Query) -> dict[str, object]:
    is_range = panel.kind == "timeseries"
    return {
        "datasource": SOURCE, "editorMode": "code", "expr": query.expr, "instant": not is_range,
        "legendFormat": query.legend, "range": is_range, "refId": chr(ord("A") + index),
        "format": "table" if panel.kind == "table" else "time_series",
    }  # fmt: skip


def _looks(panel: Panel) -> tuple[dict[str, object], dict[str, object]]:
    reduced = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    match panel.kind:
        case "stat":
            options: dict[str, object] = {
                "colorMode": "value" if panel.limits else "none", "graphMode": "none", "reduceOptions": reduced,
                "textMode": "name" if panel.shows_name else "auto",
            }  # fmt: skip
            return options, {}
        case "table":
            return {"cellHeight": "sm", "showHeader": True}, {"align": "auto"}
        case _:
            options = {
                "legend": {"calcs": ["lastNotNull", "max"], "displayMode": "table", "placement": "bottom"},
                "tooltip": {"mode": "multi", "sort": "desc"},
            }
            custom: dict[str, object] = {
                "drawStyle": "line", "fillOpacity": 30 if panel.stacked else 10, "lineWidth": 1, "showPoints": "never",
                "spanNulls": False, "stacking": {"group": "A", "mode": "normal" if panel.stacked else "none"},
            }  # fmt: skip
            return options, custom


def _overrides(queries: Sequence[Query]) -> list[dict[str, object]]:
    return [
        {
            "matcher": {"id": "byFrameRefID", "options": chr(ord("A") + index)},
            "properties": [{"id": "custom.transform", "value": "negative-Y"}],
        }
        for index, query in enumerate(queries)
        if query.below
    ]


def _columns() -> list[dict[str, object]]:
    """A table shows labels and value, not when it was asked."""
    return [{"id": "organize", "options": {"excludeByName": {"Time": True, "__name__": True, "job": True}}}]
