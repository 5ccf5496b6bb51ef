#pragma once
// What a workload is. Each class of them is one file; main.cpp runs them.
//
// A workload does a fixed amount of work, so that a machine and the guests on it do the same, and returns a checksum
// that depends on nothing but that amount: whoever runs it twice, in whatever machine, must see the same number. What
// can be known beforehand is checked on the spot with require().

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>

namespace bench {

/// Measures what lies between its start and its stop: a workload sets up before and checks after.
class Stopwatch {
 public:
  void start() { start_ = Clock::now(); }
  void stop() { elapsed_ += Clock::now() - start_; }
  double seconds() const { return std::chrono::duration<double>(elapsed_).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_{};
  Clock::duration elapsed_{};
};

struct Workload {
  const char* name;
  /// How often the body repeats its piece of work at --scale 1: 0.2 to 0.4 s on a machine of 2023.
  double iterations;
  std::uint64_t (*run)(std::uint64_t iterations, Stopwatch& watch);
};

std::span<const Workload> integer_workloads();
std::span<const Workload> floating_workloads();
std::span<const Workload> memory_workloads();
std::span<const Workload> os_workloads();

/// The other ends of `exec` and of `--time`, see os.cpp and command.cpp.
int exec_link(int argc, char** argv);
int time_command(int argc, char** argv);

/// Ends the program, with a message, when what must be so is not.
inline void require(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "vireo-bench: wrong: %s\n", what);
  std::exit(1);
}

/// A generator with the same numbers everywhere (xorshift64*).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 2 + 1) {}
  std::uint64_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545f4914f6cdd1d;
  }

 private:
  std::uint64_t state_;
};

/// Folds a value into a checksum.
constexpr std::uint64_t mix(std::uint64_t sum, std::uint64_t value) {
  return (sum ^ value) * 0x100000001b3 + (sum >> 47);
}

}  // namespace bench
