#include "support/ring_driver.h"

#include <cassert>
#include <cstdlib>

#include "base/bytes.h"

namespace vireo::test {
namespace {
constexpr u16 kNext = 1, kWrite = 2, kIndirect = 4;
}

RingDriver::RingDriver(vm::GuestMemory& memory, u64 gpa, u16 size, u64 features)
    : memory_(memory), gpa_(gpa), size_(size), features_(features), free_(size) {
  const std::vector<u8> zeroes(kArea);
  memory.write(gpa, zeroes.data(), zeroes.size());
  for (u16 i = 0; i < size; ++i) free_list_.push_back(static_cast<u16>(size - 1 - i));
}

template <class T>
T RingDriver::get(u64 gpa) const {
  T value{};
  if (!memory_.read(gpa, &value, sizeof value)) std::abort();
  return value;
}
template <class T>
void RingDriver::put(u64 gpa, T value) {
  static_cast<void>(memory_.write(gpa, &value, sizeof value));  // tests put tables where no RAM is
}

virtio::RingPlace RingDriver::place() const {
  return {.size = size_, .descriptor = gpa_, .driver = available_area(), .device = used_area()};
}

u16 RingDriver::add(std::span<const Piece> pieces, u64 table) {
  return packed() ? add_packed(pieces, table) : add_split(pieces, table);
}

u16 RingDriver::add_split(std::span<const Piece> pieces, u64 table) {
  const std::size_t slots = table != 0 ? 1 : pieces.size();
  assert(free_ >= slots);
  std::vector<u16> taken;
  for (std::size_t i = 0; i < slots; ++i) {
    taken.push_back(free_list_.back());
    free_list_.pop_back();
  }
  free_ -= static_cast<unsigned>(slots);
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const bool last = i + 1 == pieces.size();
    const u64 at = table != 0 ? table + 16 * i : gpa_ + 16 * taken[i];
    put(at, pieces[i].gpa);
    put(at + 8, pieces[i].length);
    put(at + 12, static_cast<u16>((last ? 0 : kNext) | (pieces[i].writable ? kWrite : 0)));
    put(at + 14, static_cast<u16>(last ? 0 : table != 0 ? i + 1 : taken[i + 1]));
  }
  const u16 head = taken[0];
  if (table != 0) {
    put(gpa_ + 16 * head, table);
    put(gpa_ + 16 * head + 8, static_cast<u32>(16 * pieces.size()));
    put(gpa_ + 16 * head + 12, kIndirect);
  }
  put(available_area() + 4 + 2 * (available_ % size_), head);
  put(available_area() + 2, ++available_);
  out_[head] = std::move(taken);
  return head;
}

u16 RingDriver::add_packed(std::span<const Piece> pieces, u64 table) {
  const std::size_t slots = table != 0 ? 1 : pieces.size();
  assert(free_ >= slots);
  const u16 id = free_list_.back();
  free_list_.pop_back();
  free_ -= static_cast<unsigned>(slots);
  if (table != 0) {
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      put(table + 16 * i, pieces[i].gpa);
      put(table + 16 * i + 8, pieces[i].length);
      put(table + 16 * i + 14, static_cast<u16>(pieces[i].writable ? kWrite : 0));
    }
  }
  u64 first = 0;
  u16 first_flags = 0;
  for (std::size_t i = 0; i < slots; ++i) {
    const u64 at = gpa_ + 16 * available_;
    const bool last = i + 1 == slots;
    put(at, table != 0 ? table : pieces[i].gpa);
    put(at + 8, table != 0 ? static_cast<u32>(16 * pieces.size()) : pieces[i].length);
    put(at + 12, id);
    const u16 flags = static_cast<u16>(packed_flags(available_wrap_) | (table != 0 ? kIndirect : 0) |
                                       (last ? 0 : kNext) | (table == 0 && pieces[i].writable ? kWrite : 0));
    if (i == 0) {
      first = at + 14, first_flags = flags;
    } else {
      put(at + 14, flags);
    }
    if (++available_ == size_) available_ = 0, available_wrap_ = !available_wrap_;
  }
  put(first, first_flags);
  added_ = static_cast<u16>(added_ + slots);
  out_[id] = std::vector<u16>(slots);
  return id;
}

bool RingDriver::must_notify() {
  if (!packed()) {
    const u16 before = std::exchange(told_, available_);
    if (!event_index()) return available_ != before && (get<u16>(used_area()) & 1) == 0;
    const u16 event = get<u16>(used_area() + 4 + 8 * size_);
    return static_cast<u16>(available_ - event - 1) < static_cast<u16>(available_ - before);
  }
  const u16 added = std::exchange(added_, u16{0});
  const u16 flags = get<u16>(used_area() + 2);
  if (flags != 2) return added != 0 && flags == 0;
  const u16 event = get<u16>(used_area());
  const bool same_round = (event >> 15 != 0) == available_wrap_;
  const u16 offset = static_cast<u16>((event & 0x7FFF) - (same_round ? 0 : size_));
  return static_cast<u16>(available_ - offset - 1) < added;
}

std::optional<RingDriver::Used> RingDriver::take_used() {
  Used used;
  if (!packed()) {
    if (get<u16>(used_area() + 2) == used_) return {};
    const u64 at = used_area() + 4 + 8 * (used_ % size_);
    used = {.id = static_cast<u16>(get<u32>(at)), .written = get<u32>(at + 4)};
    ++used_;
  } else {
    const u64 at = gpa_ + 16 * used_;
    const u16 flags = get<u16>(at + 14);
    if (((flags & 0x80) != 0) != used_wrap_ || ((flags & 0x8000) != 0) != used_wrap_) return {};
    used = {.id = get<u16>(at + 12), .written = get<u32>(at + 8)};
  }
  const auto entry = out_.find(used.id);
  if (entry == out_.end()) std::abort();  // the device gave back what it did not have
  const std::size_t slots = entry->second.size();
  if (packed()) {
    used_ = static_cast<u16>(used_ + slots);
    if (used_ >= size_) used_ = static_cast<u16>(used_ - size_), used_wrap_ = !used_wrap_;
    free_list_.push_back(used.id);
  } else {
    free_list_.insert(free_list_.end(), entry->second.begin(), entry->second.end());
  }
  free_ += static_cast<unsigned>(slots);
  out_.erase(entry);
  return used;
}

void RingDriver::want_interrupts(bool on, u16 later) {
  if (!packed()) {
    put(available_area(), static_cast<u16>(on ? 0 : 1));
    // "Off" is an index that was passed already.
    if (event_index()) put(available_area() + 4 + 2 * size_, static_cast<u16>(on ? used_ + later : used_ - 1));
    return;
  }
  u16 at = static_cast<u16>(used_ + later);
  bool wrap = used_wrap_;
  if (at >= size_) at = static_cast<u16>(at - size_), wrap = !wrap;
  put(available_area(), static_cast<u16>(at | (wrap ? 0x8000 : 0)));
  put(available_area() + 2, static_cast<u16>(!on ? 1 : event_index() ? 2 : 0));
}

}  // namespace vireo::test
