# SPDX-License-Identifier: BSD-2-Clause
"""The full run: every workload and program under every allocator, round by round, and the bars that they must meet."""
import figures

MEANS = ("allocator workloads", "real programs")

# Bars in the order of MEANS: each a limit of a geometric mean (or of the worst case), None where there is none.
AGAINST_BEST = (1.15, 1.03)
AGAINST_ONE = {"glibc": (0.80, 1.00), "jemalloc": (0.85, 1.00), "mimalloc": (0.95, 1.00), "tcmalloc": (0.95, 1.00)}
WORST_AGAINST_BEST = (1.5, 1.10)
RSS_AGAINST_GLIBC = (1.05, 1.00)
COUNTING = (1.25, 1.06)


def run(runner, cases, peers, rounds, say):
    """Returns case -> peer -> list of what was measured, one for each round.

    Within a round a case runs under every allocator in turn, and each round begins with the next one."""
    for case in cases:
        say(f"proving {case.name}")
        for peer in peers:
            runner.prove(case, peer)
    runs = {c.name: {p.name: [] for p in peers} for c in cases}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        turn = number % len(peers)
        for case in cases:
            for peer in peers[turn:] + peers[:turn]:
                runs[case.name][peer.name] += runner.run(case, peer)
                runner.check_output(case, peer)
    return runs


def compared(peers):
    """The names of the peers that the bars are about."""
    return [p.name for p in peers if not p.ours and not p.given]


def summary(runs, lists, peers, subject):
    """For each measure and list: the geometric means of subject / peer, and of subject / the best peer of each case."""
    others = compared(peers)
    result = {}
    for measure in figures.MEASURES:
        for name in MEANS:
            cases = [c for c in runs if c in lists[name]]
            if not cases:
                continue
            means = {p.name: figures.mean_of_ratios(runs, cases, subject, lambda _, p=p: p.name, measure)
                     for p in peers if p.name != subject}
            if others and subject not in others:
                best = {c: figures.best_peer(runs[c], others, measure) for c in cases}
                means["best of each"] = figures.mean_of_ratios(runs, cases, subject, best.get, measure)
            result.setdefault(measure, {})[name] = means
    return result


def worst(runs, cases, subject, others, measure):
    """The case in which subject does worst against that case's best peer, and its ratio."""
    by_case = {c: figures.ratio_spread(runs[c], subject, figures.best_peer(runs[c], others, measure), measure)
               for c in cases}
    case = max(by_case, key=lambda c: by_case[c]["median"])
    return case, by_case[case]


def bars(runs, lists, peers, subject):
    """(what, spread, limit) for each bar that the run can say something about."""
    means = summary(runs, lists, peers, subject)
    others = compared(peers)
    found = []
    for i, name in enumerate(MEANS):
        cases = [c for c in runs if c in lists[name]]
        if not cases or not others:
            continue
        cpu = means["cpu"][name]
        found.append((f"{name}: CPU time, best peer of each", cpu["best of each"], AGAINST_BEST[i]))
        found += [(f"{name}: CPU time, {p}", cpu[p], limits[i]) for p, limits in AGAINST_ONE.items() if p in cpu]
        case, ratio = worst(runs, cases, subject, others, "cpu")
        found.append((f"{name}: CPU time, worst ({case})", ratio, WORST_AGAINST_BEST[i]))
        if "glibc" in others:
            found.append((f"{name}: peak RSS, glibc", means["rss"][name]["glibc"], RSS_AGAINST_GLIBC[i]))
        nocount = f"{subject}-nocount"
        if nocount in cpu:
            found.append((f"{name}: what counting costs", cpu[nocount], COUNTING[i]))
    return found
