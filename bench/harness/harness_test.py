#!/usr/bin/env python3
"""The harness must refuse what is not a measurement. Run by ctest, or by hand."""
import os
import pathlib
import resource
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from harness import machines, report  # noqa: E402
from harness.machines import Failure, Line, Running  # noqa: E402
from harness.samples import Samples, parse  # noqa: E402


def lines(*texts, taken=0.0):
    return [Line(0.0, text, taken) for text in texts]


def guest(shell, timeout=20):
    """A "guest" that is a shell script."""
    return Running("a guest", ["sh", "-c", shell], "0-1023", timeout)


class Results(unittest.TestCase):
    def test_a_missing_result_is_refused(self):
        with self.assertRaisesRegex(Failure, "no result for sort"):
            parse(lines("fib 1.0 10 ab"), ["fib", "sort"], "a guest")

    def test_a_line_that_is_no_result_is_refused(self):
        with self.assertRaisesRegex(Failure, "no result: .*wrong: crc"):
            parse(lines("vireo-bench: wrong: crc", "fib 1.0 10 ab"), ["fib"], "a guest")

    def test_a_result_that_comes_twice_is_refused(self):
        with self.assertRaisesRegex(Failure, "twice"):
            parse(lines("fib 1.0 10 ab", "fib 1.0 10 ab"), ["fib"], "a guest")

    def test_another_checksum_or_amount_of_work_is_refused(self):
        for other in "fib 1.0 10 ac", "fib 1.0 11 ab":
            samples = Samples([("integer", "fib")])
            with self.assertRaisesRegex(Failure, "computes another fib"):
                samples.add({"native": parse(lines("fib 1.0 10 ab"), ["fib"], ""), "qemu": parse(lines(other), ["fib"], "")})

    def test_what_others_took_is_taken_off_only_when_asked_for(self):
        text = lines("fib 2.0 10 ab", taken=0.25)
        self.assertEqual(parse(text, ["fib"], "")["fib"].seconds, 2.0)
        self.assertEqual(parse(text, ["fib"], "", discount=True)["fib"].seconds, 1.5)

    def test_ratios_are_of_one_round_and_their_spread_is_that_of_the_rounds(self):
        samples = Samples([("integer", "fib"), ("os", "fork")])
        for fast, slow in (1, 2), (2, 6), (1, 4):
            samples.add({"native": parse(lines(f"fib {fast} 1 a", f"fork {fast} 1 b"), ["fib", "fork"], ""),
                         "qemu": parse(lines(f"fib {slow} 1 a", f"fork {slow} 1 b"), ["fib", "fork"], "")})
        self.assertEqual(samples.ratios("qemu", "fib"), [2, 3, 4])
        mean = samples.geomean("qemu", ["fib", "fork"])
        self.assertEqual([round(each, 9) for each in (mean.median, mean.low, mean.high)], [3, 2, 4])
        text = report.plot(samples, [machines.Qemu()], "a < b")
        self.assertIn("a &lt; b", text)
        self.assertIn("3.00 (2.00..4.00)", text)


class Guests(unittest.TestCase):
    def test_the_lines_between_start_and_end_are_the_results(self):
        with guest("printf 'noise\\nBENCH START 5.0\\r\\n\\033[2Jfib 1 2 3\\nBENCH END 0 5.0\\n'") as running:
            self.assertEqual([line.text for line in machines.measured_lines(running)], ["fib 1 2 3"])

    def test_a_clock_that_runs_wrong_is_refused(self):
        with guest("echo BENCH START 5.0; echo BENCH END 0 7.0") as running:
            with self.assertRaisesRegex(Failure, "clock counted 2.00 s"):
                machines.measured_lines(running)

    def test_a_guest_that_ends_early_or_badly_is_refused(self):
        for shell, why in (("echo BENCH START 5.0", "in the middle"),
                           ("echo BENCH START 5.0; echo BENCH END 1 5.0", "ended with status 1"),
                           ("echo BENCH START 5.0; echo BENCH END 0 5.0; exit 3", "exit status 3"),
                           ("echo no kernel >&2; exit 1", "no kernel")):
            with self.subTest(shell), guest(shell) as running, self.assertRaisesRegex(Failure, why):
                machines.measured_lines(running)

    def test_the_time_of_children_is_not_taken_by_others(self):
        core = str(max(os.sched_getaffinity(0)))
        spin = "i=0; while [ $i -lt 300000 ]; do i=$((i + 1)); done"
        with Running("a guest", ["sh", "-c", f"echo a; sh -c '{spin}; echo b'; sh -c '{spin}'; echo c"], core, 60) as running:
            lines = running.finish()
            own = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.assertEqual([line.text for line in lines], ["a", "b", "c"])
        for before, line in zip(lines, lines[1:]):
            self.assertGreater((line.at - before.at) * (1 - line.taken), 0.2 * (own.ru_utime + own.ru_stime))

    def test_a_guest_that_hangs_is_given_up(self):
        with guest("sleep 60", timeout=0.2) as running, self.assertRaisesRegex(Failure, "not done after"):
            machines.measured_lines(running)


if __name__ == "__main__":
    unittest.main()
