#include "cpu/translate/translations.h"

#include <algorithm>
#include <cstring>

namespace vireo::cpu::translate {

using namespace vm::x86;

namespace {

/// How far a region for stores looks for pages that hold code, in pages each way.
constexpr u64 kLookAround = 512;

/// A check by page entries costs a few cycles more than one by a slot, and to refill the slot costs ten times as much:
/// so many refills of a slot, and it is looked at whether refills, of all slots, came closer to each other than this
/// (host TSC, on average), so that they take a good part of the time.
constexpr u16 kRefills = 512;
constexpr u64 kCyclesBetweenRefills = 200, kCyclesBetweenCrossings = 100;

/// The same for sites whose slots C++ alone fills: so many moves, and page entries are better. In user mode moves count
/// only while fills take most of the time: they follow each other closely (on average).
constexpr u64 kMovesOfUser = 32, kMovesOfKernel = 48, kCyclesBetweenFills = 1500;

/// Page entries filled for one access to a large page.
constexpr u64 kPagesAtOnce = 64;
constexpr u64 kLast32 = 0xFFFFFFFF;

void empty(Slot& slot) {
  slot.base = kNoBase;
  slot.limit = slot.delta = 0;
}

constexpr PageEntry kEmptyPage{.read_page = kNoBase, .write_page = kNoBase, .delta = 0, .refilled = 0};

/// Enters that the page at `page` is `delta` away, without forgetting what else is known of it.
void enter(PageEntry& entry, u64 page, u64 delta, bool write, bool global) {
  if (entry.delta != delta || (entry.read_page != page && entry.write_page != page)) entry = kEmptyPage;
  entry.delta = delta;
  entry.read_page = page;
  if (write) entry.write_page = page;
  entry.refilled = global ? sizeof(Refilled) : 0;
}

/// A range of guest addresses that lies in RAM in one piece.
struct Region {
  u64 start, end;  ///< guest addresses
  u64 offset;      ///< of start, in RAM
  bool global;
  u64 mapped_first, mapped_last;  ///< the guest pages that map it, whole
};

/// Page entries are for code of all modes, and 32-bit code may wrap around next to these.
bool may_have_entry(u64 page) { return page != 0 && page != (kLast32 & ~kPageMask); }

u64 segment_base(const interp::Cpu& cpu, const Context& context, const Site& site) {
  if (site.segment == 0) return 0;
  return cpu.code64() ? cpu.sys.segment[site.segment].base : context.segment_base[site.segment - FS];
}

/// Of the first byte that the site checks; in 32-bit code before it wraps.
u64 address(const interp::Cpu& cpu, const Context& context, const Site& site) {
  u64 low = static_cast<u64>(site.disp);
  if (site.base >= 0) low += cpu.r[static_cast<unsigned>(site.base)];
  if (site.index >= 0) low += cpu.r[static_cast<unsigned>(site.index)] << site.scale;
  if (site.narrow) low = static_cast<u32>(low);
  return low + segment_base(cpu, context, site);
}

bool allowed(const interp::Cpu& cpu, const x86::Translation& t) {
  return cpu.cpl == 3 ? t.user : !t.user || cpu.view == SoftTlb::SupervisorUserAccess;
}

/// The 4 KiB pages around the one at `va` that follow each other in RAM and that the same access may be made to without
/// a further walk: a TLB might hold them all. Only with 4-level paging, and within one table.
void add_neighbours(const interp::Cpu& cpu, u64 va, bool write, Region& region) {
  constexpr u64 kPresent = 1, kAccessed = 0x20, kDirty = 0x40, kFrame = 0x000FFFFFFFFFF000;
  constexpr u64 kIgnored = u64{7} << 9 | u64{0x7FF} << 52;  // software's; keys are not used
  constexpr unsigned kEntries = 512;
  const auto* known = cpu.tables.find(va);
  const u8* const table = known != nullptr ? cpu.memory.at(known->table, kPageSize) : nullptr;
  if (table == nullptr) return;
  const auto entry = [&](u64 index) {
    return __atomic_load_n(reinterpret_cast<const u64*>(table + index * 8), __ATOMIC_RELAXED) & ~kIgnored;
  };
  const u64 at = va >> kPageShift & (kEntries - 1);
  const u64 needed = kPresent | kAccessed | (write ? kDirty : 0);
  const u64 here = entry(at) | needed;
  const u64 loose = write ? 0 : kDirty;
  const auto follows = [&](u64 index) {
    return (entry(index) & ~loose) == ((here & ~loose) + ((index - at) << kPageShift));
  };
  if ((entry(at) & needed) != needed || (here & kFrame) == 0) return;
  u64 first = at, last = at;
  while (last + 1 < kEntries && follows(last + 1)) ++last;
  while (first > 0 && follows(first - 1)) --first;
  const auto& slots = cpu.memory.slots();
  for (const auto& slot : slots) {
    const u64 gpa = here & kFrame;
    if (gpa - slot.gpa >= slot.size) continue;
    first = at - std::min(at - first, (gpa - slot.gpa) >> kPageShift);
    last = at + std::min(last - at, ((slot.gpa + slot.size - 1 - gpa) >> kPageShift));
    const u64 apic = (cpu.apic_page - gpa + (at << kPageShift)) >> kPageShift;
    if (cpu.apic_page != ~u64{0} && apic >= first && apic <= last) return;
  }
  region.start -= (at - first) << kPageShift;
  region.offset -= (at - first) << kPageShift;
  region.end += (last - at) << kPageShift;
  region.mapped_first = region.start;
  region.mapped_last = region.end - 1;
}

/// The page that maps `va`, as far as it lies in one slot of RAM.
bool find_page(interp::Cpu& cpu, u64 va, bool write, Region& region) {
  const auto t = x86::walk(cpu.memory, cpu.paging_context(cpu.cpl == 3), va,
                           write ? x86::Access::Write : x86::Access::Read, &cpu.tables);
  if (!t.ok || !allowed(cpu, t)) return false;
  const u64 size = cpu.sys.cr0 & cr0::PG ? u64{1} << t.page_shift : kGiB;  // without paging all is one piece
  u64 gpa = t.gpa & ~(size - 1);
  u64 start = va & ~(size - 1);
  u64 end = start + size;
  if (cpu.apic_page - gpa < size) {  // the APIC's registers hide RAM: nothing larger than a page next to them
    if ((t.gpa & ~kPageMask) == cpu.apic_page) return false;
    start = va & ~kPageMask;
    end = start + kPageSize;
    gpa = t.gpa & ~kPageMask;
  }
  for (const auto& slot : cpu.memory.slots()) {
    if (t.gpa - slot.gpa >= slot.size) continue;
    if (gpa < slot.gpa) {
      start += slot.gpa - gpa;
      gpa = slot.gpa;
    }
    const u64 room = slot.size - (gpa - slot.gpa);
    if (end - start > room) end = start + room;
    region = {.start = start,
              .end = end,
              .offset = slot.offset + (gpa - slot.gpa),
              .global = t.global,
              .mapped_first = va & ~(size - 1),
              .mapped_last = va | (size - 1)};
    return true;
  }
  return false;
}

/// Narrows the region to the pages around [low, high) that hold no code, at most `around` each way. False: some of
/// these do.
bool avoid_code(const vm::GuestMemory& memory, Region& region, u64 low, u64 high, u64 around) {
  const u64 first = (region.offset + (low - region.start)) >> kPageShift;
  const u64 last = (region.offset + (high - 1 - region.start)) >> kPageShift;
  for (u64 page = first; page <= last; ++page) {
    if (memory.code_users(page) != 0) return false;
  }
  const u64 region_first = region.offset >> kPageShift;
  const u64 region_last = (region.offset + (region.end - region.start) - 1) >> kPageShift;
  u64 begin = first, end = last;
  while (begin > region_first && first - begin < around && memory.code_users(begin - 1) == 0) --begin;
  while (end < region_last && end - last < around && memory.code_users(end + 1) == 0) ++end;
  const u64 start_offset = begin == region_first ? region.offset : begin << kPageShift;
  const u64 end_offset = end == region_last ? region.offset + (region.end - region.start) : (end + 1) << kPageShift;
  const u64 start = region.start + (start_offset - region.offset);
  region.end = region.start + (end_offset - region.offset);
  region.start = start;
  region.offset = start_offset;
  return true;
}

}  // namespace

/// What is added to a guest address of the page `va` is in to access RAM, which gets an entry; false: it is not RAM, or
/// may not be accessed so.
bool Translations::page_delta(interp::Cpu& cpu, u64 va, bool write, unsigned view, u64& delta) {
  const u64 page = va & ~kPageMask;
  const u64 index = (page >> kPageShift) % kPageEntries;
  PageEntry& known = context_.pages[view][index];
  if ((write ? known.write_page : known.read_page) == page) {
    delta = known.delta;
    return true;
  }
  Region region;
  if (!find_page(cpu, va, write, region)) return false;
  if (write && !avoid_code(memory_, region, page, page + kPageSize, 0)) return false;
  delta = reinterpret_cast<u64>(memory_.base()) + region.offset - region.start;
  if (!may_have_entry(page)) return !write;
  enter(known, page, delta, write, region.global);
  const auto stored = static_cast<u32>((page + delta - reinterpret_cast<u64>(memory_.base())) >> kPageShift);
  note({.first = region.mapped_first,
        .last = region.mapped_last,
        .stub = 0,
        .index = static_cast<u32>(index),
        .count = 1,
        .what = What::Page,
        .table = static_cast<u8>(view)},
       region.global, write ? Stores{stored, stored} : kNoStores);
  return true;
}

/// A read across pages that do not follow in RAM: what is read is put together where the access finds it, this once.
bool Translations::bounce(interp::Cpu& cpu, const Site& site, u64 low, unsigned view, u64 wrapped) {
  if (site.write || !site.alone || site.access != AccessKind::Range || site.extent > kBounced) return false;
  const auto first = static_cast<u32>(kPageSize - (low & kPageMask));
  u64 deltas[2];
  if (first >= site.extent || !page_delta(cpu, low, false, view, deltas[0]) ||
      !page_delta(cpu, low + first, false, view, deltas[1]))
    return false;
  u8* const to = context_.bounce + low % kBounced;
  std::memcpy(to, reinterpret_cast<const u8*>(low + deltas[0]), first);
  std::memcpy(to + first, reinterpret_cast<const u8*>(low + first + deltas[1]), site.extent - first);
  Slot& slot = context_.slots[site.slot];
  empty(slot);
  slot.delta = reinterpret_cast<u64>(to) - low - wrapped;
  return true;
}

/// An access to two pages.
Translations::Filled Translations::cross(interp::Cpu& cpu, Site& site, u64 low, unsigned view, u64 wrapped) {
  if (bounce(cpu, site, low, view, wrapped)) return Filled::Once;
  u64 delta;  // for thunks, the next time
  const bool entered =
      page_delta(cpu, low, site.write, view, delta) && page_delta(cpu, low + site.extent - 1, site.write, view, delta);
  if (site.refilled && !site.alone && !crosses_often(site)) return Filled::Apart;
  return entered && site.write && site.alone ? Filled::Crossing : Filled::No;
}

Translations::Filled Translations::fill(interp::Cpu& cpu, Site& site, unsigned view) {
  const u64 now = __builtin_ia32_rdtsc();
  between_fills_ = (between_fills_ * 15 + (now - last_fill_)) / 16;
  last_fill_ = now;
  const u64 segment = segment_base(cpu, context_, site);
  u64 low = address(cpu, context_, site);
  const bool code32 = !cpu.code64();
  bool wraps_nowhere = false;
  u64 wrapped = 0;  // what the check computes beyond the address
  if (code32) {
    if (segment == kNoSegment) return Filled::No;
    const bool exact = site.narrow || site.page_entries || site.access == AccessKind::Segment;
    wraps_nowhere = site.access == AccessKind::Range && !exact;
    if (!exact && low > kLast32) return Filled::No;
    if (site.narrow) wrapped = low - static_cast<u32>(low);
    low = static_cast<u32>(low);
    if (low + site.extent > kLast32 + 1) return Filled::No;
    if (wraps_nowhere && (low < kWrapMargin || low + site.extent > kLast32 + 1 - kWrapMargin)) return Filled::No;
  }
  if (site.page_entries && !may_have_entry(low & ~kPageMask)) return Filled::No;
  const u64 high = low + site.extent;
  if (!x86::is_canonical(low) || !x86::is_canonical(high - 1) || high < low) return Filled::No;

  if (site.page_entries && ((low ^ (high - 1)) >> kPageShift) != 0) return cross(cpu, site, low, view, wrapped);
  Region region;
  ++counters_.walks;
  if (!find_page(cpu, low, site.write, region)) return Filled::No;
  if (region.end - region.start == kPageSize && !site.page_entries) add_neighbours(cpu, low, site.write, region);
  if (high > region.end) {  // goes on in the next page, which may follow in RAM as well
    Region next;
    ++counters_.walks;
    if (site.page_entries || !find_page(cpu, region.end, site.write, next) || next.end < high ||
        next.offset - (next.start - region.start) != region.offset) {
      return cross(cpu, site, low, view, wrapped);
    }
    region.end = next.end;
    region.global = region.global && next.global;
    region.mapped_last = next.mapped_last;
  }
  if (site.write && !avoid_code(memory_, region, low, high, site.page_entries ? kPagesAtOnce : kLookAround))
    return Filled::No;

  const u64 host = reinterpret_cast<u64>(memory_.base()) + region.offset;
  const u64 delta = host - region.start;
  Entry entry{.first = region.mapped_first,
              .last = region.mapped_last,
              .stub = 0,
              .index = site.slot,
              .count = 1,
              .what = What::Slot,
              .table = 0};
  Stores stores = kNoStores;
  if (site.write)
    stores = {.first = static_cast<u32>(region.offset >> kPageShift),
              .last = static_cast<u32>((region.offset + (region.end - region.start) - 1) >> kPageShift)};
  if (site.page_entries) {
    const u64 page = low & ~kPageMask;
    if (page + kPageSize > region.end || page < region.start) return Filled::No;
    // A large page brings its neighbours along.
    const u64 group = page & ~(kPagesAtOnce * kPageSize - 1);
    const u64 begin = std::max(group, region.start);
    const u64 end = std::min(group + kPagesAtOnce * kPageSize, region.end & ~kPageMask);
    auto* table = context_.pages[view];
    for (u64 at = begin; at < end; at += kPageSize) {
      if (!may_have_entry(at)) continue;
      enter(table[(at >> kPageShift) % kPageEntries], at, delta, site.write, region.global);
    }
    entry.what = What::Page;
    entry.index = static_cast<u32>((begin >> kPageShift) % kPageEntries);
    entry.count = static_cast<u16>((end - begin) >> kPageShift);
    entry.table = static_cast<u8>(view);
    ++counters_.pages;
    note(entry, region.global, stores);
    return Filled::Yes;
  }
  Slot& slot = context_.slots[site.slot];
  bool moved = slot.base != kNoBase;
  switch (site.access) {
    case AccessKind::Range: {
      u64 start = region.start, end = region.end;
      if (wraps_nowhere) {
        start = std::max<u64>(start, kWrapMargin);
        end = std::min<u64>(end, kLast32 + 1 - kWrapMargin);
      }
      // A region that grows, page by page as the guest touches its memory first, goes nowhere.
      const u64 old = slot.base - wrapped + static_cast<u64>(site.low);
      if (old >= start && old + slot.limit + site.extent <= end) moved = false;
      slot.base = start + wrapped - static_cast<u64>(site.low);
      slot.limit = end - start - site.extent;
      slot.delta = delta - wrapped;
      break;
    }
    case AccessKind::Segment:
      slot.base = segment;
      slot.delta = delta + low - static_cast<u64>(site.disp);
      break;
    case AccessKind::Constant:
      slot.delta = delta + (low & ~kPageMask);
      break;
  }
  ++counters_.slots;
  note(entry, region.global, stores);
  if (site.refilled)
    return prepare_refills(site, low, delta, region.global, entry, view) ? Filled::Scattered : Filled::Yes;
  if (!moved || site.string || site.access != AccessKind::Range) return Filled::Yes;
  // Sums with a segment's base may lie beyond 4 GiB in 32-bit code: other modes' page entries are no help.
  if (code32 && segment != 0) return Filled::Yes;
  // Sites of the kernel move with every task switch, however far apart these are.
  if (cpu.cpl == 3 && between_fills_ >= kCyclesBetweenFills) return Filled::Yes;
  if (++site.moves < (cpu.cpl == 3 ? kMovesOfUser : kMovesOfKernel)) return Filled::Yes;
  site.moves = 0;
  return Filled::Scattered;
}

/// The page of a site whose slot C++ has just filled gets an entry, for the others that access it, and for the time the
/// slot comes back. True: the slot is refilled so often that a check by page entries is better.
bool Translations::prepare_refills(Site& site, u64 low, u64 delta, bool global, Entry entry, unsigned view) {
  Slot& slot = context_.slots[site.slot];
  const bool again = slot.refills == 0 && site.looked_at != 0;
  const u64 refills = counters_.refills + context_.refilled[0].count + context_.refilled[1].count;
  const bool often = again && last_fill_ - site.looked_at < (refills - site.refills_then) * kCyclesBetweenRefills;
  if (slot.refills == 0) {
    slot.refills = kRefills;
    site.looked_at = last_fill_;
    site.refills_then = refills;
  }
  Refilled& refilled = context_.refilled[global];
  if (refilled.count == Refilled::kMost) empty_refilled(refilled);
  const u64 page = low & ~kPageMask;
  if (!may_have_entry(page) || low - page + site.extent > kPageSize) return often;
  const u64 index = (page >> kPageShift) % kPageEntries;
  PageEntry& known = context_.pages[view][index];
  if ((site.write ? known.write_page : known.read_page) == page && known.delta == delta) return often;
  enter(known, page, delta, site.write, global);
  entry.what = What::Page;
  entry.index = static_cast<u32>(index);
  entry.table = static_cast<u8>(view);
  const u32 stored = static_cast<u32>((page + delta - reinterpret_cast<u64>(memory_.base())) >> kPageShift);
  note(entry, global, site.write ? Stores{stored, stored} : kNoStores);
  return often;
}

/// A group whose check does not pass, since it runs into another page: is that rule or exception?
bool Translations::crosses_often(Site& site) {
  Slot& slot = context_.slots[site.slot];
  if (slot.refills != 0) return false;
  const bool often = site.looked_at != 0 && last_fill_ - site.looked_at < kRefills * kCyclesBetweenCrossings;
  slot.refills = kRefills;
  site.looked_at = last_fill_;
  return often;
}

void Translations::empty_refilled(Refilled& refilled) {
  for (u32 i = 0; i < refilled.count; ++i) empty(context_.slots[refilled.slots[i] / sizeof(Slot)]);
  counters_.refills += refilled.count;
  refilled.count = 0;
  ++forgotten_;
}

bool Translations::find_code(interp::Cpu& cpu, u64 rip, Code& code) {
  if (!x86::is_canonical(rip)) return false;
  ++counters_.walks;
  const auto t = x86::walk(cpu.memory, cpu.paging_context(cpu.cpl == 3), rip, x86::Access::Execute, &cpu.tables);
  if (!t.ok || (t.gpa & ~kPageMask) == cpu.apic_page) return false;
  code.offset = memory_.offset_of(t.gpa, 1);
  code.global = t.global;
  const u64 mask = (u64{1} << t.page_shift) - 1;
  code.first = rip & ~mask;
  code.last = rip | mask;
  return code.offset != vm::GuestMemory::kNone;
}

bool Translations::find_data(interp::Cpu& cpu, const Site& site, Code& place) const {
  Region region;
  u64 low = address(cpu, context_, site);
  if (!cpu.code64()) low = static_cast<u32>(low);
  if (!x86::is_canonical(low) || !find_page(cpu, low, false, region)) return false;
  place.offset = region.offset + (low - region.start);
  return true;
}

void Translations::note_edge(u32 slot, const u8* stub, const Code& code) {
  note({.first = code.first,
        .last = code.last,
        .stub = reinterpret_cast<u64>(stub),
        .index = slot,
        .count = 1,
        .what = What::Edge,
        .table = 0},
       code.global);
}

void Translations::note_jump(unsigned mode, u64 rip, const Code& code) {
  note({.first = code.first,
        .last = code.last,
        .stub = 0,
        .index = static_cast<u32>(rip % kJumpEntries),
        .count = 1,
        .what = What::Jump,
        .table = static_cast<u8>(mode)},
       code.global);
}

void Translations::note(const Entry& entry, bool global, Stores stores) {
  Log& log = log_for(entry.first, global);
  if (log.count == kCapacity) drop(log);
  log.stores[log.count] = stores;
  log.entries[log.count++] = entry;
}

void Translations::forget(const Entry& entry) {
  switch (entry.what) {
    case What::Slot:
      empty(context_.slots[entry.index]);
      break;
    case What::Page:
      for (u32 i = 0; i < entry.count; ++i) {
        context_.pages[entry.table][(entry.index + i) % kPageEntries] = kEmptyPage;
      }
      break;
    case What::Edge:
      context_.edges[entry.index] = entry.stub;
      break;
    case What::Jump:
      context_.jumps[entry.table][entry.index] = empty_jump_;
      break;
  }
}

void Translations::drop(Log& log) {
  for (u32 i = 0; i < log.count; ++i) forget(log.entries[i]);
  log.count = 0;
  ++forgotten_;
}

/// `match(i)`: whether entry i goes.
template <class Match>
void Translations::drop_if(Log& log, Match match) {
  for (u32 i = 0; i < log.count;) {
    if (!match(i)) {
      ++i;
      continue;
    }
    forget(log.entries[i]);
    ++forgotten_;
    --log.count;
    log.entries[i] = log.entries[log.count];
    log.stores[i] = log.stores[log.count];
  }
}

void Translations::flush_all() {
  for (Log& log : logs_) drop(log);
  for (Refilled& refilled : context_.refilled) empty_refilled(refilled);
  ++counters_.flushes;
}

void Translations::flush_non_global() {
  drop(logs_[0]);
  drop(logs_[2]);
  empty_refilled(context_.refilled[0]);
  ++counters_.flushes;
}

void Translations::flush_page(u64 va) {
  for (const bool global : {false, true}) {
    // A slot holds a page of 4 KiB, perhaps of a larger one.
    for (u32 i = 0; i < context_.refilled[global].count; ++i) {
      Slot& slot = context_.slots[context_.refilled[global].slots[i] / sizeof(Slot)];
      if (((slot.base + static_cast<u64>(i64{slot.low})) ^ va) / kGiB == 0) empty(slot);
    }
    Log& log = log_for(va, global);
    drop_if(log, [&](u32 i) {
      return log.entries[i].first <= va + (kPageSize - 1) && log.entries[i].last >= (va & ~kPageMask);
    });
  }
  ++forgotten_;
  ++counters_.page_flushes;
}

void Translations::drop_writes(u64 page) {
  for (Refilled& refilled : context_.refilled) empty_refilled(refilled);
  for (Log& log : logs_) drop_if(log, [&](u32 i) { return log.stores[i].first <= page && log.stores[i].last >= page; });
}

void Translations::clear() {
  auto* entries = reinterpret_cast<Entry*>(map_.data());
  auto* stores = reinterpret_cast<Stores*>(entries + std::size(logs_) * kCapacity);
  for (Log& log : logs_) {
    log = {.entries = entries, .stores = stores, .count = 0};
    entries += kCapacity;
    stores += kCapacity;
  }
  for (auto& table : context_.pages) {
    for (PageEntry& entry : table) entry = kEmptyPage;
  }
  for (Refilled& refilled : context_.refilled) refilled.count = 0;
  ++forgotten_;
}

}  // namespace vireo::cpu::translate
