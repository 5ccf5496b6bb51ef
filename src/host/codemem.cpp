#include "host/codemem.h"

#include <sys/mman.h>

#include <cerrno>
#include <utility>

namespace vireo::host {

CodeMemory& CodeMemory::operator=(CodeMemory&& other) noexcept {
  std::swap(writable_, other.writable_);
  std::swap(executable_, other.executable_);
  std::swap(size_, other.size_);
  return *this;
}

CodeMemory::~CodeMemory() {
  if (writable_ != nullptr) ::munmap(writable_, size_);
  if (executable_ != nullptr) ::munmap(executable_, size_);
}

Result<CodeMemory> CodeMemory::create(u64 size) {
  // Shared memory without a name, and not a memfd: perf looks for names of generated code (host/perf_map.h) only there.
  CodeMemory memory;
  memory.size_ = size;
  void* writable = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (writable == MAP_FAILED) return fail_errno(errno, "cannot map code memory");
  memory.writable_ = static_cast<u8*>(writable);
  // From a length of 0: another mapping of the same memory.
  void* executable = ::mremap(writable, 0, size, MREMAP_MAYMOVE);
  if (executable == MAP_FAILED) return fail_errno(errno, "cannot map code memory twice");
  memory.executable_ = static_cast<u8*>(executable);
  if (::mprotect(executable, size, PROT_READ | PROT_EXEC) != 0)
    return fail_errno(errno, "cannot make code memory executable");
  return memory;
}

}  // namespace vireo::host
