// One test: a few instructions, the state they start from, and what came of them on an engine.
//
// User-visible address space, the same on the host and in the guest (all below 4 GiB, for 32-bit code and addresses):
//   kCode         two pages, read and execute: the snippet among INT3
//   kData         two pages, read and write
//   kReadOnly     one page, read
// Everything around these is unmapped. 64- and 32-bit code has flat segments. 16-bit code has one at kCode for CS, and
// one that covers the data pages for DS, ES and SS.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "vm/x86/state.h"

namespace vireo::diff {

constexpr u64 kCode = 0x2B5A'3000;  // no number that comes up by itself: a jump there would never end
constexpr u64 kCodeSize = 2 * kPageSize;
constexpr u8 kInt3 = 0xCC;  ///< all of the code pages but the snippet
constexpr u64 kData = 0x2B5B'0000;
constexpr u64 kDataSize = 2 * kPageSize;
constexpr u64 kReadOnly = kData + kDataSize;
constexpr u64 kDataEnd = kReadOnly + kPageSize;

enum class Mode : u8 { Bits64, Bits32, Bits16 };

// Selectors as Linux has them, and two in the local descriptor table for 16-bit code.
constexpr u16 kUserCode32 = 0x23, kUserData = 0x2B, kUserCode64 = 0x33, kCode16 = 0x07, kData16 = 0x0F;

struct State {
  vm::x86::GeneralRegs regs;
  vm::x86::FpuState fpu;
};

/// Where a snippet ended: the exception (INT3 for one that ran through).
struct Outcome {
  State state;
  u8 vector = 0xFF;  ///< 0xFF: the engine gave up
  u32 error = 0;
  u64 address = 0;            ///< of a page fault
  bool beyond_guest = false;  ///< went on with state that the guest's CPUID does not offer (MXCSR.MM)
};

struct Snippet {
  Mode mode = Mode::Bits64;
  u64 start = kCode;  ///< linear address
  std::vector<u8> code;
  std::vector<u8> starts;  ///< offsets of the instructions
  State state;
  /// Data different from the common initial contents.
  struct Patch {
    u32 offset;
    std::vector<u8> bytes;
  };
  std::vector<Patch> patches;
  /// Bytes of the data pages that may differ: host-specific by nature.
  struct Range {
    u32 offset, size;
  };
  std::vector<Range> ignored;
  bool any_fault_address = false;      ///< two operands, or many accesses: which faults first, and how, is open
  bool any_mmx_on_fault = false;       ///< MASKMOVQ switches to MMX before its store faults, or after
  bool any_register_on_fault = false;  ///< POPA has loaded some when a later one faults, or not
  std::optional<u32> save_area;  ///< offset of an XSAVE area; what it may hold depends on XCR0, which is the host's
  u64 any_flags = 0;             ///< that the last instruction leaves undefined and 64-bit hosts cannot show
  /// The engine keeps no status flags that the faulting instruction, or what follows, would have overwritten.
  bool any_flags_on_fault = false;
  /// The engine goes where an indirect jump leads before it finds the address not canonical.
  bool late_canonical_check = false;
};

/// What is subtracted from a linear address for an offset in the segment.
constexpr u64 code_base(Mode mode) { return mode == Mode::Bits16 ? kCode : 0; }
constexpr u64 data_base(Mode mode) { return mode == Mode::Bits16 ? kData : 0; }

using Data = std::array<u8, kDataEnd - kData>;

}  // namespace vireo::diff
