#include "vhost/user/shared_ring.h"

#include "base/bytes.h"

namespace vireo::vhost::user {
namespace {

constexpr u16 NEXT = 1, WRITE = 2;     // virtq_desc flags
constexpr u16 NO_NOTIFY = 1;           // virtq_used flags
constexpr u64 Idx = 2, RingStart = 4;  // in virtq_avail and virtq_used

u16 load_shared(const u8* at) { return __atomic_load_n(reinterpret_cast<const u16*>(at), __ATOMIC_ACQUIRE); }
void store_shared(u8* at, u16 value) { __atomic_store_n(reinterpret_cast<u16*>(at), value, __ATOMIC_RELEASE); }

}  // namespace

SharedRing::SharedRing(u8* at) : at_(at) {
  for (u16 i = kSize; i > 0; --i) free_.push_back(static_cast<u16>(i - 1));
}

std::optional<u16> SharedRing::add(std::span<const Piece> readable, std::span<const Piece> writable) {
  const std::size_t count = readable.size() + writable.size();
  if (count == 0 || count > free_.size()) return std::nullopt;
  std::vector<u16> descriptors(free_.end() - static_cast<std::ptrdiff_t>(count), free_.end());
  free_.resize(free_.size() - count);
  u64 bytes = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const bool writes = i >= readable.size();
    const Piece& piece = writes ? writable[i - readable.size()] : readable[i];
    if (writes) bytes += piece.length;
    u8* descriptor = at_ + kDescriptors + 16 * descriptors[i];
    const bool last = i + 1 == count;
    store(descriptor, piece.address);
    store(descriptor + 8, piece.length);
    store(descriptor + 12, static_cast<u16>((writes ? WRITE : 0) | (last ? 0 : NEXT)));
    store(descriptor + 14, last ? u16{0} : descriptors[i + 1]);
  }
  const u16 head = descriptors[0];
  out_[head] = {.descriptors = std::move(descriptors), .writable = bytes};
  store(at_ + kAvailable + RingStart + 2 * (available_ % kSize), head);
  store_shared(at_ + kAvailable + Idx, ++available_);
  return head;
}

bool SharedRing::must_kick() {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  return (load_shared(at_ + kUsed) & NO_NOTIFY) == 0;
}

std::optional<Backend::Done> SharedRing::take() {
  if (broken_ || load_shared(at_ + kUsed + Idx) == used_) return std::nullopt;
  const u8* element = at_ + kUsed + RingStart + 8 * (used_ % kSize);
  const u32 id = load<u32>(element), written = load<u32>(element + 4);
  if (id >= kSize || out_[id].descriptors.empty() || written > out_[id].writable) {
    broken_ = true;
    return std::nullopt;
  }
  ++used_;
  auto& out = out_[id];
  free_.insert(free_.end(), out.descriptors.begin(), out.descriptors.end());
  out = {};
  return Backend::Done{.ticket = static_cast<u16>(id), .written = written};
}

}  // namespace vireo::vhost::user
