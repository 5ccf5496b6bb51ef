#include "host/codemem.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "host/fd.h"

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
  const Fd file(::memfd_create("vireo-code", MFD_CLOEXEC));
  if (!file) return fail_errno(errno, "cannot create code memory");
  if (::ftruncate(file.get(), static_cast<off_t>(size)) != 0) return fail_errno(errno, "cannot size code memory");
  CodeMemory memory;
  memory.size_ = size;
  void* writable = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (writable == MAP_FAILED) return fail_errno(errno, "cannot map code memory");
  memory.writable_ = static_cast<u8*>(writable);
  void* executable = ::mmap(nullptr, size, PROT_READ | PROT_EXEC, MAP_SHARED, file.get(), 0);
  if (executable == MAP_FAILED) return fail_errno(errno, "cannot map code memory executable");
  memory.executable_ = static_cast<u8*>(executable);
  return memory;
}

}  // namespace vireo::host
