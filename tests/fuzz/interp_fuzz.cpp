// Decoder and interpreter on random bytes: random code, registers, control state and memory in every CPU mode. Nothing
// may crash, loop for ever or touch the host outside guest RAM (the sanitizers watch).
//
// Input: byte 0 picks the mode, byte 1 tweaks CR0/CR4/EFER/RFLAGS, 16 bytes seed the registers, the rest is code and
// data.
#include <cstring>
#include <memory>
#include <span>

#include "cpu/interp/interp.h"
#include "cpu/x86/cpuid_model.h"
#include "irq/lapic/lapic.h"
#include "irq/paravirt/paravirt.h"

namespace {

using namespace vireo;
using namespace vireo::vm::x86;

constexpr u64 kRam = 256 * kKiB;
constexpr unsigned kSteps = 48;

/// Time moves a little with every look, so that deadlines are met, and no timer ever fires.
class FuzzClock final : public vm::Clock {
 public:
  u64 now_ns() const override { return ++ticks_; }
  u64 tsc() const override { return ++ticks_; }
  u64 tsc_khz() const override { return 1'000'000; }
  vm::TscScale tsc_scale() const override { return {}; }
  u64 tsc_at_ns(u64 ns) const override { return ns; }
  u64 ns_at_tsc(u64 tsc_value) const override { return tsc_value; }
  u64 wall_ns() const override { return 0; }
  std::unique_ptr<vm::Timer> make_timer(std::function<void()>) override {
    class Never final : public vm::Timer {
     public:
      void arm(u64) override {}
      void cancel() override {}
    };
    return std::make_unique<Never>();
  }

 private:
  mutable u64 ticks_ = 0;
};

class FuzzIo final : public vm::MachineIo {
 public:
  u64 mmio_read(u64 gpa, u8) override { return gpa * 0x9E3779B97F4A7C15; }
  void mmio_write(u64, u8, u64) override {}
  u32 port_read(u16 port, u8) override { return port * 0x01010101u; }
  void port_write(u16, u8, u32) override {}
  bool pic_pending() override { return false; }
  u8 pic_acknowledge() override { return 0xFF; }
};

struct Machine {
  vm::GuestMemory memory = vm::GuestMemory::create({{.gpa = 0, .size = kRam, .offset = 0}}).value();
  FuzzClock clock;
  FuzzIo io;
  irq::ApicBus bus;
  irq::Lapic lapic{bus, clock, {.id = 0, .bootstrap_processor = true}};
  irq::Paravirt paravirt{{.memory = memory, .clock = clock, .bus = bus, .lapic = lapic}};
  std::unique_ptr<vm::Vcpu> vcpu = cpu::interp::make_interpreter({.id = 0,
                                                                  .memory = memory,
                                                                  .io = io,
                                                                  .clock = clock,
                                                                  .apic = &lapic,
                                                                  .paravirt = &paravirt,
                                                                  .cpuid = cpu::x86::make_cpuid({})});
};

constexpr u64 kTables = 0x10000;  // page tables for the 4-level and PAE modes: RAM identity-mapped, user and supervisor
constexpr u64 kCode = 0x8000;

void put(vm::GuestMemory& memory, u64 gpa, u64 value) { memory.write(gpa, &value, 8); }

void build_page_tables(vm::GuestMemory& memory) {
  put(memory, kTables, (kTables + 0x1000) | 7);
  put(memory, kTables + 0x1000, (kTables + 0x2000) | 7);
  put(memory, kTables + 0x2000, (kTables + 0x3000) | 7);
  put(memory, kTables + 0x2008, 0x200000 | 0x87);  // beyond RAM: devices
  for (u64 page = 0; page < kRam / kPageSize; ++page) put(memory, kTables + 0x3000 + page * 8, (page << 12) | 7);
}

CpuState state_for(u8 mode, u8 tweak, std::span<const u8> seed) {
  CpuState s = reset_state(true, 0);
  for (unsigned i = 0; i < 16; ++i) s.regs.gpr[i] = (u64{seed[i]} * 0x2F1) & (kRam - 1);
  s.regs.gpr[RSP] = 0x7000 + seed[4] * 8u;
  s.regs.rip = kCode;
  s.regs.rflags = rflags::Fixed1 | (tweak & 1 ? rflags::IF : 0) | (tweak & 2 ? rflags::TF : 0) |
                  (tweak & 4 ? rflags::DF : 0) | (tweak & 8 ? rflags::AC : 0);
  s.sys.gdtr = {.base = 0x1000, .limit = 0x7FF};
  s.sys.idtr = {.base = 0x2000, .limit = 0xFFF};
  const unsigned dpl = tweak & 16 ? 3 : 0;
  const auto flat = [&](u32 attributes) {
    return Segment{
        .selector = static_cast<u16>(8 | dpl), .attributes = attributes | dpl << 5, .limit = 0xFFFFFFFF, .base = 0};
  };
  s.sys.segment[CS].base = 0;
  s.sys.segment[CS].selector = 0;
  s.sys.segment[TR].base = 0x3000;
  s.sys.segment[TR].limit = 0x3FF;
  s.sys.cr4 = cr4::OSFXSR | cr4::OSXSAVE | cr4::OSXMMEXCPT | (tweak & 32 ? cr4::SMAP | cr4::SMEP | cr4::UMIP : 0) |
              (tweak & 64 ? cr4::DE | cr4::PCE : 0);
  s.sys.xcr0 = 7;
  s.sys.cr0 = cr0::ET | cr0::NE | (tweak & 128 ? cr0::AM | cr0::WP : 0);
  switch (mode % 5) {
    case 0:
      break;  // real
    case 1:   // 16-bit protected
      s.sys.cr0 |= cr0::PE;
      for (auto seg : {ES, SS, DS, FS, GS}) s.sys.segment[seg] = flat(0x8093);
      s.sys.segment[CS] = flat(0x809B);
      break;
    case 2:  // 32-bit protected, PAE paging
    case 3:
      s.sys.cr0 |= cr0::PE;
      for (auto seg : {ES, SS, DS, FS, GS}) s.sys.segment[seg] = flat(0xC093);
      s.sys.segment[CS] = flat(0xC09B);
      if (mode % 5 == 3) {
        s.sys.cr0 |= cr0::PG;
        s.sys.cr4 |= cr4::PAE;
        s.sys.cr3 = kTables + 0x1000;
        s.sys.pdpte = {(kTables + 0x2000) | 1, 0, 0, 0};
      }
      break;
    default:  // 64-bit
      s.sys.cr0 |= cr0::PE | cr0::PG;
      s.sys.cr4 |= cr4::PAE | cr4::PCIDE | cr4::FSGSBASE;
      s.sys.efer = efer::LME | efer::LMA | efer::SCE | efer::NXE;
      s.sys.cr3 = kTables;
      for (auto seg : {ES, SS, DS, FS, GS}) s.sys.segment[seg] = flat(0xC093);
      s.sys.segment[CS] = flat(0xA09B);
      break;
  }
  return s;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, std::size_t size) {
  if (size < 19) return 0;
  static Machine machine;
  machine.memory.clear();
  build_page_tables(machine.memory);
  const std::span<const u8> input(data, size);
  const auto code = input.subspan(18, std::min<std::size_t>(size - 18, 0x4000));
  // Code first, and the same bytes as descriptor tables and TSS, so that selectors and vectors find something.
  machine.memory.write(kCode, code.data(), code.size());
  for (u64 table : {0x0000, 0x1000, 0x2000, 0x3000})
    machine.memory.write(table, code.data(), std::min<u64>(code.size(), 0x800));
  if (!machine.vcpu->set_state(state_for(input[0], input[1], input.subspan(2, 16)))) return 0;
  for (unsigned i = 0; i < kSteps; ++i) {
    if (cpu::interp::step(*machine.vcpu).reason != vm::ExitReason::Kicked) break;
    if (machine.vcpu->state().event.activity != Activity::Running) break;
  }
  // The state must be one that can be given to an engine again.
  (void)machine.vcpu->set_state(machine.vcpu->state());
  return 0;
}
