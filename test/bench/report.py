# SPDX-License-Identifier: BSD-2-Clause
"""Tables and bars, as text."""
import figures
import full


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


def ratio_text(ratio):
    return f"{ratio['median']:.2f} [{ratio['low']:.2f} {ratio['high']:.2f}]" if ratio else "-"


def measure_table(runs, lists, peers, subject, measure, means):
    """One row for each case: the subject's median, then what it is of each other allocator's."""
    label, unit, _ = figures.MEASURES[measure]
    others = [p.name for p in peers if p.name != subject]
    heading = f"{subject} {unit}".strip()
    lines = [f"{label}: {subject}'s median, and its ratio to each other (median of the rounds' ratios [quartiles])",
             f"{'':24}{heading:>16}" + "".join(f"{o:>20}" for o in others)]
    for name, members in lists.items():
        cases = [c for c in runs if c in members]
        if not cases:
            continue
        lines.append(f"{name}:")
        for case in cases:
            mine = figures.spread(figures.values_of(runs[case][subject], measure))["median"]
            row = [figures.ratio_spread(runs[case], subject, o, measure) for o in others]
            lines.append(f"  {case:22}{mine:16.1f}" + "".join(f"{ratio_text(r):>20}" for r in row))
        mean = means.get(measure, {}).get(name)
        if mean:
            lines.append(f"  {'geometric mean':22}{'':16}" + "".join(f"{ratio_text(mean[o]):>20}" for o in others))
        if mean and "best of each" in mean:
            lines.append(f"  {'against the best peer of each':38}{ratio_text(mean['best of each']):>20}")
    return "\n".join(lines)


def tables(runs, lists, peers, subject):
    means = full.summary(runs, lists, peers, subject)
    return "\n\n".join(measure_table(runs, lists, peers, subject, m, means) for m in figures.MEASURES)
