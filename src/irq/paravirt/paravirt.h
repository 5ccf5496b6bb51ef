// KVM's guest interface of one vCPU for the software engines: kvmclock, steal time, PV EOI and the hypercalls. Source:
// Linux Documentation/virt/kvm/x86/msr.rst, hypercalls.rst, cpuid.rst; the structures are in arch/x86/include/uapi/asm
// kvm_para.h and pvclock-abi.h.
//
// Made for the features CLOCKSOURCE, NOP_IO_DELAY, CLOCKSOURCE2, STEAL_TIME, PV_EOI, PV_UNHALT, PV_TLB_FLUSH,
// PV_SEND_IPI and CLOCKSOURCE_STABLE_BIT. Registers of other features are #GP, other hypercalls -KVM_ENOSYS.
//
// Threads: everything on the vCPU's thread; only the `preempted` byte of steal time is shared with other vCPUs' guests.
#pragma once

#include <functional>
#include <optional>

#include "irq/lapic/lapic.h"
#include "vm/memory/memory.h"

namespace vireo::irq {

struct ParavirtSetup {
  vm::GuestMemory& memory;
  vm::Clock& clock;
  ApicBus& bus;
  Lapic& lapic;  ///< of the same vCPU
  /// Host time in ns that the calling thread could run but had no CPU (`run_delay` of schedstat), ever growing. Asked
  /// on the vCPU's thread, at most once a millisecond. Empty: no time is ever stolen.
  std::function<u64()> run_delay_ns = {};
};

class Paravirt final : public vm::KvmParavirt {
 public:
  /// References outlive it.
  explicit Paravirt(ParavirtSetup setup);

  bool read_msr(u32 index, u64& value) override;
  bool write_msr(u32 index, u64 value) override;
  u64 hypercall(u64 number, u64 a0, u64 a1, u64 a2, u64 a3) override;

  void sleeps() override;
  bool woke() override;
  void collect_eoi() override;
  void offer_eoi(u8 vector) override;
  bool take_unhalt() override { return setup_.lapic.take_unhalt(); }
  void set_tsc_offset(u64 offset) override;

  vm::x86::ParavirtState state() override;
  void set_state(const vm::x86::ParavirtState& state) override;

 private:
  void write_system_time();
  void write_wall_clock();
  bool set_steal_time(u64 value);
  void account_steal();
  void account_steal_at_times();
  bool set_pv_eoi(u64 value);
  u64 send_ipi(u64 low, u64 high, u64 first_id, u64 command);
  u8* steal_page() const;

  ParavirtSetup setup_;
  vm::x86::ParavirtState msr_;
  u64 tsc_offset_ = 0;
  /// Of the vCPU's thread. Empty until it is asked there: a state may be set by another.
  std::optional<u64> run_delay_seen_ns_;
  u64 steal_accounted_ns_ = 0;  ///< guest time
};

}  // namespace vireo::irq
