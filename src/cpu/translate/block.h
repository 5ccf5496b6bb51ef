// Translated blocks and what belongs to them while they are in the code cache.
#pragma once

#include <vector>

#include "base/types.h"
#include "cpu/interp/insn.h"
#include "cpu/translate/guest.h"

namespace vireo::cpu::translate {

/// Where one guest instruction begins, in the guest's code and in the block's.
struct Boundary {
  u16 guest;  ///< bytes from Block::rip
  u16 host;   ///< bytes from Block::code
};

struct Block {
  u64 rip = 0;
  u64 offset = 0;  ///< of its first byte in RAM
  u8 mode = 0;     ///< index of its mode
  bool dead = false;
  bool no_groups = false;
  bool apart = false;   ///< entered only where a group's check failed since it crosses pages; has no groups
  bool code32 = false;  ///< its mode has Mode::Code32
  u16 bytes = 0;
  /// A single instruction that runs into another page has the rest of its bytes there.
  u64 second_offset = 0;
  u16 first_bytes = 0;      ///< bytes in the first page; all of them unless it crosses
  const u8* via = nullptr;  ///< crosses: where edges lead to, so that they hold only while both pages are mapped so
  bool crossing() const { return first_bytes != bytes; }
  static constexpr unsigned kChunks = 3;
  u32 generation[kChunks] = {};  ///< of the 256-byte chunks it lies in, from the first
  const u8* code = nullptr;      ///< indirect entry; the block's host code from here on
  const u8* entry = nullptr;
  u32 code_size = 0;
  std::vector<u8> source;  ///< the guest's bytes it was made from
  std::vector<Boundary> boundaries;
  std::vector<u32> incoming;  ///< edges that lead here
  Block* next = nullptr;      ///< in its hash bucket
};

/// How a check finds the address it checks, at the instruction boundary it stands at.
enum class AccessKind : u8 { Range, Segment, Constant };

/// Something in a block's code that may call C++: found again by its index.
struct Site {
  enum class Kind : u8 { Access, Leave, LoadVectors } kind = Kind::Access;
  AccessKind access = AccessKind::Range;
  i8 base = -1, index = -1;
  u8 scale = 0, segment = 0;  ///< segment: FS or GS when the address is based on one, else 0
  bool narrow = false;
  bool write = false;
  bool page_entries = false;  ///< checked by Context::pages
  bool refilled = false;      ///< its slot is filled by Thunks::refill, too
  bool bounced = false;       ///< a read, which may be put together by Thunks::bounce
  bool parted = false;        ///< a write, which may be taken apart by Thunks::part_write
  bool string = false;        ///< where REP STOS or MOVS begins
  bool alone = true;          ///< guards nothing but the access of its own instruction
  u16 boundary = 0;           ///< instruction it stands before
  u16 first = 0;              ///< instruction of the first access it guards
  u16 failures = 0, moves = 0;
  u32 slot = 0;
  u32 extent = 0;  ///< bytes checked
  i64 disp = 0;    ///< of the first byte checked
  i64 low = 0;     ///< Segment: offset of the first byte checked; Range: disp, as the check computes it
  Block* block = nullptr;
  const u8* passed = nullptr;           ///< host code behind the check
  u64 looked_at = 0, refills_then = 0;  ///< refilled: host TSC and refills of all when it was last looked at how often
};

/// An instruction that the interpreter executes.
struct Helper {
  Block* block = nullptr;
  u16 boundary = 0;
  interp::Insn insn;
};

/// A jump from one block to another by a known RIP.
struct Edge {
  u64 target = 0;
  Block* from = nullptr;
  Block* to = nullptr;           ///< linked
  u8* place = nullptr;           ///< within a page: the jump's 32-bit displacement, as written
  const u8* place_at = nullptr;  ///< the same, where it runs
  u32 slot = 0;                  ///< to another page: index into Context::edges
  const u8* stub = nullptr;      ///< where it leads while not linked
  bool apart = false;            ///< to a block that is
};

}  // namespace vireo::cpu::translate
