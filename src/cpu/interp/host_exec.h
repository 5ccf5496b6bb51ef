// Instructions of the long tail (x87, MMX, SSE to AVX2, AES, SHA, BMI, ...) are executed by the host's own instruction
// on copies of the operands, so their results are right by construction.
//
//   select_host: may the guest have it (CPUID)? -> HostInsn, found by its rewritten bytes or made with a new stub
//   run:         checks of control registers, alignment, memory operand -> scratch; call the stub; scratch -> memory
//
// - Form: a distinct instruction after rewriting (host_encode.h): same opcode, registers and immediate; addresses play
// no part.
// - Stub (host_stub.h): straight-line host code of one form with one fault point. It reads and writes Cpu::r, Cpu::fpu
// and
//   HostFrame only: no stub reaches guest memory.
// - x87 and MMX forms run on an FXSAVE image; the host's own x87 state is left initialised.
// - Unmasked SIMD exceptions arrive as SIGFPE at the fault point (host_signal.h) and become #XM.
// - Insn::data points at a HostInsn. When stub memory is full, `wants_flush` is set and the instruction ends its block
//   unexecuted; the run loop then drops all decoded blocks, calls flush() and goes on.
//
// An x87 exception with CR0.NE = 0 would be reported through IRQ 13 of the PC; that wire does not exist here, and such
// exceptions stay pending without effect.
#pragma once

#include <unordered_map>

#include "cpu/interp/host_isa.h"
#include "cpu/interp/host_stub.h"
#include "cpu/x86/xsave.h"
#include "host/codemem.h"

namespace vireo::cpu::interp {

/// What has to hold before an instruction may run (SDM 2A 2.4 and 2.6, 3A 13.1).
namespace needs {
constexpr u8 X87 = 1;            ///< CR0.EM = TS = 0
constexpr u8 Mmx = 2;            ///< CR0.EM = 0, TS = 0
constexpr u8 Sse = 4;            ///< CR0.EM = 0, CR4.OSFXSR, TS = 0
constexpr u8 Avx = 8;            ///< protected mode, OSXSAVE, XCR0, TS = 0
constexpr u8 Protected = 16;     ///< VEX-encoded general-register instructions
constexpr u8 Avx512 = 64;        ///< the same as Avx with more of XCR0
constexpr u8 NoPendingX87 = 32;  ///< an unmasked x87 exception is reported first (#MF)
}  // namespace needs

/// Raises what is missing of `need` (a set of needs::) as #UD, #NM or #MF.
void check_needs(Cpu& cpu, u8 need);

/// #GP(0) for a misaligned vector operand. It comes before the segment's own checks, which would be #SS in the stack
/// segment.
void check_alignment(Cpu& cpu, Seg seg, u64 offset, unsigned alignment);

/// True when FSW has an exception that FCW does not mask.
inline bool x87_pending(const vm::x86::FpuState& fpu) { return fpu.fsw & ~fpu.fcw & 0x3F; }

struct HostInsn {
  Stub stub;
  u8 need = 0;
  u8 memory_size = 0;
  u8 alignment = 1;  ///< of the memory operand, else #GP(0)
  bool memory_read = false, memory_written = false;
  // Memory elements chosen by a mask (EVEX): element i by bit i of `lanes` bits, repeated when there are more bits than
  // elements.
  u8 mask = 0;          ///< opmask register, 0: none
  u8 element_size = 0;  ///< in bytes
  u8 elements = 0, lanes = 0;
  bool packed = false;  ///< as many elements as are chosen, one behind the other (compress and expand)
  bool whole = false;   ///< all of the operand has to be accessible, whatever is chosen
  bool flags = false;
  bool x87 = false;           ///< runs on the x87 image
  bool x87_pointers = false;  ///< a non-control x87 instruction: sets FIP, FDP, FOP
};

/// host_facts.cpp: what to put into a stub for `decoded`; false: no stub can run it.
bool plan_stub(const DecodedInsn& decoded, StubPlan& plan);
/// All of HostInsn but the stub.
HostInsn make_form(const DecodedInsn& decoded, const StubPlan& plan);

class HostExec {
 public:
  /// Makes its code memory, which a process may not be allowed to once a guest runs.
  explicit HostExec(Cpu& cpu);

  /// The form of `decoded`; nullptr when there is no room (wants_flush is set) or no stub can be made (it is not).
  const HostInsn* find(const DecodedInsn& decoded);
  void run(const HostInsn& form, const Insn& insn);
  /// The same for a form with a mask over its memory operand (host_masked.cpp).
  void run_masked(const HostInsn& form, const Insn& insn);
  bool announced(ZydisISASet set) const { return announced_.test(set); }

  /// Drops all stubs. Every Insn::data that points to one must be gone.
  void flush();
  bool wants_flush = false;

  const x86::XsaveLayout& xsave_layout() const { return xsave_layout_; }
  /// FCS and FDS read as zero (CPUID.7.0:EBX[13]).
  bool no_x87_selectors() const { return no_x87_selectors_; }

 private:
  struct Hash {
    std::size_t operator()(const HostBytes& bytes) const;
  };
  void load_x87_image();
  void store_x87_image();
  void set_x87_pointers(const HostInsn& form, const Insn& insn, u64 ea);
  void call(const HostInsn& form, const Insn& insn);  ///< between memory and memory
  [[noreturn]] void fault(const HostInsn& form, const Insn& insn);

  Cpu& cpu_;
  HostFrame frame_{};
  const IsaSets announced_;
  const x86::XsaveLayout xsave_layout_;
  bool no_x87_selectors_ = false;
  host::CodeMemory code_;
  u64 used_ = 0;
  std::unordered_map<HostBytes, HostInsn, Hash> forms_;
};

}  // namespace vireo::cpu::interp
