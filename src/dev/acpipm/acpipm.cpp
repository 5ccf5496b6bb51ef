#include "dev/acpipm/acpipm.h"

#include "base/bits.h"

namespace vireo::dev {
using namespace acpipm;

namespace {

constexpr u64 kNsPerSecond = 1'000'000'000;

u64 low_byte(u64 value, unsigned index) { return value >> (8 * index) & 0xFF; }

// Writes byte `index` of `reg`, as far as `writable` goes.
void set_byte(u16& reg, unsigned index, u8 value, u16 writable) {
  const u16 mask = static_cast<u16>(0xFF << (8 * index)) & writable;
  reg = static_cast<u16>((reg & ~mask) | ((value << (8 * index)) & mask));
}

// Writing a one clears the bit.
void clear_bits(u16& reg, unsigned index, u8 value) { reg &= static_cast<u16>(~(value << (8 * index))); }

}  // namespace

AcpiPm::AcpiPm(vm::IrqLine& sci, vm::Clock& clock, vm::PowerControl& power, unsigned timer_bits)
    : sci_(sci),
      clock_(clock),
      power_(power),
      half_shift_(timer_bits == 24 ? 23 : 31),
      overflow_(clock.make_timer([this] {
        const std::lock_guard lock(mutex_);
        update(ticks());
      })) {
  s_.timer_half = ticks() >> half_shift_;
}

// Exact: the quotient never leaves u64 (guest time is below 2^64 ns).
u64 AcpiPm::ticks() const { return static_cast<u64>(u128{clock_.now_ns()} * kTimerHz / kNsPerSecond); }

// TMR_STS is set when the timer's top bit changes (4.8.2.1); nobody has to be there for it.
u16 AcpiPm::status(u64 ticks) const { return s_.status | (ticks >> half_shift_ != s_.timer_half ? pm1::TMR : u16{0}); }

void AcpiPm::press_power_button() {
  const std::lock_guard lock(mutex_);
  s_.status |= pm1::PWRBTN;
  update(ticks());
}

bool AcpiPm::power_button_enabled() const {
  const std::lock_guard lock(mutex_);
  return (s_.enable & pm1::PWRBTN) != 0;
}

void AcpiPm::raise_gpe(unsigned number) {
  if (number >= kGpes) return;
  const std::lock_guard lock(mutex_);
  s_.gpe_status |= static_cast<u16>(bit(number));
  update(ticks());
}

u32 AcpiPm::port_read(u16 offset, u8 size) {
  const std::lock_guard lock(mutex_);
  const u64 now = ticks();
  u32 value = 0;
  for (u8 i = 0; i < size && i < 4; ++i) value |= u32{read_byte(static_cast<u16>(offset + i), now)} << (8 * i);
  return value;
}

u8 AcpiPm::read_byte(u16 offset, u64 ticks) const {
  u64 value = 0;
  switch (static_cast<Reg>(offset & ~1)) {
    case Reg::PM1_STS:
      value = status(ticks);
      break;
    case Reg::PM1_EN:
      value = s_.enable;
      break;
    case Reg::PM1_CNT:
      value = s_.control;
      break;
    case Reg::GPE0_STS:
      value = s_.gpe_status;
      break;
    case Reg::GPE0_EN:
      value = s_.gpe_enable;
      break;
    default:
      if ((offset & ~3) == raw(Reg::PM_TMR)) {
        return static_cast<u8>(low_byte(ticks & ((u64{2} << half_shift_) - 1), offset & 3));
      }
      // The two bytes above PM1_CNT belong to its 4-byte register.
      return (offset & ~3) == raw(Reg::PM1_CNT) ? 0 : 0xFF;
  }
  return static_cast<u8>(low_byte(value, offset & 1));
}

void AcpiPm::port_write(u16 offset, u8 size, u32 value) {
  bool off = false;
  {
    const std::lock_guard lock(mutex_);
    const u64 now = ticks();
    for (u8 i = 0; i < size && i < 4; ++i) {
      off |= write_byte(static_cast<u16>(offset + i), static_cast<u8>(value >> (8 * i)), now);
    }
    update(now);
  }
  if (off) power_.request(vm::PowerControl::Request::PowerOff);
}

// Gives whether the machine is to be switched off.
bool AcpiPm::write_byte(u16 offset, u8 value, u64 ticks) {
  const unsigned index = offset & 1;
  switch (static_cast<Reg>(offset & ~1)) {
    case Reg::PM1_STS:
      clear_bits(s_.status, index, value);
      if (index == 0 && (value & pm1::TMR) != 0) s_.timer_half = ticks >> half_shift_;
      return false;
    case Reg::PM1_EN:
      set_byte(s_.enable, index, value, pm1::kEnable);
      return false;
    case Reg::PM1_CNT: {
      set_byte(s_.control, index, value, cnt::kReadable & ~cnt::SCI_EN);
      // SLP_EN is in the same byte as SLP_TYP, and is not kept.
      const bool sleep = index == 1 && (value & cnt::SLP_EN >> 8) != 0;
      return sleep && (s_.control & cnt::SLP_TYP) >> cnt::kSleepTypeShift == kS5SleepType;
    }
    case Reg::GPE0_STS:
      clear_bits(s_.gpe_status, index, value);
      return false;
    case Reg::GPE0_EN:
      set_byte(s_.gpe_enable, index, value, 0xFFFF);
      return false;
    default:
      return false;
  }
}

// Drives the SCI, and keeps the timer armed exactly while its event is enabled and has not happened.
void AcpiPm::update(u64 ticks) {
  const u16 happened = status(ticks);
  sci_.set((happened & s_.enable & pm1::kEnable) != 0 || (s_.gpe_status & s_.gpe_enable) != 0);
  if ((s_.enable & pm1::TMR) != 0 && (happened & pm1::TMR) == 0) {
    const u64 toggle = (s_.timer_half + 1) << half_shift_;
    overflow_->arm(static_cast<u64>((u128{toggle} * kNsPerSecond + kTimerHz - 1) / kTimerHz));
  } else {
    overflow_->cancel();
  }
}

void AcpiPm::reset() {
  const std::lock_guard lock(mutex_);
  const u64 now = ticks();
  s_ = State{};
  s_.timer_half = now >> half_shift_;
  update(now);
}

vm::StateRecord AcpiPm::save() const {
  const std::lock_guard lock(mutex_);
  return vm::save_fields("acpipm", s_);
}

Result<> AcpiPm::load(const vm::StateRecord& record) {
  State state;
  TRY(vm::load_fields(record, state));
  const u64 now = ticks();
  if ((state.status & ~pm1::kStatus) != 0 || (state.status & pm1::TMR) != 0 || (state.enable & ~pm1::kEnable) != 0 ||
      (state.control & ~cnt::kReadable) != 0 || (state.control & cnt::SCI_EN) == 0 ||
      state.timer_half > now >> half_shift_) {
    return fail(ErrorKind::Usage, "state of '{}' is corrupt: impossible register value", record.name);
  }
  const std::lock_guard lock(mutex_);
  s_ = state;
  update(now);
  return {};
}

}  // namespace vireo::dev
