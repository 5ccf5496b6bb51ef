#include "irq/pic/i8259.h"

#include "base/bits.h"

namespace vireo::irq {
namespace {

// OCW3 and ICW1 share the command port, told apart by bits 4 and 3.
constexpr u8 kIcw1 = 0x10, kOcw3 = 0x08;

constexpr u8 mask_of(unsigned input) { return static_cast<u8>(1U << input); }

}  // namespace

void fields(vm::Archive& ar, I8259State& s) {
  auto& [irr, isr, imr, lines, elcr, vector_base, lowest_priority, next_icw, needs_icw4, single, auto_eoi,
         rotate_on_auto_eoi, special_mask, special_fully_nested, read_isr, poll] = s;
  ar(irr, isr, imr, lines, elcr, vector_base, lowest_priority, next_icw, needs_icw4, single, auto_eoi,
     rotate_on_auto_eoi, special_mask, special_fully_nested, read_isr, poll);
}

bool I8259::valid(const I8259State& state) const {
  return (state.elcr & ~elcr_mask_) == 0 && (state.vector_base & 7) == 0 && state.lowest_priority < 8 &&
         (state.next_icw == 0 || (state.next_icw >= 2 && state.next_icw <= 4));
}

void I8259::reset() { state_ = {.lines = state_.lines}; }

void I8259::set_line(unsigned input, bool level) {
  const u8 mask = mask_of(input);
  // The cascade follows the slave: a request that the slave withdraws is none of the master's either.
  const bool follows = ((state_.elcr | cascade_mask_) & mask) != 0;
  const bool rising = level && !(state_.lines & mask);
  state_.lines = static_cast<u8>(level ? state_.lines | mask : state_.lines & ~mask);
  if (follows ? level : rising) state_.irr |= mask;
  if (follows && !level) state_.irr = static_cast<u8>(state_.irr & ~mask);
}

/// The input of highest priority among `inputs`, which is not empty.
unsigned I8259::highest(u8 inputs) const {
  unsigned input = (state_.lowest_priority + 1U) & 7;
  while (!(inputs & mask_of(input))) input = (input + 1) & 7;
  return input;
}

std::optional<unsigned> I8259::request() const {
  const u8 requests = static_cast<u8>(state_.irr & ~state_.imr);
  if (requests == 0) return std::nullopt;
  u8 blocking = state_.isr;
  if (state_.special_mask) blocking = static_cast<u8>(blocking & ~state_.imr);
  if (state_.special_fully_nested) blocking = static_cast<u8>(blocking & ~cascade_mask_);
  const unsigned input = highest(requests);
  if (blocking != 0 && rank(highest(blocking)) <= rank(input)) return std::nullopt;
  return input;
}

void I8259::acknowledge(unsigned input) {
  const u8 mask = mask_of(input);
  if (!((state_.elcr | cascade_mask_) & mask)) state_.irr = static_cast<u8>(state_.irr & ~mask);
  if (!state_.auto_eoi) {
    state_.isr |= mask;
  } else if (state_.rotate_on_auto_eoi) {
    state_.lowest_priority = static_cast<u8>(input);
  }
}

u8 I8259::read(bool data_port) {
  if (state_.poll) {  // the read is the acknowledge cycle
    state_.poll = false;
    const auto input = request();
    if (!input) return 0;
    acknowledge(*input);
    return static_cast<u8>(0x80 | *input);
  }
  if (data_port) return state_.imr;
  return state_.read_isr ? state_.isr : state_.irr;
}

void I8259::write(bool data_port, u8 value) {
  if (!data_port) {
    if (value & kIcw1) return write_icw1(value);
    if (value & kOcw3) return write_ocw3(value);
    return write_ocw2(value);
  }
  if (state_.next_icw != 0) return write_icw(value);
  state_.imr = value;
}

void I8259::write_elcr(u8 value) {
  state_.elcr = value & elcr_mask_;
  const u8 levels = static_cast<u8>(state_.irr & ~state_.elcr) | (state_.lines & state_.elcr);
  state_.irr = levels;
}

/// LTIM (bit 3) is replaced by the ELCR, ADI and the vector address bits belong to the 8085.
void I8259::write_icw1(u8 value) {
  const u8 follows = state_.elcr | cascade_mask_;
  state_ = {.irr = static_cast<u8>(state_.lines & follows),
            .lines = state_.lines,
            .elcr = state_.elcr,
            .vector_base = state_.vector_base,
            .next_icw = 2,
            .needs_icw4 = (value & 1) != 0,
            .single = (value & 2) != 0};
}

void I8259::write_icw(u8 value) {
  const u8 after = state_.needs_icw4 ? 4 : 0;
  switch (state_.next_icw) {
    case 2:
      state_.vector_base = value & 0xF8;
      state_.next_icw = state_.single ? after : 3;
      break;
    case 3:  // how the chips are cascaded: wired
      state_.next_icw = after;
      break;
    default:
      state_.special_fully_nested = (value & 0x10) != 0;
      state_.auto_eoi = (value & 0x02) != 0;
      state_.next_icw = 0;
      break;
  }
}

/// What a non-specific EOI ends. In special mask mode, masked inputs are passed over.
std::optional<unsigned> I8259::in_service_for_eoi() const {
  const u8 served = static_cast<u8>(state_.special_mask ? state_.isr & ~state_.imr : state_.isr);
  if (served == 0) return std::nullopt;
  return highest(served);
}

void I8259::write_ocw2(u8 value) {
  const bool rotate = (value & 0x80) != 0, specific = (value & 0x40) != 0, eoi = (value & 0x20) != 0;
  const auto level = static_cast<u8>(value & 7);
  if (!eoi) {
    if (specific && rotate) state_.lowest_priority = level;
    if (!specific) state_.rotate_on_auto_eoi = rotate;
    return;
  }
  const auto input = specific ? std::optional<unsigned>(level) : in_service_for_eoi();
  if (!input) return;
  state_.isr = static_cast<u8>(state_.isr & ~mask_of(*input));
  if (rotate) state_.lowest_priority = static_cast<u8>(*input);
}

void I8259::write_ocw3(u8 value) {
  if (value & 0x40) state_.special_mask = (value & 0x20) != 0;
  if (value & 0x04) state_.poll = true;
  if (value & 0x02) state_.read_isr = (value & 0x01) != 0;
}

}  // namespace vireo::irq
