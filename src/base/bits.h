// Bit fields and rounding.
#pragma once

#include <type_traits>

#include "base/types.h"

namespace vireo {

constexpr u64 bit(unsigned n) { return u64{1} << n; }

/// `count` bits of `value` from bit `low` up; count 1..64.
constexpr u64 bits(u64 value, unsigned low, unsigned count) {
  return (value >> low) & (count >= 64 ? ~u64{0} : (u64{1} << count) - 1);
}

/// `alignment` is a power of two.
constexpr u64 align_down(u64 value, u64 alignment) { return value & ~(alignment - 1); }
constexpr u64 align_up(u64 value, u64 alignment) { return (value + alignment - 1) & ~(alignment - 1); }

/// The low `size` bytes (1..8) set.
constexpr u64 mask_for_size(unsigned size) { return size >= 8 ? ~u64{0} : (u64{1} << (size * 8)) - 1; }

/// The low `size` bytes (1, 2, 4, 8) of `value`, sign extended.
constexpr u64 sign_extend(u64 value, unsigned size) {
  const unsigned shift = 64 - size * 8;
  return static_cast<u64>(static_cast<i64>(value << shift) >> shift);
}

/// The value of a scoped enumerator.
template <class E>
constexpr auto raw(E e) {
  return static_cast<std::underlying_type_t<E>>(e);
}

}  // namespace vireo
