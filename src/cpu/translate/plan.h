// What is decided about a stretch of guest code before host code is generated: which flags are live where, which
// accesses share a check, and where each check stands.
//
// Accesses off the same unmodified registers form a group: one check covers all of them, at the last place before the
// first of them where the status flags are dead (checks clobber flags), or at the first of them with the flags saved.
// Registers are followed through additions of constants, so that a run of pushes is one group. A group never spans an
// instruction that leaves translated code: while a group is in use, nobody changes its slot.
#pragma once

#include <vector>

#include "cpu/translate/block.h"

namespace vireo::cpu::translate {

struct Group {
  AccessKind kind = AccessKind::Range;
  i8 base = -1, index = -1;  ///< Range: registers at the check; they hold what the key's versions say
  u8 scale = 0, segment = 0;
  bool narrow = false, write = false, page_entries = false;
  u16 first = 0, check_at = 0, count = 0;
  i64 low = 0, high = 0;  ///< bytes [low, high), relative to the versions' values (Constant: guest addresses)
  i64 disp = 0;           ///< first byte's displacement from the registers at the check
  u32 base_version = 0, index_version = 0;
  bool open = true;
  bool in_place = false;  ///< the check is not moved before what comes before the first access: that may be a test
  bool alone() const { return count == 1 && check_at == first; }
};

struct Access {
  u16 group = kNone;
  static constexpr u16 kNone = 0xFFFF;
  bool present() const { return group != kNone; }
};

struct Plan {
  static constexpr unsigned kMaximum = 64;
  GuestInsn insns[kMaximum];
  unsigned count = 0;
  u16 live[kMaximum + 1];                    ///< status flags live before the instruction
  Access memory[kMaximum], stack[kMaximum];  ///< stack: of REP MOVS the source
  std::vector<Group> groups;

  bool flags_dead(unsigned at) const { return live[at] == 0; }
  u64 end_rip() const { return insns[count - 1].next_rip(); }
  /// Fills everything but insns and count. `pages_at`: whether the access at this RIP is checked by Context::pages;
  /// `in_place_at`: whether a check whose first access is at this RIP must stand right there.
  template <class PagesAt, class InPlaceAt>
  void make(bool no_groups, PagesAt pages_at, InPlaceAt in_place_at) {
    find_live();
    find_groups(no_groups);
    for (Group& group : groups) {
      const GuestInsn& insn = insns[group.first];
      group.in_place = no_groups || insn.kind == Kind::Strings || in_place_at(insn.rip);
    }
    for (unsigned i = 0; i < count; ++i) {
      if (!memory[i].present() && !stack[i].present()) continue;
      if (insns[i].kind == Kind::Strings || !pages_at(insns[i].rip)) continue;
      for (const Access& access : {memory[i], stack[i]}) {
        if (access.present() && groups[access.group].kind == AccessKind::Range)
          groups[access.group].page_entries = true;
      }
    }
    place_checks();
  }

 private:
  void find_live();
  void find_groups(bool no_groups);
  void place_checks();
  void add_access(Access& access, unsigned at, const MemOperand& mem, bool no_groups);
  void step_versions(unsigned at);

  struct Value {
    u32 version;
    i64 offset;
  };
  Value values_[kMaximum + 1][16];
  u32 next_version_ = 0;
  u16 last_helper_[kMaximum + 1];  ///< instructions before it cannot hold checks for those from it on
};

/// The stack access of PUSH, POP, CALL, RET and LEAVE.
bool stack_access(const GuestInsn& insn, MemOperand& mem);

}  // namespace vireo::cpu::translate
