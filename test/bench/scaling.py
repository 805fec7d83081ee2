# SPDX-License-Identifier: BSD-2-Clause
"""Curves: nanoseconds per pair against threads, live items and types; start-up against loaded modules."""
import json
import os
import shutil

import figures
from runs import Case

POINTS = {
    "threads": (1, 2, 4, 8, 16, 32, 64, 128, 256),
    "live": (100, 1000, 10000, 100000, 1000000, 10000000),
    "types": (1, 10, 100, 1000, 10000, 60000),
    "modules": (0, 10, 30, 100, 300),
}
AXES = {
    "threads": ("threads", "ns of CPU time per pair"),
    "live": ("live items", "ns of CPU time per pair"),
    "types": ("types (call sites)", "ns of CPU time per pair"),
    "modules": ("loaded modules", "start of `true`, microseconds of CPU time"),
}


def case_for(curve, point, workloads, scale):
    name = f"{curve}-{point}"
    if curve == "threads":
        return Case(name, [workloads, "threads", f"threads={point}", f"scale={scale}"])
    if curve == "live":
        return Case(name, [workloads, "scattered", f"live={point}", f"scale={0.2 * scale}"])
    if curve == "types":
        return Case(name, [workloads, "types", f"types={point}", f"scale={0.4 * scale}"])
    return Case(name, ["/usr/bin/true"], may_allocate_nothing=True)


def copies(module, folder, count):
    """Paths of so many copies of the module: files of their own, or ld.so would load one."""
    os.makedirs(folder, exist_ok=True)
    paths = [os.path.join(folder, f"m{i}.so") for i in range(count)]
    for path in paths:
        if not os.path.exists(path):
            shutil.copyfile(module, path)
    return ":".join(paths)


def value(runner, curve, point, case, peer, module):
    """One reading of one point."""
    if curve == "modules":
        preload = copies(module, os.path.join(runner.work, "modules"), point)
        results = runner.run(case, peer, repeat=10, preload=preload)
        return figures.spread([r["user_us"] + r["sys_us"] for r in results])["median"]
    runner.run(case, peer)
    runner.check_output(case, peer)
    return json.loads(runner.output(case))["ns_median"]


def measure(runner, curves, peers, rounds, workloads, module, scale, say):
    """Returns curve -> peer -> point -> list of readings."""
    found = {c: {p.name: {n: [] for n in POINTS[c]} for p in peers} for c in curves}
    for curve in curves:
        for point in POINTS[curve]:
            case = case_for(curve, point, workloads, scale)
            say(f"{curve} {point}")
            if point == POINTS[curve][0]:
                for peer in peers:
                    runner.prove(case, peer)
            for number in range(rounds):
                turn = number % len(peers)
                for peer in peers[turn:] + peers[:turn]:
                    found[curve][peer.name][point].append(value(runner, curve, point, case, peer, module))
    return found


def table(found):
    lines = []
    for curve, by_peer in found.items():
        x, y = AXES[curve]
        lines += ["", f"{y} (median [quartiles]), against {x}",
                  f"{'':16}" + "".join(f"{n:>20}" for n in POINTS[curve])]
        for peer, by_point in by_peer.items():
            spreads = [figures.spread(v) for v in by_point.values()]
            lines.append(f"{peer:16}" + "".join(
                f"{s['median']:.1f} [{s['low']:.1f} {s['high']:.1f}]".rjust(20) for s in spreads))
    return "\n".join(lines[1:])


def growth(by_point, first, last):
    return figures.spread(figures.paired(by_point[last], by_point[first]))


def bars(found, subject):
    bars_found = []
    if "types" in found:
        bars_found.append(("growth from 100 to 60,000 types", growth(found["types"][subject], 100, 60000), 1.5))
    if "threads" in found:
        by_point = found["threads"][subject]
        # Flat: no point is further above the first than the limit.
        steps = [growth(by_point, 1, n) for n in POINTS["threads"]]
        bars_found.append(("cost from 1 to 256 threads, the highest", max(steps, key=lambda s: s["median"]), 1.2))
    return bars_found
