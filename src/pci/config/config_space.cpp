#include "pci/config/config_space.h"

#include <algorithm>
#include <cassert>

#include "base/bits.h"

namespace vireo::pci {
namespace {

struct State {
  std::vector<u8> bytes;
  static constexpr u16 kVersion = 1;
};
void fields(vm::Archive& ar, State& s) {
  auto& [bytes] = s;
  ar(bytes);
}

constexpr bool is_64bit(BarKind kind) { return kind == BarKind::Memory64 || kind == BarKind::PrefetchableMemory64; }

/// The low bits of a BAR (6.2.5.1).
constexpr u32 kind_bits(BarKind kind) {
  switch (kind) {
    case BarKind::Io:
      return 1;
    case BarKind::Memory32:
      return 0;
    case BarKind::Memory64:
      return 4;
    case BarKind::PrefetchableMemory64:
      return 12;
  }
  return 0;
}

}  // namespace

ConfigSpace::ConfigSpace(HeaderType type, const Identity& identity, u32 size)
    : bytes_(size), writable_(size), write_one_to_clear_(size), bar_count_(type == HeaderType::Device ? 6 : 2) {
  assert(size == kConventionalSize || size == kExpressSize);
  const auto allow = [&](u16 offset, auto mask) { store(&writable_[offset], mask); };
  set(reg::VendorId, identity.vendor);
  set(reg::DeviceId, identity.device);
  set(reg::RevisionId, u32{identity.class_code << 8 | identity.revision});
  set(reg::HeaderType, static_cast<u8>(raw(type) | (identity.multi_function ? kMultiFunction : 0)));
  set(reg::InterruptPin, identity.interrupt_pin);
  allow(reg::Command, command::kWritable);
  store(&write_one_to_clear_[reg::Status], status::kWriteOneToClear);
  allow(reg::CacheLineSize, u8{0xFF});
  allow(reg::InterruptLine, u8{0xFF});
  if (type == HeaderType::Device) {
    set(reg::SubsystemVendorId, identity.subsystem_vendor);
    set(reg::SubsystemId, identity.subsystem);
  } else {
    allow(reg::PrimaryBus, u32{0xFFFFFFFF});  // three bus numbers and the latency timer
    allow(reg::IoBase, u16{0xF0F0});
    set(reg::IoBase, u16{0x0101});  // 32-bit I/O addresses
    allow(reg::MemoryBase, u32{0xFFF0FFF0});
    allow(reg::PrefetchBase, u32{0xFFF0FFF0});
    set(reg::PrefetchBase, u32{0x00010001});  // 64-bit addresses
    for (const u16 offset : {reg::PrefetchBaseUpper, reg::PrefetchLimitUpper, reg::IoBaseUpper}) allow(offset, ~u32{0});
    allow(reg::BridgeControl, u16{0x007F});
    store(&write_one_to_clear_[reg::SecondaryStatus], status::kWriteOneToClear);
  }
  remember();
}

void ConfigSpace::remember() { initial_ = bytes_; }

void ConfigSpace::add_bar(unsigned index, BarKind kind, u64 size) {
  const u64 smallest = kind == BarKind::Io ? 4 : 16;
  assert(index + (is_64bit(kind) ? 1 : 0) < bar_count_ && (size & (size - 1)) == 0 && size >= smallest);
  assert(is_64bit(kind) || size <= 2 * kGiB);
  const u16 offset = static_cast<u16>(reg::BaseAddress0 + 4 * index);
  const u64 mask = ~(size - 1);
  store(&writable_[offset], static_cast<u32>(mask));
  if (is_64bit(kind)) store(&writable_[offset + 4u], static_cast<u32>(mask >> 32));
  set(offset, kind_bits(kind));
  bars_.push_back({index, kind, size});
  remember();
}

u16 ConfigSpace::add_capability(u8 id, std::span<const u8> body, std::span<const u8> writable) {
  const u16 length = static_cast<u16>(2 + body.size());
  const u16 at = next_capability_;
  assert(at + length <= kConventionalSize && (writable.empty() || writable.size() == body.size()));
  next_capability_ = static_cast<u16>(align_up(at + length, 4));
  set(at, id);
  std::ranges::copy(body, bytes_.begin() + at + 2);
  std::ranges::copy(writable, writable_.begin() + at + 2);
  set(last_capability_ == 0 ? reg::CapabilitiesPointer : static_cast<u16>(last_capability_ + 1), static_cast<u8>(at));
  set(reg::Status, static_cast<u16>(get<u16>(reg::Status) | status::CapabilitiesList));
  last_capability_ = at;
  remember();
  return at;
}

u16 ConfigSpace::add_extended_capability(u16 id, u8 version, std::span<const u8> body, std::span<const u8> writable) {
  const u16 length = static_cast<u16>(4 + body.size());
  const u16 at = next_extended_;
  assert(at + length <= bytes_.size() && (writable.empty() || writable.size() == body.size()));
  next_extended_ = static_cast<u16>(align_up(at + length, 4));
  set(at, u32{id} | u32{version} << 16);
  std::ranges::copy(body, bytes_.begin() + at + 4);
  std::ranges::copy(writable, writable_.begin() + at + 4);
  if (last_extended_ != 0) set(last_extended_, get<u32>(last_extended_) | u32{at} << 20);
  last_extended_ = at;
  remember();
  return at;
}

u32 ConfigSpace::read(u16 offset, u8 size) const {
  u32 value = 0;
  for (u8 i = 0; i < size && i < 4; ++i) {
    const u32 at = u32{offset} + i;
    value |= u32{at < bytes_.size() ? bytes_[at] : u8{0xFF}} << (8 * i);
  }
  return value;
}

void ConfigSpace::write(u16 offset, u8 size, u32 value) {
  for (u8 i = 0; i < size && i < 4; ++i) {
    const u32 at = u32{offset} + i;
    if (at >= bytes_.size()) return;
    const u8 byte = static_cast<u8>(value >> (8 * i));
    const u8 kept = static_cast<u8>(bytes_[at] & ~(byte & write_one_to_clear_[at]) & ~writable_[at]);
    bytes_[at] = static_cast<u8>(kept | (byte & writable_[at]));
  }
}

std::vector<ConfigSpace::Range> ConfigSpace::decoded() const {
  std::vector<Range> ranges;
  for (const auto& bar : bars_) {
    if (!enabled(bar.kind == BarKind::Io ? command::IoSpace : command::MemorySpace)) continue;
    const u16 offset = static_cast<u16>(reg::BaseAddress0 + 4 * bar.index);
    u64 base = get<u32>(offset);
    if (is_64bit(bar.kind)) base |= u64{get<u32>(static_cast<u16>(offset + 4))} << 32;
    base &= ~(bar.size - 1);
    const u64 space = bar.kind == BarKind::Io ? 0x10000 : is_64bit(bar.kind) ? u64{1} << 52 : 4 * kGiB;
    if (base == 0 || base >= space || bar.size > space - base) continue;
    ranges.push_back({bar.index, bar.kind, base, bar.size});
  }
  return ranges;
}

void ConfigSpace::reset() { bytes_ = initial_; }

vm::StateRecord ConfigSpace::save(std::string name) const { return vm::save_fields(std::move(name), State{bytes_}); }

Result<> ConfigSpace::load_record(const vm::StateRecord& record) {
  State state;
  TRY(vm::load_fields(record, state));
  if (state.bytes.size() != bytes_.size() ||
      !std::equal(state.bytes.begin(), state.bytes.begin() + reg::Command, bytes_.begin())) {
    return fail(ErrorKind::Usage, "state of '{}' belongs to another kind of PCI device", record.name);
  }
  for (std::size_t i = 0; i < bytes_.size(); ++i) {
    const u8 mask = writable_[i] | write_one_to_clear_[i];
    bytes_[i] = static_cast<u8>((bytes_[i] & ~mask) | (state.bytes[i] & mask));
  }
  return {};
}

}  // namespace vireo::pci
