# SPDX-License-Identifier: BSD-2-Clause
"""Tables and bars, as text."""


def bar_lines(bars):
    """bars: (what, spread or {"median"}, limit)."""
    lines = []
    for what, value, limit in bars:
        if value is None:
            continue
        text = f"{value['median']:.3f}"
        if "low" in value:
            text += f" [{value['low']:.3f} {value['high']:.3f}]"
        verdict = "within" if value["median"] <= limit else "OVER"
        lines.append(f"{verdict:7}{what:60}{text:>24}   bar {limit:g}")
    return "\n".join(lines)
