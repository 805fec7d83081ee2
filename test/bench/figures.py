# SPDX-License-Identifier: BSD-2-Clause
"""Medians, spreads, paired ratios and geometric means.

A ratio is always taken within one round, where both ran within seconds of each other, and the median of the rounds'
ratios is reported with their quartiles: what slows the machine for a minute then slows both."""
import math
import statistics

# What is reported of a run: label, unit, how it is computed from what `measure` says.
MEASURES = {
    "cpu": ("CPU time", "ms", lambda r: (r["user_us"] + r["sys_us"]) / 1000),
    "wall": ("wall time", "ms", lambda r: r["wall_ns"] / 1e6),
    "rss": ("peak RSS", "MiB", lambda r: r["maxrss_kib"] / 1024),
    "faults": ("page faults", "", lambda r: r["minflt"] + r["majflt"]),
}


def spread(values):
    """Median and quartiles."""
    values = sorted(values)
    if len(values) < 3:
        return {"median": statistics.median(values), "low": values[0], "high": values[-1]}
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"median": median, "low": low, "high": high}


def geometric_mean(values):
    return math.exp(sum(math.log(v) for v in values) / len(values))


def paired(ours, theirs):
    return [a / b for a, b in zip(ours, theirs) if a > 0 and b > 0]


def values_of(runs, measure):
    return [MEASURES[measure][2](r) for r in runs]


def best_peer(by_peer, peers, measure):
    """The peer with the lowest median. Of several noisy ones the best is flattered by noise, so look at the spread."""
    return min(peers, key=lambda p: spread(values_of(by_peer[p], measure))["median"])


def ratio_spread(by_peer, subject, other, measure):
    ratios = paired(values_of(by_peer[subject], measure), values_of(by_peer[other], measure))
    return spread(ratios) if ratios else None


def mean_of_ratios(runs, cases, subject, other_of, measure):
    """The geometric mean over cases of subject / other, with a spread: that of the same mean taken round by round.

    other_of(case): the name of the peer to compare with in that case."""
    medians, rounds = [], []
    for case in cases:
        ratios = paired(values_of(runs[case][subject], measure), values_of(runs[case][other_of(case)], measure))
        if not ratios:
            continue
        medians.append(statistics.median(ratios))
        rounds.append(ratios)
    if not medians:
        return None
    by_round = [geometric_mean(r) for r in zip(*rounds)]
    return dict(spread(by_round), median=geometric_mean(medians))
