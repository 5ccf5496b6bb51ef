// What a console has said last: kept whether anybody listens or not.
//
// Bytes are counted from the machine's start, so a reader asks for what came after what it has, and sees when it has
// missed some.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "chardev/api/channel.h"

namespace vireo::chardev {

/// Any thread.
class LogRing {
 public:
  static constexpr std::size_t kSize = 1024 * 1024;  ///< bytes; memory is used as it fills

  void append(std::span<const u8> bytes);

  struct Piece {
    u64 from = 0;  ///< number of the first byte: more than was asked for when that is not kept any more
    u64 end = 0;   ///< number of the byte that will be written next
    std::vector<u8> bytes;
  };
  /// At most `most` bytes from number `from` on. From the future: nothing.
  Piece read(u64 from, std::size_t most) const;
  u64 end() const;

 private:
  mutable std::mutex mutex_;
  u64 end_ = 0;
  std::unique_ptr<u8[]> bytes_ = std::make_unique_for_overwrite<u8[]>(kSize);
};

/// A channel that keeps what goes through it.
class LoggedChannel final : public ByteChannel {
 public:
  explicit LoggedChannel(std::unique_ptr<ByteChannel> outside) : outside_(std::move(outside)) {}

  const LogRing& log() const { return log_; }
  ByteChannel& outside() { return *outside_; }

  bool write(std::span<const u8> bytes) override {
    log_.append(bytes);
    return outside_->write(bytes);
  }
  void flush() override { outside_->flush(); }
  void set_sink(ByteSink* sink) override { outside_->set_sink(sink); }
  void resume_input() override { outside_->resume_input(); }

 private:
  LogRing log_;
  std::unique_ptr<ByteChannel> outside_;
};

}  // namespace vireo::chardev
