#include "guest.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "base/bytes.h"
#include "cpu/interp/interp.h"
#include "cpu/translate/translate.h"
#include "cpu/x86/cpuid_model.h"
#include "support/lone_vcpu.h"

namespace vireo::diff {

using namespace vm::x86;

namespace {

// Guest-physical layout. Tables and handlers are mapped, for the supervisor only, at kKernel + physical address.
constexpr u64 kKernel = 0x2AAA'9540'0000;  // far from where wrong addresses lead
constexpr u64 kPml4 = 0x1000, kPdpt = 0x2000, kPd = 0x3000, kUserTable = 0x4000, kKernelTable = 0x5000,
              kKernelPdpt = 0x6000, kKernelPd = 0x7000;
constexpr u64 kGdt = 0x10000, kIdt = 0x11000, kTss = 0x12000, kHandlers = 0x13000, kStackTop = 0x15000;
constexpr u64 kCodePhysical = 0x20000, kDataPhysical = kCodePhysical + kCodeSize;
constexpr u64 kRam = 256 * kKiB;

constexpr u16 kKernelCode = 0x10, kTssSelector = 0x40;

constexpr u64 kPresent = 1, kWritable = 2, kUser = 4, kNoExecute = bit(63);

/// Ends the run when a handler reports its vector.
class Io final : public vm::MachineIo {
 public:
  u64 mmio_read(u64, u8) override { return 0; }
  void mmio_write(u64, u8, u64) override {}
  u32 port_read(u16, u8) override { return 0; }
  void port_write(u16 port, u8, u32) override {
    vector = static_cast<u8>(port);
    vcpu->kick();
  }
  bool pic_pending() override { return false; }
  u8 pic_acknowledge() override { return 0; }

  vm::Vcpu* vcpu = nullptr;
  u8 vector = 0xFF;
};

vm::GuestMemory make_memory() {
  auto memory = vm::GuestMemory::create({{.gpa = 0, .size = kRam, .offset = 0}});
  if (!memory) {
    std::fprintf(stderr, "%s\n", memory.error().message.c_str());
    std::exit(2);
  }
  return std::move(*memory);
}

Segment flat_segment(u16 selector, u32 attributes) {
  return {.selector = selector, .attributes = attributes, .limit = 0xFFFFFFFF, .base = 0};
}

void set_segments(SystemRegs& sys, Mode mode) {
  Segment code, data;
  switch (mode) {
    case Mode::Bits64:
      code = flat_segment(kUserCode64, 0xA0FB);
      data = flat_segment(kUserData, 0xC0F3);
      break;
    case Mode::Bits32:
      code = flat_segment(kUserCode32, 0xC0FB);
      data = flat_segment(kUserData, 0xC0F3);
      break;
    case Mode::Bits16:
      code = {.selector = kCode16, .attributes = 0xFB, .limit = kCodeSize - 1, .base = kCode};
      data = {.selector = kData16, .attributes = 0xF3, .limit = sizeof(Data) - 1, .base = kData};
      break;
  }
  sys.segment[CS] = code;
  for (Seg seg : {ES, SS, DS}) sys.segment[seg] = data;
}

void put_pages(vm::GuestMemory& memory) {
  const auto entry = [&](u64 table, u64 va, unsigned shift, u64 value) {
    store<u64>(memory.base() + table + 8 * ((va >> shift) & 511), value);
  };
  entry(kPml4, kCode, 39, kPdpt | kPresent | kWritable | kUser);
  entry(kPdpt, kCode, 30, kPd | kPresent | kWritable | kUser);
  entry(kPd, kCode, 21, kUserTable | kPresent | kWritable | kUser);
  entry(kPml4, kKernel, 39, kKernelPdpt | kPresent | kWritable);
  entry(kKernelPdpt, kKernel, 30, kKernelPd | kPresent | kWritable);
  entry(kKernelPd, kKernel, 21, kKernelTable | kPresent | kWritable);
  for (u64 at = 0; at < kCodeSize; at += kPageSize) {
    entry(kUserTable, kCode + at, 12, (kCodePhysical + at) | kPresent | kUser);
  }
  for (u64 at = 0; at < kDataSize; at += kPageSize) {
    entry(kUserTable, kData + at, 12, (kDataPhysical + at) | kPresent | kWritable | kUser | kNoExecute);
  }
  entry(kUserTable, kReadOnly, 12, (kDataPhysical + kDataSize) | kPresent | kUser | kNoExecute);
  for (u64 at = 0; at < kCodePhysical; at += kPageSize)
    entry(kKernelTable, kKernel + at, 12, at | kPresent | kWritable);
}

void put_tables(vm::GuestMemory& memory) {
  u8* base = memory.base();
  store<u64>(base + kGdt + kKernelCode, 0x00AF9B000000FFFF);
  store<u64>(base + kGdt + (kUserCode32 & ~7), 0x00CFFB000000FFFF);
  store<u64>(base + kGdt + (kUserData & ~7), 0x00CFF3000000FFFF);
  store<u64>(base + kGdt + (kUserCode64 & ~7), 0x00AFFB000000FFFF);
  store<u64>(base + kTss + 4, kKernel + kStackTop);  // RSP0
  store<u16>(base + kTss + 102, 0xFFFF);             // no I/O permission bitmap
  for (unsigned vector = 0; vector < 32; ++vector) {
    const u64 handler = kKernel + kHandlers + 4 * vector;
    const u8 code[4] = {0xE6, static_cast<u8>(vector), 0xEB, 0xFE};  // OUT vector, AL; JMP to itself
    std::memcpy(base + kHandlers + 4 * vector, code, 4);
    const bool from_user = vector == 3 || vector == 4;
    store<u64>(base + kIdt + 16 * vector, (handler & 0xFFFF) | u64{kKernelCode} << 16 |
                                              u64{from_user ? 0xEEu : 0x8Eu} << 40 | (handler >> 16 & 0xFFFF) << 48);
    store<u64>(base + kIdt + 16 * vector + 8, handler >> 32);
  }
}

CpuState start_state() {
  CpuState state = reset_state(true, 0);
  auto& sys = state.sys;
  sys.cr0 = cr0::PE | cr0::MP | cr0::ET | cr0::NE | cr0::WP | cr0::AM | cr0::PG;
  sys.cr3 = kPml4;
  sys.cr4 = cr4::PAE | cr4::OSFXSR | cr4::OSXMMEXCPT | cr4::OSXSAVE;
  sys.efer = efer::SCE | efer::LME | efer::LMA | efer::NXE;
  sys.xcr0 = guest_cpuid().find(0xD, 0)->eax;
  sys.gdtr = {.base = kKernel + kGdt, .limit = 0xFFF};
  sys.idtr = {.base = kKernel + kIdt, .limit = 32 * 16 - 1};
  for (Seg seg : {FS, GS}) sys.segment[seg] = {.selector = 0, .attributes = Segment::kUnusable, .limit = 0, .base = 0};
  sys.segment[LDTR] = {.selector = 0, .attributes = Segment::kUnusable | 0x82, .limit = 0, .base = 0};
  sys.segment[TR] = {.selector = kTssSelector, .attributes = 0x8B, .limit = 0x67, .base = kKernel + kTss};
  return state;
}

std::unique_ptr<vm::Vcpu> make_vcpu(EngineKind engine, const vm::VcpuSetup& setup) {
  if (engine == EngineKind::Interpret) return cpu::interp::make_interpreter(setup);
  cpu::translate::Options options{.code_cache = 4 * kMiB};
  if (engine == EngineKind::TranslateFallback) options.stress.fallback_every = 2;
  if (engine == EngineKind::TranslatePages) options.stress.pages_everywhere = true;
  auto vcpu = cpu::translate::make_translator(setup, options);
  if (!vcpu) {
    std::fprintf(stderr, "%s\n", vcpu.error().message.c_str());
    std::exit(2);
  }
  return std::move(*vcpu);
}

/// Translated code has the GS base; on the host snippets expect none.
void reset_gs() { asm volatile("wrgsbase %0" : : "r"(u64{0})); }

}  // namespace

CpuidTable guest_cpuid() { return cpu::x86::make_cpuid({}); }

struct Guest::Parts {
  explicit Parts(EngineKind kind) : engine(kind), memory(make_memory()) {
    put_pages(memory);
    put_tables(memory);
    std::memset(memory.base() + kCodePhysical, kInt3, kCodeSize);
    vcpu = make_vcpu(kind, {.id = 0,
                            .memory = memory,
                            .io = io,
                            .clock = clock,
                            .apic = &apic,
                            .paravirt = &paravirt,
                            .cpuid = guest_cpuid()});
    io.vcpu = vcpu.get();
    state = start_state();
  }
  const EngineKind engine;
  vm::GuestMemory memory;
  Io io;
  test::StandingClock clock;
  test::NoApic apic;
  test::NoParavirt paravirt;
  CpuState state;
  std::unique_ptr<vm::Vcpu> vcpu;
};

Guest::Guest(EngineKind engine) : parts_(std::make_unique<Parts>(engine)) {}
Guest::~Guest() = default;
u8* Guest::data() { return parts_->memory.base() + kDataPhysical; }

Outcome Guest::run(const Snippet& snippet) {
  Parts& p = *parts_;
  const u64 physical = kCodePhysical + (snippet.start - kCode);
  const u64 size = std::min<u64>(snippet.code.size(), kCodePhysical + kCodeSize - physical);
  std::copy_n(snippet.code.begin(), size, p.memory.base() + physical);
  p.memory.note_write(kCodePhysical, kCodeSize);
  p.state.regs = snippet.state.regs;
  p.state.fpu = snippet.state.fpu;
  set_segments(p.state.sys, snippet.mode);
  p.io.vector = 0xFF;
  Outcome out;
  const bool ran = p.vcpu->set_state(p.state) && p.vcpu->run().reason == vm::ExitReason::Kicked;
  if (p.engine != EngineKind::Interpret) reset_gs();
  std::memset(p.memory.base() + physical, kInt3, size);
  if (!ran) return out;

  const CpuState end = p.vcpu->state();
  out.vector = p.io.vector;
  out.state.regs = end.regs;
  out.state.fpu = end.fpu;
  out.address = end.sys.cr2;
  // The exception frame (SDM 3A figure 6-9): error code, RIP, CS, RFLAGS, RSP, SS.
  const u8* frame = p.memory.base() + (end.regs.gpr[RSP] - kKernel) % kRam;
  constexpr u32 with_error = bit(8) | bit(10) | bit(11) | bit(12) | bit(13) | bit(14) | bit(17);
  if (out.vector < 32 && (with_error & bit(out.vector))) {
    out.error = load<u32>(frame);
    frame += 8;
  }
  out.state.regs.rip = load<u64>(frame);
  out.state.regs.rflags = load<u64>(frame + 16);
  out.state.regs.gpr[RSP] = load<u64>(frame + 24);
  return out;
}

}  // namespace vireo::diff
