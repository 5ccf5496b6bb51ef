// The translator beside the interpreter on random 64-bit code: from the same state, both must end in the same state.
// Every block is proved safe on the way (cpu/translate/verify.h), and the code cache is as small as it can be.
//
// Input: byte 0 picks ring 3, addresses across pages, segment bases and flags; 16 bytes seed the registers; the rest is
// code. A run ends at a port, MMIO write or exception; one that is longer than kSteps instructions, or whose end cannot
// be compared, is left out.
#include <Zydis/Zydis.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "cpu/interp/interp.h"
#include "cpu/translate/translate.h"
#include "cpu/translate/verify.h"
#include "cpu/x86/cpuid_model.h"
#include "support/lone_vcpu.h"

namespace {

using namespace vireo;
using namespace vireo::vm::x86;

static_assert(cpu::translate::kVerify);

constexpr unsigned kSteps = 200;
constexpr u64 kRam = 256 * kKiB;
constexpr u64 kTables = 0x10000, kTablesEnd = 0x15000;
constexpr u64 kGdt = 0x1000, kIdt = 0x2000, kTss = 0x3000, kHandlers = 0x4000, kHandlerStack = 0x6F00;
constexpr u64 kCode = 0x8000;
constexpr u16 kKernelCode = 0x08, kKernelData = 0x10, kUserData = 0x1B, kUserCode = 0x23, kTssSelector = 0x28;
constexpr u32 kWithError = bit(8) | bit(10) | bit(11) | bit(12) | bit(13) | bit(14) | bit(17);

/// RAM as every run finds it, without code.
std::vector<u8> make_image() {
  std::vector<u8> image(kRam);
  for (u64 i = 0x8000; i < kRam; ++i) image[i] = static_cast<u8>(i * 0x9E3779B1 >> 13);
  std::memset(&image[kTables], 0, kTablesEnd - kTables);
  const auto put = [&](u64 at, u64 value) { store<u64>(&image[at], value); };
  put(kTables, (kTables + 0x1000) | 7);
  put(kTables + 0x1000, (kTables + 0x2000) | 7);
  put(kTables + 0x2000, (kTables + 0x3000) | 7);
  put(kTables + 0x2008, 0x200000 | 0x87);  // beyond RAM: devices
  for (u64 page = 0; page < kRam / kPageSize; ++page) put(kTables + 0x3000 + page * 8, page << 12 | 7);
  put(kTables + 0x3000 + 0x3F * 8, 0x3F << 12 | 5);  // the last page is read only
  put(kGdt + kKernelCode, 0x00AF9B000000FFFF);
  put(kGdt + kKernelData, 0x00CF93000000FFFF);
  put(kGdt + (kUserData & ~7), 0x00CFF3000000FFFF);
  put(kGdt + (kUserCode & ~7), 0x00AFFB000000FFFF);
  put(kTss + 4, kHandlerStack);   // RSP0
  put(kTss + 36, kHandlerStack);  // IST1: kernel code has a stack pointer of any kind
  store<u16>(&image[kTss + 102], 0xFFFF);
  for (unsigned vector = 0; vector < 32; ++vector) {
    const u64 handler = kHandlers + 4 * vector;
    const u8 code[4] = {0xE6, static_cast<u8>(vector), 0xEB, 0xFE};  // out vector, al; jmp to itself
    std::memcpy(&image[handler], code, 4);
    put(kIdt + 16 * vector, handler | u64{kKernelCode} << 16 | u64{0xEE01} << 32);
  }
  return image;
}

class Machine final : public vm::MachineIo {
 public:
  explicit Machine(bool translate) {
    const vm::VcpuSetup setup{.id = 0,
                              .memory = memory,
                              .io = *this,
                              .clock = clock_,
                              .apic = &apic_,
                              .paravirt = &paravirt_,
                              .cpuid = cpu::x86::make_cpuid({})};
    vcpu = translate ? cpu::translate::make_translator(setup, {.code_cache = kMiB}).value()
                     : cpu::interp::make_interpreter(setup);
  }
  void start(const std::vector<u8>& image, const CpuState& state) {
    for (u64 page = 0; page < kRam; page += kPageSize) {
      if (std::memcmp(memory.base() + page, &image[page], kPageSize) != 0) memory.write(page, &image[page], kPageSize);
    }
    ended = false;
    written = 0;
    if (!vcpu->set_state(state)) std::abort();
  }
  u64 mmio_read(u64 gpa, u8) override { return gpa * 0x9E3779B97F4A7C15; }
  void mmio_write(u64 gpa, u8 size, u64 value) override {
    written = (written ^ gpa ^ size ^ value) * 0x9E3779B97F4A7C15;
    end(kMmio);
  }
  u32 port_read(u16 port, u8) override {
    end(port);
    return port * 0x01010101u;
  }
  void port_write(u16 port, u8, u32) override { end(port); }
  bool pic_pending() override { return false; }
  u8 pic_acknowledge() override { return 0xFF; }

  vm::GuestMemory memory = vm::GuestMemory::create({{.gpa = 0, .size = kRam, .offset = 0}}).value();
  static constexpr unsigned kMmio = 0x10000;
  bool ended = false;
  unsigned how = 0;  ///< port, or kMmio
  u64 written = 0;
  std::unique_ptr<vm::Vcpu> vcpu;

 private:
  void end(unsigned port) {
    if (!ended) how = port;
    ended = true;
    vcpu->kick();
  }
  test::StandingClock clock_;
  test::NoApic apic_;
  test::NoParavirt paravirt_;
};

CpuState state_for(u8 options, std::span<const u8> seed) {
  CpuState s = reset_state(true, 0);
  const bool user = options & 1;
  for (unsigned i = 0; i < 16; ++i) s.regs.gpr[i] = 0x16000 + seed[i] * u64{0x2A3};
  if (options & 2) s.regs.gpr[RDI] = ~u64{0} - seed[7];
  s.regs.gpr[RSP] = 0x7F00 - (seed[4] & 0x7Fu);
  s.regs.rip = kCode + (options & 4 ? 0xFF0 : 0);
  s.regs.rflags = rflags::Fixed1 | (options & 8 ? rflags::AC : 0) | (options & 16 ? rflags::DF : 0);
  s.sys.gdtr = {.base = kGdt, .limit = 0x7F};
  s.sys.idtr = {.base = kIdt, .limit = 32 * 16 - 1};
  s.sys.cr0 = cr0::PE | cr0::MP | cr0::ET | cr0::NE | cr0::WP | cr0::AM | cr0::PG;
  s.sys.cr3 = kTables;
  s.sys.cr4 = cr4::PAE | cr4::OSFXSR | cr4::OSXSAVE | cr4::OSXMMEXCPT | cr4::FSGSBASE;
  s.sys.efer = efer::LME | efer::LMA | efer::SCE | efer::NXE;
  s.sys.xcr0 = xcr0::X87 | xcr0::SSE | xcr0::AVX;
  const auto flat = [](u16 selector, u32 attributes) {
    return Segment{.selector = selector, .attributes = attributes, .limit = 0xFFFFFFFF, .base = 0};
  };
  for (Seg seg : {ES, SS, DS, FS, GS}) s.sys.segment[seg] = user ? flat(kUserData, 0xC0F3) : flat(kKernelData, 0xC093);
  s.sys.segment[CS] = user ? flat(kUserCode, 0xA0FB) : flat(kKernelCode, 0xA09B);
  s.sys.segment[TR] = {.selector = kTssSelector, .attributes = 0x8B, .limit = 0x67, .base = kTss};
  if (options & 32) {
    s.sys.segment[FS].base = 0x20000 + seed[0] * 16u;
    s.sys.segment[GS].base = 0x28000 + seed[1] * 16u;
  }
  for (unsigned i = 0; i < 16; ++i) {
    for (unsigned k = 0; k < 32; ++k) s.fpu.zmm[i][k] = static_cast<u8>(seed[(i + k) % 16] * (k + 1));
  }
  return s;
}

/// Status flags that the instructions so far left undefined: what they are is nobody's business. Translated code may
/// differ in them where they depend on what was there before.
class Undefined {
 public:
  /// False: the instruction's result is not to be compared.
  bool take(const vm::GuestMemory& memory, const CpuState& state) {
    ZydisDecodedInstruction in;
    u8 bytes[15];
    u64 size = sizeof bytes;
    if (state.regs.rip >= kRam) return true;
    if (kRam - state.regs.rip < size) size = kRam - state.regs.rip;
    memory.read(state.regs.rip, bytes, size);
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder_, nullptr, bytes, size, &in))) return true;
    switch (in.mnemonic) {
      case ZYDIS_MNEMONIC_RDRAND:
      case ZYDIS_MNEMONIC_RDSEED:
      case ZYDIS_MNEMONIC_RDTSC:
      case ZYDIS_MNEMONIC_RDTSCP:
        return false;
      case ZYDIS_MNEMONIC_PUSHF:
      case ZYDIS_MNEMONIC_PUSHFQ:
      case ZYDIS_MNEMONIC_LAHF:
      case ZYDIS_MNEMONIC_SYSCALL:
        if (flags != 0) return false;
        break;
      default:
        break;
    }
    branched =
        in.mnemonic == ZYDIS_MNEMONIC_JMP || in.mnemonic == ZYDIS_MNEMONIC_CALL || in.mnemonic == ZYDIS_MNEMONIC_RET;
    if (in.cpu_flags == nullptr) return true;
    if (in.cpu_flags->tested & flags) return false;
    const bool counted = in.meta.category == ZYDIS_CATEGORY_SHIFT || in.meta.category == ZYDIS_CATEGORY_ROTATE;
    if (!counted) flags &= ~(in.cpu_flags->modified | in.cpu_flags->set_0 | in.cpu_flags->set_1);
    flags |= in.cpu_flags->undefined & rflags::kStatus;
    return true;
  }
  u64 flags = 0;
  bool branched = false;  ///< the last instruction jumps, calls or returns

 private:
  const ZydisDecoder decoder_ = [] {
    ZydisDecoder made;
    ZydisDecoderInit(&made, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    return made;
  }();
};

/// Prints and aborts when it is not so.
void expect(bool same, const char* what, u64 interpreted = 0, u64 translated = 0) {
  if (same) return;
  std::fprintf(stderr, "differs: %s: interpreted %#llx, translated %#llx\n", what,
               static_cast<unsigned long long>(interpreted), static_cast<unsigned long long>(translated));
  std::abort();
}

void compare(Machine& a, Machine& b, u64 ignored_flags) {
  const CpuState left = a.vcpu->state(), right = b.vcpu->state();
  expect(a.how == b.how, "the end", a.how, b.how);
  static constexpr const char* kNames[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                           "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
  for (unsigned i = 0; i < 16; ++i)
    expect(left.regs.gpr[i] == right.regs.gpr[i], kNames[i], left.regs.gpr[i], right.regs.gpr[i]);
  expect(left.regs.rip == right.regs.rip, "rip", left.regs.rip, right.regs.rip);
  expect(((left.regs.rflags ^ right.regs.rflags) & ~ignored_flags) == 0, "rflags", left.regs.rflags, right.regs.rflags);
  expect(left.sys.cr2 == right.sys.cr2, "cr2", left.sys.cr2, right.sys.cr2);
  expect(left.sys.cr0 == right.sys.cr0, "cr0", left.sys.cr0, right.sys.cr0);
  expect(left.sys.cr3 == right.sys.cr3, "cr3", left.sys.cr3, right.sys.cr3);
  expect(left.sys.cr4 == right.sys.cr4, "cr4", left.sys.cr4, right.sys.cr4);
  for (unsigned i = 0; i < 6; ++i) {
    expect(left.sys.segment[i].selector == right.sys.segment[i].selector, "a selector", left.sys.segment[i].selector,
           right.sys.segment[i].selector);
    expect(left.sys.segment[i].base == right.sys.segment[i].base, "a segment's base", left.sys.segment[i].base,
           right.sys.segment[i].base);
  }
  expect(left.fpu.mxcsr == right.fpu.mxcsr, "mxcsr", left.fpu.mxcsr, right.fpu.mxcsr);
  for (unsigned i = 0; i < 16; ++i) {
    expect(left.fpu.zmm[i] == right.fpu.zmm[i], "a vector", load<u64>(left.fpu.zmm[i].data()),
           load<u64>(right.fpu.zmm[i].data()));
  }
  expect(left.fpu.st == right.fpu.st && left.fpu.fsw == right.fpu.fsw && left.fpu.fcw == right.fpu.fcw &&
             left.fpu.ftw == right.fpu.ftw,
         "x87");
  expect(a.written == b.written, "what went to devices", a.written, b.written);
  // An exception's frame holds flags, and page tables accessed and dirty bits, which may be set early.
  const u64 frame = left.regs.gpr[RSP] + (a.how < 32 && (kWithError & bit(a.how)) ? 8 : 0) + 16;
  for (u64 at = 0; at < kRam; at += 8) {
    if (at % kPageSize == 0 && std::memcmp(a.memory.base() + at, b.memory.base() + at, kPageSize) == 0) {
      at += kPageSize - 8;
      continue;
    }
    const u64 x = load<u64>(a.memory.base() + at), y = load<u64>(b.memory.base() + at);
    if (x == y || (at >= kTables && at < kTablesEnd) || (at == frame && a.how < 32)) continue;
    std::fprintf(stderr, "at %#llx: ", static_cast<unsigned long long>(at));
    expect(false, "memory", x, y);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, std::size_t size) {
  if (size < 18 || !cpu::translate::supported()) return 0;
  static const std::vector<u8> image = make_image();
  static Machine interpreted(false), translated(true);
  const std::span<const u8> input(data, size);
  const CpuState start = state_for(input[0], input.subspan(1, 16));
  std::vector<u8> ram = image;
  const auto code = input.subspan(17, std::min<std::size_t>(size - 17, 0x4000));
  std::copy(code.begin(), code.end(), ram.begin() + static_cast<std::ptrdiff_t>(start.regs.rip));
  const u8 last[] = {0xE6, 0xF4};  // out 0xf4, al
  std::copy(std::begin(last), std::end(last), ram.begin() + static_cast<std::ptrdiff_t>(start.regs.rip + code.size()));

  interpreted.start(ram, start);
  Undefined undefined;
  bool shut_down = false;
  for (unsigned i = 0; !interpreted.ended && !shut_down; ++i) {
    const CpuState now = interpreted.vcpu->state();
    if (i == kSteps || now.event.activity != Activity::Running) return 0;
    const bool handler = now.regs.rip >= kHandlers && now.regs.rip < kHandlers + 32 * 4;
    if (!handler && !undefined.take(interpreted.memory, now)) return 0;
    shut_down = cpu::interp::step(*interpreted.vcpu).reason == vm::ExitReason::TripleFault;
  }
  // Known: a jump to a non-canonical address faults at the address and not at the jump.
  if (interpreted.ended && interpreted.how == raw(Vector::GP) && undefined.branched) {
    (void)interpreted.vcpu->run();
    return 0;
  }
  if (interpreted.ended) (void)interpreted.vcpu->run();  // takes the kick

  translated.start(ram, start);
  const auto exit = translated.vcpu->run();
  expect((exit.reason == vm::ExitReason::TripleFault) == shut_down, "a triple fault", shut_down,
         exit.reason == vm::ExitReason::TripleFault);
  if (shut_down) return 0;
  // At an exception, and between instructions, flags that are overwritten before they are read may be anything.
  const bool by_port = interpreted.how >= 32 && interpreted.how != Machine::kMmio;
  compare(interpreted, translated, undefined.flags | (by_port ? 0 : rflags::kStatus));
  return 0;
}
