"""A bar for each rate, as SVG that reads well on a dark page and on a light one."""

from collections.abc import Sequence
from html import escape

WIDTH = 860
LABELS = 300
BAR = 420
STEP = 30
TOP = 52

STYLE = """
    text { font: 14px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
    .title { font-weight: 600 }
    .limit { fill: #8c959f }
    .ours { fill: #1a7f37 }
    .peer { fill: #bc4c00 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 }
      .limit { fill: #6e7681 }
      .ours { fill: #3fb950 }
      .peer { fill: #f0883e }
    }
"""

Bar = tuple[str, float, str]
"""A label, a value, and whose it is: `limit`, `ours` or `peer`."""


def bar_chart(title: str, bars: Sequence[Bar]) -> str:
    """Horizontal bars on one linear scale that begins at zero, in the order given."""
    most = max(value for _, value, _ in bars)
    told = "; ".join(f"{label}: {value:,.0f}" for label, value, _ in bars)
    rows = "\n".join(_row(TOP + at * STEP, bar, bar[1] / most * BAR) for at, bar in enumerate(bars))
    height = TOP + len(bars) * STEP + 14
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" \
height="{height}" role="img" aria-labelledby="title desc">
  <title id="title">{escape(title)}</title>
  <desc id="desc">{escape(told)}</desc>
  <style>{STYLE}  </style>
  <text class="title" x="16" y="28">{escape(title)}</text>
{rows}
</svg>
"""


def _row(y: int, bar: Bar, length: float) -> str:
    label, value, whose = bar
    return (
        f'  <text x="{LABELS - 12}" y="{y + 15}" text-anchor="end">{escape(label)}</text>\n'
        f'  <rect class="{whose}" x="{LABELS}" y="{y}" width="{max(length, 1):.1f}" height="20"/>\n'
        f'  <text x="{LABELS + max(length, 1) + 8:.1f}" y="{y + 15}">{value:,.0f}</text>'
    )
