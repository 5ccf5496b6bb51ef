// The KVM engine: vCPUs run by the host's kernel.
//
// What is where. The kernel has the CPUs, their local APICs and the paravirtual interface (kvmclock, steal time, PV
// EOI, ...); the machine has the IOAPIC, the 8259 pair, the PIT and everything else ("split irqchip"). Interrupts reach
// a vCPU as MSIs (KVM_SIGNAL_MSI), the 8259's by KVM_INTERRUPT on the boot CPU, at a moment when the guest takes them.
// The kernel reports the end of a level-triggered interrupt for the vectors in the IOAPIC's routes, which it is told
// for that purpose alone.
//
// Files: kvm.h/vm.cpp the VM, host.cpp what this host offers, vcpu.* the run loop, vcpu_state.cpp the state in full,
// convert.* the kernel's structures to and from vm/x86/state.h, cpuid.* what the guest may be told, abi.h request
// numbers, requests.cpp those that are made once the guest runs.
//
// Time. The guest's TSC is the host's plus an offset, and the VM's clock says which. When a vCPU begins to run and the
// clock was paused or restored meanwhile, the offset, kvmclock and the rest of the APICs' timers are set again, so all
// stand still together with the VM. The clock is paused only while no vCPU runs; the first that runs again does what
// concerns them all, and the others wait for it in follow().
//
// Hand-over. The kernel gives up on instructions its emulator does not know (KVM_EXIT_INTERNAL_ERROR). If the machine
// brought a `FinishInstruction`, it executes that one instruction from the vCPU's state, and the vCPU goes on from
// there.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "host/fd.h"
#include "vm/device/device.h"
#include "vm/engine/engine.h"

namespace vireo::cpu::kvm {

/// What the host's KVM device is good for.
struct Support {
  bool usable = false;           ///< the device opens and has what we need
  bool hardware_backed = false;  ///< and the CPU runs guests itself (VT-x or SVM): what `--engine auto` asks
  std::string reason;            ///< one line, no full stop: why it is hardware backed, or is not, or is not usable
  ErrorKind kind = ErrorKind::Failed;  ///< when not usable
};
Support probe(const char* device = "/dev/kvm");
inline bool hardware_backed() { return probe().hardware_backed; }

/// The ioctl requests made once the guest runs; a sandbox allows no others.
std::span<const unsigned long> requests_of_a_running_vm();

/// Executes exactly one instruction of a vCPU on `state` and returns Kicked when it went well. Called on the vCPU's
/// thread. It must not trust anything it decoded before: the guest's writes under KVM are not noted in the memory's
/// generations.
using FinishInstruction = std::function<vm::Exit(vm::x86::CpuState& state)>;

class KvmVcpu;

/// One VM. Outlives its vCPUs. Methods may be called from any thread, with a device's lock held.
class KvmVm final : public vm::MsiSink {
 public:
  static constexpr unsigned kIoapicPins = 24;

  /// Errors: NotFound without the device, Denied without permission, Failed when the kernel lacks something.
  static Result<std::unique_ptr<KvmVm>> create(vm::GuestMemory& memory, const char* device = "/dev/kvm");
  ~KvmVm() override;

  /// In the order of their ids, from 0 (the boot CPU). `setup.apic` and `setup.paravirt` are not used: the kernel has
  /// its own.
  Result<std::unique_ptr<vm::Vcpu>> make_vcpu(const vm::VcpuSetup& setup, FinishInstruction finish = {});

  /// What the guest may be told: `wanted` without the features that this host's KVM does not offer.
  vm::x86::CpuidTable offered(const vm::x86::CpuidTable& wanted) const;

  /// Everything this host's KVM offers.
  const vm::x86::CpuidTable& supported() const { return supported_; }

  // Interrupts.
  void send(const vm::MsiMessage& message) override;
  /// The 8259 pair's INTR output: MachineIo::pic_pending already answers accordingly.
  void pic_output(bool level);
  /// A redirection entry changed.
  void ioapic_route(unsigned pin, bool masked, bool level_triggered, const vm::MsiMessage& message);
  /// Receives vectors of level-triggered interrupts that ended, on the vCPU's thread. Set before the first vCPU runs.
  void set_eoi(std::function<void(u8 vector)> eoi) { eoi_ = std::move(eoi); }

  /// Instructions that were handed over so far.
  u64 handed_over() const { return handed_over_.load(std::memory_order_relaxed); }

 private:
  friend class KvmVcpu;
  KvmVm(vm::GuestMemory& memory) : memory_(memory) {}
  Result<> open(const char* device);
  Result<> place_memory();
  /// Sets kvmclock and the APICs' timers from the VM's clock when that was stopped since the last time.
  void follow(const vm::Clock& clock);
  void log_hand_over(const vm::x86::CpuState& state, const u8* bytes, unsigned size);

  vm::GuestMemory& memory_;
  host::Fd device_, vm_;
  std::size_t run_size_ = 0;
  vm::x86::CpuidTable supported_;
  std::function<void(u8)> eoi_;
  std::atomic<KvmVcpu*> boot_cpu_{nullptr};
  std::atomic<u64> handed_over_{0};

  /// Held by one who reads the APICs' registers and writes them back: no interrupt may come between.
  std::shared_mutex interrupts_;

  std::mutex mutex_;  ///< of what follows
  std::vector<KvmVcpu*> vcpus_;
  std::array<vm::MsiMessage, kIoapicPins> routes_{};
  std::array<bool, kIoapicPins> routed_{};
  std::array<bool, kIoapicPins> routed_level_{};
  vm::TscScale clock_scale_{.host_base = ~u64{0}};
};

}  // namespace vireo::cpu::kvm
