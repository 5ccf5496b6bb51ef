"""What the benchmarks run on: the host itself, Vireo, QEMU's TCG; and how a guest is watched from outside."""
import dataclasses
import os
import pathlib
import re
import selectors
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
import typing

from . import process

ROOT = pathlib.Path(__file__).resolve().parents[2]
BENCH = ROOT / "bench"


class Failure(Exception):
    """A measurement that cannot be had, or must not be believed. The message says why."""


def script(*words):
    """Runs one of scripts/, returns the last line it printed."""
    done = subprocess.run([ROOT / "scripts" / words[0], *map(str, words[1:])], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise Failure(f"scripts/{words[0]} failed")
    return (done.stdout.splitlines() or [""])[-1]


def pack(folder, output):
    """Appends a folder to an initramfs: the kernel unpacks archives that follow each other."""
    names = b"\0".join(sorted(os.fsencode(p.relative_to(folder)) for p in folder.rglob("*"))) + b"\0"
    with open(output, "ab") as archive:
        archive.write(b"\0" * (-archive.tell() % 4))
        archive.flush()
        subprocess.run(["cpio", "--null", "--quiet", "-o", "-H", "newc", "-R", "0:0", "--reproducible"], cwd=folder,
                       input=names, stdout=archive, check=True)


def add_own(root, program):
    """Puts the workloads and the guests' first process into a root."""
    for source, name in (program, "bin/vireo-bench"), (BENCH / "guest" / "init", "bench/init"):
        (root / name).parent.mkdir(exist_ok=True)
        shutil.copy(source, root / name)


def base_initramfs(output, kernel, program):
    """The busybox of scripts/make-initramfs and our own."""
    script("make-initramfs", output, kernel)
    with tempfile.TemporaryDirectory() as own:
        add_own(pathlib.Path(own), program)
        pack(pathlib.Path(own), output)


def transparent_huge_pages():
    """The host's policy, which the guests take over: without it they would do other work than the host."""
    try:
        text = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text()
        return re.search(r"\[(\w+)\]", text)[1]
    except OSError:
        return "never"


@dataclasses.dataclass
class Setup:
    """What a guest is made of."""
    kernel: str
    initrd: str
    memory: int = 512  # MiB
    cpus: int = 1
    cores: str = ""  # of the host, as taskset takes them; one vCPU is pinned to one core
    timeout: float = 3600


class Machine:
    """A hypervisor."""

    def __init__(self, key, label):
        self.key, self.label = key, label

    def command(self, setup, append):
        raise NotImplementedError

    def start(self, setup, **variables):
        words = " ".join(f"{name}={value}" for name, value in variables.items() if value != "")
        append = f"console=ttyS0 rdinit=/bench/init THP={transparent_huge_pages()} {words}"
        return Running(self.label, self.command(setup, append), setup.cores, setup.timeout)

    def seconds_to_init(self, setup, discount=False):
        with self.start(setup, BENCH="boot") as guest:
            seconds = guest.wait_for("VIREO INIT").at
            taken = guest.last_read[1] if discount else 0.0
            guest.finish()
            return seconds - taken


class Vireo(Machine):
    def __init__(self, binary, engine, options=""):
        super().__init__("vireo", f"Vireo {engine}")
        self.binary, self.engine, self.options = binary, engine, shlex.split(options)

    def command(self, setup, append):
        return [str(self.binary), "run", "--engine", self.engine, "--memory", f"{setup.memory}M", "--cpus", str(setup.cpus),
                "--kernel", setup.kernel, "--initrd", setup.initrd, "--append", append, *self.options]


class Qemu(Machine):
    def __init__(self, binary="qemu-system-x86_64"):
        super().__init__("qemu", "QEMU TCG")
        self.binary = binary

    def command(self, setup, append):
        return [self.binary, "-accel", "tcg", "-cpu", "max", "-M", "q35", "-m", f"{setup.memory}M", "-smp", str(setup.cpus),
                "-nographic", "-no-reboot", "-nic", "none", "-kernel", setup.kernel, "-initrd", setup.initrd,
                "-append", append]


class Line(typing.NamedTuple):
    at: float  # seconds since the process was started
    text: str
    taken: float  # share of the core that others took since the line before


class Running:
    """A process that is measured, and the lines it prints. One that is pinned to one core is watched for others there."""

    def __init__(self, label, command, cores, timeout):
        self.label, self.deadline = label, timeout
        self.errors = tempfile.TemporaryFile()
        self.seen, self.waiting, self.buffer = [], [], b""
        self.last_read, self.share = (0.0, 0.0), 0.0  # (elapsed, taken), and the share of the time before that
        self.begin = time.monotonic()
        command = ["taskset", "-c", cores, *map(str, command)]
        try:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.errors,
                                            process_group=0)
        except OSError as error:
            raise Failure(f"{command[0]} cannot be started: {error.strerror}") from error
        self.core = process.CoreWatch(cores, self.process.pid) if cores.isdigit() else None
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.process.stdout, selectors.EVENT_READ)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.selector.close()
        self.process.stdout.close()
        self.errors.close()

    def elapsed(self):
        return time.monotonic() - self.begin

    def share_since(self, before):
        """Share of the core that others took since an earlier reading. The kernel counts in hundredths of a second, so for
        a short time that of the whole run has to do."""
        passed, taken = (new - old for new, old in zip(self.last_read, before))
        if 0 < passed < 0.2:
            passed, taken = self.last_read
        return min(taken / passed, 0.99) if passed > 0 else 0.0

    def taken_by_others(self):
        return self.share_since((0.0, 0.0))

    def fail(self, what):
        self.errors.seek(0)
        told = self.errors.read().decode(errors="replace").splitlines()[-5:]
        tail = "\n    ".join([line.text for line in self.seen[-8:]] + told)
        raise Failure(f"{self.label}: {what}; last seen:\n    {tail}")

    def next_line(self):
        """The next Line, or None when the output has ended."""
        while not self.waiting:
            left = self.deadline - self.elapsed()
            if left <= 0 or not self.selector.select(left):
                self.fail(f"not done after {self.deadline:.0f} s (--timeout)")
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                return None
            *lines, self.buffer = (self.buffer + data).split(b"\n")
            at = self.elapsed()
            if self.core and at - self.last_read[0] > 0.05:  # reading costs more than a kernel's boot message is worth
                before, self.last_read = self.last_read, (at, self.core.taken())
                self.share = self.share_since(before)
            self.waiting = [Line(at, plain(line), self.share) for line in lines]
        line = self.waiting.pop(0)
        self.seen.append(line)
        return line

    def wait_for(self, start):
        """The first line from here on that starts so."""
        while (line := self.next_line()) is not None:
            if line.text.startswith(start):
                return line
        self.fail(f'the output ended before "{start}"')

    def finish(self):
        """Reads to the end, which must be a good one; returns the lines."""
        lines = []
        while (line := self.next_line()) is not None:
            lines.append(line)
        if status := self.process.wait(timeout=30):
            self.fail(f"exit status {status}")
        return lines


def plain(line):
    """Without what firmware and kernel decorate it with: escape sequences, carriage returns."""
    return re.sub(r"\x1b\[[0-9;?=]*[A-Za-z]|\x1bc|\r", "", line.decode(errors="replace"))


def measured_lines(guest):
    """What a guest prints between "BENCH START" and "BENCH END"; then it must end, and its clock must have been right."""
    start = guest.wait_for("BENCH START ")
    lines = []
    while (line := guest.next_line()) is not None and not line.text.startswith("BENCH END "):
        lines.append(line)
    if line is None:
        guest.fail("the guest ended in the middle")
    _, _, status, guest_end = line.text.split()
    if status != "0":
        guest.fail(f"a program in the guest ended with status {status}")
    host_passed, guest_passed = line.at - start.at, float(guest_end) - float(start.text.split()[2])
    if abs(host_passed - guest_passed) > 0.03 * host_passed + 0.2:
        guest.fail(f"the guest's clock counted {guest_passed:.2f} s while {host_passed:.2f} s passed; its times mean nothing")
    guest.finish()
    return lines
