#include "block/nbd/replies.h"

#include <algorithm>
#include <cstring>

#include "base/bytes.h"

namespace vireo::block::nbd {
namespace {

constexpr u64 kDataHead = 8, kHoleHead = 12, kErrorHead = 4;

/// `from` is null: zeroes.
void copy_to(std::span<const iovec> memory, u64 at, const u8* from, u64 length) {
  for (const auto& piece : memory) {
    if (length == 0) return;
    if (at >= piece.iov_len) {
      at -= piece.iov_len;
      continue;
    }
    const u64 here = std::min<u64>(length, piece.iov_len - at);
    u8* to = static_cast<u8*>(piece.iov_base) + at;
    if (from == nullptr) {
      std::memset(to, 0, here);
    } else {
      std::memcpy(to, from, here);
      from += here;
    }
    length -= here;
    at = 0;
  }
}

}  // namespace

void Replies::expect(Part part, u64 bytes) {
  part_ = part;
  if (part == Part::Data || part == Part::Skipped) {
    left_ = bytes;
  } else {
    wanted_ = bytes;
    // The magic number is a part of the heads that follow it; the others begin anew.
    if (part != Part::SimpleHead && part != Part::StructuredHead) gathered_ = 0;
  }
}

bool Replies::feed(std::span<const u8> bytes) {
  while (!bytes.empty()) {
    u64 used = 0;
    if (part_ == Part::Data || part_ == Part::Skipped) {
      used = std::min<u64>(left_, bytes.size());
      if (part_ == Part::Data) {
        copy_to(awaited_->memory, data_at_, bytes.data(), used);
        data_at_ += used;
      }
      left_ -= used;
      if (left_ == 0 && !chunk_ended()) return false;
    } else {
      used = std::min<u64>(wanted_ - gathered_, bytes.size());
      std::memcpy(head_.data() + gathered_, bytes.data(), used);
      gathered_ += used;
      if (gathered_ == wanted_ && !take_head()) return false;
    }
    bytes = bytes.subspan(used);
  }
  return true;
}

bool Replies::take_head() {
  switch (part_) {
    case Part::Magic:
      if (load_be<u32>(head_.data()) == kSimpleReplyMagic) {
        expect(Part::SimpleHead, kSimpleReplySize);
        return true;
      }
      if (!structured_ || load_be<u32>(head_.data()) != kStructuredReplyMagic) return false;
      expect(Part::StructuredHead, kStructuredReplySize);
      return true;
    case Part::SimpleHead:
      return simple_reply();
    case Part::StructuredHead:
      return structured_reply();
    case Part::DataHead: {
      const u64 offset = load_be<u64>(head_.data());
      if (offset < awaited_->offset) return false;
      return data_begins(offset - awaited_->offset, chunk_ - kDataHead);
    }
    case Part::HoleHead:
      return hole();
    case Part::ErrorHead: {
      const u32 error = load_be<u32>(head_.data());
      if (error == 0) return false;
      if (awaited_->error == 0) awaited_->error = error;
      if (chunk_ == kErrorHead) return chunk_ended();
      expect(Part::Skipped, chunk_ - kErrorHead);  // a message for people
      return true;
    }
    default:
      return false;
  }
}

bool Replies::simple_reply() {
  cookie_ = load_be<u64>(head_.data() + 8);
  awaited_ = requests_.find(cookie_);
  if (awaited_ == nullptr) return false;
  awaited_->error = load_be<u32>(head_.data() + 4);
  ends_ = true;
  if (awaited_->command != NBD_CMD_READ) return finish();
  // With structured replies agreed upon, data comes in chunks; an error may come like this of any request.
  if (awaited_->error != 0) return finish();
  if (structured_) return false;
  return data_begins(0, awaited_->length);
}

bool Replies::structured_reply() {
  flags_ = load_be<u16>(head_.data() + 4);
  type_ = load_be<u16>(head_.data() + 6);
  cookie_ = load_be<u64>(head_.data() + 8);
  chunk_ = load_be<u32>(head_.data() + 16);
  ends_ = (flags_ & NBD_REPLY_FLAG_DONE) != 0;
  awaited_ = requests_.find(cookie_);
  return awaited_ != nullptr && chunk_begins();
}

bool Replies::chunk_begins() {
  const bool read = awaited_->command == NBD_CMD_READ;
  switch (type_) {
    case NBD_REPLY_TYPE_NONE:
      return chunk_ == 0 && ends_ && chunk_ended();
    case NBD_REPLY_TYPE_OFFSET_DATA:
      if (!read || chunk_ <= kDataHead) return false;
      expect(Part::DataHead, kDataHead);
      return true;
    case NBD_REPLY_TYPE_OFFSET_HOLE:
      if (!read || chunk_ != kHoleHead) return false;
      expect(Part::HoleHead, kHoleHead);
      return true;
    default:
      // Kinds of errors to come begin as those that are there do.
      if ((type_ & kReplyTypeError) == 0 || chunk_ < kErrorHead || chunk_ > 2 * kMaxStringSize) return false;
      expect(Part::ErrorHead, kErrorHead);
      return true;
  }
}

bool Replies::hole() {
  const u64 offset = load_be<u64>(head_.data());
  const u32 length = load_be<u32>(head_.data() + 8);
  if (offset < awaited_->offset || length == 0) return false;
  const u64 at = offset - awaited_->offset;
  if (at > awaited_->length || length > awaited_->length - at) return false;
  if (length > awaited_->length - awaited_->received) return false;
  copy_to(awaited_->memory, at, nullptr, length);
  awaited_->received += length;
  return chunk_ended();
}

bool Replies::data_begins(u64 at, u64 length) {
  if (at > awaited_->length || length > awaited_->length - at) return false;
  if (length > awaited_->length - awaited_->received) return false;
  awaited_->received += static_cast<u32>(length);
  data_at_ = at;
  expect(Part::Data, length);
  return true;
}

bool Replies::chunk_ended() {
  if (ends_) return finish();
  awaited_ = nullptr;
  expect(Part::Magic, 4);
  return true;
}

bool Replies::finish() {
  // A read that went well has brought everything.
  if (awaited_->command == NBD_CMD_READ && awaited_->error == 0 && awaited_->received != awaited_->length) return false;
  awaited_ = nullptr;
  expect(Part::Magic, 4);
  requests_.replied(cookie_);
  return true;
}

}  // namespace vireo::block::nbd
