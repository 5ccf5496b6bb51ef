#include "pci/msix/msix.h"

#include <algorithm>
#include <array>
#include <cassert>

#include "base/bytes.h"

namespace vireo::pci {
namespace {

using namespace msix;

u16 add_capability(ConfigSpace& config, unsigned vectors, const Msix::Place& place) {
  assert(vectors >= 1 && vectors <= kMaxVectors && (place.table | place.pending) % 8 == 0 && place.bar < 6);
  std::array<u8, kBodySize> body{}, writable{};
  store(&body[MessageControl - 2], static_cast<u16>(vectors - 1));
  store(&body[TableOffset - 2], place.table | place.bar);
  store(&body[PbaOffset - 2], place.pending | place.bar);
  store(&writable[MessageControl - 2], static_cast<u16>(message_control::FunctionMask | message_control::Enable));
  return config.add_capability(kCapabilityId, body, writable);
}

bool whole_words(u64 offset, u8 size) { return offset % size == 0 && (size == 4 || size == 8); }

}  // namespace

Msix::Msix(ConfigSpace& config, unsigned vectors, const Place& place, vm::MsiSink& sink)
    : control_offset_(static_cast<u16>(add_capability(config, vectors, place) + MessageControl)),
      sink_(sink),
      entries_(vectors) {}

u32& Msix::Entry::word(u64 offset) {
  switch (offset % kEntrySize) {
    case MessageAddress:
      return address;
    case MessageUpperAddress:
      return upper_address;
    case MessageData:
      return data;
    default:
      return control;
  }
}

void Msix::configure(const ConfigSpace& config) {
  const u16 control = config.get<u16>(control_offset_);
  const std::lock_guard lock(mutex_);
  enabled_ = (control & message_control::Enable) != 0;
  may_send_ = enabled_ && config.enabled(command::BusMaster);
  all_masked_ = (control & message_control::FunctionMask) != 0;
  for (auto& entry : entries_) send_pending(entry);
}

bool Msix::enabled() const {
  const std::lock_guard lock(mutex_);
  return enabled_;
}

void Msix::notify(unsigned vector) {
  const std::lock_guard lock(mutex_);
  if (!may_send_ || vector >= entries_.size()) return;
  entries_[vector].pending = true;
  send_pending(entries_[vector]);
}

void Msix::send_pending(Entry& entry) {
  if (!entry.pending || !may_send_ || all_masked_ || (entry.control & kVectorMask) != 0) return;
  entry.pending = false;
  sink_.send({.address = u64{entry.upper_address} << 32 | entry.address, .data = entry.data});
}

u64 Msix::read_table(u64 offset, u8 size) const {
  if (!whole_words(offset, size) || offset + size > table_size()) return 0;
  const std::lock_guard lock(mutex_);
  Entry entry = entries_[offset / kEntrySize];
  u64 value = entry.word(offset);
  if (size == 8) value |= u64{entry.word(offset + 4)} << 32;
  return value;
}

void Msix::write_table(u64 offset, u8 size, u64 value) {
  if (!whole_words(offset, size) || offset + size > table_size()) return;
  const std::lock_guard lock(mutex_);
  set_word(offset, static_cast<u32>(value));
  if (size == 8) set_word(offset + 4, static_cast<u32>(value >> 32));
}

void Msix::set_word(u64 offset, u32 value) {
  Entry& entry = entries_[offset / kEntrySize];
  if (offset % kEntrySize == VectorControl) value &= kVectorMask;
  if (offset % kEntrySize == MessageAddress) value &= ~u32{3};
  entry.word(offset) = value;
  if (offset % kEntrySize == VectorControl) send_pending(entry);
}

u64 Msix::read_pending(u64 offset, u8 size) const {
  if (!whole_words(offset, size) || offset + size > pending_size()) return 0;
  const std::lock_guard lock(mutex_);
  u64 value = 0;
  for (u64 bit = 0; bit < size * 8u; ++bit) {
    const u64 vector = offset * 8 + bit;
    if (vector < entries_.size() && entries_[vector].pending) value |= u64{1} << bit;
  }
  return value;
}

void Msix::reset() {
  const std::lock_guard lock(mutex_);
  std::ranges::fill(entries_, Entry{});
}

Msix::State Msix::state() const {
  const std::lock_guard lock(mutex_);
  State state;
  for (const auto& entry : entries_) {
    for (const u32 word : {entry.address, entry.upper_address, entry.data, entry.control}) state.table.push_back(word);
    state.pending.push_back(entry.pending ? 1 : 0);
  }
  return state;
}

bool Msix::fits(const State& state) const {
  if (state.table.size() != entries_.size() * 4 || state.pending.size() != entries_.size()) return false;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (state.pending[i] > 1 || (state.table[4 * i] & 3) != 0 || state.table[4 * i + 3] > kVectorMask) return false;
  }
  return true;
}

void Msix::restore(const State& state) {
  assert(fits(state));
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const u32* words = &state.table[4 * i];
    entries_[i] = {words[0], words[1], words[2], words[3], state.pending[i] == 1};
  }
}

}  // namespace vireo::pci
