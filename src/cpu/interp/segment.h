// Descriptors and segment loads, shared by far transfers, task switches, event delivery and the segment instructions.
// SDM 3A 3.4.5 (segment descriptors), 5.6 to 5.9 (privilege), APM 2 4.8.
#pragma once

#include <optional>

#include "cpu/interp/cpu.h"

namespace vireo::cpu::interp {

/// System segment types (SDM 3A table 3-2), and the bits of code and data types.
namespace descriptor {
constexpr unsigned kTss16 = 1, kLdt = 2, kBusyTss16 = 3, kCallGate16 = 4, kTaskGate = 5, kInterruptGate16 = 6,
                   kTrapGate16 = 7, kTss32 = 9, kBusyTss32 = 11, kCallGate32 = 12, kInterruptGate32 = 14,
                   kTrapGate32 = 15;
constexpr unsigned kAccessed = 1, kWritable = 2, kReadable = 2, kExpandDown = 4, kConforming = 4, kCode = 8;
constexpr unsigned kBusy = 2;  ///< of a TSS
}  // namespace descriptor

/// A null selector has index 0 in the GDT, whatever its RPL.
constexpr bool is_null(u16 selector) { return (selector & 0xFFFC) == 0; }
constexpr unsigned rpl_of(u16 selector) { return selector & 3; }
/// Selector part of an error code; `ext` is 1 while an event is being delivered.
constexpr u32 selector_error(u16 selector, u32 ext = 0) { return (selector & 0xFFFCu) | ext; }

/// Eight bytes of a descriptor table.
struct Descriptor {
  u64 raw = 0;
  u64 address = 0;  ///< linear, of the entry

  unsigned type() const { return bits(raw, 40, 4); }
  bool s() const { return raw & bit(44); }
  unsigned dpl() const { return bits(raw, 45, 2); }
  bool present() const { return raw & bit(47); }
  bool l() const { return raw & bit(53); }
  bool db() const { return raw & bit(54); }
  bool is_code() const { return s() && (type() & descriptor::kCode); }
  bool is_conforming() const { return type() & descriptor::kConforming; }
  bool is_writable_data() const {
    return s() && (type() & (descriptor::kCode | descriptor::kWritable)) == descriptor::kWritable;
  }
  bool is_readable() const { return s() && (!(type() & descriptor::kCode) || (type() & descriptor::kReadable)); }
  u32 limit() const;
  u64 base() const { return bits(raw, 16, 24) | (bits(raw, 56, 8) << 24); }
  u32 attributes() const { return static_cast<u32>(raw >> 40) & 0xF0FF; }

  // As a gate
  u16 gate_selector() const { return static_cast<u16>(raw >> 16); }
  u32 gate_offset() const { return static_cast<u32>((raw & 0xFFFF) | ((raw >> 32) & 0xFFFF0000)); }
  unsigned gate_parameters() const { return bits(raw, 32, 5); }
  unsigned gate_ist() const { return bits(raw, 32, 3); }
};

/// The descriptor that `selector` names, or nothing when it lies outside its table (or the LDT is unusable). The memory
/// of the table may fault.
std::optional<Descriptor> find_descriptor(Cpu& cpu, u16 selector);
/// The same, with #GP, #TS, ... (`vector`) for a selector outside its table.
Descriptor fetch_descriptor(Cpu& cpu, u16 selector, Vector vector, u32 ext = 0);
/// Upper eight bytes of a 16-byte system descriptor of long mode; nothing when they lie outside the table.
std::optional<u64> find_upper_half(Cpu& cpu, u16 selector, const Descriptor& descriptor);

/// Sets the accessed bit in memory (and in `descriptor`) unless it is set.
void mark_accessed(Cpu& cpu, Descriptor& descriptor);

Segment make_segment(u16 selector, const Descriptor& descriptor);
/// A null selector in a data segment register or LDTR; base and limit are cleared as CPUID announces
/// (NULL-selector-clears-base).
Segment null_segment(u16 selector, unsigned dpl = 0);
/// Real-mode load: base from the selector; limit and attributes stay (big real mode).
Segment real_segment(const Segment& old, u16 selector);
/// Virtual-8086 mode: everything follows from the selector (SDM 3B 20.2).
Segment v86_segment(u16 selector);

/// The checks of MOV to a data segment register or SS in the current mode (not CS), including setting the accessed bit.
/// Raises #GP, #NP, #SS; returns what to put into the register.
Segment check_data_segment(Cpu& cpu, Seg seg, u16 selector);
/// Those for SS when CPL becomes `cpl` in a return, task switch or stack switch: `vector` for all but the missing
/// segment (#SS).
Segment check_stack_segment(Cpu& cpu, u16 selector, unsigned cpl, Vector vector, u32 ext);
/// check_data_segment and the load. Ends the block.
void load_segment(Cpu& cpu, Seg seg, u16 selector);
/// Segments that privilege `cpl` may not use become null (far return to an outer level).
void drop_inaccessible_segments(Cpu& cpu, unsigned cpl);

/// CS with its RPL set to `cpl`, checked as a target of code at `offset`: #GP(ext) when it lies outside the limit or is
/// not canonical. `selector`'s own RPL is ignored.
Segment make_code_segment(Cpu& cpu, u16 selector, Descriptor& descriptor, unsigned cpl, u64 offset, u32 ext = 0);
/// Loads CS and RIP after all checks; SS.DPL, which is the CPL, must be right already. Calls update_mode.
void enter_code(Cpu& cpu, const Segment& cs, u64 offset);
/// 64-bit code is not segmented.
inline bool is_code64(const Cpu& cpu, const Segment& cs) { return cpu.long_mode() && cs.l(); }

/// Attributes of the flat segments that SYSCALL, SYSENTER and their returns load.
constexpr u32 kFlatCode32 = 0xC09B, kFlatCode64 = 0xA09B, kFlatData = 0xC093;
inline Segment flat_segment(u16 selector, u32 attributes, unsigned dpl) {
  return {.selector = selector, .attributes = attributes | (dpl << 5), .limit = 0xFFFFFFFF, .base = 0};
}

/// Pushes that are not yet committed to RSP, on the stack an event or a call gate uses: the present one with the
/// present rights, or that of a more privileged level (with the rights of CPL 0 to 2).
class StackFrame {
 public:
  enum Level { Same, Inner };
  /// `flat`: 64-bit, no segment. `error` is #SS's error code. `ss` outlives the frame.
  StackFrame(Cpu& cpu, Level level, const Segment& ss, u64 sp, bool flat, u32 error)
      : cpu_(cpu),
        ss_(ss),
        sp_(sp),
        mask_(flat      ? ~u64{0}
              : ss.db() ? 0xFFFFFFFF
                        : 0xFFFF),
        level_(level),
        flat_(flat),
        error_(error) {}
  void push(unsigned size, u64 value);
  /// What RSP becomes.
  u64 sp() const { return flat_ ? sp_ : static_cast<u32>(sp_); }

 private:
  Cpu& cpu_;
  const Segment& ss_;
  u64 sp_, mask_;
  Level level_;
  bool flat_;
  u32 error_;
};

/// SS:SP for privilege level `cpl` from the TSS. Raises #TS(TR).
struct StackPointer {
  u16 ss = 0;
  u64 sp = 0;
};
StackPointer tss_stack(Cpu& cpu, unsigned cpl, u32 ext);
/// RSP from the 64-bit TSS: `slot` 0..2 for RSP0..2, 4..10 for IST1..7 at 4 + 8 * slot.
u64 tss_stack64(Cpu& cpu, unsigned slot, u32 ext);

}  // namespace vireo::cpu::interp
