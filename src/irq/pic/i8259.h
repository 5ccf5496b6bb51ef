// One 8259A interrupt controller: the registers, without lock or wiring. Source: Intel 8259A data sheet (order 231468);
// the page numbers in i8259.cpp are its section names. The edge/level register is the PC chipsets' (ICH9 13.4.11).
//
// An edge is latched until it is acknowledged, also when the line falls before: devices may raise a pulse. On the chip
// a request that goes away becomes a spurious IR7 instead.
#pragma once

#include <optional>

#include "base/types.h"
#include "vm/state/archive.h"

namespace vireo::irq {

struct I8259State {
  u8 irr = 0;              ///< requests: edges not acknowledged yet, levels that are high
  u8 isr = 0;              ///< in service
  u8 imr = 0;              ///< masked
  u8 lines = 0;            ///< the inputs as they are
  u8 elcr = 0;             ///< 1: level triggered
  u8 vector_base = 0;      ///< ICW2, bits 7..3
  u8 lowest_priority = 7;  ///< input of lowest priority; the next one has the highest
  u8 next_icw = 0;         ///< 2, 3 or 4 while being initialised, else 0
  bool needs_icw4 = false, single = false;
  bool auto_eoi = false, rotate_on_auto_eoi = false;
  bool special_mask = false, special_fully_nested = false;
  bool read_isr = false, poll = false;
};
void fields(vm::Archive& ar, I8259State& s);

class I8259 {
 public:
  /// `cascade_mask`: inputs that another 8259 drives. `elcr_mask`: inputs whose ELCR bit can be set.
  I8259(u8 cascade_mask, u8 elcr_mask) : cascade_mask_(cascade_mask), elcr_mask_(elcr_mask) {}

  void set_line(unsigned input, bool level);
  /// The input that INT asks service for.
  std::optional<unsigned> request() const;
  /// INTA: `input` (from request()) goes into service. Its vector follows by vector_of.
  void acknowledge(unsigned input);
  u8 vector_of(unsigned input) const { return static_cast<u8>(state_.vector_base | input); }

  u8 read(bool data_port);
  void write(bool data_port, u8 value);
  u8 read_elcr() const { return state_.elcr; }
  void write_elcr(u8 value);

  /// Power-on; the lines keep their levels.
  void reset();
  const I8259State& state() const { return state_; }
  bool valid(const I8259State& state) const;
  void set_state(const I8259State& state) { state_ = state; }

 private:
  void write_icw1(u8 value);
  void write_icw(u8 value);
  void write_ocw2(u8 value);
  void write_ocw3(u8 value);
  unsigned highest(u8 inputs) const;
  unsigned rank(unsigned input) const { return (input + 7U - state_.lowest_priority) & 7; }
  std::optional<unsigned> in_service_for_eoi() const;

  const u8 cascade_mask_, elcr_mask_;
  I8259State state_;
};

}  // namespace vireo::irq
