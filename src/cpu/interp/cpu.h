// The interpreter's view of a vCPU: everything an instruction handler may touch. Handlers are free functions in the
// files beside this one (integer.cpp, string.cpp, segment.cpp, system.cpp, host_exec.cpp, ...).
#pragma once

#include <array>
#include <atomic>
#include <csetjmp>
#include <optional>

#include "base/bytes.h"
#include "cpu/interp/insn.h"
#include "cpu/softtlb/softtlb.h"
#include "cpu/x86/paging.h"
#include "vm/engine/engine.h"

namespace vireo::cpu::interp {

using vm::x86::Seg;
using vm::x86::Segment;
using vm::x86::Vector;
using x86::Access;

/// CPU mode of the code segment, the part of the state a decoded instruction depends on.
enum class CodeMode : u8 { Bits16, Bits32, Bits64 };

/// How an event entered the CPU, for its error code and saved RIP (SDM 3A 6.4).
enum class EventKind : u8 { Exception, SoftwareInterrupt, ExternalInterrupt, Nmi };

struct Fault {
  Vector vector = Vector::UD;
  bool has_error = false;
  u32 error = 0;
};

class HostExec;

/// Whoever keeps translations beside Cpu::tlb: told of every flush, before the next instruction.
class TranslationKeeper {
 public:
  virtual ~TranslationKeeper() = default;
  virtual void flush_all() = 0;
  virtual void flush_non_global() = 0;
  virtual void flush_page(u64 va) = 0;
  /// EFER, STAR, LSTAR, CSTAR, SFMASK or CR0.AM was written: what system calls and their returns lead to.
  virtual void system_calls_changed() = 0;
};

class Cpu {
 public:
  Cpu(const vm::VcpuSetup& setup);
  ~Cpu();

  // --- Guest state
  // -------------------------------------------------------------------------------------------------------
  std::array<u64, 18> r{};  ///< 16 general registers, [16] = next_rip, [17] = 0
  u64 rip = 0;              ///< of the instruction being executed
  u64& next_rip = r[16];
  u64 rflags = vm::x86::rflags::Fixed1;
  vm::x86::SystemRegs sys;  ///< tsc holds nothing while running: see read_tsc
  vm::x86::FpuState fpu;
  vm::x86::EventState event;

  // --- Derived from it: call the update function after changing what it names
  // -----------------------------------------------
  CodeMode mode = CodeMode::Bits16;  ///< CS.L, CS.D, EFER.LMA, CR0.PE
  unsigned cpl = 0;                  ///< 0 in real mode, 3 in virtual-8086 mode, else SS.DPL
  u64 stack_mask = 0xFFFF;           ///< of RSP for implicit stack accesses
  u64 rip_mask = 0xFFFFFFFF;         ///< of RIP at block starts: 32 bits outside 64-bit code
  bool fpu_blocked = false;          ///< CR0.EM or CR0.TS
  SoftTlb::View view = SoftTlb::Supervisor;
  bool careful = false;  ///< RFLAGS.TF or breakpoints: the run loop steps one instruction at a time
  /// After any change to segments, CR0, CR4, EFER, RFLAGS.VM/TF or DR7. Also ends the current block.
  void update_mode();
  /// After a change to nothing but RFLAGS.AC: only the TLB view depends on it.
  void update_view();

  bool protected_mode() const { return sys.cr0 & vm::x86::cr0::PE; }
  bool v86() const { return rflags & vm::x86::rflags::VM; }
  bool long_mode() const { return sys.efer & vm::x86::efer::LMA; }
  bool code64() const { return mode == CodeMode::Bits64; }
  /// What is added to RIP to fetch code.
  u64 code_base() const { return code64() ? 0 : sys.segment[vm::x86::CS].base; }
  unsigned iopl() const { return (rflags >> vm::x86::rflags::kIoplShift) & 3; }

  // --- Registers
  // -----------------------------------------------------------------------------------------------------------
  template <class T>
  T reg(RegSlot slot) const {
    return load<T>(reinterpret_cast<const u8*>(r.data()) + slot);
  }
  /// 32-bit writes clear the upper half (SDM 1 3.4.1.1).
  template <class T>
  void set_reg(RegSlot slot, T value) {
    u8* at = reinterpret_cast<u8*>(r.data()) + slot;
    if constexpr (sizeof(T) == 4) {
      store<u64>(at, value);
    } else {
      store<T>(at, value);
    }
  }
  /// By operand size in bytes.
  u64 reg_sized(RegSlot slot, unsigned size) const;
  void set_reg_sized(RegSlot slot, unsigned size, u64 value);

  // --- Memory
  // --------------------------------------------------------------------------------------------------------------
  /// Offset of the memory operand within its segment, truncated to the address size.
  u64 effective_address(const Insn& insn) const {
    u64 ea = load<u64>(reinterpret_cast<const u8*>(r.data()) + insn.base) +
             (load<u64>(reinterpret_cast<const u8*>(r.data()) + insn.index) << insn.scale) +
             static_cast<i64>(insn.disp);
    if (insn.addr_size == 4) ea = static_cast<u32>(ea);
    if (insn.addr_size == 2) ea = static_cast<u16>(ea);
    return ea;
  }
  /// Segment checks (limit, type, null, canonical form): raises #GP(0) or #SS(0). Returns the linear address.
  u64 linear(Seg seg, u64 offset, unsigned size, Access access);

  /// Data accesses at a linear address with the current privilege; raise #PF and, with CR0.AM, #AC. Reads and writes of
  /// aligned 1, 2, 4, 8 bytes are single host accesses. Device memory goes to MachineIo.
  template <class T>
  T read_linear(u64 va, Seg seg = vm::x86::DS) {
    if (const u8* host = tlb.read(view, va, sizeof(T))) [[likely]]
      return load<T>(host);
    T value;
    read_slow(va, &value, sizeof(T), seg);
    return value;
  }
  template <class T>
  void write_linear(u64 va, T value, Seg seg = vm::x86::DS) {
    if (u8* host = tlb.write(view, va, sizeof(T))) [[likely]] {
      store<T>(host, value);
      written(host, sizeof(T));
      return;
    }
    write_slow(va, &value, sizeof(T), seg);
  }
  /// With the segment: `offset` within `seg`.
  template <class T>
  T read(Seg seg, u64 offset) {
    return read_linear<T>(linear(seg, offset, sizeof(T), Access::Read), seg);
  }
  template <class T>
  void write(Seg seg, u64 offset, T value) {
    write_linear<T>(linear(seg, offset, sizeof(T), Access::Write), value, seg);
  }
  /// Any size 1..4096, by bytes where it crosses; all pages are checked before the first byte is written.
  void read_bytes(u64 va, void* to, unsigned size, Seg seg = vm::x86::DS) { read_slow(va, to, size, seg); }
  void write_bytes(u64 va, const void* from, unsigned size, Seg seg = vm::x86::DS) { write_slow(va, from, size, seg); }
  /// Raises the fault that a write of [va, va+size) would raise; changes only A and D bits.
  void probe_write(u64 va, unsigned size, Seg seg = vm::x86::DS);

  /// Host address for a read-modify-write of naturally bounded size, or nullptr when it is not within one RAM page.
  /// Raises what a write would. After changing it call written().
  u8* rmw_pointer(u64 va, unsigned size, Seg seg = vm::x86::DS);

  /// Implicit supervisor accesses (descriptor tables, TSS): CPL 0 rights whatever the CPL is.
  u64 read_system(u64 va, unsigned size);
  void write_system(u64 va, unsigned size, u64 value);

  /// Tells code caches that [host, host+size) in guest RAM changed.
  void written(const u8* host, unsigned size) {
    const u64 offset = static_cast<u64>(host - ram_base_);
    const u64 first = offset >> vm::GuestMemory::kChunkShift;
    const u64 last = (offset + size - 1) >> vm::GuestMemory::kChunkShift;
    if ((generations_[first].load(std::memory_order_relaxed) | generations_[last].load(std::memory_order_relaxed)) != 0)
        [[unlikely]]
      code_written(offset, size);
  }

  /// Host address of [va, va+size), canonical and in one page, for a run of a string instruction; nullptr: element by
  /// element. On a miss the page is walked first, which raises what the first element would. What it returns stays good
  /// when another page takes the TLB's entry.
  u8* run_pointer(u64 va, unsigned size, x86::Access access, Seg seg);

  /// The same for a range of any length.
  void written_range(const u8* host, unsigned size) { memory.note_write(static_cast<u64>(host - ram_base_), size); }

  // --- Stack: implicit pushes and pops in steps, so that a fault leaves RSP as it was
  // ------------------------------------------
  /// Accesses relative to `sp` on SS, not yet committed: push(sp, size, value) lowers the local `sp`.
  void push(u64& sp, unsigned size, u64 value);
  u64 pop(u64& sp, unsigned size);
  u64 stack_pointer() const { return r[vm::x86::RSP] & stack_mask; }
  /// Writes the low part of RSP that the stack size covers.
  void set_stack_pointer(u64 sp) {
    r[vm::x86::RSP] = stack_mask == ~u64{0}      ? sp
                      : stack_mask == 0xFFFFFFFF ? sp & stack_mask
                                                 : ((r[vm::x86::RSP] & ~stack_mask) | (sp & stack_mask));
  }

  // --- Faults and events
  // -----------------------------------------------------------------------------------------------------
  [[noreturn]] void raise(Vector vector);
  [[noreturn]] void raise(Vector vector, u32 error);
  [[noreturn]] void raise_page_fault(u64 va, u32 error);
  /// #UD, and logs the bytes once per mnemonic: for what CPUID does not announce or nobody implemented.
  [[noreturn]] void undefined(const Insn& insn);

  /// Delivers through the IDT or IVT (interrupt.cpp). Faults inside raise, and the run loop turns them into #DF or a
  /// triple fault.
  void deliver(u8 vector, EventKind kind, bool has_error, u32 error);

  /// The current block ends after this instruction (mode, mapping or interrupt state changed).
  void end_block() { block_ended = true; }
  /// Interrupt state changed (IF, TPR, ...): the run loop looks for pending interrupts before the next instruction.
  void recheck_interrupts() {
    attention.store(true, std::memory_order_relaxed);
    block_ended = true;
  }
  /// RFLAGS.IF became 1: the same, if anything was seen waiting while it was 0.
  void interrupts_enabled() {
    if (interrupts_held) recheck_interrupts();
  }
  bool interrupts_held = false;  ///< the run loop looked while nothing could be delivered, and has not looked since
  bool block_ended = false;

  // --- Translation state
  // -----------------------------------------------------------------------------------------------------
  SoftTlb tlb;
  x86::TableCache tables;  ///< flushed with the TLB
  u64 tlb_epoch = 1;       ///< counts flushes, of whatever part
  void flush_tlb();
  void flush_tlb_non_global();
  void flush_tlb_page(u64 va);
  TranslationKeeper* keeper = nullptr;
  void system_calls_changed() {
    if (keeper != nullptr) keeper->system_calls_changed();
  }
  x86::PagingContext paging_context(bool user) const;

  /// The APIC's register page, all ones when it has none: after any change to IA32_APIC_BASE.
  void update_apic_page() { apic_page = apic.mmio_page().value_or(~u64{0}); }
  u64 apic_page = ~u64{0};

  // --- Time
  // ------------------------------------------------------------------------------------------------------------------
  u64 read_tsc() const;  ///< includes tsc_adjust's and the vCPU's offset
  void set_tsc(u64 value);
  void set_tsc_offset(u64 offset);
  u64 tsc_offset = 0;  ///< guest-visible TSC minus clock.tsc(); the APIC and kvmclock know it too

  /// What the engine's statistics are made of. Counted off the fast paths only.
  struct Counters {
    u64 mmio = 0, apic = 0, port = 0, halt = 0, kick = 0;
    u64 interrupts = 0, nmis = 0, exceptions = 0, page_walks = 0;
  };
  Counters counters;

  // --- The world
  // ----------------------------------------------------------------------------------------------------------------
  vm::GuestMemory& memory;
  vm::MachineIo& io;
  vm::Clock& clock;
  vm::LocalApic& apic;
  vm::KvmParavirt& paravirt;
  const vm::x86::CpuidTable cpuid;
  const unsigned id;

  /// Something may need the run loop (kick, interrupt, ...). Set from any thread.
  std::atomic<bool> attention{false};
  /// Set by HLT, tested by the run loop.
  bool halt_requested = false;
  bool shutdown = false;  ///< triple fault

  std::unique_ptr<HostExec> host_exec;  ///< instructions run by the host CPU on copies of their operands

  /// Where raise() lands: set by the run loop.
  std::jmp_buf fault_exit;
  Fault fault;

  /// DR6 bits of debug traps that wait for the end of the instruction (debug.h).
  u64 debug_pending = 0;
  /// After MOV SS and POP SS debug traps wait one instruction longer (SDM 3A 6.8.3); goes with event.interrupt_shadow.
  bool debug_shadow = false;

 private:
  friend class RunLoop;
  friend class Interpreter;
  void read_slow(u64 va, void* to, unsigned size, Seg seg);
  void write_slow(u64 va, const void* from, unsigned size, Seg seg);
  u64 translate(u64 va, Access access, bool user, Seg seg);
  u64 system_walk(u64 va, Access access);
  u8* system_pointer(u64 va, unsigned size, Access access);
  void code_written(u64 offset, unsigned size);
  void check_alignment(u64 va, unsigned size);
  u64 device_read(u64 gpa, u8 size);
  void device_write(u64 gpa, u8 size, u64 value);
  bool is_apic(u64 gpa) const { return (gpa & ~kPageMask) == apic_page; }
  u64 wrap(u64 va) const { return code64() ? va : static_cast<u32>(va); }
  SoftTlb::View execute_view() const { return cpl == 3 ? SoftTlb::User : SoftTlb::Supervisor; }
  /// Copies with one access for 1, 2, 4 and 8 bytes.
  static void copy_sized(void* to, const void* from, unsigned size);

  u8* const ram_base_;
  std::atomic<u32>* const generations_;
};

}  // namespace vireo::cpu::interp
