// A Cpu without a run loop: decodes and executes one instruction at a time, and says which fault it raised.
#pragma once

#include <optional>
#include <vector>

#include "cpu/interp/cpu.h"
#include "cpu/interp/host_exec.h"
#include "cpu/x86/cpuid_model.h"
#include "support/lone_vcpu.h"

namespace vireo::cpu::interp {

/// 32-bit protected mode with flat segments, no paging, all vector state enabled; 1 MiB of RAM.
class LoneCpu {
 public:
  explicit LoneCpu(const vm::x86::CpuidTable& cpuid = x86::make_cpuid({}));

  /// The fault, or nothing. Registers and memory are as the instruction left them; `rip` goes on.
  std::optional<Fault> run(std::vector<u8> bytes);
  /// The vector of the fault, or -1.
  int vector(std::vector<u8> bytes);
  /// Real mode with all segments at 0.
  void enter_real_mode();
  u8* ram() { return memory_.base(); }

 private:
  vm::GuestMemory memory_;
  test::NoIo io_;
  test::StandingClock clock_;
  test::NoApic apic_;
  test::NoParavirt paravirt_;

 public:
  Cpu cpu;
};

}  // namespace vireo::cpu::interp
