// Memory workloads: far more than the caches hold, in huge pages where the system has them, but for update-4k.

#include <sys/mman.h>

#include <cstring>
#include <numeric>
#include <utility>

#include "workload.h"

namespace bench {
namespace {

using u32 = std::uint32_t;
using u64 = std::uint64_t;

constexpr std::size_t kMiB = 1 << 20;

/// Zeroed memory, touched before the watch starts.
template <class T>
class Buffer {
 public:
  explicit Buffer(std::size_t bytes, int advice = MADV_HUGEPAGE) : bytes_(bytes) {
    void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    require(at != MAP_FAILED, "memory can be had");
    static_cast<void>(::madvise(at, bytes, advice));
    std::memset(at, 0, bytes);
    data_ = static_cast<T*>(at);
  }
  ~Buffer() { ::munmap(data_, bytes_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  T* data() { return data_; }
  std::size_t size() const { return bytes_ / sizeof(T); }
  T& operator[](std::size_t n) { return data_[n]; }

 private:
  std::size_t bytes_;
  T* data_;
};

u64 run_memcpy(u64 iterations, Stopwatch& watch) {
  Buffer<u64> from(32 * kMiB), to(32 * kMiB);
  for (std::size_t n = 0; n < from.size(); n += 64) from[n] = n;
  u64 sum = 0;
  watch.start();
  for (u64 i = 0; i < iterations; ++i) {
    from[i * 64] = ~i;
    std::memcpy(to.data(), from.data(), 32 * kMiB);
    sum = mix(sum, to[i * 64] + to[to.size() - 64]);
  }
  watch.stop();
  require(std::memcmp(to.data(), from.data(), 32 * kMiB) == 0, "the copy is like the original");
  return sum;
}

[[gnu::noinline]] void triad(double* __restrict a, const double* __restrict b, const double* __restrict c,
                             std::size_t size) {
  for (std::size_t n = 0; n < size; ++n) a[n] = b[n] + 3 * c[n];
}

u64 run_triad(u64 iterations, Stopwatch& watch) {
  Buffer<double> a(16 * kMiB), b(16 * kMiB), c(16 * kMiB);
  for (std::size_t n = 0; n < a.size(); ++n) {
    b[n] = static_cast<double>(n);
    c[n] = static_cast<double>(n % 100);
  }
  watch.start();
  for (u64 i = 0; i < iterations; ++i) {
    triad(a.data(), b.data(), c.data(), a.size());
    std::swap(b[i % 1000], c[i % 1000]);
  }
  watch.stop();
  double sum = 0;
  for (std::size_t n = 0; n < a.size(); ++n) sum += a[n];  // whole numbers below 2^53: exact
  return static_cast<u64>(sum);
}

/// One cycle through every cache line of 32 MiB in random order.
u64 run_chase(u64 iterations, Stopwatch& watch) {
  struct Line {
    u64 next;
    u64 unused[7];
  };
  Buffer<Line> lines(32 * kMiB);
  for (std::size_t n = 0; n < lines.size(); ++n) lines[n].next = n;
  Random random(7);
  for (std::size_t n = lines.size() - 1; n > 0; --n)
    std::swap(lines[n].next, lines[random.next() % n].next);  // Sattolo
  u64 at = 0;
  watch.start();
  for (u64 i = 0; i < iterations * 1000; ++i) at = lines[at].next;
  watch.stop();
  return at;
}

u64 update(u64 iterations, Stopwatch& watch, int advice) {
  Buffer<u64> table(64 * kMiB, advice);
  Random random(8);
  watch.start();
  for (u64 i = 0; i < iterations * 1000; ++i) {
    const u64 value = random.next();
    table[value >> 41] ^= value;
  }
  watch.stop();
  return std::accumulate(table.data(), table.data() + table.size(), u64{0}, mix);
}

u64 run_update(u64 iterations, Stopwatch& watch) { return update(iterations, watch, MADV_HUGEPAGE); }
u64 run_update_4k(u64 iterations, Stopwatch& watch) { return update(iterations, watch, MADV_NOHUGEPAGE); }

constexpr Workload kWorkloads[] = {
    {"memcpy", 200, run_memcpy},   {"triad", 180, run_triad},           {"chase", 2500, run_chase},
    {"update", 20000, run_update}, {"update-4k", 20000, run_update_4k},
};

}  // namespace

std::span<const Workload> memory_workloads() { return kWorkloads; }

}  // namespace bench
