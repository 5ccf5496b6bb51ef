// A software TLB: guest-virtual page -> host page, direct mapped, one set per privilege view.
//
// A hit needs one compare: the tag is the page of the access's *last* byte, so an access that crosses a page misses.
// Only RAM is entered; device pages and pages whose dirty bit is still clear (for stores) miss, and the caller walks.
#pragma once

#include <array>

#include "base/types.h"
#include "cpu/x86/paging.h"

namespace vireo::cpu {

class SoftTlb {
 public:
  static constexpr unsigned kEntries = 512;
  /// Whose eyes the translation is for. Strict never holds anything: every access walks (alignment checks,
  /// watchpoints).
  enum View : u8 { Supervisor, SupervisorUserAccess, User, Strict, kViews };

  struct Entry {
    u64 read_tag, write_tag, execute_tag;  ///< page-aligned guest-virtual address, or kNoTag
    u64 to_host;                           ///< host address = guest-virtual address + to_host
  };
  static constexpr u64 kNoTag = ~u64{0};

  SoftTlb() { flush(); }

  Entry& entry(View view, u64 va) { return sets_[view].entries[(va >> kPageShift) % kEntries]; }

  /// Host address of [va, va+size) for the access, or nullptr on a miss. size 1..64.
  u8* read(View view, u64 va, unsigned size) {
    const Entry& e = entry(view, va);
    return e.read_tag == ((va + size - 1) & ~kPageMask) ? host(e, va) : nullptr;
  }
  u8* write(View view, u64 va, unsigned size) {
    const Entry& e = entry(view, va);
    return e.write_tag == ((va + size - 1) & ~kPageMask) ? host(e, va) : nullptr;
  }
  u8* execute(View view, u64 va) {
    const Entry& e = entry(view, va);
    return e.execute_tag == (va & ~kPageMask) ? host(e, va) : nullptr;
  }

  /// Enters a translation. `host_page` is the host address of the 4 KiB page that holds `va`.
  void enter(View view, u64 va, u8* host_page, const x86::Translation& t, bool may_read, bool may_write,
             bool may_execute);

  void flush();
  /// All but global pages.
  void flush_non_global();
  /// Whatever page maps `va`, global or not, of any size (INVLPG).
  void flush_page(u64 va);

 private:
  struct Meta {
    u8 page_shift;
    bool global;
  };
  struct Set {
    std::array<Entry, kEntries> entries;
    std::array<Meta, kEntries> meta;
    bool used = true;
    /// Entries that may hold pages that are not global; all of them once there are more than fit.
    std::array<u16, 32> local;
    unsigned locals = 0;
  };
  static u8* host(const Entry& e, u64 va) { return reinterpret_cast<u8*>(va + e.to_host); }
  static void clear(Entry& e) { e.read_tag = e.write_tag = e.execute_tag = kNoTag; }

  std::array<Set, kViews> sets_;
};

}  // namespace vireo::cpu
