"""The timeline of a run as a picture: one row a step, coloured by what its time went to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from aurora_ops.core.timeline import AIRFLOW, duration, ready_at

KIND_NAMES = {
    "sql": "SQL",
    "aws_wait": "waiting for AWS",
    "aws_wait_in_worker": "waiting for AWS, in a worker",
    "api": "calls to AWS",
    AIRFLOW: "Airflow's overhead",
}
_ROW, _BAR, _LEFT, _WIDTH, _RIGHT, _TOP = 22, 12, 268, 1000, 84, 34
_LEAST_BAR = 1.5
_TICKS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
MOST_ROWS = 200


def picture(
    steps: Mapping[str, Mapping[str, Any]],
    spans: Mapping[str, Sequence[Mapping[str, Any]]],
    upstream: Mapping[str, Sequence[str]],
    path: Sequence[str],
    *,
    started: float,
    ended: float,
) -> str:
    """Draw the timeline as SVG; its colours are classes that the page defines.

    :param steps: step to what ``timeline.step`` gives; those without times are left out.
    :param spans: step to its spans.
    :param upstream: step to the steps right before it.
    :param path: the critical path.
    :param started: epoch seconds at the left edge.
    :param ended: epoch seconds at the right edge.
    :return: an ``svg`` element, with a title and a description for those who cannot see it.
    """
    shown = sorted((name for name in steps if "ended" in steps[name]), key=lambda name: (steps[name]["started"], name))
    if len(shown) > MOST_ROWS:
        longest = set(sorted(shown, key=lambda name: steps[name]["duration_s"], reverse=True)[:MOST_ROWS])
        shown = [name for name in shown if name in longest]
    length = max(ended - started, 0.001)
    scale = (_WIDTH - _LEFT - _RIGHT) / length
    height = _TOP + _ROW * max(len(shown), 1) + 8

    def x(moment: float) -> float:
        return round(_LEFT + (min(max(moment, started), ended) - started) * scale, 1)

    parts = [
        f'<svg class="timeline" viewBox="0 0 {_WIDTH} {height}" role="img" aria-labelledby="timeline-title timeline-text">',
        f'<title id="timeline-title">Timeline of {len(shown)} steps over {duration(length)}</title>',
        f'<desc id="timeline-text">{escape(_description(shown, steps, path))}</desc>',
        *_axis(length, x, started, height),
    ]
    for row, name in enumerate(shown):
        ready = ready_at(name, steps, upstream)
        parts += _row(name, steps[name], spans.get(name, ()), ready, _TOP + row * _ROW, x, critical=name in path)
    return "\n".join([*parts, "</svg>"])


def _description(shown: Sequence[str], steps: Mapping[str, Mapping[str, Any]], path: Sequence[str]) -> str:
    longest = sorted(shown, key=lambda name: steps[name]["duration_s"], reverse=True)[:5]
    named = ", ".join(f"{name} {duration(steps[name]['duration_s'])}" for name in longest)
    decided = ", ".join(path) or "unknown"
    return f"The longest steps are {named or 'none'}. The critical path is {decided}. The table of steps says the same."


def _axis(length: float, x: Any, started: float, height: int) -> list[str]:
    every = next((tick for tick in _TICKS_S if length / tick <= 10), 86400 * 7)
    parts = []
    for number in range(int(length // every) + 1):
        at = x(started + number * every)
        parts.append(f'<line class="grid" x1="{at}" x2="{at}" y1="{_TOP - 8}" y2="{height - 4}"/>')
        parts.append(f'<text class="tick" x="{at}" y="{_TOP - 14}">{_tick(number * every)}</text>')
    return parts


def _tick(value_s: int) -> str:
    minutes, rest = divmod(value_s, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02d} h"
    return f"{minutes}:{rest:02d}" if minutes else f"{rest} s"


def _row(
    name: str,
    step: Mapping[str, Any],
    spans: Sequence[Mapping[str, Any]],
    ready: float | None,
    top: int,
    x: Any,
    *,
    critical: bool,
) -> list[str]:
    y, middle = top + (_ROW - _BAR) / 2, top + _ROW / 2
    begin = min(step["started"], ready if ready is not None else step["started"])
    bars = [_bar(AIRFLOW, begin, step["ended"], y, x, f"{name}: {duration(step['ended'] - begin)}")]
    # Calls enclose what happens within them, so they come first and the rest is painted over them.
    for kind in ("api", "aws_wait_in_worker", "aws_wait", "sql"):
        for span in spans:
            if span["kind"] == kind:
                what = f"{KIND_NAMES[kind]}: {span.get('what', '')}, {duration(span['end'] - span['start'])}"
                bars.append(_bar(kind, span["start"], span["end"], y, x, what))
    state = f" {step['state']}" if step["state"] == "failed" else ""
    classes = f"row{' critical' if critical else ''}{state}"
    mark = f'<path class="mark" d="M4 {middle - 4} l6 4 l-6 4 z"/>' if critical else ""
    label = name if len(name) <= 40 else f"{name[:22]}…{name[-17:]}"
    length = f"{duration(step['ended'] - begin)}{' failed' if state else ''}"
    return [
        f'<g class="{classes}">{mark}<text class="name" x="16" y="{middle}">{escape(label)}</text>',
        *bars,
        f'<text class="length" x="{x(step["ended"]) + 5}" y="{middle}">{length}</text></g>',
    ]


def _bar(kind: str, start: float, end: float, y: float, x: Any, what: str) -> str:
    left = x(start)
    width = max(round(x(end) - left, 1), _LEAST_BAR)
    return (
        f'<rect class="{kind}" x="{left}" y="{y}" width="{width}" height="{_BAR}" rx="1.5">'
        f"<title>{escape(what)}</title></rect>"
    )
