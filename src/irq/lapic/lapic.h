// The local APIC of one vCPU, in software. Source: Intel SDM volume 3A, chapter 11.
//
//   other threads --post--> posted_, events_ --take_in--> irr_ --accept--> isr_ --EOI--> I/O APIC
//
// Glossary. xAPIC: registers in a page of memory, 8-bit ids. x2APIC: registers as MSRs, 32-bit ids. IRR: vectors
// waiting; ISR: vectors being served; TMR: which of them are level triggered; PPR: priority below which nothing is
// delivered.
//
// Threads. The registers belong to the vCPU's thread. Other threads touch atomics only: they set a bit in posted_
// (vector) and in events_ (what happened), and call the wake function when events_ was clear of that bit; the vCPU's
// thread takes the bits over. Senders read address_ to see whether they mean this APIC. After a register write that may
// let an interrupt through (EOI, TPR, ...) the wake function is called as well, so the engine only ever has to look
// after a wake.
//
// State. x86::ApicState is KVM_GET_LAPIC's page. The id is fixed to the vCPU's number: regs[ID] holds id << 24 in both
// modes (KVM's format without KVM_X2APIC_API_USE_32BIT_IDS), is ignored by set_state, and writes by the guest are
// ignored. Events posted and not yet taken (INIT, SIPI, NMI) are not part of it: the engine takes them before it gives
// its state.
#pragma once

#include <atomic>

#include "irq/lapic/apic_bus.h"
#include "irq/lapic/apic_timer.h"
#include "irq/lapic/vector_set.h"
#include "vm/clock/clock.h"
#include "vm/engine/local_apic.h"

namespace vireo::irq {

struct LapicSetup {
  u32 id = 0;  ///< below 255
  bool bootstrap_processor = false;
  unsigned physical_address_bits = 52;  ///< as in CPUID 0x80000008: an APIC base beyond is #GP
};

class Lapic final : public vm::LocalApic {
 public:
  /// In the state after power-on. `bus` and `clock` outlive it.
  Lapic(ApicBus& bus, vm::Clock& clock, const LapicSetup& setup);

  // From any thread.
  u32 id() const { return setup_.id; }
  ApicAddress address() const { return ApicAddress::unpack(address_.load(std::memory_order_acquire)); }
  /// A message for this APIC. What the APIC's mode does not accept is dropped.
  void post(const ApicMessage& message);
  /// PV unhalt (paravirt's KVM_HC_KICK_CPU).
  void post_unhalt() { raise(kUnhalt); }
  /// An edge on the LINT1 pin: by LVT LINT1 usually an NMI.
  void pulse_lint1() { raise(kLint1); }

  /// Forgets what was posted: before the machine is reset or restored. Only while nothing posts.
  void discard_posted();

  // From the vCPU's thread.
  void set_wake(std::function<void()> wake) override { wake_ = std::move(wake); }
  Signals take_signals() override;
  bool take_unhalt() { return take_event(kUnhalt); }
  std::optional<u8> pending_vector() override;
  void accept(u8 vector) override;
  bool accepts_pic() const override;

  u32 mmio_read(u32 offset) override;
  void mmio_write(u32 offset, u32 value) override;
  std::optional<u64> mmio_page() const override;
  bool read_msr(u32 index, u64& value) override;
  bool write_msr(u32 index, u64 value) override;

  u8 cr8() const override { return tpr_ >> 4; }
  void set_cr8(u8 value) override { write_tpr(static_cast<u8>(value << 4)); }
  void set_tsc_offset(u64 offset) override;

  void init() override;
  vm::x86::ApicState state() override;
  void set_state(const vm::x86::ApicState& state) override;

  // PV EOI, for irq/paravirt.
  /// `collect` carries out an EOI that the guest left in memory; called before registers that depend on it are given
  /// away.
  void set_collect_eoi(std::function<void()> collect) { collect_eoi_ = std::move(collect); }
  /// The EOI of `vector` need not be seen at once: it is the only interrupt in service, nothing waits, and no one
  /// listens.
  bool may_defer_eoi(u8 vector) const;
  void eoi();

 private:
  /// Bits of events_.
  enum Event : u32 {
    kFixed = 1,
    kTimer = 2,
    kNmi = 4,
    kInit = 8,
    kSipi = 16,
    kUnhalt = 32,
    kLint1 = 64,
    kIllegalVector = 128
  };
  static constexpr unsigned kSipiVectorShift = 24;

  // events.cpp: what other threads do, and taking it over
  void raise(u32 event);
  void raise_sipi(u8 vector);
  bool take_event(u32 event);
  void take_in();
  void take_posted();

  // registers.cpp
  u32 read_register(unsigned index);
  void write_register(unsigned index, u32 value);
  void write_tpr(u8 value);
  void write_svr(u32 value);
  void write_lvt(unsigned index, u32 value);
  void write_esr();
  void send_icr(u32 low, u32 high);
  void update_timer_lvt();
  void run_timer(bool alarm);
  void inject(u8 vector);
  void deliver_local(unsigned lvt_index);
  void report_error(u32 esr_bit);
  u8 ppr() const;
  bool deliverable() const;
  void wake_if_deliverable();

  // modes.cpp: IA32_APIC_BASE, x2APIC MSRs
  bool enabled() const { return (base_ & apic::base_msr::EN) != 0; }
  bool x2apic() const { return (base_ & apic::base_msr::EXTD) != 0; }
  bool write_base(u64 value);
  bool read_x2apic(unsigned index, u64& value);
  bool write_x2apic(unsigned index, u64 value);
  void reset_registers();
  void publish_address();

  // Glue
  ApicBus& bus_;
  const LapicSetup setup_;
  std::function<void()> wake_, collect_eoi_;
  ApicTimer timer_;

  // Written by other threads; on cache lines of their own
  alignas(64) std::array<std::atomic<u64>, VectorSet::kWords> posted_{}, posted_level_{};
  std::atomic<u32> events_{0};
  std::atomic<bool> virtual_wire_{false};  ///< an ExtINT message came: the 8259's INTR reaches this CPU until INIT
  /// Read by other threads.
  alignas(64) std::atomic<u64> address_{0};

  // Guest-visible
  alignas(64) u64 base_ = 0;
  VectorSet irr_, isr_, tmr_;
  u8 tpr_ = 0;
  bool nmi_ = false;  ///< taken in from LINT1, for take_signals
  u32 esr_ = 0, esr_collecting_ = 0;
  u32 version_ = 0, ldr_ = 0, dfr_ = 0, svr_ = 0, icr_low_ = 0, icr_high_ = 0;
  std::array<u32, 6> lvt_{};  ///< from LVT_TIMER up
};

}  // namespace vireo::irq
