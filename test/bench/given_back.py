# SPDX-License-Identifier: BSD-2-Clause
"""What stays resident one second after 1 GiB in small items was freed."""
import json

import figures
from runs import Case

SIZES = (16, 64, 1024, 16384)
BAR = 0.05


def cases(workloads, scale):
    return [Case(f"rss-{size}-{'asleep' if asleep else 'ticking'}",
                 [workloads, "rss", f"size={size}", f"asleep={asleep}", f"scale={scale}"])
            for asleep in (0, 1) for size in SIZES]


def measure(runner, todo, peers, rounds, say):
    """Returns case -> peer -> list of {"peak_mib", "left_mib"}."""
    found = {c.name: {p.name: [] for p in peers} for c in todo}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        for case in todo:
            for peer in peers:
                if number == 0:
                    runner.prove(case, peer)
                else:
                    runner.run(case, peer)
                    runner.check_output(case, peer)
                said = json.loads(runner.output(case))
                found[case.name][peer.name].append({k: said[k] for k in ("peak_mib", "left_mib")})
    return found


def share_left(results):
    return figures.spread([r["left_mib"] / r["peak_mib"] for r in results])


def table(found, peers):
    lines = ["resident one second after 1 GiB was freed, in % of the peak (and the peak in MiB); ticking: a thread makes",
             "1,000 operations a second; asleep: every thread sleeps right after its last free",
             f"{'item size, what runs':24}" + "".join(f"{p.name:>18}" for p in peers)]
    for case, by_peer in found.items():
        line = f"{case.removeprefix('rss-'):24}"
        for p in peers:
            peak = figures.spread([r["peak_mib"] for r in by_peer[p.name]])["median"]
            line += f"{share_left(by_peer[p.name])['median'] * 100:.1f}% ({peak:.0f})".rjust(18)
        lines.append(line)
    return "\n".join(lines)


def bars(found, subject):
    return [(f"left of the peak, {case.removeprefix('rss-')}", share_left(by_peer[subject]), BAR)
            for case, by_peer in found.items()]
