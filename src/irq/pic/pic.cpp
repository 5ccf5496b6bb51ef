#include "irq/pic/pic.h"

#include "base/bits.h"

namespace vireo::irq {
namespace {

constexpr unsigned kSpurious = 7;

}  // namespace

void fields(vm::Archive& ar, PicState& s) {
  auto& [chip] = s;
  ar(chip);
}

Pic::Pic(std::function<void(bool level)> on_intr) : on_intr_(std::move(on_intr)) {
  for (unsigned irq = 0; irq < kLines; ++irq) lines_[irq].attach(*this, irq);
}

bool Pic::propagate() {
  master_.set_line(kCascade, slave_.request().has_value());
  const bool level = master_.request().has_value();
  return intr_.exchange(level, std::memory_order_acq_rel) != level;
}

void Pic::set_line(unsigned irq, bool level) {
  if (irq == kCascade) return;
  bool changed = false;
  {
    const std::lock_guard lock(mutex_);
    (irq < 8 ? master_ : slave_).set_line(irq & 7, level);
    changed = propagate();
  }
  notify(changed);
}

u8 Pic::acknowledge() {
  u8 vector = 0;
  bool changed = false;
  {
    const std::lock_guard lock(mutex_);
    const auto input = master_.request();
    if (!input) {
      vector = master_.vector_of(kSpurious);
    } else {
      master_.acknowledge(*input);
      vector = master_.vector_of(*input);
    }
    if (input == kCascade) {
      const auto slave_input = slave_.request();
      if (slave_input) slave_.acknowledge(*slave_input);
      vector = slave_.vector_of(slave_input.value_or(kSpurious));
    }
    changed = propagate();
  }
  notify(changed);
  return vector;
}

u8 Pic::read(Block block, unsigned port) {
  u8 value = 0;
  bool changed = false;
  {
    const std::lock_guard lock(mutex_);
    I8259& chip = (block == Block::Elcr ? port == 0 : block == Block::Master) ? master_ : slave_;
    value = block == Block::Elcr ? chip.read_elcr() : chip.read(port == 1);
    changed = propagate();  // a poll acknowledges
  }
  notify(changed);
  return value;
}

void Pic::write(Block block, unsigned port, u8 value) {
  bool changed = false;
  {
    const std::lock_guard lock(mutex_);
    I8259& chip = (block == Block::Elcr ? port == 0 : block == Block::Master) ? master_ : slave_;
    if (block == Block::Elcr) {
      chip.write_elcr(value);
    } else {
      chip.write(port == 1, value);
    }
    changed = propagate();
  }
  notify(changed);
}

/// The chips have an 8-bit bus: wider accesses are split as on ISA, lowest port first.
u32 Pic::Ports::port_read(u16 offset, u8 size) {
  u32 value = static_cast<u32>(~u64{0} & mask_for_size(size));
  for (unsigned i = 0; i < size && offset + i < 2; ++i) {
    value &= ~(u32{0xFF} << (i * 8));
    value |= u32{pic_.read(block_, offset + i)} << (i * 8);
  }
  return value;
}

void Pic::Ports::port_write(u16 offset, u8 size, u32 value) {
  for (unsigned i = 0; i < size && offset + i < 2; ++i)
    pic_.write(block_, offset + i, static_cast<u8>(value >> (i * 8)));
}

void Pic::reset() {
  bool changed = false;
  {
    const std::lock_guard lock(mutex_);
    master_.reset();
    slave_.reset();
    changed = propagate();
  }
  notify(changed);
}

vm::StateRecord Pic::save() const {
  const std::lock_guard lock(mutex_);
  return vm::save_fields("pic", PicState{.chip = {master_.state(), slave_.state()}});
}

Result<> Pic::load(const vm::StateRecord& record) {
  PicState state;
  TRY(vm::load_fields(record, state));
  if (!master_.valid(state.chip[0]) || !slave_.valid(state.chip[1])) {
    return fail(ErrorKind::Usage, "state of '{}' is corrupt", record.name);
  }
  bool changed = false;
  {
    const std::lock_guard lock(mutex_);
    master_.set_state(state.chip[0]);
    slave_.set_state(state.chip[1]);
    changed = propagate();
  }
  notify(changed);
  return {};
}

}  // namespace vireo::irq
