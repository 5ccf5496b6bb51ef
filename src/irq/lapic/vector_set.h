// 256 bits, one a vector: IRR, ISR and TMR.
#pragma once

#include <array>
#include <bit>
#include <optional>

#include "base/bits.h"

namespace vireo::irq {

class VectorSet {
 public:
  static constexpr unsigned kWords = 4;

  void set(u8 vector) { words_[vector >> 6] |= bit(vector & 63); }
  void clear(u8 vector) { words_[vector >> 6] &= ~bit(vector & 63); }
  bool test(u8 vector) const { return (words_[vector >> 6] & bit(vector & 63)) != 0; }
  void clear() { words_ = {}; }
  bool empty() const { return (words_[0] | words_[1] | words_[2] | words_[3]) == 0; }
  unsigned count() const {
    unsigned sum = 0;
    for (const u64 word : words_) sum += static_cast<unsigned>(std::popcount(word));
    return sum;
  }
  std::optional<u8> highest() const {
    for (unsigned i = kWords; i-- > 0;) {
      if (words_[i] != 0) return static_cast<u8>(i * 64 + 63 - static_cast<unsigned>(std::countl_zero(words_[i])));
    }
    return std::nullopt;
  }

  /// 64 vectors at a time.
  u64& word(unsigned i) { return words_[i]; }
  /// As the APIC's eight 32-bit registers.
  u32 read32(unsigned i) const { return static_cast<u32>(words_[i / 2] >> (i % 2 * 32)); }
  void write32(unsigned i, u32 value) {
    const unsigned shift = i % 2 * 32;
    words_[i / 2] = (words_[i / 2] & ~(u64{0xFFFFFFFF} << shift)) | u64{value} << shift;
  }

 private:
  std::array<u64, kWords> words_{};
};

}  // namespace vireo::irq
