// Writes that a server has answered and that no flush has covered yet, kept to be done again.
//
// A server that is lost and comes back may have lost them: until a flush that was asked for later succeeded, they were
// only promised to be there. A flush after that would be a lie, so the client does them again first, in the order in
// which they were answered.
//
// Their bytes are bounded: above kPlenty the client flushes on its own account, above kTooMuch writes wait for that.
#pragma once

#include <cstring>
#include <deque>
#include <span>
#include <vector>

#include "block/api/disk.h"
#include "block/nbd/spec.h"

namespace vireo::block::nbd {

class Unflushed {
 public:
  struct Kept {
    Command command;
    u16 flags;
    u64 offset;
    u32 length;
    std::vector<u8> bytes;  ///< of NBD_CMD_WRITE
  };
  static constexpr u64 kPlenty = 32 * kMiB, kTooMuch = 64 * kMiB;

  void keep(Command command, u16 flags, u64 offset, u32 length, std::span<const iovec> memory) {
    Kept kept{command, flags, offset, length, {}};
    for (const auto& piece : memory) {
      const auto* from = static_cast<const u8*>(piece.iov_base);
      kept.bytes.insert(kept.bytes.end(), from, from + piece.iov_len);
    }
    cost_ += cost(kept);
    kept_.push_back(std::move(kept));
  }
  /// A flush that is sent now covers what has been kept up to this mark.
  u64 mark() const { return first_ + kept_.size(); }
  void flushed(u64 mark) {
    for (; first_ < mark && !kept_.empty(); ++first_) {
      cost_ -= cost(kept_.front());
      kept_.pop_front();
    }
  }
  void forget() { flushed(mark()); }
  bool plenty() const { return cost_ >= kPlenty; }
  bool too_much() const { return cost_ >= kTooMuch; }
  std::size_t size() const { return kept_.size(); }
  const Kept& operator[](std::size_t index) const { return kept_[index]; }

 private:
  static u64 cost(const Kept& kept) { return kept.bytes.size() + sizeof kept; }
  std::deque<Kept> kept_;
  u64 first_ = 0;  ///< how many have gone before the first
  u64 cost_ = 0;   ///< bytes
};

}  // namespace vireo::block::nbd
