// What emitted code reaches through GS: the interpreter's Cpu (registers, segments, flags), and this. One per vCPU, a
// member of the translator, so that every field is at a fixed distance from the GS base.
#pragma once

#include <array>

#include "base/types.h"

namespace vireo::cpu::translate {

/// Remembers where a range of guest addresses lies in host memory, for one access site or a group of them. What the
/// fields hold depends on the kind of check (plan.h, AccessKind):
///   Range     base, limit: `address - base <= limit` (unsigned) is the check; delta: host address - guest address
///             (in 32-bit code with a segment's base: of the sum before it wraps at 4 GiB)
///   Segment   base: the segment's base it is good for; delta: host address of the segment's offset 0
///   Constant  delta: host address of the page, 0 when empty
///   Range by page entries (Site::page_entries)   delta: as for Range, of this access
/// The rest is for Thunks::refill, which makes a Range hold a page: what the site checks, as Site has it, and how often
/// it may be refilled before C++ looks again at what it does.
struct Slot {
  u64 base, limit, delta;
  i32 low;
  u16 extent, refills;
};
static_assert(sizeof(Slot) == 32, "a slot is in one line of the cache");
constexpr u64 kNoBase = u64{1} << 63;  ///< not canonical: nothing is there, and a host access faults (fault.cpp)

/// Which slots a page entry went to: byte offsets in Context::slots.
struct Refilled {
  static constexpr u32 kMost = 8192;
  u64 count;
  u32 slots[kMost];
};

/// The second chance of sites whose addresses are all over the place: a direct-mapped table of pages.
struct PageEntry {
  u64 read_page, write_page;  ///< guest address of the page, or kNoBase
  u64 delta;                  ///< host address - guest address
  u64 refilled;               ///< byte offset in Context::refilled: of the one for its kind of page
};
constexpr unsigned kPageEntries = 1 << 14;
constexpr unsigned kPageEntryShift = 5;
static_assert(sizeof(PageEntry) == 1u << kPageEntryShift);

constexpr unsigned kBounced = 64;  ///< bytes that one access across two pages has, at most

constexpr u64 kNoSegment = u64{1} << 62;  ///< whatever 32 bits are added: not canonical, and far from kNoBase

constexpr unsigned kSlots = 1 << 18;
constexpr unsigned kEdgeSlots = 1 << 17;
constexpr unsigned kModes = 8;              ///< modes known at a time
constexpr unsigned kJumpEntries = 1 << 16;  ///< indexed by the low 16 bits of RIP

/// The instructions that change nothing but what a mode says, apart from registers: they lead from one mode to another.
enum class Crossing : u8 { SystemCall, SystemReturn, Stac, Clac, kCount };

/// What such an instruction did when C++ last executed it in a mode, and does again while nothing it depends on
/// changed (Translator::forget_crossings). Thunks carry it out.
struct Landing {
  u64 valid;                      ///< 0: C++ executes it
  u64 flags_before, flags_after;  ///< RFLAGS but for the status flags (SystemReturn: before is nothing)
  u64 target;                     ///< SystemCall: RIP
  u64 jumps;                      ///< of the mode it leads to: host address of its row of Context::jumps
  u64 stack;                      ///< and of its entry of Context::stack_pointers
  u64 code[3], stack_segment[3];  ///< CS and SS as vm::x86::Segment
  u32 cpl, mode;
  u8 view;
};

struct Context {
  u64 flags_ax;  ///< guest status flags while in C++: AH as LAHF leaves it, AL = OF
  u64 spill;     ///< within one instruction
  u64 saved[5];  ///< registers, within a thunk
  /// What one access reads, put together from two pages, or writes, to be taken apart; as unaligned as it was:
  /// instructions may mind.
  alignas(64) u8 bounce[128];
  struct Part {
    u64 host, bytes;
  } parts[2];                    ///< where what is written goes
  u64 parts_from;                ///< and where in `bounce` it begins
  u64 status_mask, pushed_mask;  ///< of RFLAGS: what the host's flags hold, and what PUSHF takes from Cpu::rflags
  u64 target;                    ///< RIP an indirect jump goes to
  u64 argument;                  ///< of the C++ function that is called
  u64 resume;                    ///< where code goes on after it
  u64 code_sp;                   ///< RSP of translated code: the host's return addresses of guest calls
  u64 host_sp;                   ///< RSP of the C++ code below
  u64 self;                      ///< the translator
  u64 function[8];               ///< C++ functions, by Call
  u64 tsc_offset;                ///< the machine's time-stamp counter - the host's; Cpu::tsc_offset is the vCPU's
  u64 not_status_mask;           ///< of RFLAGS: all but status_mask
  u64 segment_base[2];           ///< FS and GS in 32-bit code: kNoSegment unless they are flat but for their base
  bool vectors_loaded;           ///< the guest's vector registers and MXCSR are in the host's
  bool reload_vectors;           ///< before going on: they were stored for C++
  bool tsc_by_helper;            ///< RDTSC is C++'s: tsc_offset is not all there is to it
  u32 host_mxcsr;
  u32 mode;                                                           ///< index of the mode that code runs in
  u64 stack_pointers[kModes];                                         ///< code_sp of the modes that do not run
  Landing landings[static_cast<unsigned>(Crossing::kCount)][kModes];  ///< by the mode they start from
  Slot slots[kSlots];
  u64 edges[kEdgeSlots];             ///< host addresses that jumps to other pages go through
  PageEntry pages[3][kPageEntries];  ///< by SoftTlb::View, Strict apart
  Refilled refilled[2];              ///< from pages that are not global, and from global ones
  u64 jumps[kModes][kJumpEntries];   ///< host addresses of indirect entries
};

}  // namespace vireo::cpu::translate
