#include "lone_cpu.h"

#include "base/bits.h"
#include "cpu/interp/decode.h"

namespace vireo::cpu::interp {

using namespace vm::x86;

LoneCpu::LoneCpu(const CpuidTable& cpuid)
    : memory_(*vm::GuestMemory::create({{.gpa = 0, .size = kMiB, .offset = 0}})),
      cpu({.id = 0,
           .memory = memory_,
           .io = io_,
           .clock = clock_,
           .apic = &apic_,
           .paravirt = &paravirt_,
           .cpuid = cpuid}) {
  cpu.sys.segment[CS] = {.selector = 0x08, .attributes = 0xC09B, .limit = 0xFFFFFFFF, .base = 0};
  for (Seg seg : {ES, SS, DS}) {
    cpu.sys.segment[seg] = {.selector = 0x10, .attributes = 0xC093, .limit = 0xFFFFFFFF, .base = 0};
  }
  cpu.sys.cr0 = cr0::PE | cr0::MP | cr0::ET | cr0::NE;
  cpu.sys.cr4 = cr4::OSFXSR | cr4::OSXMMEXCPT | cr4::OSXSAVE;
  cpu.sys.xcr0 = xcr0::X87 | xcr0::SSE | xcr0::AVX;
  cpu.update_mode();
}

void LoneCpu::enter_real_mode() {
  for (auto& segment : cpu.sys.segment) segment = {.selector = 0, .attributes = 0x93, .limit = 0xFFFF, .base = 0};
  cpu.sys.cr0 &= ~cr0::PE;
  cpu.update_mode();
}

std::optional<Fault> LoneCpu::run(std::vector<u8> bytes) {
  static Insn insn;  // outlives the longjmp
  if (decode(cpu, cpu.mode, bytes, insn) != DecodeStatus::Ok) return Fault{.vector = Vector::GP};
  if (_setjmp(cpu.fault_exit) != 0) return cpu.fault;
  cpu.next_rip = cpu.rip + insn.length;
  insn.handler(cpu, insn);
  cpu.rip = cpu.next_rip;
  return {};
}

int LoneCpu::vector(std::vector<u8> bytes) {
  const auto fault = run(std::move(bytes));
  return fault ? raw(fault->vector) : -1;
}

}  // namespace vireo::cpu::interp
