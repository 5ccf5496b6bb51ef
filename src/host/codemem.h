// Memory for generated host code, mapped twice: written through one view, executed through the other, so that no
// address is ever writable and executable (W^X).
#pragma once

#include "base/result.h"
#include "base/types.h"

namespace vireo::host {

class CodeMemory {
 public:
  CodeMemory() = default;
  CodeMemory(CodeMemory&& other) noexcept { *this = static_cast<CodeMemory&&>(other); }
  CodeMemory& operator=(CodeMemory&& other) noexcept;
  ~CodeMemory();

  /// `size` in bytes, a multiple of the page size.
  static Result<CodeMemory> create(u64 size);

  u8* writable() const { return writable_; }
  const u8* executable() const { return executable_; }
  u64 size() const { return size_; }

 private:
  u8* writable_ = nullptr;
  u8* executable_ = nullptr;
  u64 size_ = 0;
};

}  // namespace vireo::host
