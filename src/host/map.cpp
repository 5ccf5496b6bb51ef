#include "host/map.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

namespace vireo::host {

Map::~Map() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

Result<Map> Map::anonymous(u64 size) {
  void* at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) return fail_errno(errno, fmt::format("cannot map {} MiB of memory", size / kMiB));
  return Map(static_cast<u8*>(at), size, {});
}

Result<Map> Map::shared(u64 size, const char* name) {
  Fd file(::memfd_create(name, MFD_CLOEXEC));
  if (!file || ::ftruncate(file.get(), static_cast<off_t>(size)) != 0) {
    return fail_errno(errno, fmt::format("cannot make {} MiB of shared memory", size / kMiB));
  }
  void* at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file.get(), 0);
  if (at == MAP_FAILED) return fail_errno(errno, fmt::format("cannot map {} MiB of shared memory", size / kMiB));
  return Map(static_cast<u8*>(at), size, std::move(file));
}

// Of shared memory only this process's view would go.
void Map::discard(u64 offset, u64 length) { ::madvise(data_ + offset, length, file_ ? MADV_REMOVE : MADV_DONTNEED); }

Result<> Map::forbid(u64 offset, u64 length) {
  if (::mprotect(data_ + offset, length, PROT_NONE) != 0) return fail_errno(errno, "cannot protect memory");
  return {};
}

void Map::set_huge_pages(bool on) { ::madvise(data_, size_, on ? MADV_HUGEPAGE : MADV_NOHUGEPAGE); }

}  // namespace vireo::host
