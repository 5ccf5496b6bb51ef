#include "cpu/x86/paging.h"

#include <atomic>

namespace vireo::cpu::x86 {
namespace {

using namespace vm::x86;

constexpr u64 kPresent = 1, kWritable = 2, kUser = 4, kAccessed = 0x20, kDirty = 0x40, kLarge = 0x80, kGlobal = 0x100;
constexpr u64 kNoExecute = bit(63);
constexpr u64 kAddressMask = 0x000FFFFFFFFFF000;
constexpr u64 kBeyondPhysical = bits(~u64{0}, 0, 52 - kPhysicalBits) << kPhysicalBits;

/// One paging-structure entry in guest memory, 4 or 8 bytes wide.
class EntryRef {
 public:
  EntryRef() = default;
  EntryRef(vm::GuestMemory& memory, u64 gpa, bool wide) : wide_(wide) {
    offset_ = memory.offset_of(gpa, wide ? 8 : 4);
    if (offset_ != vm::GuestMemory::kNone) at_ = memory.base() + offset_;
  }
  bool valid() const { return at_ != nullptr; }
  u64 load() const {
    return wide_ ? __atomic_load_n(reinterpret_cast<u64*>(at_), __ATOMIC_ACQUIRE)
                 : __atomic_load_n(reinterpret_cast<u32*>(at_), __ATOMIC_ACQUIRE);
  }
  /// Sets `flags` unless the entry is no longer `seen`.
  bool set(vm::GuestMemory& memory, u64 seen, u64 flags) const {
    if ((seen & flags) == flags) return true;
    bool done;
    if (wide_) {
      done = __atomic_compare_exchange_n(reinterpret_cast<u64*>(at_), &seen, seen | flags, false, __ATOMIC_ACQ_REL,
                                         __ATOMIC_RELAXED);
    } else {
      u32 narrow = static_cast<u32>(seen);
      done = __atomic_compare_exchange_n(reinterpret_cast<u32*>(at_), &narrow, narrow | static_cast<u32>(flags), false,
                                         __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
    }
    if (done) memory.note_write(offset_, wide_ ? 8 : 4);
    return done;
  }

 private:
  u8* at_ = nullptr;
  u64 offset_ = 0;
  bool wide_ = false;
};

struct Step {
  EntryRef entry;
  u64 value = 0;
};

struct Level {
  unsigned shift;  ///< of the page or table an entry maps
  unsigned index_bits;
  bool may_be_large;
};

/// A walk in progress: permissions accumulate from the root down.
struct Walk {
  vm::GuestMemory& memory;
  const PagingContext& context;
  const u64 va;
  const Access access;

  Step steps[4];
  unsigned count = 0;
  u64 last_table = 0;
  bool upper_writable = true, upper_user = true, upper_executable = true;  ///< what the levels above the last one allow
  bool writable = true, user = true, executable = true;

  bool nx() const { return context.efer & efer::NXE; }

  u32 code(u32 cause) const {
    u32 error = cause;
    if (access == Access::Write) error |= pf::W;
    if (context.user) error |= pf::U;
    const bool fetches_reported = (nx() && (context.cr4 & cr4::PAE)) || (context.cr4 & cr4::SMEP);
    if (access == Access::Execute && fetches_reported) error |= pf::I;
    return error;
  }

  Translation fault(u32 cause) const {
    Translation t;
    t.error_code = code(cause);
    return t;
  }

  bool allowed() const {
    if (context.user) {
      if (!user) return false;
      if (access == Access::Write && !writable) return false;
    } else {
      if (access == Access::Write && !writable && (context.cr0 & cr0::WP)) return false;
      if (user && access == Access::Execute && (context.cr4 & cr4::SMEP)) return false;
      if (user && access != Access::Execute && (context.cr4 & cr4::SMAP) && !context.smap_off) return false;
    }
    return access != Access::Execute || executable;
  }

  /// The leaf was found: checks, marks, result. `restart` is set when an entry changed under the walk.
  Translation finish(u64 page_gpa, unsigned shift, bool& restart) {
    if (!allowed()) return fault(pf::P);
    for (unsigned i = 0; i < count; ++i) {
      const bool leaf = i + 1 == count;
      const u64 flags = kAccessed | (leaf && access == Access::Write ? kDirty : 0);
      if (!steps[i].entry.set(memory, steps[i].value, flags)) {
        restart = true;
        return {};
      }
    }
    const u64 leaf = steps[count - 1].value;
    Translation t;
    t.ok = true;
    t.gpa = page_gpa | (va & ((u64{1} << shift) - 1));
    t.page_shift = static_cast<u8>(shift);
    t.global = (leaf & kGlobal) && (context.cr4 & cr4::PGE);
    t.user = user;
    t.writable = writable;
    t.executable = executable;
    t.dirty = (leaf & kDirty) || access == Access::Write;
    return t;
  }

  /// Levels of 8-byte entries from `table` down (PAE and 4-level paging).
  Translation wide(u64 table, const Level* levels, unsigned level_count, bool& restart) {
    for (unsigned i = 0; i < level_count; ++i) {
      const Level& level = levels[i];
      if (level.shift == kPageShift) {
        last_table = table;
        upper_writable = writable;
        upper_user = user;
        upper_executable = executable;
      }
      const u64 index = bits(va, level.shift, level.index_bits);
      Step& step = steps[count++];
      step.entry = EntryRef(memory, table + index * 8, true);
      if (!step.entry.valid()) return fault(0);
      const u64 value = step.value = step.entry.load();
      if (!(value & kPresent)) return fault(0);
      u64 reserved = kBeyondPhysical;
      if (!nx()) reserved |= kNoExecute;
      if (!(context.efer & efer::LMA)) reserved |= bits(~u64{0}, 0, 11) << 52;  // PAE: bits 62..52
      const bool large = level.shift > 12 && (value & kLarge);
      if (large && !level.may_be_large) return fault(pf::P | pf::RSVD);
      if (large) reserved |= ((u64{1} << level.shift) - 1) & ~u64{0x1FFF};  // between PAT (bit 12) and the frame
      if (value & reserved) return fault(pf::P | pf::RSVD);
      writable = writable && (value & kWritable);
      user = user && (value & kUser);
      if (value & kNoExecute) executable = false;
      if (large || level.shift == 12) {
        return finish(value & kAddressMask & ~((u64{1} << level.shift) - 1), level.shift, restart);
      }
      table = value & kAddressMask;
    }
    return fault(0);
  }

  /// 32-bit paging (SDM 3A 4.3), with 4 MiB pages under CR4.PSE (PSE-36 to the physical width).
  Translation narrow(bool& restart) {
    u64 table = context.cr3 & 0xFFFFF000;
    for (unsigned shift : {22u, 12u}) {
      Step& step = steps[count++];
      step.entry = EntryRef(memory, table + bits(va, shift, 10) * 4, false);
      if (!step.entry.valid()) return fault(0);
      const u64 value = step.value = step.entry.load();
      if (!(value & kPresent)) return fault(0);
      writable = writable && (value & kWritable);
      user = user && (value & kUser);
      if (shift == 22 && (value & kLarge) && (context.cr4 & cr4::PSE)) {
        if (value & bit(21)) return fault(pf::P | pf::RSVD);
        return finish((value & 0xFFC00000) | (bits(value, 13, kPhysicalBits - 32) << 32), 22, restart);
      }
      if (shift == 12) return finish(value & 0xFFFFF000, 12, restart);
      table = value & 0xFFFFF000;
    }
    return fault(0);
  }
};

constexpr Level kFourLevels[] = {{39, 9, false}, {30, 9, true}, {21, 9, true}, {12, 9, false}};
constexpr Level kPaeLevels[] = {{21, 9, true}, {12, 9, false}};

}  // namespace

Translation walk(vm::GuestMemory& memory, const PagingContext& context, u64 va, Access access, TableCache* tables) {
  if (!(context.cr0 & cr0::PG)) {
    Translation t;
    t.ok = t.user = t.writable = t.dirty = true;
    t.gpa = va;
    t.page_shift = 12;
    return t;
  }
  for (;;) {
    Walk walk{.memory = memory, .context = context, .va = va, .access = access, .steps = {}};
    bool restart = false;
    Translation t;
    if (context.efer & efer::LMA) {
      const auto* known = tables != nullptr ? tables->find(va) : nullptr;
      if (known != nullptr) {
        walk.writable = known->writable;
        walk.user = known->user;
        walk.executable = known->executable;
        t = walk.wide(known->table, &kFourLevels[3], 1, restart);
      } else {
        t = walk.wide(context.cr3 & kAddressMask, kFourLevels, 4, restart);
        if (t.ok && t.page_shift == kPageShift && tables != nullptr)
          tables->enter(va, walk.last_table, walk.upper_writable, walk.upper_user, walk.upper_executable);
      }
    } else if (context.cr4 & cr4::PAE) {
      const u64 root = context.pdpte[bits(va, 30, 2)];
      t = (root & kPresent) ? walk.wide(root & kAddressMask, kPaeLevels, 2, restart) : walk.fault(0);
    } else {
      t = walk.narrow(restart);
    }
    if (!restart) return t;
  }
}

bool load_pdptes(const vm::GuestMemory& memory, u64 cr3, u64 (&pdpte)[4]) {
  constexpr u64 kReserved = kBeyondPhysical | (bits(~u64{0}, 0, 12) << 52) | 0x1E6;  // bits 63..52, 8..5, 2..1
  for (unsigned i = 0; i < 4; ++i) {
    if (!memory.read((cr3 & 0xFFFFFFE0) + i * 8, &pdpte[i], 8)) pdpte[i] = 0;
    if ((pdpte[i] & kPresent) && (pdpte[i] & kReserved)) return false;
  }
  return true;
}

}  // namespace vireo::cpu::x86
