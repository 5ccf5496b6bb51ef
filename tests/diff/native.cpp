#include "native.h"

#include <asm/ldt.h>
#include <cpuid.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/bytes.h"

namespace vireo::diff {

using namespace vm::x86;

namespace {

constexpr u64 kAlternateStackSize = 64 * kKiB;

/// ucontext's order of the registers, by encoding.
constexpr int kRegisters[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

enum class Phase : u8 { Idle, Entering, Running };

struct Run {
  Phase phase = Phase::Idle;
  const Snippet* snippet = nullptr;
  Outcome* outcome = nullptr;
  gregset_t host;  ///< of the harness, while a snippet runs
  cpu::x86::XsaveLayout layout;
};
Run current;

[[noreturn]] void give_up(const char* what) {
  std::perror(what);
  std::exit(2);
}

cpu::x86::XsaveLayout host_layout() {
  vm::x86::CpuidTable table;
  for (u32 i = 0; i < 8; ++i) {
    CpuidLeaf leaf{.leaf = 0xD, .subleaf = i, .subleaf_matters = true};
    __cpuid_count(0xD, i, leaf.eax, leaf.ebx, leaf.ecx, leaf.edx);
    table.leaves.push_back(leaf);
  }
  return cpu::x86::XsaveLayout::from(table);
}

std::span<u8> fpu_image(ucontext_t& context) {
  // The size of the extended state is in the software bytes of the legacy image (asm/sigcontext.h, _fpx_sw_bytes).
  u8* image = reinterpret_cast<u8*>(context.uc_mcontext.fpregs);
  return {image, load<u32>(image + 464) == 0x46505853 ? load<u32>(image + 464 + 16) : 512u};
}

constexpr u64 kComponents = cpu::x86::kFpuComponents;

void enter(ucontext_t& context) {
  auto& gregs = context.uc_mcontext.gregs;
  std::memcpy(current.host, gregs, sizeof(gregset_t));
  const Snippet& snippet = *current.snippet;
  for (unsigned i = 0; i < 16; ++i) gregs[kRegisters[i]] = static_cast<greg_t>(snippet.state.regs.gpr[i]);
  gregs[REG_RIP] = static_cast<greg_t>(snippet.state.regs.rip);
  gregs[REG_EFL] = static_cast<greg_t>(snippet.state.regs.rflags);
  constexpr u16 code[] = {kUserCode64, kUserCode32, kCode16};
  const u64 stack = snippet.mode == Mode::Bits16 ? kData16 : kUserData;
  const u64 others = static_cast<u64>(gregs[REG_CSGSFS]) & 0x0000'FFFF'FFFF'0000;  // CS, GS, FS, SS from bit 0 up
  gregs[REG_CSGSFS] = static_cast<greg_t>(others | code[static_cast<u8>(snippet.mode)] | stack << 48);
  // The software bytes at 464 must survive: they are how the kernel recognises the image.
  u8 software[48];
  const auto image = fpu_image(context);
  std::memcpy(software, image.data() + 464, 48);
  cpu::x86::store_xsave(snippet.state.fpu, current.layout, kComponents, image);
  std::memcpy(image.data() + 464, software, 48);
  current.phase = Phase::Running;
}

void leave(ucontext_t& context) {
  auto& gregs = context.uc_mcontext.gregs;
  Outcome& out = *current.outcome;
  for (unsigned i = 0; i < 16; ++i) out.state.regs.gpr[i] = static_cast<u64>(gregs[kRegisters[i]]);
  out.state.regs.rip = static_cast<u64>(gregs[REG_RIP]);
  out.state.regs.rflags = static_cast<u64>(gregs[REG_EFL]);
  out.vector = static_cast<u8>(gregs[REG_TRAPNO]);
  out.error = static_cast<u32>(gregs[REG_ERR]);
  out.address = static_cast<u64>(gregs[REG_CR2]);
  const auto image = fpu_image(context);
  out.state.fpu = {};
  cpu::x86::load_xsave(out.state.fpu, current.layout, kComponents, image);
  out.beyond_guest = load<u32>(image.data() + 24) & ~cpu::x86::kMxcsrMask;
  // Back into the harness, with clean floating-point state.
  std::memcpy(gregs, current.host, sizeof(gregset_t));
  store<u64>(image.data() + 512, load<u64>(image.data() + 512) & ~xcr0::X87);
  store<u32>(image.data() + 24, cpu::x86::kMxcsrDefault);
  current.phase = Phase::Idle;
}

void on_signal(int number, siginfo_t*, void* raw_context) {
  auto& context = *static_cast<ucontext_t*>(raw_context);
  switch (current.phase) {
    case Phase::Entering:
      return enter(context);
    case Phase::Running:
      return leave(context);
    case Phase::Idle:
      break;
  }
  signal(number, SIG_DFL);
}

/// A 16-bit segment of the process's own.
void add_segment(u16 selector, u64 base, u64 size, bool code) {
  user_desc segment = {};
  segment.entry_number = selector >> 3;
  segment.base_addr = static_cast<unsigned>(base);
  segment.limit = static_cast<unsigned>(size - 1);
  segment.contents = code ? 2 : 0;
  segment.useable = 1;
  if (syscall(SYS_modify_ldt, 1, &segment, sizeof(segment)) != 0) give_up("cannot make a 16-bit segment");
}

void load_data_segments(u16 selector) { asm volatile("mov %0, %%ds; mov %0, %%es" : : "r"(u32{selector})); }

u8* map(u64 at, u64 size, int protection, int file, off_t offset) {
  void* wanted = reinterpret_cast<void*>(at);
  const int flags = MAP_SHARED | MAP_POPULATE | (at != 0 ? MAP_FIXED_NOREPLACE : 0);
  void* got = mmap(wanted, size, protection, flags, file, offset);
  if (got == MAP_FAILED || (at != 0 && got != wanted)) give_up("cannot map the snippet's pages");
  return static_cast<u8*>(got);
}

}  // namespace

Native::Native() {
  current.layout = host_layout();
  const int file = memfd_create("vireo-diff", MFD_CLOEXEC);
  if (file < 0 || ftruncate(file, static_cast<off_t>(kCodeSize + sizeof(Data))) != 0)
    give_up("cannot make snippet memory");
  map(kCode, kCodeSize, PROT_READ | PROT_EXEC, file, 0);
  map(kData, kDataSize, PROT_READ | PROT_WRITE, file, kCodeSize);
  map(kReadOnly, kPageSize, PROT_READ, file, kCodeSize + kDataSize);
  code_ = map(0, kCodeSize + sizeof(Data), PROT_READ | PROT_WRITE, file, 0);
  data_ = code_ + kCodeSize;
  std::memset(code_, kInt3, kCodeSize);
  close(file);

  void* stack = mmap(nullptr, kAlternateStackSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (stack == MAP_FAILED) give_up("cannot make a signal stack");
  const stack_t alternate{.ss_sp = stack, .ss_flags = 0, .ss_size = kAlternateStackSize};
  sigaltstack(&alternate, nullptr);
  struct sigaction action = {};
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  for (int number : {SIGTRAP, SIGSEGV, SIGBUS, SIGILL, SIGFPE}) sigaction(number, &action, nullptr);
  add_segment(kCode16, kCode, kCodeSize, true);
  add_segment(kData16, kData, sizeof(Data), false);
  load_data_segments(kUserData);  // 64-bit processes start with null selectors, which 32-bit code cannot use
}

Outcome Native::run(const Snippet& snippet) {
  Outcome outcome;
  const u64 offset = snippet.start - kCode;
  const u64 size = std::min<u64>(snippet.code.size(), kCodeSize - offset);
  std::copy_n(snippet.code.begin(), size, code_ + offset);
  if (snippet.mode == Mode::Bits16) load_data_segments(kData16);
  current.snippet = &snippet;
  current.outcome = &outcome;
  current.phase = Phase::Entering;
  asm volatile("int3"
               :
               :
               : "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
                 "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
  if (snippet.mode == Mode::Bits16) load_data_segments(kUserData);
  std::memset(code_ + offset, kInt3, size);
  return outcome;
}

}  // namespace vireo::diff
