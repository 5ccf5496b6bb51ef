#include "host/pagemap.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/bits.h"

namespace vireo::host {

Fd Pagemap::open() { return Fd(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)); }

bool Pagemap::fill(u64 page) {
  const auto got = ::pread(file_.get(), entries_, sizeof entries_, static_cast<off_t>(page * sizeof(u64)));
  first_ = page;
  count_ = got > 0 ? static_cast<u64>(got) / sizeof(u64) : 0;
  return count_ > 0;
}

u64 Pagemap::content(const u8* from, unsigned pages) {
  const u64 first = reinterpret_cast<u64>(from) >> kPageShift;
  u64 result = 0;
  for (unsigned i = 0; i < pages; ++i) {
    const u64 page = first + i;
    const bool known = file_ && (page - first_ < count_ || fill(page));
    if (!known || bits(entries_[page - first_], 62, 2) != 0) result |= bit(i);  // bit 63 present, bit 62 swapped
  }
  return result;
}

}  // namespace vireo::host
