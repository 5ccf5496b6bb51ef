// Bounded little-endian views over bytes: the only way foreign bytes are read.
#pragma once

#include <bit>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/types.h"

namespace vireo {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the engines need a little-endian host");

/// Unaligned load of a trivially copyable value.
template <class T>
T load(const void* from) {
  static_assert(std::is_trivially_copyable_v<T>);
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

template <class T>
void store(void* to, T value) {
  static_assert(std::is_trivially_copyable_v<T>);
  std::memcpy(to, &value, sizeof(T));
}

/// The same in big-endian order, for formats that are.
template <class T>
T load_be(const void* from) {
  return std::byteswap(load<T>(from));
}

template <class T>
void store_be(void* to, T value) {
  store(to, std::byteswap(value));
}

/// Reads integers from a byte range. The first read past the end makes the reader bad for good; values read
/// from a bad reader are zero.
class ByteReader {
 public:
  explicit ByteReader(std::span<const u8> bytes) : bytes_(bytes) {}

  template <class T>
  T take() {
    static_assert(std::is_integral_v<T>);
    if (bytes_.size() - at_ < sizeof(T)) {
      bad_ = true;
      at_ = bytes_.size();
      return T{};
    }
    const T value = load<T>(bytes_.data() + at_);
    at_ += sizeof(T);
    return value;
  }

  std::span<const u8> take_bytes(std::size_t count) {
    if (bytes_.size() - at_ < count) {
      bad_ = true;
      at_ = bytes_.size();
      return {};
    }
    const auto range = bytes_.subspan(at_, count);
    at_ += count;
    return range;
  }

  std::size_t remaining() const { return bytes_.size() - at_; }
  bool ok() const { return !bad_; }
  /// Everything was read and nothing was missing.
  bool finished() const { return !bad_ && remaining() == 0; }

 private:
  std::span<const u8> bytes_;
  std::size_t at_ = 0;
  bool bad_ = false;
};

/// Appends integers to a growing byte vector.
class ByteWriter {
 public:
  template <class T>
  void put(T value) {
    static_assert(std::is_integral_v<T>);
    const auto at = bytes_.size();
    bytes_.resize(at + sizeof(T));
    store(bytes_.data() + at, value);
  }
  void put_bytes(std::span<const u8> range) { bytes_.insert(bytes_.end(), range.begin(), range.end()); }

  std::vector<u8>& bytes() { return bytes_; }
  const std::vector<u8>& bytes() const { return bytes_; }

 private:
  std::vector<u8> bytes_;
};

}  // namespace vireo
