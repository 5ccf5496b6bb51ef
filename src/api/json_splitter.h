// Cuts a stream of bytes into JSON values, without knowing more of JSON than where a value ends.
//
// The bytes are a stranger's: a value that is longer or nested deeper than the limits is skipped to its end without
// being kept, and reported as an error. So memory is bounded by one value, and what comes out is shallow enough for a
// parser that recurses.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "base/types.h"

namespace vireo::api {

class JsonSplitter {
 public:
  static constexpr std::size_t kMaxValue = 256 * 1024;  ///< bytes
  static constexpr unsigned kMaxDepth = 64;

  /// `value` gets the text of one value, which may be wrong JSON; `error`, when it is not empty, is why there is none.
  using Take = std::function<void(std::string_view value, std::string_view error)>;

  /// Reads until a value has ended and `take` was called for it, or all of `bytes`: how many were read.
  std::size_t feed(std::span<const u8> bytes, const Take& take);

 private:
  void add(char c, const Take& take);
  void keep(char c);
  void finish(const Take& take);
  void forget();

  std::string text_;
  const char* error_ = nullptr;
  unsigned depth_ = 0;
  bool in_string_ = false, escaped_ = false;
  bool taken_ = false;  ///< take was called for the byte that is read
};

}  // namespace vireo::api
