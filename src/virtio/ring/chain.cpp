#include "virtio/ring/chain.h"

#include <algorithm>
#include <atomic>
#include <cstring>

namespace vireo::virtio {

void Pieces::clear() {
  list_.clear();
  first_ = 0;
  size_ = 0;
}

void Pieces::append(u8* at, u64 length) {
  if (length == 0) return;
  list_.push_back({at, length});
  size_ += length;
}

template <class Visit>
void Pieces::visit_front(u64 length, Visit visit) {
  size_ -= length;
  while (length != 0) {
    iovec& piece = list_[first_];
    const u64 now = std::min<u64>(length, piece.iov_len);
    auto* at = static_cast<u8*>(piece.iov_base);
    visit(at, now);
    piece = {at + now, piece.iov_len - now};
    if (piece.iov_len == 0) ++first_;
    length -= now;
  }
}

bool Pieces::take(void* to, u64 length) {
  if (length > size_) return false;
  visit_front(length, [out = static_cast<u8*>(to)](const u8* at, u64 count) mutable {
    std::memcpy(out, at, count);
    out += count;
  });
  std::atomic_signal_fence(std::memory_order_seq_cst);  // the compiler must not look there again
  return true;
}

bool Pieces::put(vm::GuestMemory& memory, const void* from, u64 length) {
  if (length > size_) return false;
  visit_front(length, [&memory, in = static_cast<const u8*>(from)](u8* at, u64 count) mutable {
    std::memcpy(at, in, count);
    memory.note_write(static_cast<u64>(at - memory.base()), count);
    in += count;
  });
  return true;
}

void Pieces::drop(u64 length) {
  visit_front(std::min(length, size_), [](const u8*, u64) {});
}

u8* Pieces::take_last() {
  if (size_ == 0) return nullptr;
  iovec& last = list_.back();
  u8* at = static_cast<u8*>(last.iov_base) + --last.iov_len;
  if (last.iov_len == 0) list_.pop_back();
  --size_;
  return at;
}

void note_written(vm::GuestMemory& memory, std::span<const iovec> pieces, u64 length) {
  for (const auto& piece : pieces) {
    const u64 now = std::min<u64>(length, piece.iov_len);
    memory.note_write(static_cast<u64>(static_cast<u8*>(piece.iov_base) - memory.base()), now);
    length -= now;
  }
}

void Chain::clear() {
  id = 0;
  descriptors = 0;
  readable.clear();
  writable.clear();
}

}  // namespace vireo::virtio
