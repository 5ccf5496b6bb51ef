// Code that is made once per vCPU: the ways into and out of translated code.
#pragma once

#include "cpu/translate/layout.h"

namespace vireo::cpu::translate {

struct Thunks {
  /// void(GS base, host code): runs translated code until it is left. C++ calling convention.
  const u8* enter = nullptr;
  /// By call from translated code with an index in RCX: to the C++ function, and behind the call again, or wherever the
  /// function says (what functions return: 0 behind the call, kLeave, or a host address).
  const u8* call[static_cast<unsigned>(Call::kCount)] = {};
  /// By call from a block of that mode, with a helper's index in RCX and the RIP behind the instruction in R11: where
  /// Context::landings says, or to the helper.
  const u8* cross[static_cast<unsigned>(Crossing::kCount)][kModes] = {};
  const u8* jump_miss = nullptr;  ///< by jump; Context::target is where to
  /// By jump: a return that ends up elsewhere than its call, of a mode; Context::target is where to.
  const u8* return_miss[kModes] = {};
  const u8* underflow[kModes] = {};  ///< by return, of a mode: no return address is left
  /// By call, REP STOS and REP MOVS by the binary logarithm of their size, with a helper's index in RCX and in R11 the
  /// byte offset of the target's slot, and of the source's in the upper half: behind the call all is done, or the
  /// helper has done it. Keeps flags.
  const u8* strings[2][4] = {};
  /// By call, in the place of a site that is checked by page entries of a view, with the guest address in RCX and the
  /// byte offset of the site's slot in R11: reads across two pages that have entries, into Context::bounce, and goes on
  /// kBehindAccess and kBehindJump bytes behind the call. Returns when it cannot. Keeps flags.
  const u8* bounce[3] = {};
  /// The same for a write: behind the call the access goes to Context::bounce, and then comes a call of `write_parts`.
  const u8* part_write[3] = {};
  const u8* write_parts = nullptr;
  /// By call, from the cold code of a site that is checked by its slot (Site::refilled), of a view and for reads or
  /// writes, with registers as for `bounce`: fills the slot with the page, if that has an entry, and goes on
  /// kBehindAccess bytes behind the call. Where the site guards a group that runs into the next page, it goes on
  /// kBehindJump bytes behind that; `crossing` does what `bounce` or `part_write` do. Returns when it cannot. Keeps
  /// flags.
  struct Refill {
    const u8* alone = nullptr;
    const u8* group = nullptr;
    const u8* crossing = nullptr;
  } refill[3][2];
  /// The same, for a group's site that is checked by page entries: it does nothing but go on there or return.
  const u8* part = nullptr;
  const u8* link = nullptr;           ///< by jump, the edge's index in RCX
  const u8* load_vectors = nullptr;   ///< by call; touches nothing else
  const u8* store_vectors = nullptr;  ///< void(), from C++ with GS set
  const u8* fault = nullptr;          ///< the signal handler goes on here
};
constexpr u64 kLeave = 1;
/// The bytes of a call of Call::Access: the index to RCX, and the call.
constexpr u32 kBehindAccess = 10;
constexpr u32 kBehindJump = 5;  ///< and of the jump behind it

Thunks make_thunks(Emitter& emit, const Layout& layout);

}  // namespace vireo::cpu::translate
