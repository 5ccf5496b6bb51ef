// How a model's state becomes bytes and comes back.
//
// A model keeps what must survive in a plain aggregate (its state.h) and names every field once, for both directions:
//
//   struct PitState { u16 count; bool gate; std::array<u8, 3> latch; static constexpr u16 kVersion = 1; };
//   void fields(vm::Archive& ar, PitState& s) { auto& [count, gate, latch] = s; ar(count, gate, latch); }
//
// The structured binding stops compiling when a field is added. `fields` is found by argument-dependent lookup, so
// aggregates nest. Integers are little endian at their own size, bool one byte (0 or 1), enums as their underlying
// type, std::array element by element, std::vector and std::string with a u32 count in front.
// Loading is safe on hostile bytes: nothing is read past the end, counts are bounded by the bytes that are left, a bool
// other than 0 or 1 is an error. A model checks the meaning of what it loaded (enum ranges, indices) itself.
#pragma once

#include <array>
#include <string>
#include <type_traits>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace vireo::vm {

class Archive {
 public:
  /// Saves.
  Archive() = default;
  /// Loads from `bytes`, which must outlive the archive.
  explicit Archive(std::span<const u8> bytes) : reader_(bytes), loading_(true) {}

  bool loading() const { return loading_; }

  template <class... T>
  void operator()(T&... values) {
    (one(values), ...);
  }

  /// Marks loaded data as wrong (an enum out of range, an index too large).
  void reject() { bad_ = true; }
  bool ok() const { return !bad_ && reader_.ok(); }
  bool finished() const { return ok() && reader_.remaining() == 0; }

  std::vector<u8> take_bytes() { return std::move(writer_.bytes()); }

 private:
  template <class T>
  void integer(T& value) {
    if (loading_) {
      value = reader_.take<T>();
    } else {
      writer_.put(value);
    }
  }

  template <class T>
  void one(T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      u8 byte = value ? 1 : 0;
      integer(byte);
      if (byte > 1) reject();
      value = byte == 1;
    } else if constexpr (std::is_enum_v<T>) {
      auto number = static_cast<std::underlying_type_t<T>>(value);
      integer(number);
      value = static_cast<T>(number);
    } else if constexpr (std::is_integral_v<T>) {
      integer(value);
    } else {
      fields(*this, value);
    }
  }
  template <class T, std::size_t N>
  void one(std::array<T, N>& values) {
    for (auto& value : values) one(value);
  }
  template <class T>
  void one(std::vector<T>& values) {
    sequence(values);
  }
  void one(std::string& text) { sequence(text); }

  template <class S>
  void sequence(S& values) {
    u32 count = static_cast<u32>(values.size());
    integer(count);
    if (loading_) {
      if (count > reader_.remaining()) return reject();  // every element takes at least a byte
      values.resize(count);
    }
    for (auto& value : values) one(value);
  }

  ByteReader reader_{{}};
  ByteWriter writer_;
  bool loading_ = false;
  bool bad_ = false;
};

/// One saved object: who it is, the version of its layout, its bytes.
struct StateRecord {
  std::string name;  ///< instance, such as "uart0"
  u16 version = 1;
  std::vector<u8> bytes;
};

/// State with `kVersion` to bytes and back. `load_fields` fails, naming `name`, when the version is another or the
/// bytes do not fit; `state` is then unspecified, so load into a copy and commit it afterwards.
template <class S>
StateRecord save_fields(std::string name, S state) {
  Archive archive;
  fields(archive, state);
  return {std::move(name), S::kVersion, archive.take_bytes()};
}

template <class S>
Result<> load_fields(const StateRecord& record, S& state) {
  if (record.version != S::kVersion) {
    return fail(ErrorKind::Usage, "state of '{}' has version {}, this program reads version {}", record.name,
                record.version, S::kVersion);
  }
  Archive archive{std::span<const u8>(record.bytes)};
  fields(archive, state);
  if (!archive.finished()) return fail(ErrorKind::Usage, "state of '{}' is corrupt", record.name);
  return {};
}

}  // namespace vireo::vm
