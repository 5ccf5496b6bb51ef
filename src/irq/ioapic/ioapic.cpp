#include "irq/ioapic/ioapic.h"

#include "base/bits.h"

namespace vireo::irq {
namespace {

// Offsets in the page and indices behind IOREGSEL.
constexpr u64 IOREGSEL = 0x00, IOWIN = 0x10, EOIR = 0x40;
constexpr u8 IOAPICID = 0x00, IOAPICVER = 0x01, IOAPICARB = 0x02, IOREDTBL = 0x10;

constexpr u32 kVersion = 0x20 | (IoApic::kPins - 1) << 16;

// A redirection entry.
constexpr u64 kVector = 0xFF, kDeliveryMode = 7 << 8, kLogical = bit(11), kRemoteIrr = bit(14), kLevel = bit(15),
              kMasked = bit(16);
constexpr u64 kDefined = 0xFF00'0000'0001'EFFF;  // delivery status (12) is never busy

/// SDM 3A 11.11: the destination and its mode are in the address, the rest in the data.
IoApic::Route route_of(u64 entry) {
  vm::MsiMessage message{.address = 0xFEE00000 | bits(entry, 56, 8) << 12 | ((entry & kLogical) ? bit(2) : 0),
                         .data = static_cast<u32>(entry & (kVector | kDeliveryMode))};
  const bool level = (entry & kLevel) != 0;
  if (level) message.data |= u32{1} << 15 | u32{1} << 14;  // level, assert
  return {.message = message, .level = level, .masked = (entry & kMasked) != 0};
}

}  // namespace

void fields(vm::Archive& ar, IoApicState& s) {
  auto& [select, id, lines, entry] = s;
  ar(select, id, lines, entry);
}

IoApic::IoApic(vm::MsiSink& sink, OnRoute on_route) : sink_(sink), on_route_(std::move(on_route)) {
  for (unsigned pin = 0; pin < kPins; ++pin) pins_[pin].attach(*this, pin);
  state_.entry.fill(kMasked);
}

std::array<IoApic::Route, IoApic::kPins> IoApic::routes() const {
  const std::lock_guard lock(mutex_);
  std::array<Route, kPins> routes;
  for (unsigned pin = 0; pin < kPins; ++pin) routes[pin] = route_of(state_.entry[pin]);
  return routes;
}

// --- Interrupts
// --------------------------------------------------------------------------------------------------------------

void IoApic::set_pin(unsigned pin, bool level) {
  const std::lock_guard lock(mutex_);
  const u32 mask = u32{1} << pin;
  const bool rising = level && !(state_.lines & mask);
  state_.lines = level ? state_.lines | mask : state_.lines & ~mask;
  if (state_.entry[pin] & kLevel) {
    send_if_level(pin);
  } else if (rising && !(state_.entry[pin] & kMasked)) {  // an edge on a masked pin is lost, as on the chip
    send(pin);
  }
}

void IoApic::send(unsigned pin) {
  if (state_.entry[pin] & kLevel) state_.entry[pin] |= kRemoteIrr;
  sink_.send(route_of(state_.entry[pin]).message);
}

void IoApic::send_if_level(unsigned pin) {
  const bool high = (state_.lines & u32{1} << pin) != 0;
  if (high && (state_.entry[pin] & (kLevel | kMasked | kRemoteIrr)) == kLevel) send(pin);
}

void IoApic::end_of_interrupt(u8 vector) {
  for (unsigned pin = 0; pin < kPins; ++pin) {
    u64& entry = state_.entry[pin];
    if ((entry & (kLevel | kRemoteIrr)) != (kLevel | kRemoteIrr) || (entry & kVector) != vector) continue;
    entry &= ~kRemoteIrr;
    send_if_level(pin);
  }
}

void IoApic::eoi(u8 vector) {
  const std::lock_guard lock(mutex_);
  end_of_interrupt(vector);
}

// --- Registers
// ---------------------------------------------------------------------------------------------------------------

u32 IoApic::read_register() const {
  switch (state_.select) {
    case IOAPICID:
    case IOAPICARB:
      return u32{state_.id} << 24;
    case IOAPICVER:
      return kVersion;
    default:
      break;
  }
  if (state_.select < IOREDTBL || state_.select >= IOREDTBL + 2 * kPins) return 0;
  const u64 entry = state_.entry[(state_.select - IOREDTBL) / 2U];
  return static_cast<u32>(state_.select & 1 ? entry >> 32 : entry);
}

void IoApic::write_register(u32 value) {
  if (state_.select == IOAPICID) state_.id = bits(value, 24, 4) & 0xF;
  if (state_.select < IOREDTBL || state_.select >= IOREDTBL + 2 * kPins) return;
  const unsigned pin = (state_.select - IOREDTBL) / 2U;
  const u64 old = state_.entry[pin];
  const u64 entry = state_.select & 1 ? (old & 0xFFFFFFFF) | u64{value} << 32 : (old & ~u64{0xFFFFFFFF}) | value;
  write_entry(pin, (entry & kDefined & ~kRemoteIrr) | (old & kRemoteIrr));
}

void IoApic::write_entry(unsigned pin, u64 value) {
  // Software that has no EOI register clears Remote IRR by going through edge mode.
  if (!(value & kLevel)) value &= ~kRemoteIrr;
  const bool changed = route_of(value) != route_of(state_.entry[pin]);
  state_.entry[pin] = value;
  if (changed && on_route_) on_route_(pin, route_of(value));
  send_if_level(pin);
}

/// Registers are 32 bits wide; a narrower access reads or writes the low part, a wider one the register and zeros.
u64 IoApic::mmio_read(u64 offset, u8 size) {
  const std::lock_guard lock(mutex_);
  switch (offset) {
    case IOREGSEL:
      return state_.select;
    case IOWIN:
      return read_register() & mask_for_size(size);
    default:
      return 0;
  }
}

void IoApic::mmio_write(u64 offset, u8 size, u64 value) {
  const auto word = static_cast<u32>(value & mask_for_size(size));
  const std::lock_guard lock(mutex_);
  switch (offset) {
    case IOREGSEL:
      state_.select = static_cast<u8>(word);
      break;
    case IOWIN:
      write_register(word);
      break;
    case EOIR:
      end_of_interrupt(static_cast<u8>(word));
      break;
    default:
      break;
  }
}

// --- State
// -------------------------------------------------------------------------------------------------------------------

void IoApic::replace(const IoApicState& state) {
  const std::lock_guard lock(mutex_);
  for (unsigned pin = 0; pin < kPins; ++pin) {
    const bool changed = route_of(state.entry[pin]) != route_of(state_.entry[pin]);
    if (changed && on_route_) on_route_(pin, route_of(state.entry[pin]));
  }
  state_ = state;
}

void IoApic::reset() {
  IoApicState state;
  state.entry.fill(kMasked);
  {
    const std::lock_guard lock(mutex_);
    state.lines = state_.lines;
  }
  replace(state);
}

vm::StateRecord IoApic::save() const {
  const std::lock_guard lock(mutex_);
  return vm::save_fields("ioapic", state_);
}

Result<> IoApic::load(const vm::StateRecord& record) {
  IoApicState state;
  TRY(vm::load_fields(record, state));
  bool valid = state.id < 16 && state.lines < u32{1} << kPins;
  for (const u64 entry : state.entry) {
    valid = valid && (entry & ~kDefined) == 0 && ((entry & kLevel) || !(entry & kRemoteIrr));
  }
  if (!valid) return fail(ErrorKind::Usage, "state of '{}' is corrupt", record.name);
  replace(state);
  return {};
}

}  // namespace vireo::irq
