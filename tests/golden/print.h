// Host code as text, with names instead of addresses.
#pragma once

#include <map>
#include <string>

#include "cpu/translate/code_cache.h"

namespace vireo::golden {

/// Prints the code of one block.
class Printer {
 public:
  Printer(const cpu::translate::Block& block, const cpu::translate::Layout& layout,
          const cpu::translate::Thunks& thunks);

  /// The host code from `begin` to `end` (bytes from Block::code), each guest instruction before its own.
  std::string print(u32 begin, u32 end);

  /// For the formatter's hooks: names of what code refers to, empty when there is none.
  std::string field(i32 distance) const;
  std::string place(u64 address) const;

 private:
  void find_labels(u32 begin, u32 end);

  const cpu::translate::Block& block_;
  const cpu::translate::Layout& layout_;
  std::map<u64, std::string> names_;  ///< by address where it runs
  std::map<u32, unsigned> labels_;    ///< by offset in the block
};

/// One instruction in the guest's code.
std::string print_guest(const u8* bytes, unsigned size, u64 rip, unsigned& length);

}  // namespace vireo::golden
