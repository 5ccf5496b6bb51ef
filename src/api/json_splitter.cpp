#include "api/json_splitter.h"

namespace vireo::api {
namespace {

constexpr char kRestart = '\xFF';  ///< never part of UTF-8; QMP's way to begin anew

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

}  // namespace

std::size_t JsonSplitter::feed(std::span<const u8> bytes, const Take& take) {
  std::size_t count = 0;
  for (taken_ = false; count < bytes.size() && !taken_; ++count) add(static_cast<char>(bytes[count]), take);
  return count;
}

void JsonSplitter::add(char c, const Take& take) {
  if (c == kRestart) {
    if (!text_.empty()) {
      error_ = "the value was cut off";
      finish(take);
    }
    return forget();
  }
  if (in_string_) {
    keep(c);
    if (escaped_) {
      escaped_ = false;
    } else if (c == '\\') {
      escaped_ = true;
    } else if (c == '"') {
      in_string_ = false;
      if (depth_ == 0) finish(take);
    }
    return;
  }
  const bool opens = c == '{' || c == '[', closes = c == '}' || c == ']';
  // Outside of brackets a number or word ends where something else begins.
  if (depth_ == 0 && !text_.empty() && (opens || closes || is_space(c) || c == '"')) finish(take);
  if (depth_ == 0 && is_space(c)) return;
  keep(c);
  if (c == '"') in_string_ = true;
  if (opens && ++depth_ > kMaxDepth) error_ = "the value is nested too deeply";
  if (!closes) return;
  if (depth_ > 0) --depth_;
  if (depth_ == 0) finish(take);
}

void JsonSplitter::keep(char c) {
  if (text_.size() >= kMaxValue) error_ = "the value is too long";
  if (error_ == nullptr) text_ += c;
}

void JsonSplitter::finish(const Take& take) {
  if (error_ != nullptr) {
    take({}, error_);
  } else {
    take(text_, {});
  }
  taken_ = true;
  forget();
}

void JsonSplitter::forget() {
  text_.clear();
  error_ = nullptr;
  depth_ = 0;
  in_string_ = escaped_ = false;
}

}  // namespace vireo::api
