// One vCPU of the KVM engine.
#pragma once

#include <linux/kvm.h>
#include <sys/types.h>

#include <vector>

#include "cpu/kvm/convert.h"
#include "cpu/kvm/kvm.h"
#include "cpu/x86/xsave.h"

namespace vireo::cpu::kvm {

class KvmVcpu final : public vm::Vcpu {
 public:
  KvmVcpu(KvmVm& machine, const vm::VcpuSetup& setup, FinishInstruction finish, host::Fd fd);
  ~KvmVcpu() override;

  /// Once, before anything else.
  Result<> prepare(const vm::x86::CpuidTable& cpuid);

  unsigned id() const override { return id_; }
  vm::Exit run() override;
  void kick() override;
  vm::x86::CpuState state() override;
  Result<> set_state(const vm::x86::CpuState& state) override;
  vm::Stats stats() override;

  /// The guest's TSC can be set; else it is the host's, and jumps when a state from elsewhere is restored.
  bool controls_tsc() const { return tsc_ != TscControl::None; }

  /// Any thread: gets the vCPU out of the kernel for a moment, to look at what the machine wants.
  void poke();

 private:
  // vcpu.cpp
  void offer_pic_interrupt();
  void serve_port();
  void serve_mmio();
  /// Nothing: go on.
  std::optional<vm::Exit> serve_exit();
  vm::Exit failed(std::string_view what) const;
  std::optional<vm::Exit> finish_instruction();
  void set_immediate_exit(u8 value);

  // vcpu_state.cpp
  /// What a hand-over may not take back, because the kernel changes it at any time, is only part of All.
  enum class Part : u8 { Instruction, All };
  Result<vm::x86::CpuState> get(Part part);
  Result<> put(const vm::x86::CpuState& state, Part part);
  Result<> get_msrs(vm::x86::CpuState& state);
  Result<> put_msrs(vm::x86::CpuState& state, Part part);
  std::unexpected<Error> refused_msr(const Msr& msr) const;
  Result<> put_lapic(const vm::x86::ApicState& apic);
  Result<> put_events(const vm::x86::CpuState& state, Part part);
  void settle_pv_eoi(vm::x86::CpuState& state);
  Result<> read_msr(u32 index, u64& value);
  Result<> write_msr(u32 index, u64 value);
  Result<> ask(unsigned long request, const void* argument, const char* what);
  std::vector<u32> readable_msrs();

  // vcpu_time.cpp
  /// How the guest's TSC is moved: by the kernel's offset, by writing its value, or not at all (it is the host's).
  enum class TscControl : u8 { Offset, Value, None };
  TscControl find_tsc_control();
  bool tsc_offset_works();
  bool tsc_can_be_written();
  Result<> start_tsc(u64 tsc);
  Result<> learn_tsc_offset();
  Result<> set_tsc();
  Result<> tsc_offset_attribute(unsigned long request, u64& offset);
  void follow_clock();
  friend class KvmVm;
  void rearm_timer();
  void park_timer();
  void settle();

  KvmVm& machine_;
  const unsigned id_;
  vm::GuestMemory& memory_;
  vm::MachineIo& io_;
  vm::Clock& clock_;
  const FinishInstruction finish_;
  const host::Fd fd_;
  kvm_run* run_ = nullptr;

  x86::XsaveLayout xsave_layout_;
  u64 xsave_components_ = 0;
  bool has_xcrs_ = false, has_sregs2_ = false;
  std::vector<u32> msrs_;  ///< those of the state that this kernel has

  TscControl tsc_ = TscControl::None;
  /// The TSC that the guest sees minus the clock's, and the clock's scale the kernel's offset was made for.
  u64 own_tsc_offset_ = 0;
  static constexpr u64 kNeverSet = ~u64{0};
  vm::TscScale tsc_scale_{.host_base = kNeverSet};

  /// What was left of the APIC's timer when the vCPU came out of run(): the kernel's goes on, guest time does not.
  std::optional<u64> parked_timer_ns_;

  std::array<u64, 64> exits_{};  ///< by the kernel's reason
  u64 kicks_ = 0, finished_ = 0, pic_interrupts_ = 0;

  bool pic_offered_ = false;  ///< the kernel was given a vector of the 8259 since run() began
  bool unfinished_ = false;   ///< the kernel has yet to complete the access that caused the last exit
  std::atomic<bool> kicked_{false};
  std::atomic<pid_t> thread_{0};  ///< in run(), else 0
};

}  // namespace vireo::cpu::kvm
