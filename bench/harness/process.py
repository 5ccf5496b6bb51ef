"""What a guest's process costs the host: CPU time, resident memory; and what others take from it."""
import os
import pathlib
import re
import time

TICKS = os.sysconf("SC_CLK_TCK")


def stat(pid):
    """The fields of proc(5) from the third, the state, on."""
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def cpu_seconds(pid):
    return sum(map(int, stat(pid)[11:13])) / TICKS  # utime, stime


def resident(pid, memory):
    """Resident MiB (what the guest touched of its `memory` MiB, all the rest).

    The guest's memory is the fullest mapping of at least half its size, with other mappings of the same file. A page that
    is mapped twice counts once (Pss).
    """
    mappings = []  # [size, inode, pss] in KiB
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if head := re.match(r"[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ (\d+)", line):
            mappings.append([0, head[1], 0])
        elif match := re.match(r"(Size|Pss): +(\d+) kB", line):
            mappings[-1][0 if match[1] == "Size" else 2] = int(match[2])
    large = [each for each in mappings if each[0] >= memory * 1024 // 2]
    ram = max(large, key=lambda each: each[2], default=[0, "0", 0])
    touched = sum(each[2] for each in mappings if each is ram or (ram[1] != "0" and each[1] == ram[1]))
    return touched / 1024, (sum(each[2] for each in mappings) - touched) / 1024


class CoreWatch:
    """How long others kept a process group from the core it is pinned to: what passed, but for what the group used of it
    and what the core idled. The number to look at before believing a time."""

    def __init__(self, core, leader):
        self.core, self.leader = core, leader
        self.last = 0.0
        self.before = self.readings()

    def readings(self):
        idle = 0.0
        for line in pathlib.Path("/proc/stat").read_text().splitlines():
            name, *jiffies = line.split()
            if name == f"cpu{self.core}":
                idle = (int(jiffies[3]) + int(jiffies[4])) / TICKS
        return time.monotonic(), idle, self.used()

    def used(self):
        """CPU seconds of the living and, through them, of the children they waited for."""
        used = time.clock_gettime((~self.leader << 3) | 2)  # its CPU clock, as clock_getcpuclockid(3) makes it
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    fields = stat(entry.name)
                except OSError:
                    continue  # ended meanwhile
                if int(fields[2]) == self.leader:  # the process group
                    own = 13 if int(entry.name) == self.leader else 11
                    used += sum(map(int, fields[own:15])) / TICKS  # utime stime cutime cstime
        return used

    def taken(self):
        """Seconds since this watch was made; when the process has ended, up to the last call before."""
        try:
            wall, idle, used = (now - before for now, before in zip(self.readings(), self.before))
            self.last = max(self.last, wall - idle - used)
        except (OSError, IndexError):
            pass
        return self.last
