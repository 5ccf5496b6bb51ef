#include "irq/paravirt/paravirt.h"

#include <atomic>
#include <utility>

#include "irq/paravirt/pvclock.h"
#include "vm/x86/msr.h"

namespace vireo::irq {

namespace msr = vm::x86::msr;

namespace {

constexpr u64 kEnabled = 1;

// Hypercalls (hypercalls.rst) and errors (uapi/linux/kvm_para.h).
constexpr u64 KVM_HC_VAPIC_POLL_IRQ = 1, KVM_HC_KICK_CPU = 5, KVM_HC_SEND_IPI = 10;
constexpr i64 KVM_ENOSYS = 1000, KVM_EINVAL = 22;
constexpr u64 error(i64 number) { return static_cast<u64>(-number); }

// struct kvm_steal_time
constexpr u64 kStealReserved = 0x3E, kStealSize = 64, kStealAddress = ~u64{63};
constexpr u64 kStealTime = 0, kStealVersion = 8, kStealPreempted = 16;
constexpr u8 KVM_VCPU_PREEMPTED = 1, KVM_VCPU_FLUSH_TLB = 2;
constexpr u64 kStealUpdateNs = 1'000'000;

/// Other vCPUs' guests read `version`, then the rest, then `version` again.
void order_writes() { std::atomic_thread_fence(std::memory_order_seq_cst); }

}  // namespace

Paravirt::Paravirt(ParavirtSetup setup) : setup_(std::move(setup)) {
  setup_.lapic.set_collect_eoi([this] { collect_eoi(); });
}

bool Paravirt::read_msr(u32 index, u64& value) {
  switch (index) {
    case msr::KVM_WALL_CLOCK:
    case msr::KVM_WALL_CLOCK_NEW:
      value = msr_.wall_clock;
      return true;
    case msr::KVM_SYSTEM_TIME:
    case msr::KVM_SYSTEM_TIME_NEW:
      value = msr_.system_time;
      return true;
    case msr::KVM_STEAL_TIME:
      value = msr_.steal_time;
      return true;
    case msr::KVM_PV_EOI_EN:
      value = msr_.pv_eoi;
      return true;
    default:
      return false;
  }
}

bool Paravirt::write_msr(u32 index, u64 value) {
  switch (index) {
    case msr::KVM_WALL_CLOCK:
    case msr::KVM_WALL_CLOCK_NEW:
      msr_.wall_clock = value;
      write_wall_clock();
      return true;
    case msr::KVM_SYSTEM_TIME:
    case msr::KVM_SYSTEM_TIME_NEW:
      msr_.system_time = value;
      write_system_time();
      return true;
    case msr::KVM_STEAL_TIME:
      return set_steal_time(value);
    case msr::KVM_PV_EOI_EN:
      return set_pv_eoi(value);
    default:
      return false;
  }
}

// --- kvmclock
// ------------------------------------------------------------------------------------------------------------------

/// Guest time and TSC are one clock in two units, so one page, never renewed, tells the time for good. All vCPUs take
/// the same instant as their reference, 0, so that their readings agree to the nanosecond.
void Paravirt::write_system_time() {
  if (!(msr_.system_time & kEnabled)) return;
  const u64 address = msr_.system_time & ~kEnabled;
  if (!setup_.memory.at(address, sizeof(PvclockVcpuTimeInfo))) return;
  u32 version = 0;
  setup_.memory.read(address, &version, sizeof version);
  const PvclockScale scale = pvclock_scale(setup_.clock.tsc_khz());
  PvclockVcpuTimeInfo info{.version = (version + 1) | 1,
                           .tsc_timestamp = setup_.clock.tsc_at_ns(0) + tsc_offset_,
                           .system_time = 0,
                           .tsc_to_system_mul = scale.mul,
                           .tsc_shift = scale.shift,
                           .flags = kPvclockTscStable};
  setup_.memory.write(address, &info.version, sizeof info.version);
  order_writes();
  setup_.memory.write(address, &info, sizeof info);
  order_writes();
  ++info.version;
  setup_.memory.write(address, &info.version, sizeof info.version);
}

/// The host's time of day when guest time was 0.
void Paravirt::write_wall_clock() {
  if (msr_.wall_clock == 0 || !setup_.memory.at(msr_.wall_clock, sizeof(PvclockWallClock))) return;
  u32 version = 0;
  setup_.memory.read(msr_.wall_clock, &version, sizeof version);
  const u64 boot_ns = setup_.clock.wall_ns() - setup_.clock.now_ns();
  PvclockWallClock wall{.version = (version + 1) | 1,
                        .sec = static_cast<u32>(boot_ns / 1'000'000'000),
                        .nsec = static_cast<u32>(boot_ns % 1'000'000'000)};
  setup_.memory.write(msr_.wall_clock, &wall, sizeof wall);
  order_writes();
  ++wall.version;
  setup_.memory.write(msr_.wall_clock, &wall.version, sizeof wall.version);
}

void Paravirt::set_tsc_offset(u64 offset) {
  if (offset == tsc_offset_) return;
  tsc_offset_ = offset;
  write_system_time();
}

// --- Steal time, and with it preemption and TLB flushes
// -----------------------------------------------------------------------------

u8* Paravirt::steal_page() const {
  return msr_.steal_time & kEnabled ? setup_.memory.at(msr_.steal_time & kStealAddress, kStealSize) : nullptr;
}

bool Paravirt::set_steal_time(u64 value) {
  if (value & kStealReserved) return false;
  if ((value & kEnabled) && !setup_.memory.at(value & kStealAddress, kStealSize)) return false;
  msr_.steal_time = value;
  run_delay_seen_ns_.reset();
  account_steal();
  return true;
}

/// On the way to something rare: asking costs a system call.
void Paravirt::account_steal_at_times() {
  if ((msr_.steal_time & kEnabled) && setup_.clock.now_ns() - steal_accounted_ns_ >= kStealUpdateNs) account_steal();
}

void Paravirt::account_steal() {
  if (!setup_.run_delay_ns || steal_page() == nullptr) return;
  const u64 delay = setup_.run_delay_ns();
  const u64 seen = std::exchange(run_delay_seen_ns_, delay).value_or(delay);
  steal_accounted_ns_ = setup_.clock.now_ns();
  if (delay <= seen) return;
  const u64 stolen = delay - seen;
  msr_.steal_ns += stolen;
  const u64 page = msr_.steal_time & kStealAddress;
  u32 version = 0;
  u64 steal = 0;
  setup_.memory.read(page + kStealVersion, &version, sizeof version);
  version = (version + 1) | 1;
  setup_.memory.write(page + kStealVersion, &version, sizeof version);
  order_writes();
  setup_.memory.read(page + kStealTime, &steal, sizeof steal);
  steal += stolen;
  setup_.memory.write(page + kStealTime, &steal, sizeof steal);
  order_writes();
  ++version;
  setup_.memory.write(page + kStealVersion, &version, sizeof version);
}

void Paravirt::sleeps() {
  u8* page = steal_page();
  if (page == nullptr) return;
  std::atomic_ref<u8>(page[kStealPreempted]).store(KVM_VCPU_PREEMPTED, std::memory_order_release);
  setup_.memory.note_write(static_cast<u64>(page - setup_.memory.base()) + kStealPreempted, 1);
}

bool Paravirt::woke() {
  u8* page = steal_page();
  if (page == nullptr) return false;
  const u8 preempted = std::atomic_ref<u8>(page[kStealPreempted]).exchange(0, std::memory_order_acq_rel);
  setup_.memory.note_write(static_cast<u64>(page - setup_.memory.base()) + kStealPreempted, 1);
  account_steal_at_times();
  return (preempted & KVM_VCPU_FLUSH_TLB) != 0;
}

// --- End of interrupt
// --------------------------------------------------------------------------------------------------------------

bool Paravirt::set_pv_eoi(u64 value) {
  const u64 address = value & ~kEnabled;
  if (address % 4 != 0 || ((value & kEnabled) && !setup_.memory.at(address, 4))) return false;
  collect_eoi();
  msr_.pv_eoi = value;
  return true;
}

/// The guest ends the interrupt by clearing the bit that offer_eoi set. Whether it has or not, the offer is over: by
/// now another interrupt may wait, and then the guest's EOI must be seen.
void Paravirt::collect_eoi() {
  if (!std::exchange(msr_.pv_eoi_pending, false)) return;
  const u64 address = msr_.pv_eoi & ~kEnabled;
  u8 flags = 0;
  if (!setup_.memory.read(address, &flags, 1)) return;
  if (!(flags & 1)) return setup_.lapic.eoi();
  flags &= 0xFE;
  setup_.memory.write(address, &flags, 1);
}

void Paravirt::offer_eoi(u8 vector) {
  account_steal_at_times();
  if (!(msr_.pv_eoi & kEnabled) || msr_.pv_eoi_pending || !setup_.lapic.may_defer_eoi(vector)) return;
  const u64 address = msr_.pv_eoi & ~kEnabled;
  u8 flags = 0;
  if (!setup_.memory.read(address, &flags, 1)) return;
  flags |= 1;
  setup_.memory.write(address, &flags, 1);
  msr_.pv_eoi_pending = true;
}

// --- Hypercalls
// --------------------------------------------------------------------------------------------------------------------

u64 Paravirt::hypercall(u64 number, u64 a0, u64 a1, u64 a2, u64 a3) {
  switch (number) {
    case KVM_HC_VAPIC_POLL_IRQ:
      return 0;  // the exit itself is what was wanted
    case KVM_HC_KICK_CPU:
      if (Lapic* target = a1 <= 0xFFFFFFFF ? setup_.bus.find(static_cast<u32>(a1)) : nullptr) target->post_unhalt();
      return 0;
    case KVM_HC_SEND_IPI:
      return send_ipi(a0, a1, a2, a3);
    default:
      return error(KVM_ENOSYS);
  }
}

/// Bit i of high:low is the APIC with id first_id + i. Returns how many there were.
u64 Paravirt::send_ipi(u64 low, u64 high, u64 first_id, u64 command) {
  constexpr u64 kShorthandOrLogical = 0xC0000 | apic::icr::Logical;
  if (command & kShorthandOrLogical) return error(KVM_EINVAL);
  const auto icr = static_cast<u32>(command);
  const ApicMessage message{.vector = static_cast<u8>(icr), .mode = apic::delivery_mode(icr)};
  if (message.mode == apic::DeliveryMode::ExtInt) return error(KVM_EINVAL);
  u64 delivered = 0;
  for (Lapic* lapic : setup_.bus.lapics()) {
    const u64 position = lapic->id() - first_id;
    const u64 wanted = position < 64 ? low >> position : position < 128 ? high >> (position - 64) : 0;
    if (!(wanted & 1)) continue;
    lapic->post(message);
    ++delivered;
  }
  return delivered;
}

// --- State
// -------------------------------------------------------------------------------------------------------------------------

vm::x86::ParavirtState Paravirt::state() {
  collect_eoi();
  return msr_;
}

void Paravirt::set_state(const vm::x86::ParavirtState& state) {
  msr_ = state;
  // What a guest could not have written is switched off.
  if (msr_.steal_time & kStealReserved) msr_.steal_time = 0;
  if ((msr_.pv_eoi & ~kEnabled) % 4 != 0) msr_.pv_eoi = 0;
  if (!(msr_.pv_eoi & kEnabled)) msr_.pv_eoi_pending = false;
  run_delay_seen_ns_.reset();
  steal_accounted_ns_ = 0;
  write_system_time();
}

}  // namespace vireo::irq
