// What a software engine needs from its vCPU's local APIC and from KVM's paravirtual interface. irq/lapic and
// irq/paravirt implement them.
//
// Threads: everything belongs to the vCPU's thread, except that interrupts arrive from any thread: they are posted into
// the APIC without a lock, which then calls the wake function once; the engine looks at `poll()` at its next block
// edge.
#pragma once

#include <functional>
#include <optional>

#include "base/types.h"
#include "vm/x86/state.h"

namespace vireo::vm {

class LocalApic {
 public:
  virtual ~LocalApic() = default;

  /// `wake` is called from any thread after something was posted; it must only set a flag and wake the sleeper.
  virtual void set_wake(std::function<void()> wake) = 0;

  /// Events that are not maskable by RFLAGS.IF, taken (and forgotten) by the caller.
  struct Signals {
    bool init = false, nmi = false;
    std::optional<u8> sipi;  ///< start-up vector
  };
  virtual Signals take_signals() = 0;

  /// The highest fixed interrupt above the processor priority, if any (it stays pending). Takes in what was posted.
  virtual std::optional<u8> pending_vector() = 0;
  /// The interrupt `vector`, just returned by pending_vector, is being delivered: IRR -> ISR.
  virtual void accept(u8 vector) = 0;
  /// LVT LINT0 (or a disabled APIC) lets the 8259's INTR through to this CPU.
  virtual bool accepts_pic() const = 0;

  /// The register page at IA32_APIC_BASE, `offset` 0..0xFFF. Only 4-byte accesses at 16-byte multiples are defined.
  virtual u32 mmio_read(u32 offset) = 0;
  virtual void mmio_write(u32 offset, u32 value) = 0;
  /// Guest-physical page of the registers, or no value when disabled or in x2APIC mode. Cheap.
  virtual std::optional<u64> mmio_page() const = 0;

  /// IA32_APIC_BASE, IA32_TSC_DEADLINE and the x2APIC range. False: #GP.
  virtual bool read_msr(u32 index, u64& value) = 0;
  virtual bool write_msr(u32 index, u64 value) = 0;

  /// CR8: TPR bits 7..4.
  virtual u8 cr8() const = 0;
  virtual void set_cr8(u8 value) = 0;

  /// The vCPU's TSC is clock.tsc() + offset (modulo 2^64). The engine says so whenever it changes; 0 until then.
  virtual void set_tsc_offset(u64 /*offset*/) {}

  /// INIT arrived: registers as after reset, except the id and IA32_APIC_BASE.
  virtual void init() = 0;
  /// set_state leaves alone what other threads posted and was not taken yet.
  virtual x86::ApicState state() = 0;
  virtual void set_state(const x86::ApicState& state) = 0;
};

/// KVM's guest interface: MSRs and hypercalls of one vCPU. Everything on the vCPU's thread.
class KvmParavirt {
 public:
  virtual ~KvmParavirt() = default;
  static constexpr bool owns_msr(u32 index) { return index == 0x11 || index == 0x12 || (index >> 8) == 0x4B564D; }
  /// For MSRs that owns_msr. False: #GP.
  virtual bool read_msr(u32 index, u64& value) = 0;
  virtual bool write_msr(u32 index, u64 value) = 0;
  /// VMCALL/VMMCALL in ring 0: RAX = number, RBX RCX RDX RSI = arguments; result for RAX.
  virtual u64 hypercall(u64 number, u64 a0, u64 a1, u64 a2, u64 a3) = 0;

  /// The vCPU goes to sleep in HLT / wakes again, at host monotonic times the implementation takes itself: steal time's
  /// `preempted` flag. `woke` returns true when the guest asked for a TLB flush meanwhile (PV TLB flush).
  virtual void sleeps() = 0;
  virtual bool woke() = 0;
  /// Before the APIC is asked for the next interrupt: a PV EOI the guest wrote is carried out.
  virtual void collect_eoi() = 0;
  /// After an interrupt was accepted: offers PV EOI when it is allowed.
  virtual void offer_eoi(u8 vector) = 0;
  /// PV unhalt: another vCPU kicked this one. Taken (and forgotten) by the caller; set from any thread, with a wake.
  virtual bool take_unhalt() = 0;
  /// As LocalApic::set_tsc_offset: kvmclock relates guest time to this vCPU's TSC.
  virtual void set_tsc_offset(u64 /*offset*/) {}
  virtual x86::ParavirtState state() = 0;
  virtual void set_state(const x86::ParavirtState& state) = 0;
};

}  // namespace vireo::vm
