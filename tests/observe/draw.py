"""Dashboards as pictures: what a Prometheus answered, drawn on the dashboard's own grid as SVG.

Grafana draws them better. These show an operator what there is to see, and are made from the same files.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from html import escape
from typing import Any

from tests.observe.place import Prometheus

UNIT_W, UNIT_H, GAP = 50, 26, 6
COLOURS = ("#1f6feb", "#2da44e", "#bf8700", "#cf222e", "#8250df", "#0a7d91", "#bc4c00", "#57606a")
FONT = 'font-family="DejaVu Sans, Helvetica, sans-serif"'
SMALL = 'text-anchor="end" font-size="9" fill="#57606a"'
LEGEND_MAX = 4
ROWS_MAX = 8
Line = tuple[str, list[tuple[float, float]], bool]
"""Its name, its points, whether it is drawn below the axis."""


def picture(dashboard: dict[str, Any], prometheus: Prometheus, *, start_s: float, end_s: float) -> str:
    """The whole dashboard over [start_s, end_s]."""
    height = max(one["gridPos"]["y"] + one["gridPos"]["h"] for one in dashboard["panels"])
    width_px, height_px = 24 * UNIT_W, height * UNIT_H + 40
    size = f'width="{width_px}" height="{height_px}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {width_px} {height_px}" {FONT} font-size="11">',
        f'<rect width="{width_px}" height="{height_px}" fill="#f6f8fa"/>',
        f'<text x="8" y="26" font-size="18" fill="#24292f">{escape(dashboard["title"])}</text>',
    ]
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        left, top = place["x"] * UNIT_W, place["y"] * UNIT_H + 40
        if panel["type"] == "row":
            parts.append(
                f'<text x="{left + 8}" y="{top + 18}" font-size="13" fill="#57606a">▾ {escape(panel["title"])}</text>'
            )
            continue
        width, high = place["w"] * UNIT_W - GAP, place["h"] * UNIT_H - GAP
        inside = _panel(panel, prometheus, width=width, height=high, start_s=start_s, end_s=end_s)
        parts.append(
            f'<g transform="translate({left + GAP / 2:g} {top})"><rect width="{width}" height="{high}" rx="3" fill="#fff"'
            f' stroke="#d0d7de"/><text x="8" y="16" fill="#24292f">{escape(panel["title"])}</text>{inside}</g>'
        )
    return "\n".join([*parts, "</svg>\n"])


def _panel(
    panel: dict[str, Any], prometheus: Prometheus, *, width: int, height: int, start_s: float, end_s: float
) -> str:
    unit = panel["fieldConfig"]["defaults"]["unit"]
    below = {one["matcher"]["options"] for one in panel["fieldConfig"]["overrides"]}
    if panel["type"] == "timeseries":
        step_s = max(1.0, (end_s - start_s) / 60)
        lines: list[Line] = [
            (named(target["legendFormat"], labels), points, target["refId"] in below)
            for target in panel["targets"]
            for labels, points in prometheus.over(
                sent(target["expr"]), start_s=start_s, end_s=end_s, step_s=step_s
            )
        ]
        return chart(lines, unit, width=width, height=height, start_s=start_s, end_s=end_s)
    found = [
        (named(target["legendFormat"], labels), labels, value)
        for target in panel["targets"]
        for labels, value in prometheus.now(sent(target["expr"]), at_s=end_s)
    ]
    if panel["type"] == "table":
        return table([(name, value) for name, _, value in found], unit, width=width)
    if panel["options"]["textMode"] == "name":
        return big([", ".join(sorted(name for name, _, _ in found))], width=width, height=height)
    shown = [
        f"{name} {shape(value, unit)}" if len(found) > 1 else shape(value, unit) for name, _, value in found
    ]
    return big(shown or ["nothing yet"], width=width, height=height)


def sent(expr: str) -> str:
    """As Grafana would send it."""
    return expr.replace("$__rate_interval", "12s").replace('"$instance"', '".*"')


def named(legend: str, labels: dict[str, str]) -> str:
    """A legend with its labels filled in; of an address the machine is enough."""
    filled = re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), legend)
    return re.sub(r"127\.0\.0\.1:\d+", "gateway", filled)


def shape(value: float, unit: str) -> str:
    """A value as people read it."""
    if not math.isfinite(value):
        return "–"
    match unit:
        case "s":
            for size, word in ((86_400, "d"), (3600, "h"), (60, "min")):
                if abs(value) >= 2 * size:
                    return (
                        f"{value / size:,.0f} {word}"
                        if abs(value) >= 100 * size
                        else f"{value / size:.3g} {word}"
                    )
            return f"{value:.3g} s" if abs(value) >= 1 or value == 0 else f"{value * 1000:.3g} ms"
        case "bytes" | "Bps":
            end = "/s" if unit == "Bps" else ""
            for power, word in ((4, "TB"), (3, "GB"), (2, "MB"), (1, "kB")):
                if abs(value) >= 1000**power:
                    return f"{value / 1000**power:.3g} {word}{end}"
            return f"{value:.3g} B{end}"
        case "percentunit":
            return f"{value * 100:.3g} %"
        case "reqps" | "cps":
            return f"{value:.3g}/s"
        case _:
            return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"


def big(words: Sequence[str], *, width: int, height: int) -> str:
    """A number, or a few."""
    size = 24 if len(words) == 1 and len(words[0]) < 12 else 13
    middle = height / 2 + 14 - (len(words) - 1) * size * 0.6
    return "".join(
        f'<text x="{width / 2:g}" y="{middle + index * size * 1.3:g}" font-size="{size}" text-anchor="middle" fill="#0969da">'
        f"{escape(word)}</text>"
        for index, word in enumerate(words)
    )


def table(rows: Sequence[tuple[str, float]], unit: str, *, width: int) -> str:
    """Names and values, the largest first."""
    ordered = sorted(rows, key=lambda one: -one[1])[:ROWS_MAX]
    return "".join(
        f'<text x="12" y="{40 + 18 * index}" fill="#57606a">member {escape(name)}</text>'
        f'<text x="{width - 12}" y="{40 + 18 * index}" text-anchor="end" fill="#24292f">{shape(value, unit)}</text>'
        for index, (name, value) in enumerate(ordered)
    )


def chart(lines: list[Line], unit: str, *, width: int, height: int, start_s: float, end_s: float) -> str:
    """Lines over time with their legend below."""
    drawn = [
        (
            name,
            [(when, -value if is_below else value) for when, value in points if math.isfinite(value)],
            is_below,
        )
        for name, points, is_below in lines
    ]
    values = [value for _, points, _ in drawn for _, value in points]
    if not values:
        return f'<text x="{width / 2:g}" y="{height / 2:g}" text-anchor="middle" fill="#57606a">nothing yet</text>'
    legend = min(LEGEND_MAX, len(drawn))
    low, high = min(0.0, *values), max(0.0, *values)
    if low == high:
        high = 1.0
    left, top, right, bottom = 62, 28, width - 10, height - 12 - 14 * legend

    def x(when: float) -> float:
        return left + (right - left) * (when - start_s) / (end_s - start_s)

    def y(value: float) -> float:
        return bottom - (bottom - top) * (value - low) / (high - low)

    parts = [
        f'<path d="M{left} {y(value):.1f}H{right}" stroke="#d8dee4"/><text x="{left - 5}" y="{y(value) + 4:.1f}" {SMALL}>'
        f"{shape(abs(value), unit)}</text>"
        for value in sorted({low, 0.0, (low + high) / 2, high})
    ]
    ordered = sorted(drawn, key=lambda one: -max((abs(value) for _, value in one[1]), default=0.0))
    for index, (name, points, _) in enumerate(ordered):
        colour = COLOURS[index % len(COLOURS)]
        path = "L".join(f"{x(when):.1f} {y(value):.1f}" for when, value in points)
        if path:
            parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        if index < legend:
            row = height - 10 - 14 * (legend - 1 - index)
            last = shape(abs(points[-1][1]), unit) if points else "–"
            more = (
                f" … and {len(ordered) - legend} more"
                if index == legend - 1 and len(ordered) > legend
                else ""
            )
            parts.append(
                f'<rect x="10" y="{row - 6}" width="12" height="3" fill="{colour}"/><text x="28" y="{row}" fill="#57606a">'
                f'{escape(name)}{more}</text><text x="{width - 10}" y="{row}" text-anchor="end" fill="#24292f">{last}</text>'
            )
    return "".join(parts)
