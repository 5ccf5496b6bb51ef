// The page walk (SDM 3A chapter 4): 32-bit, PAE and 4-level paging, with the architecture's permission checks and the
// setting of accessed and dirty bits. Knows no TLB and no engine.
#pragma once

#include <array>

#include "vm/memory/memory.h"
#include "vm/x86/state.h"

namespace vireo::cpu::x86 {

enum class Access : u8 { Read, Write, Execute };

/// The control state a walk depends on.
struct PagingContext {
  u64 cr0 = 0, cr3 = 0, cr4 = 0, efer = 0;
  const u64* pdpte = nullptr;  ///< the four PDPTE registers, for PAE paging
  bool user = false;           ///< a user-mode access (CPL 3 and not an implicit supervisor access)
  bool smap_off = false;       ///< supervisor access that RFLAGS.AC exempts from SMAP
};

struct Translation {
  bool ok = false;
  u32 error_code = 0;  ///< page-fault error code when !ok
  u64 gpa = 0;         ///< of the byte asked for
  u8 page_shift = 12;  ///< 12, 21, 22 or 30: the page that maps it
  bool global = false;
  bool user = false;       ///< U/S = 1 in every level
  bool writable = false;   ///< R/W = 1 in every level
  bool dirty = false;      ///< D is set in memory: stores need no further walk
  bool executable = true;  ///< no XD in any level
};

/// Which tables the last level of walks was found in (SDM 3A 4.10.3: a paging-structure cache), for 4-level paging.
/// Only what was present and marked accessed is in it. To be flushed with the TLB, all of it for a single page too.
class TableCache {
 public:
  struct Entry {
    u64 epoch = 0;
    u64 region = 0;  ///< va >> 21
    u64 table = 0;   ///< guest-physical
    bool writable = false, user = false, executable = false;
  };
  void flush() { ++epoch_; }
  const Entry* find(u64 va) const {
    const Entry& entry = entries_[(va >> 21) % kEntries];
    return entry.epoch == epoch_ && entry.region == va >> 21 ? &entry : nullptr;
  }
  void enter(u64 va, u64 table, bool writable, bool user, bool executable) {
    entries_[(va >> 21) % kEntries] = {epoch_, va >> 21, table, writable, user, executable};
  }

 private:
  static constexpr unsigned kEntries = 64;
  std::array<Entry, kEntries> entries_{};
  u64 epoch_ = 1;
};

/// Translates `va`. Sets A (and, for a write, D) atomically in the entries it used, only when the access is allowed.
/// With CR0.PG = 0 the result is the identity.
Translation walk(vm::GuestMemory& memory, const PagingContext& context, u64 va, Access access,
                 TableCache* tables = nullptr);

/// Reads the four PDPTEs that CR3 points to. False when one has a reserved bit set (#GP on MOV CR).
bool load_pdptes(const vm::GuestMemory& memory, u64 cr3, u64 (&pdpte)[4]);

/// Guest-physical address width that CPUID announces and page-table entries are checked against.
constexpr unsigned kPhysicalBits = 40;

constexpr bool is_canonical(u64 va) { return static_cast<u64>(static_cast<i64>(va << 16) >> 16) == va; }

}  // namespace vireo::cpu::x86
