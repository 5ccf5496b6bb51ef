// What translated code remembers of address translation (Context: slots, page entries, jumps to other pages, indirect
// jumps), how it is filled, and how it is forgotten.
//
// Everything that is filled is logged with the guest addresses it stands for, so that a flush costs what was filled
// since the last one and not the size of the tables. Logs are apart for the two halves of the address space and for
// global pages: a change of CR3 looks at what it drops only.
#pragma once

#include "cpu/interp/cpu.h"
#include "cpu/translate/block.h"
#include "cpu/translate/context.h"
#include "host/map.h"

namespace vireo::cpu::translate {

class Translations {
 public:
  /// `empty_jump` is what an empty entry of Context::jumps holds.
  Translations(vm::GuestMemory& memory, Context& context, host::Map log)
      : memory_(memory), context_(context), map_(std::move(log)) {
    clear();
  }
  static constexpr u64 kLogBytes = 8 * kMiB;
  void set_empty_jump(const u8* code) { empty_jump_ = reinterpret_cast<u64>(code); }

  enum class Filled : u8 { No, Yes, Scattered, Once, Apart, Crossing };
  /// Fills the site's slot (or page entry) for the address it checks now. No: the access is not to one piece of RAM
  /// with the rights it needs. Scattered: filled, and it keeps going elsewhere. Once: good for
  /// one access, behind the check (Site::passed). Apart: No, since it crosses pages, as it does now and then.
  /// Crossing: No, a write that crosses pages, which both are RAM.
  Filled fill(interp::Cpu& cpu, Site& site, unsigned view);

  /// Where code at `rip` is; false: nowhere in RAM, or not executable.
  struct Code {
    u64 offset = 0;
    bool global = false;
    u64 first = 0, last = 0;  ///< the guest page that maps it
  };
  bool find_code(interp::Cpu& cpu, u64 rip, Code& code);

  /// The same for the first byte that the site checks, as data.
  bool find_data(interp::Cpu& cpu, const Site& site, Code& place) const;

  void note_edge(u32 slot, const u8* stub, const Code& code);
  void note_jump(unsigned mode, u64 rip, const Code& code);

  void flush_all();
  void flush_non_global();
  void flush_page(u64 va);
  /// Nothing stores to this page of RAM any more.
  void drop_writes(u64 page);
  /// Empties everything, without looking at logs: after the code cache was flushed.
  void clear();

  /// Counts whatever was forgotten: while it stands still, a check that was passed still holds.
  u64 forgotten() const { return forgotten_; }

  struct Counters {
    u64 slots = 0, pages = 0, refills = 0, walks = 0, flushes = 0, page_flushes = 0;
  };
  const Counters& counters() const { return counters_; }

 private:
  enum class What : u8 { Slot, Page, Edge, Jump };
  struct Entry {
    u64 first, last;  ///< guest addresses
    u64 stub;         ///< Edge
    u32 index;
    u16 count;  ///< Page: entries from index on
    What what;
    u8 table;  ///< Page: view; Jump: mode
  };
  /// Of RAM, that an entry lets stores through to; none when last is less than first.
  struct Stores {
    u32 first, last;
  };
  static constexpr Stores kNoStores{1, 0};
  /// In no order. The stores are apart, since they are looked through whenever a page becomes code.
  struct Log {
    Entry* entries;
    Stores* stores;
    u32 count;
  };
  static constexpr u32 kCapacity = kLogBytes / 4 / (sizeof(Entry) + sizeof(Stores));

  Log& log_for(u64 va, bool global) { return logs_[(va >> 63) * 2 + (global ? 1 : 0)]; }
  bool page_delta(interp::Cpu& cpu, u64 va, bool write, unsigned view, u64& delta);
  Filled cross(interp::Cpu& cpu, Site& site, u64 low, unsigned view, u64 wrapped);
  bool bounce(interp::Cpu& cpu, const Site& site, u64 low, unsigned view, u64 wrapped);
  bool crosses_often(Site& site);
  bool prepare_refills(Site& site, u64 low, u64 delta, bool global, Entry entry, unsigned view);
  void empty_refilled(Refilled& refilled);
  void note(const Entry& entry, bool global, Stores stores = kNoStores);
  void forget(const Entry& entry);
  void drop(Log& log);
  template <class Match>
  void drop_if(Log& log, Match match);

  vm::GuestMemory& memory_;
  Context& context_;
  host::Map map_;
  Log logs_[4];
  u64 empty_jump_ = 0;
  u64 forgotten_ = 0;
  u64 last_fill_ = 0, between_fills_ = ~u64{0} / 16;  ///< host TSC; a moving average
  Counters counters_;
};

}  // namespace vireo::cpu::translate
