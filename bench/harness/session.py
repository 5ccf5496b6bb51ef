"""What bench/run and bench/programs share: options, the machines asked for, rounds, and what is written in the end."""
import argparse
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import time

from . import machines, report
from .samples import NATIVE, Samples, parse

JSON_VERSION = 1


def say(text):
    print(f"==> {text}", file=sys.stderr, flush=True)


def options(description):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured (3)")
    parser.add_argument("--engine", default="auto", help="of Vireo (auto)")
    parser.add_argument("--only", default="", help="what to measure, separated by commas")
    parser.add_argument("--no-qemu", action="store_true", help="leave QEMU out")
    parser.add_argument("--no-vireo", action="store_true", help="leave Vireo out")
    parser.add_argument("--vireo", default=machines.ROOT / "build/release/bin/vireo", help="which vireo (that of build/release)")
    parser.add_argument("--vireo-options", default="", metavar="TEXT", help="more options of `vireo run`")
    parser.add_argument("--kernel", default="cloud-amd64", help="a name that scripts/fetch-guest knows (cloud-amd64)")
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)), help="of the host, to be pinned to (the last)")
    parser.add_argument("--discount", action="store_true",
                        help="take the share of the core that others used off each time; for machines that are not quiet")
    parser.add_argument("--timeout", type=float, default=3600, help="seconds that one run of a guest may take (3600)")
    parser.add_argument("--output", type=pathlib.Path, default=machines.ROOT / "build/bench", help="folder (build/bench)")
    return parser


class Session:
    def __init__(self, asked):
        self.asked = asked
        self.guests = []
        self.disturbances = []  # share of the core that others took, run by run
        if not asked.no_vireo:
            if not os.access(asked.vireo, os.X_OK):
                raise machines.Failure(f"{asked.vireo} is not there; `tools/dev build release vireo` builds it")
            self.guests.append(machines.Vireo(asked.vireo, asked.engine, asked.vireo_options))
        if not asked.no_qemu:
            self.guests.append(machines.Qemu())
        self.program = machines.ROOT / "build/release/bin/vireo-bench"
        if not self.program.exists():
            raise machines.Failure(f"{self.program} is not there; `tools/dev build release vireo-bench` builds it")
        self.kernel = machines.script("fetch-guest", asked.kernel)
        asked.output.mkdir(parents=True, exist_ok=True)
        self.result = {"version": JSON_VERSION, "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                       "host": host(), "kernel": pathlib.Path(self.kernel).parent.name, "engine": asked.engine,
                       "commit": commit(), "discount": asked.discount}

    def setup(self, initrd, **more):
        more.setdefault("cores", str(self.asked.core))
        return machines.Setup(self.kernel, str(initrd), timeout=self.asked.timeout, **more)

    def native(self, command, cores=None):
        return machines.Running("the host", command, cores or str(self.asked.core), self.asked.timeout)

    def rounds(self, workloads, native_command, setup, **variables):
        """Measures the host and every guest in turns. Results that differ from the host's end everything."""
        samples = Samples(workloads)
        starts = {NATIVE: (lambda: self.native(native_command), machines.Running.finish)}
        for guest in self.guests:
            starts[guest.key] = (lambda guest=guest: guest.start(setup, **variables), machines.measured_lines)
        for n in range(1, self.asked.rounds + 1):
            by_target, told = {}, []
            for target, (start, read) in starts.items():
                with start() as running:
                    lines = read(running)
                    by_target[target] = parse(lines, samples.names(), running.label, self.asked.discount)
                    share = running.taken_by_others()
                    told.append(f"{target} {running.elapsed():.1f} s ({100 * share:.0f} % of the core taken by others)")
                self.disturbances.append(share)
            samples.add(by_target)
            say(f"round {n} of {self.asked.rounds}: {', '.join(told)}")
        return samples

    def report(self, name, samples, title):
        """Table to the terminal, plot and JSON beside the others."""
        self.result[name] = samples.json([guest.key for guest in self.guests])
        print(report.table(samples, self.guests))
        if len(self.guests) == 2:
            slower = report.slower_than(samples, "vireo", "qemu")
            print(f"slower than QEMU: {', '.join(slower) or 'none'}")
        worst = max(self.disturbances, default=0)
        self.result[name]["taken_by_others"] = [round(share, 3) for share in self.disturbances]
        if worst > 0.03:
            what = "which is taken off" if self.asked.discount else "consider --discount"
            print(f"NOT QUIET: others took up to {100 * worst:.0f} % of the core in a run ({what}); small differences mean nothing")
        if self.guests:
            (self.asked.output / f"{name}.svg").write_text(report.plot(samples, self.guests, title))

    def write(self, name):
        path = self.asked.output / f"{name}.json"
        path.write_text(json.dumps(self.result, indent=1) + "\n")
        say(f"wrote {path}")


def host():
    model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return {"cpu": model[1] if model else platform.processor(), "cores": os.cpu_count(), "kernel": platform.release(),
            "transparent_huge_pages": machines.transparent_huge_pages(), "load": round(os.getloadavg()[0], 2)}


def commit():
    done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=machines.ROOT, capture_output=True, text=True)
    return done.stdout.strip()


def guarded(main):
    """The exit status of main, a failure being said loudly."""
    try:
        return main() or 0
    except machines.Failure as failure:
        print(f"\nFAILED: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
