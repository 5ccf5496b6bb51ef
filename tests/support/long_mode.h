// A guest in 64-bit mode for tests of software engines: RAM mapped one to one, and code put into it. It has no devices:
// a port read or written ends the run.
#pragma once

#include <functional>
#include <memory>
#include <span>

#include "base/bytes.h"
#include "cpu/x86/cpuid_model.h"
#include "support/lone_vcpu.h"

namespace vireo::test {

class LongMode final : public vm::MachineIo {
 public:
  static constexpr u64 kRam = 2 * kMiB;
  static constexpr u64 kTables = 0x1000;  ///< page tables, up to 0x5000
  static constexpr u64 kCode = 0x8000;
  static constexpr u64 kStack = 0x7000;     ///< the stack's end
  static constexpr u64 kDevice = 0x200000;  ///< mapped, no RAM: 2 MiB

  using Make = std::function<std::unique_ptr<vm::Vcpu>(const vm::VcpuSetup&)>;
  explicit LongMode(const Make& make) {
    put_tables();
    vcpu_ = make({.id = 0,
                  .memory = memory_,
                  .io = *this,
                  .clock = clock_,
                  .apic = &apic_,
                  .paravirt = &paravirt_,
                  .cpuid = cpu::x86::make_cpuid({})});
  }

  vm::GuestMemory& memory() { return memory_; }
  vm::Vcpu& vcpu() { return *vcpu_; }

  void load(std::span<const u8> code, u64 at = kCode) { memory_.write(at, code.data(), code.size()); }
  void put_tables() {
    const auto put = [this](u64 gpa, u64 value) { memory_.write(gpa, &value, 8); };
    put(kTables, (kTables + 0x1000) | 7);
    put(kTables + 0x1000, (kTables + 0x2000) | 7);
    put(kTables + 0x2000, (kTables + 0x3000) | 7);
    put(kTables + 0x2008, kDevice | 0x87);
    for (u64 page = 0; page < kRam / kPageSize; ++page) put(kTables + 0x3000 + page * 8, (page << 12) | 7);
  }

  /// Privileged, flat, vectors enabled; RIP at kCode. Interrupts and exceptions have no handlers: a triple fault.
  static vm::x86::CpuState start_state() {
    using namespace vm::x86;
    CpuState s = reset_state(true, 0);
    s.regs.gpr[RSP] = kStack;
    s.regs.rip = kCode;
    s.regs.rflags = rflags::Fixed1;
    s.sys.gdtr = s.sys.idtr = {.base = 0, .limit = 0};
    s.sys.cr0 = cr0::PE | cr0::MP | cr0::ET | cr0::NE | cr0::WP | cr0::PG;
    s.sys.cr3 = kTables;
    s.sys.cr4 = cr4::PAE | cr4::OSFXSR | cr4::OSXSAVE | cr4::OSXMMEXCPT;
    s.sys.efer = efer::LME | efer::LMA | efer::SCE | efer::NXE;
    s.sys.xcr0 = xcr0::X87 | xcr0::SSE | xcr0::AVX;
    for (Seg seg : {ES, SS, DS, FS, GS})
      s.sys.segment[seg] = {.selector = 0x10, .attributes = 0xC093, .limit = ~0u, .base = 0};
    s.sys.segment[CS] = {.selector = 8, .attributes = 0xA09B, .limit = ~0u, .base = 0};
    return s;
  }

  u64 mmio_read(u64 gpa, u8) override { return gpa * 0x9E3779B97F4A7C15; }
  void mmio_write(u64, u8, u64) override {}
  u32 port_read(u16, u8) override {
    vcpu_->kick();
    return 0;
  }
  void port_write(u16, u8, u32) override { vcpu_->kick(); }
  bool pic_pending() override { return false; }
  u8 pic_acknowledge() override { return 0; }

 private:
  vm::GuestMemory memory_ = vm::GuestMemory::create({{.gpa = 0, .size = kRam, .offset = 0}}).value();
  StandingClock clock_;
  NoApic apic_;
  NoParavirt paravirt_;
  std::unique_ptr<vm::Vcpu> vcpu_;
};

}  // namespace vireo::test
