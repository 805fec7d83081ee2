# SPDX-License-Identifier: BSD-2-Clause
"""What it costs to name types after the first caller that is no wrapper: the same library with depth:1 beside it."""
import json
import os
import shutil

import figures
from programs import own_workloads
from runs import Case

SETTINGS = {"depth:1": {"MALLOC9_CONF": "depth:1"}, "default": {}}
DIRECT = ("hot", "mixed_random", "tree", "server")
DEPTHS = range(7)
STARTS = {"true": ["/usr/bin/true"], "ls": ["/usr/bin/ls", "/"], "gcc -c": ["gcc", "-c", "{work}/empty.c", "-o", "{work}/o"]}


def empty_source(folder):
    with open(os.path.join(folder, "empty.c"), "w"):
        pass


def cases(workloads, scale):
    """Kind -> cases: pairs without a wrapper, pairs through 0 to 6 wrappers, first sights, starts of programs.

    Wall time of a start jumps by the kernel's ticks where the machine is busy; CPU time does not."""
    starts = [Case(name, argv, before_all=empty_source, may_allocate_nothing=True)
              for name, argv in STARTS.items() if shutil.which(argv[0])]
    return {
        "direct": [c for c in own_workloads(workloads, 0.3 * scale) if c.name in DIRECT],
        "steps": [Case(f"{n} wrappers", [workloads, "wrapped", f"depth={n}", f"scale={scale}"]) for n in DEPTHS],
        "sights": [Case("first sight", [workloads, "sights"])],
        "starts": starts,
        "starts, CPU": starts,
    }


def reading(runner, kind, case, peer, setting):
    """One figure: CPU microseconds, ns per pair, us of a first sight, us of wall time."""
    results = runner.run(case, peer, repeat=20 if kind.startswith("starts") else 1, env=SETTINGS[setting])
    if kind == "starts":
        return figures.spread([r["wall_ns"] / 1000 for r in results])["median"]
    if kind == "starts, CPU":
        return figures.spread([r["user_us"] + r["sys_us"] for r in results])["median"]
    if kind == "direct":
        return results[0]["user_us"] + results[0]["sys_us"]
    said = json.loads(runner.output(case))
    return said["ns_median"] / (1000 if kind == "sights" else 1)


def measure(runner, todo, peer, rounds, say):
    """Returns kind -> case -> setting -> readings, the settings' runs one after the other."""
    found = {kind: {c.name: {s: [] for s in SETTINGS} for c in todo[kind]} for kind in todo}
    for kind, of_kind in todo.items():
        for case in of_kind:
            runner.prove(case, peer)
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        for kind, of_kind in todo.items():
            for case in of_kind:
                for setting in list(SETTINGS)[::1 if number % 2 else -1]:
                    found[kind][case.name][setting].append(reading(runner, kind, case, peer, setting))
    return found


def differences(by_setting):
    return [b - a for a, b in zip(by_setting["depth:1"], by_setting["default"])]


def step_costs(steps):
    """Nanoseconds of each step up: what the walk adds to a pair, divided by the wrappers on the way, round by round."""
    walks = [differences(steps[f"{n} wrappers"]) for n in DEPTHS]
    last = DEPTHS[-1]
    return {"all but the first": [(walk[last] - walk[1]) / (last - 1) for walk in zip(*walks)],
            "on average": [walk[last] / last for walk in zip(*walks)]}


def spread_text(values, digits):
    s = figures.spread(values)
    return f"{s['median']:.{digits}f} [{s['low']:.{digits}f} {s['high']:.{digits}f}]"


def direct_mean(direct):
    ratios = [figures.paired(by["default"], by["depth:1"]) for by in direct.values()]
    return figures.spread([figures.geometric_mean(r) for r in zip(*ratios)])


def table(found):
    lines = ["median [quartiles]; the last column is of the rounds' differences (ratios, where no wrapper is called)",
             f"{'':24}{'depth:1':>26}{'default':>26}{'default against depth:1':>28}"]
    kinds = {"direct": ("no wrapper, CPU us", 0), "steps": ("ns per pair through", 1), "sights": ("us of", 2),
             "starts": ("us of wall time of", 0), "starts, CPU": ("us of CPU time of", 0)}
    for kind, (label, digits) in kinds.items():
        lines.append(label)
        for name, by in found[kind].items():
            last = (spread_text(figures.paired(by["default"], by["depth:1"]), 3) if kind == "direct" else
                    spread_text(differences(by), digits))
            lines.append(f"  {name:22}{spread_text(by['depth:1'], digits):>26}{spread_text(by['default'], digits):>26}"
                         f"{last:>28}")
    for name, values in step_costs(found["steps"]).items():
        lines.append(f"ns for each step up, {name}: {spread_text(values, 2)}")
    return "\n".join(lines)


def bars(found):
    listed = [("no wrapper: of depth:1's time", direct_mean(found["direct"]), 1.02)]
    listed += [(f"a step up, {name} (ns)", figures.spread(values), 2)
               for name, values in step_costs(found["steps"]).items()]
    listed += [("first sight (us)", figures.spread(found["sights"]["first sight"]["default"]), 20)]
    return listed + [(f"{name} takes longer by ({what}, ms)", figures.spread([d / 1000 for d in differences(by)]), 1)
                     for kind, what in (("starts", "wall"), ("starts, CPU", "CPU"))
                     for name, by in found[kind].items()]
