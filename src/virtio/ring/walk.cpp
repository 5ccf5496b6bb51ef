#include "virtio/ring/walk.h"

#include <atomic>

#include "base/bytes.h"

namespace vireo::virtio {
namespace {

/// Chains are no longer than this (2.7.4: 2^32 bytes).
constexpr u64 kMaxBytes = 0xFFFFFFFF;

struct Raw {
  u64 addr, rest;
};
Raw copy(const u8* at) {
  const Raw raw = load<Raw>(at);                        // tables have any alignment (2.7.5.3)
  std::atomic_signal_fence(std::memory_order_seq_cst);  // the compiler must not look there again
  return raw;
}

}  // namespace

Descriptor copy_split(const u8* at) {
  const Raw raw = copy(at);
  return {.addr = raw.addr,
          .len = static_cast<u32>(raw.rest),
          .flags = static_cast<u16>(raw.rest >> 32),
          .next_or_id = static_cast<u16>(raw.rest >> 48)};
}

Descriptor copy_packed(const u8* at) {
  const Raw raw = copy(at);
  return {.addr = raw.addr,
          .len = static_cast<u32>(raw.rest),
          .flags = static_cast<u16>(raw.rest >> 48),
          .next_or_id = static_cast<u16>(raw.rest >> 32)};
}

bool Walk::add_piece(const Descriptor& descriptor) {
  const bool writable = (descriptor.flags & desc::WRITE) != 0;
  if (writing_ && !writable) return false;  // 2.7.4.2: readable ones come first
  writing_ = writable;
  if (descriptor.len == 0) return true;
  u8* at = memory_.at(descriptor.addr, descriptor.len);
  if (at == nullptr || chain_.readable.size() + chain_.writable.size() + descriptor.len > kMaxBytes) return false;
  (writable ? chain_.writable : chain_.readable).append(at, descriptor.len);
  return true;
}

bool Walk::add_table(const Descriptor& table, bool split_table) {
  const u32 entries = table.len / static_cast<u32>(kDescriptorSize);
  if (table.len % kDescriptorSize != 0 || entries == 0 || entries > kMaxIndirect) return false;
  const u8* at = memory_.at(table.addr, table.len);
  if (at == nullptr) return false;
  u32 index = 0;
  for (u32 seen = 0; seen < entries; ++seen) {
    const Descriptor entry =
        split_table ? copy_split(at + index * kDescriptorSize) : copy_packed(at + index * kDescriptorSize);
    if ((entry.flags & desc::INDIRECT) != 0 || !add_piece(entry)) return false;
    if (!split_table) {  // all of them, in order (2.8.7)
      ++index;
      continue;
    }
    if ((entry.flags & desc::NEXT) == 0) return true;
    index = entry.next_or_id;
    if (index >= entries) return false;
  }
  return !split_table;  // a linked table that has not ended by now is a loop
}

Walk::Step Walk::add(const Descriptor& descriptor, bool split_table) {
  if ((descriptor.flags & desc::INDIRECT) != 0) {
    const bool good = indirect_allowed_ && (descriptor.flags & desc::NEXT) == 0 && add_table(descriptor, split_table);
    return good ? Step::End : Step::Bad;
  }
  if (!add_piece(descriptor)) return Step::Bad;
  return (descriptor.flags & desc::NEXT) != 0 ? Step::More : Step::End;
}

}  // namespace vireo::virtio
