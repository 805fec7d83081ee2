# SPDX-License-Identifier: BSD-2-Clause
"""Pictures, written as SVG by hand: grouped bars of ratios, and curves on logarithmic axes."""
import html
import math

import figures
import full
import scaling

COLORS = ["#1b6ca8", "#888888", "#e08214", "#4d9221", "#b2182b", "#8073ac", "#35978f", "#c51b7d"]


class Drawing:
    def __init__(self, width, height):
        self.width, self.height, self.parts = width, height, []

    def text(self, x, y, text, anchor="middle", size=12, turn=0, weight="normal"):
        turned = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn else ""
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
                          f'font-weight="{weight}"{turned}>{html.escape(text)}</text>')

    def line(self, x1, y1, x2, y2, color="#444", width=1, dash=""):
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}" '
                          f'stroke-width="{width}"{dashed}/>')

    def bar(self, x, y, width, height, color):
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{max(height, 0):.1f}" fill="{color}"/>')

    def path(self, points, color):
        text = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(f'<polyline points="{text}" fill="none" stroke="{color}" stroke-width="2"/>')
        self.parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{color}"/>' for x, y in points]

    def write(self, file):
        with open(file, "w") as f:
            f.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
                    f'width="{self.width}" height="{self.height}" font-family="sans-serif">\n'
                    f'<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(self.parts) + "\n</svg>\n")


def legend(d, names, x, y):
    for i, name in enumerate(names):
        d.bar(x, y - 10, 12, 12, COLORS[i % len(COLORS)])
        d.text(x + 17, y, name, anchor="start")
        x += 35 + 7.5 * len(name)


def ratio_panel(d, top, title, rows, names):
    """rows: label -> name -> spread of (time / glibc's). A bar for each name, a whisker for its quartiles."""
    left, height, limit = 60, 200, 2.0
    width = d.width - left - 20
    y_of = lambda v: top + 30 + height * (1 - min(v, limit) / limit)
    d.text(left, top + 15, title, anchor="start", size=14, weight="bold")
    for tick in (0, 0.5, 1.0, 1.5, 2.0):
        d.line(left, y_of(tick), left + width, y_of(tick), "#bbb" if tick != 1 else "#333", 1, "" if tick == 1 else "2,3")
        d.text(left - 6, y_of(tick) + 4, f"{tick:g}", anchor="end", size=11)
    step = width / max(len(rows), 1)
    for i, (label, by_name) in enumerate(rows.items()):
        bar = step * 0.85 / len(names)
        for j, name in enumerate(names):
            s = by_name.get(name)
            if not s:
                continue
            x = left + i * step + step * 0.07 + j * bar
            d.bar(x, y_of(s["median"]), bar * 0.92, y_of(0) - y_of(s["median"]), COLORS[j % len(COLORS)])
            d.line(x + bar / 2, y_of(s["low"]), x + bar / 2, y_of(s["high"]), "#000")
            if s["median"] > limit:
                d.text(x + bar / 2, top + 27, f"{s['median']:.1f}", size=8)
        d.text(left + (i + 0.5) * step, y_of(0) + 14, label, anchor="end", size=11, turn=-35,
               weight="bold" if label == "geometric mean" else "normal")
    return top + 30 + height + 90


def full_picture(file, runs, lists, peers):
    """Bars per workload, as a share of glibc's figure, and their geometric means: CPU time and peak RSS, by list."""
    names = [p.name for p in peers]
    base = "glibc" if "glibc" in names else names[0]
    panels = []
    for measure in ("cpu", "rss"):
        for group in full.MEANS:
            cases = [c for c in runs if c in lists[group]]
            if not cases:
                continue
            rows = {c: {n: figures.ratio_spread(runs[c], n, base, measure) for n in names} for c in cases}
            rows["geometric mean"] = {
                n: figures.mean_of_ratios(runs, cases, n, lambda _: base, measure) for n in names}
            panels.append((f"{figures.MEASURES[measure][0]}, {group} ({base} = 1, lower is better)", rows))
    d = Drawing(1100, 50 + 320 * len(panels))
    legend(d, names, 60, 25)
    top = 40
    for title, rows in panels:
        top = ratio_panel(d, top, title, rows, names)
    d.write(file)


def scaling_picture(file, found):
    names = list(next(iter(found.values())))
    d = Drawing(1000, 60 + 340 * len(found))
    legend(d, names, 70, 25)
    for i, (curve, by_peer) in enumerate(found.items()):
        curve_panel(d, 45 + 340 * i, scaling.AXES[curve], scaling.POINTS[curve], by_peer)
    d.write(file)


def curve_panel(d, top, axes, points, by_peer):
    left, width, height = 70, d.width - 100, 250
    medians = {p: [figures.spread(v)["median"] for v in by_point.values()] for p, by_point in by_peer.items()}
    highest = max(max(m) for m in medians.values())
    lowest = min(min(m) for m in medians.values())
    low, high = math.floor(math.log2(lowest)), math.ceil(math.log2(highest))
    y_of = lambda v: top + 25 + height * (1 - (math.log2(v) - low) / max(high - low, 1))
    x_of = lambda n: left + width * n / (len(points) - 1)
    d.text(left, top + 12, f"{axes[1]}, against {axes[0]}", anchor="start", size=14, weight="bold")
    for power in range(low, high + 1):
        d.line(left, y_of(2.0**power), left + width, y_of(2.0**power), "#bbb", 1, "2,3")
        d.text(left - 6, y_of(2.0**power) + 4, f"{2.0**power:g}", anchor="end", size=11)
    for n, point in enumerate(points):
        d.text(x_of(n), top + 25 + height + 16, f"{point:,}", size=11)
    for i, values in enumerate(medians.values()):
        d.path([(x_of(n), y_of(v)) for n, v in enumerate(values)], COLORS[i % len(COLORS)])
