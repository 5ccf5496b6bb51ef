// Operating system workloads: system calls, processes, page faults, signals, files, threads, time.
//
// On one CPU each of them is as good as deterministic; none pins itself, whoever runs them does (taskset).

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <ctime>
#include <mutex>
#include <string>
#include <thread>

#include "workload.h"

namespace bench {
namespace {

using u64 = std::uint64_t;

/// Waits for a child, which must have ended with this status.
void expect_exit(pid_t child, int wanted) {
  int status = 0;
  require(::waitpid(child, &status, 0) == child, "a child can be waited for");
  require(WIFEXITED(status) && WEXITSTATUS(status) == wanted, "a child ends with the status it was to end with");
}

u64 run_getppid(u64 iterations, Stopwatch& watch) {
  const long parent = ::getppid();
  u64 same = 0;
  watch.start();
  for (u64 i = 0; i < iterations * 1000; ++i) same += ::syscall(SYS_getppid) == parent;
  watch.stop();
  require(same == iterations * 1000, "the parent stays");
  return same;
}

void read_all(int from, u64& value) { require(::read(from, &value, sizeof value) == sizeof value, "reading a pipe"); }
void write_all(int to, u64 value) { require(::write(to, &value, sizeof value) == sizeof value, "writing a pipe"); }

/// Two processes, a pipe each way.
u64 run_pipe(u64 iterations, Stopwatch& watch) {
  int there[2], back[2];
  require(::pipe(there) == 0 && ::pipe(back) == 0, "pipes can be made");
  const pid_t child = ::fork();
  require(child >= 0, "fork");
  if (child == 0) {
    for (u64 i = 0, value = 0; i < iterations; ++i) {
      read_all(there[0], value);
      write_all(back[1], value * 3 + 1);
    }
    ::_exit(0);
  }
  u64 value = 0;
  watch.start();
  for (u64 i = 0; i < iterations; ++i) {
    write_all(there[1], value);
    read_all(back[0], value);
  }
  watch.stop();
  expect_exit(child, 0);
  for (const int fd : {there[0], there[1], back[0], back[1]}) ::close(fd);
  return value;
}

u64 run_fork(u64 iterations, Stopwatch& watch) {
  watch.start();
  for (u64 i = 0; i < iterations; ++i) {
    const int status = static_cast<int>(i % 100);
    const pid_t child = ::fork();
    require(child >= 0, "fork");
    if (child == 0) ::_exit(status);
    expect_exit(child, status);
  }
  watch.stop();
  return iterations;
}

void exec_self(u64 left, u64 sum) {
  const std::string left_text = std::to_string(left), sum_text = std::to_string(sum);
  ::execl("/proc/self/exe", "vireo-bench", "--exec", left_text.c_str(), sum_text.c_str(), nullptr);
  require(false, "the program can execute itself; /proc must be mounted");
}

/// A process that executes this program again and again, handing a number along.
u64 run_exec(u64 iterations, Stopwatch& watch) {
  watch.start();
  const pid_t child = ::fork();
  require(child >= 0, "fork");
  if (child == 0) exec_self(iterations, 0);
  u64 sum = 0;
  for (u64 left = iterations; left > 0; --left) sum = mix(sum, left - 1);
  expect_exit(child, static_cast<int>(sum % 100));
  watch.stop();
  return sum;
}

char* map_memory(std::size_t bytes) {
  void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  require(at != MAP_FAILED, "memory can be had");
  static_cast<void>(::madvise(at, bytes, MADV_NOHUGEPAGE));
  return static_cast<char*>(at);
}

/// Maps, writes to each page, counts what is there, unmaps.
u64 touch(std::size_t pages) {
  char* memory = map_memory(pages * 4096);
  for (std::size_t n = 0; n < pages; ++n) memory[n * 4096] = static_cast<char>(memory[n * 4096] + n % 7 + 1);
  u64 sum = 0;
  for (std::size_t n = 0; n < pages; ++n) sum += static_cast<u64>(memory[n * 4096]);
  require(::munmap(memory, pages * 4096) == 0, "munmap");
  return sum;
}

u64 run_touch(u64 iterations, Stopwatch& watch, std::size_t pages) {
  u64 sum = 0;
  watch.start();
  for (u64 i = 0; i < iterations; ++i) sum += touch(pages);
  watch.stop();
  return sum;
}

u64 run_fault(u64 iterations, Stopwatch& watch) { return run_touch(iterations, watch, 16384); }  // 64 MiB
u64 run_mmap(u64 iterations, Stopwatch& watch) { return run_touch(iterations * 100, watch, 4); }

volatile sig_atomic_t g_signals;

u64 run_signal(u64 iterations, Stopwatch& watch) {
  struct sigaction action{};
  struct sigaction before{};
  action.sa_handler = [](int) { g_signals = g_signals + 1; };
  require(::sigaction(SIGUSR1, &action, &before) == 0, "sigaction");
  g_signals = 0;
  watch.start();
  for (u64 i = 0; i < iterations * 100; ++i) ::kill(::getpid(), SIGUSR1);
  watch.stop();
  require(::sigaction(SIGUSR1, &before, nullptr) == 0, "sigaction");
  require(static_cast<u64>(g_signals) == iterations * 100, "every signal arrives before kill returns");
  return static_cast<u64>(g_signals);
}

/// Creates, writes, reads back, removes 20 files in a folder of tmpfs.
u64 run_file(u64 iterations, Stopwatch& watch) {
  std::string folder = "/dev/shm/vireo-bench-XXXXXX";
  require(::mkdtemp(folder.data()) != nullptr, "a folder in /dev/shm, which must be a tmpfs");
  std::string data(3000, 'v'), seen(3000, ' ');
  u64 sum = 0;
  watch.start();
  for (u64 i = 0; i < iterations; ++i) {
    for (int n = 0; n < 20; ++n) {
      const std::string name = folder + "/file-" + std::to_string(n);
      const int fd = ::open(name.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
      data[i % data.size()] = static_cast<char>('a' + n);
      require(fd >= 0 && ::write(fd, data.data(), data.size()) == 3000, "a file can be written");
      require(::pread(fd, seen.data(), seen.size(), 0) == 3000 && seen == data, "a file holds what was written");
      ::close(fd);
      sum = mix(sum, static_cast<u64>(seen[i % data.size()]));
    }
    for (int n = 0; n < 20; ++n) require(::unlink((folder + "/file-" + std::to_string(n)).c_str()) == 0, "unlink");
  }
  watch.stop();
  require(::rmdir(folder.c_str()) == 0, "the folder is empty in the end");
  return sum;
}

u64 run_mutex(u64 iterations, Stopwatch& watch) {
  std::mutex mutex;
  u64 sum = 0;
  const auto work = [&] {
    for (u64 i = 0; i < iterations * 1000; ++i) {
      const std::lock_guard lock(mutex);
      sum += i;
    }
  };
  watch.start();
  std::thread other(work);
  work();
  other.join();
  watch.stop();
  const u64 count = iterations * 1000;
  require(sum == count * (count - 1), "no addition under the mutex is lost");
  return sum;
}

u64 now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<u64>(now.tv_sec) * 1000000000 + static_cast<u64>(now.tv_nsec);
}

u64 run_nanosleep(u64 iterations, Stopwatch& watch) {
  const timespec pause{0, 50000};
  watch.start();
  for (u64 i = 0; i < iterations; ++i) {
    const u64 before = now_ns();
    require(::nanosleep(&pause, nullptr) == 0, "nanosleep");
    require(now_ns() - before >= 50000, "nanosleep sleeps no less than it was told");
  }
  watch.stop();
  return iterations;
}

u64 run_clock(u64 iterations, Stopwatch& watch) {
  u64 last = now_ns();
  watch.start();
  for (u64 i = 0; i < iterations * 1000; ++i) {
    const u64 now = now_ns();
    require(now >= last, "the clock does not go back");
    last = now;
  }
  watch.stop();
  return iterations * 1000;
}

/// Two threads that hand a turn to each other by sched_yield.
u64 run_yield(u64 iterations, Stopwatch& watch) {
  std::atomic<u64> turn{0};
  const auto play = [&](u64 mine) {
    for (u64 i = 0; i < iterations * 10; ++i) {
      while (turn.load(std::memory_order_acquire) % 2 != mine) ::sched_yield();
      turn.fetch_add(1, std::memory_order_release);
    }
  };
  watch.start();
  std::thread other(play, 1);
  play(0);
  other.join();
  watch.stop();
  require(turn == iterations * 20, "every turn is taken");
  return turn;
}

constexpr Workload kWorkloads[] = {
    {"getppid", 1600, run_getppid}, {"pipe", 45000, run_pipe},          {"fork", 2200, run_fork},
    {"exec", 800, run_exec},        {"fault", 10, run_fault},           {"mmap", 250, run_mmap},
    {"signal", 1000, run_signal},   {"file", 1000, run_file},           {"mutex", 30000, run_mutex},
    {"yield", 10000, run_yield},    {"nanosleep", 2500, run_nanosleep}, {"clock", 10000, run_clock},
};

}  // namespace

std::span<const Workload> os_workloads() { return kWorkloads; }

int exec_link(int argc, char** argv) {
  require(argc == 4, "--exec is for the workload exec alone");
  const u64 left = std::strtoull(argv[2], nullptr, 10), sum = std::strtoull(argv[3], nullptr, 10);
  if (left == 0) return static_cast<int>(sum % 100);
  exec_self(left - 1, mix(sum, left - 1));
  return 1;
}

}  // namespace bench
