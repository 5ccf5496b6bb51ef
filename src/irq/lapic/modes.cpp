// IA32_APIC_BASE with its modes (SDM 3A 11.4.3, 11.12.5), and the registers as MSRs (11.12.1).
#include "irq/lapic/lapic.h"
#include "vm/x86/msr.h"

namespace vireo::irq {

using namespace apic;
namespace msr = vm::x86::msr;

namespace {

enum class Mode : u8 { Disabled, Invalid, Xapic, X2apic };

Mode mode_of(u64 base) {
  return static_cast<Mode>(((base & base_msr::EN) ? 2 : 0) | ((base & base_msr::EXTD) ? 1 : 0));
}

}  // namespace

void Lapic::publish_address() {
  const ApicAddress now{.ldr = ldr_,
                        .enabled = enabled(),
                        .x2apic = x2apic(),
                        .flat = dfr_ >> 28 == 0xF,
                        .accepting = (svr_ & svr::Enable) != 0};
  address_.store(now.pack(), std::memory_order_release);
}

std::optional<u64> Lapic::mmio_page() const {
  if (mode_of(base_) != Mode::Xapic) return std::nullopt;
  return align_down(base_, kPageSize);
}

bool Lapic::write_base(u64 value) {
  const u64 address = (bit(setup_.physical_address_bits) - 1) & ~kPageMask;
  if (value & ~(address | base_msr::BSP | base_msr::EXTD | base_msr::EN)) return false;
  const Mode from = mode_of(base_), to = mode_of(value);
  if (to == Mode::Invalid || (from == Mode::Disabled && to == Mode::X2apic) ||
      (from == Mode::X2apic && to == Mode::Xapic)) {
    return false;
  }
  base_ = value;
  if (from != Mode::Disabled && to == Mode::Disabled) reset_registers();
  if (from == Mode::Xapic && to == Mode::X2apic) {
    ldr_ = (setup_.id >> 4) << 16 | 1U << (setup_.id & 15);
    icr_high_ = 0;
  }
  publish_address();
  if (to == Mode::Disabled && wake_) wake_();  // the 8259 now gets through
  return true;
}

bool Lapic::read_msr(u32 index, u64& value) {
  if (index == msr::IA32_APIC_BASE) {
    value = base_;
    return true;
  }
  if (index == msr::IA32_TSC_DEADLINE) {
    run_timer(false);
    value = timer_.tsc_deadline();
    return true;
  }
  return index >= msr::IA32_X2APIC_FIRST && index <= msr::IA32_X2APIC_LAST &&
         read_x2apic(index - msr::IA32_X2APIC_FIRST, value);
}

bool Lapic::write_msr(u32 index, u64 value) {
  if (index == msr::IA32_APIC_BASE) return write_base(value);
  if (index == msr::IA32_TSC_DEADLINE) {
    run_timer(false);
    timer_.set_tsc_deadline(value);
    run_timer(false);  // a deadline in the past needs no host timer
    return true;
  }
  return index >= msr::IA32_X2APIC_FIRST && index <= msr::IA32_X2APIC_LAST &&
         write_x2apic(index - msr::IA32_X2APIC_FIRST, value);
}

bool Lapic::read_x2apic(unsigned index, u64& value) {
  if (mode_of(base_) != Mode::X2apic) return false;
  switch (index) {
    case ICR_LOW:
      value = icr_low_ | u64{icr_high_} << 32;
      return true;
    case ID:
    case VERSION:
    case TPR:
    case PPR:
    case LDR:
    case SVR:
    case ESR:
    case INITIAL_COUNT:
    case CURRENT_COUNT:
    case DIVIDE_CONFIGURATION:
      break;
    default:
      if (!(index >= ISR && index < IRR + 8) && !(index >= LVT_TIMER && index <= LVT_ERROR)) return false;
  }
  value = read_register(index);
  return true;
}

bool Lapic::write_x2apic(unsigned index, u64 value) {
  if (mode_of(base_) != Mode::X2apic) return false;
  const auto low = static_cast<u32>(value);
  if (index == ICR_LOW) {
    if (low & ~(icr::kWritable | 1U << 12)) return false;  // delivery status was writable in xAPIC mode, and is ignored
    icr_low_ = low & icr::kWritable;
    icr_high_ = static_cast<u32>(value >> 32);
    send_icr(icr_low_, icr_high_);
    return true;
  }
  if (value > 0xFFFFFFFF) return false;
  switch (index) {
    case EOI:
    case ESR:
      if (low != 0) return false;
      break;
    case SELF_IPI:
      if (low > 0xFF) return false;
      if (low < kFirstVector) {
        report_error(esr::SendIllegalVector);
      } else if (svr_ & svr::Enable) {
        inject(static_cast<u8>(low));
      }
      return true;
    case TPR:
      if (low > 0xFF) return false;
      break;
    case SVR:
    case INITIAL_COUNT:
    case DIVIDE_CONFIGURATION:
      break;
    default:
      if (!(index >= LVT_TIMER && index <= LVT_ERROR)) return false;
  }
  write_register(index, low);
  return true;
}

}  // namespace vireo::irq
