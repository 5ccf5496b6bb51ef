"""Times that were measured, held against each other: native and guests, round by round."""
import dataclasses
import math
import statistics

from .machines import Failure

NATIVE = "native"
SLEEPERS = {"nanosleep"}  # while they sleep the core is free for others, which takes nothing from them


@dataclasses.dataclass
class Time:
    """name seconds iterations checksum, as vireo-bench prints it."""
    name: str
    seconds: float
    iterations: str
    checksum: str


def parse(lines, names, where, discount=False):
    """Name -> Time from lines of output, which must be exactly one for each name.

    discount takes off the share of the core that others took meanwhile.
    """
    found = {}
    for line in lines:
        words = line.text.split()
        if len(words) != 4 or words[0] not in names:
            if words:
                raise Failure(f'{where} printed a line that is no result: "{line.text}"')
            continue
        if words[0] in found:
            raise Failure(f"{where} printed {words[0]} twice")
        seconds = float(words[1]) * (1 - line.taken if discount and words[0] not in SLEEPERS else 1)
        found[words[0]] = Time(words[0], max(seconds, 1e-6), words[2], words[3])
    if missing := [name for name in names if name not in found]:
        raise Failure(f"{where} printed no result for {', '.join(missing)}")
    return found


def geomean(values):
    return math.exp(statistics.fmean(map(math.log, values)))


@dataclasses.dataclass
class Spread:
    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values):
        return cls(statistics.median(values), min(values), max(values))

    def json(self):
        return {"median": round(self.median, 6), "min": round(self.low, 6), "max": round(self.high, 6)}


class Samples:
    """Rounds of results for one list of (class, name)."""

    def __init__(self, workloads):
        self.workloads = workloads
        self.rounds = []  # {target: {name: Time}}

    def names(self):
        return [name for _, name in self.workloads]

    def add(self, by_target):
        """A round. Every target must have computed what the host computed."""
        native = by_target[NATIVE]
        reference = self.rounds[0][NATIVE] if self.rounds else native
        for target, times in by_target.items():
            for name, time in times.items():
                wanted = reference[name]
                if (time.iterations, time.checksum) != (wanted.iterations, wanted.checksum):
                    raise Failure(f"{target} computes another {name}: {time.iterations} times, checksum {time.checksum}, "
                                  f"where the host has {wanted.iterations} and {wanted.checksum}")
        self.rounds.append(by_target)

    def seconds(self, target, name):
        return Spread.of([each[target][name].seconds for each in self.rounds])

    def ratios(self, target, name):
        """Guest over native, round by round: a ratio is of neighbours in time."""
        return [each[target][name].seconds / each[NATIVE][name].seconds for each in self.rounds]

    def groups(self):
        """Class -> names, then all of them."""
        groups = {}
        for group, name in self.workloads:
            groups.setdefault(group, []).append(name)
        if len(groups) > 1:
            groups["all"] = self.names()
        return groups

    def geomean(self, target, names):
        """The geometric mean of the medians; its spread is that of the rounds."""
        by_round = [geomean(values) for values in zip(*(self.ratios(target, name) for name in names))]
        return Spread(geomean([Spread.of(self.ratios(target, name)).median for name in names]), min(by_round), max(by_round))

    def json(self, targets):
        def row(group, name):
            guests = {t: {"seconds": self.seconds(t, name).json(), "ratio": Spread.of(self.ratios(t, name)).json()}
                      for t in targets}
            first = self.rounds[0][NATIVE][name]
            return {"class": group, "name": name, "iterations": first.iterations, "checksum": first.checksum,
                    NATIVE: {"seconds": self.seconds(NATIVE, name).json()}, **guests}

        return {"rounds": len(self.rounds), "workloads": [row(*each) for each in self.workloads],
                "geomean": {t: {group: self.geomean(t, names).json() for group, names in self.groups().items()}
                            for t in targets}}
