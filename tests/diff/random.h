// Reproducible random values, biased towards the ones that matter to a CPU.
#pragma once

#include <initializer_list>

#include "base/bytes.h"

namespace vireo::diff {

/// SplitMix64.
class Random {
 public:
  explicit Random(u64 seed) : state_(seed) {}
  u64 next() {
    u64 z = state_ += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
  }
  /// 0..bound-1; bound > 0.
  u64 below(u64 bound) { return next() % bound; }
  bool percent(unsigned chance) { return below(100) < chance; }
  i64 between(i64 low, i64 high) { return low + static_cast<i64>(below(static_cast<u64>(high - low) + 1)); }
  template <class T>
  T pick(std::initializer_list<T> from) {
    return from.begin()[below(from.size())];
  }

  /// Small numbers, sign and size boundaries, single bits, runs of ones, or anything.
  u64 integer();
  /// A binary32 / binary64 / x87 extended bit pattern: zeros, subnormals, infinities, NaNs, near 1, near limits,
  /// anything.
  u32 float32();
  u64 float64();
  /// All, none, a few, or any of the elements of a vector.
  u64 opmask();
  void float80(u8 (&to)[10]);
  /// `size` bytes (a multiple of 16) of vector data: each 16 bytes of one kind.
  void vector(u8* to, unsigned size);

 private:
  u64 state_;
};

}  // namespace vireo::diff
