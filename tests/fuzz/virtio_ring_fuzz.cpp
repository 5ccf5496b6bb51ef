// A driver that writes anything into its virtqueue at any moment, for both kinds of ring.
#include <array>
#include <cstdlib>
#include <deque>

#include "base/bytes.h"
#include "virtio/ring/ring.h"

using namespace vireo;

namespace {

constexpr u64 kSize = 0x10000, kHighGpa = 0x100000, kRing = 0x1000, kDriver = 0x2000, kDevice = 0x3000;

void check_pieces(const vm::GuestMemory& memory, const virtio::Pieces& pieces) {
  u64 total = 0;
  for (const auto& piece : pieces.iovecs()) {
    const auto* at = static_cast<const u8*>(piece.iov_base);
    if (piece.iov_len == 0 || at < memory.base() || piece.iov_len > memory.size() ||
        static_cast<u64>(at - memory.base()) > memory.size() - piece.iov_len) {
      std::abort();
    }
    total += piece.iov_len;
  }
  if (total != pieces.size() || total > 0xFFFFFFFF) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, std::size_t size) {
  static auto memory = *vm::GuestMemory::create(
      {{.gpa = 0, .size = kSize, .offset = 0}, {.gpa = kHighGpa, .size = kSize, .offset = kSize}});
  memory.clear();
  ByteReader in(std::span(data, size));
  const u8 kind = in.take<u8>();
  const u64 features = ((kind & 1) != 0 ? virtio::feature::RING_PACKED : 0) |
                       ((kind & 2) != 0 ? virtio::feature::EVENT_IDX : 0) |
                       ((kind & 4) != 0 ? 0 : virtio::feature::INDIRECT_DESC);
  const u16 queue_size = (kind & 8) != 0 ? in.take<u8>() : u16{8};
  const virtio::RingPosition start{.index = in.take<u8>(), .wrap = (kind & 16) != 0};
  auto ring = virtio::make_ring(memory, {queue_size, kRing, kDriver, kDevice}, features, start);
  if (!ring) return 0;
  std::deque<virtio::Chain> out;
  while (in.remaining() != 0) {
    const u8 op = in.take<u8>();
    switch (op & 7) {
      case 0: {
        virtio::Chain chain;
        const auto popped = ring->pop(chain);
        if (popped == virtio::Ring::Popped::Broken) return 0;
        if (popped == virtio::Ring::Popped::Nothing) break;
        check_pieces(memory, chain.readable);
        check_pieces(memory, chain.writable);
        if (ring->out() > queue_size) std::abort();
        std::array<u8, 32> bytes{};
        virtio::Chain copy = chain;
        if (op & 8) copy.readable.take(bytes.data(), op >> 4);
        if (op & 8) copy.writable.put(memory, bytes.data(), op >> 4);
        if (op & 8) copy.writable.take_last();
        check_pieces(memory, copy.readable);
        check_pieces(memory, copy.writable);
        out.push_back(std::move(chain));
        break;
      }
      case 1: {
        std::vector<virtio::Used> used;
        for (unsigned i = 0; i <= unsigned{op} >> 4 && !out.empty(); ++i) {
          const bool back = (op & 8) != 0;
          used.emplace_back(back ? out.back() : out.front(), op);
          back ? out.pop_back() : out.pop_front();
        }
        if (!used.empty()) ring->push(used);
        break;
      }
      case 2:
        if (out.empty()) break;
        ring->undo(out.back());
        out.pop_back();
        break;
      case 3:
        if (op & 8) {
          ring->disable_notifications();
        } else {
          ring->enable_notifications();
        }
        break;
      default: {  // the driver writes: mostly into the ring
        const u64 area = std::array<u64, 4>{kRing, kDriver, kDevice, 0}[op >> 4 & 3];
        const u64 value = in.take<u64>();
        memory.write(area + in.take<u8>(), &value, u64{1} << (op >> 6 & 3));
      }
    }
  }
  if (out.empty()) {
    const auto at = ring->position();
    if (!virtio::make_ring(memory, {queue_size, kRing, kDriver, kDevice}, features, at)) std::abort();
  }
  return 0;
}
