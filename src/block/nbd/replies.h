// What a server sends in the transmission phase: simple and structured replies, taken apart.
//
// Bytes in, call-backs out: it knows no socket. The server is hostile: a reply must be to a request that is under way,
// and what it brings is copied only to where that request asked for it, and no more often than it asked.
//
// Source: "The NBD protocol", sections "Simple reply message" and "Structured reply chunk message".
#pragma once

#include <array>
#include <span>

#include "block/api/disk.h"
#include "block/nbd/spec.h"

namespace vireo::block::nbd {

/// A request whose reply is on its way.
struct Awaited {
  Command command = NBD_CMD_READ;
  u64 offset = 0;
  u32 length = 0;
  std::span<const iovec> memory = {};  ///< of a read: `length` bytes
  u32 received = 0;                    ///< bytes of a read that have come
  u32 error = 0;                       ///< the first that the server named, ErrorNumber or others
};

class Replies {
 public:
  class Requests {
   public:
    virtual ~Requests() = default;
    /// Nothing for a cookie that no request has that is under way.
    virtual Awaited* find(u64 cookie) = 0;
    /// All that belongs to it has come; the cookie is free.
    virtual void replied(u64 cookie) = 0;
  };
  Replies(Requests& requests, bool structured) : requests_(requests), structured_(structured) {}

  /// False: the server broke the protocol, and nothing that follows means anything.
  bool feed(std::span<const u8> bytes);

 private:
  enum class Part : u8 { Magic, SimpleHead, StructuredHead, DataHead, HoleHead, ErrorHead, Data, Skipped };
  void expect(Part part, u64 bytes);
  bool take_head();
  bool simple_reply();
  bool structured_reply();
  bool chunk_begins();
  bool hole();
  bool data_begins(u64 at, u64 length);
  bool chunk_ended();
  bool finish();

  Requests& requests_;
  const bool structured_;
  Part part_ = Part::Magic;
  std::array<u8, kStructuredReplySize> head_{};
  u64 gathered_ = 0;  ///< bytes of head_
  u64 wanted_ = 4;    ///< bytes of head_, of data or of what is skipped, that the part has in all
  u64 left_ = 0;      ///< bytes of data, or of what is skipped, that are still to come

  // Of the reply that is under way
  Awaited* awaited_ = nullptr;
  u64 cookie_ = 0;
  u64 data_at_ = 0;  ///< where in the request's memory the next byte goes
  u16 flags_ = 0, type_ = 0;
  u32 chunk_ = 0;      ///< bytes of the chunk
  bool ends_ = false;  ///< a simple reply, or the last chunk
};

}  // namespace vireo::block::nbd
