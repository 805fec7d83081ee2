# SPDX-License-Identifier: BSD-2-Clause
"""The first reading of what malloc9 costs: one pair of malloc and free on one thread, and the start of `true`."""
import json

import figures
from runs import Case


def cases(workloads):
    """Short runs of the two pairs, and `true`."""
    return {
        "hot": Case("hot", [workloads, "hot", "scale=0.2"]),
        "scattered": Case("scattered", [workloads, "scattered", "scale=0.4"]),
        "true": Case("true", ["/usr/bin/true"], may_allocate_nothing=True),
    }


def measure(runner, peers, workloads, rounds, say):
    """Returns for each peer the lists of: ns per pair hot and scattered, wall and CPU microseconds of `true`, its RSS."""
    todo = cases(workloads)
    found = {p.name: {"hot": [], "scattered": [], "true_wall_us": [], "true_cpu_us": [], "true_rss_kib": []}
             for p in peers}
    for peer in peers:
        for case in todo.values():
            runner.prove(case, peer)
        found[peer.name]["true_rss_kib"] = [
            r["exit_rss_kib"] for r in runner.run(todo["true"], peer, repeat=5, options=["--exit-rss"])]
    for round_number in range(rounds):
        say(f"round {round_number + 1} of {rounds}")
        turn = round_number % len(peers)
        for peer in peers[turn:] + peers[:turn]:
            mine = found[peer.name]
            for name in ("hot", "scattered"):
                runner.run(todo[name], peer)
                mine[name].append(json.loads(runner.output(todo[name]))["ns_median"])
            starts = runner.run(todo["true"], peer, repeat=60)
            mine["true_wall_us"].append(figures.spread([r["wall_ns"] / 1000 for r in starts])["median"])
            mine["true_cpu_us"].append(figures.spread([r["user_us"] + r["sys_us"] for r in starts])["median"])
    return found


def table(found, subject):
    lines = [f"one thread, ns of CPU time per malloc+free (median [quartiles]; x: {subject}'s ratio to it, paired)",
             f"{'':16}{'hot (64 bytes)':>26}{'x':>7}{'scattered (1,000 of 13 sizes)':>34}{'x':>7}"
             f"{'true, wall':>13}{'CPU':>10}{'RSS':>11}"]
    glibc = {k: figures.spread(v)["median"] for k, v in found["glibc"].items()}
    for name, mine in found.items():
        line = f"{name:16}"
        for pattern, width in (("hot", 26), ("scattered", 34)):
            s = figures.spread(mine[pattern])
            line += f"{s['median']:.1f} [{s['low']:.1f} {s['high']:.1f}]".rjust(width)
            ratio = figures.spread(figures.paired(found[subject][pattern], mine[pattern]))["median"]
            line += f"{ratio:7.2f}"
        deltas = {k: figures.spread(mine[k])["median"] - glibc[k] for k in glibc}
        if name == "glibc":
            line += f"{glibc['true_wall_us']:10.0f} us{glibc['true_cpu_us']:7.0f} us{glibc['true_rss_kib']:7.0f} KiB"
        else:
            line += f"{deltas['true_wall_us']:+10.0f} us{deltas['true_cpu_us']:+7.0f} us{deltas['true_rss_kib']:+7.0f} KiB"
        lines.append(line)
    return "\n".join(lines)


def bars(found, subject):
    """The bars of the first reading: name, value, limit."""
    glibc, mine = found["glibc"], found[subject]
    median = {k: (figures.spread(mine[k])["median"], figures.spread(glibc[k])["median"]) for k in glibc}
    return [
        ("hot pair, of glibc's time", figures.spread(figures.paired(mine["hot"], glibc["hot"])), 1.0),
        ("scattered pair, of glibc's time", figures.spread(figures.paired(mine["scattered"], glibc["scattered"])), 1.0),
        ("true starts later by (ms)", {"median": (median["true_wall_us"][0] - median["true_wall_us"][1]) / 1000}, 1.0),
        ("true needs more (MiB)", {"median": (median["true_rss_kib"][0] - median["true_rss_kib"][1]) / 1024}, 1.0),
    ]
