#include "cpu/softtlb/softtlb.h"

namespace vireo::cpu {

void SoftTlb::enter(View view, u64 va, u8* host_page, const x86::Translation& t, bool may_read, bool may_write,
                    bool may_execute) {
  if (view == Strict) return;
  Set& set = sets_[view];
  const u64 index = (va >> kPageShift) % kEntries;
  Entry& e = set.entries[index];
  const u64 page = va & ~kPageMask;
  const u64 to_host = reinterpret_cast<u64>(host_page) - page;
  if (e.to_host != to_host) clear(e);
  e.to_host = to_host;
  e.read_tag = may_read ? page : (e.read_tag == page ? page : kNoTag);
  e.write_tag = may_write ? page : (e.write_tag == page ? page : kNoTag);
  e.execute_tag = may_execute ? page : (e.execute_tag == page ? page : kNoTag);
  set.meta[index] = {.page_shift = t.page_shift, .global = t.global};
  set.used = true;
  if (!t.global && set.locals <= set.local.size()) {
    if (set.locals < set.local.size()) set.local[set.locals] = static_cast<u16>(index);
    ++set.locals;
  }
}

void SoftTlb::flush() {
  for (Set& set : sets_) {
    if (!set.used) continue;
    for (Entry& e : set.entries) {
      clear(e);
      e.to_host = 0;
    }
    set.used = false;
    set.locals = 0;
  }
}

void SoftTlb::flush_non_global() {
  for (Set& set : sets_) {
    if (!set.used) continue;
    const auto drop = [&](unsigned i) {
      if (!set.meta[i].global) clear(set.entries[i]);
    };
    if (set.locals <= set.local.size()) {
      for (unsigned n = 0; n < set.locals; ++n) drop(set.local[n]);
    } else {
      for (unsigned i = 0; i < kEntries; ++i) drop(i);
    }
    set.locals = 0;
  }
}

void SoftTlb::flush_page(u64 va) {
  for (Set& set : sets_) {
    if (!set.used) continue;
    for (unsigned i = 0; i < kEntries; ++i) {
      Entry& e = set.entries[i];
      const u64 shift = set.meta[i].page_shift;
      const auto maps = [&](u64 tag) { return tag != kNoTag && ((tag ^ va) >> shift) == 0; };
      if (maps(e.read_tag) || maps(e.write_tag) || maps(e.execute_tag)) clear(e);
    }
  }
}

}  // namespace vireo::cpu
