// What a block's host code may reach through GS.
#pragma once

#include <algorithm>
#include <map>
#include <vector>

#include "cpu/translate/generate.h"

namespace vireo::cpu::translate::verify {

class Fields {
 public:
  Fields(const Layout& layout, bool code32) : layout_(layout), code32_(code32) {}

  std::map<u32, const Site*> sites;  ///< of the block, by slot
  std::map<i32, const Edge*> edges;  ///< of the block, by distance

  bool is_guest_register(i32 at) const { return at >= layout_.registers && at < layout_.registers + 16 * 8; }
  /// From instruction to instruction, and through a call of C++ for a check.
  bool lasts(i32 at) const {
    return is_guest_register(at) || at == segment_base(vm::x86::FS) || at == segment_base(vm::x86::GS);
  }

  /// Where the addresses of indirect entries begin.
  i32 jumps(unsigned mode) const { return layout_.jump(mode, T2).disp; }
  i32 segment_base(unsigned segment) const { return layout_.base_of(segment, code32_).disp; }

  struct Field {
    i32 at;
    u32 size;
    bool written;
  };
  /// What translated code reads and writes, but for slots, edges, page entries and jumps.
  std::vector<Field> fields() const {
    const auto& l = layout_;
    std::vector<Field> fields{
        {l.registers, 16 * 8, true},
        {l.rflags, 8, true},
        {l.attention, 1, false},
        {l.interrupts_held, 1, false},
        {l.at(&Context::status_mask).disp, 8, false},
        {l.at(&Context::pushed_mask).disp, 8, false},
        {l.at(&Context::flags_ax).disp, 8, false},
        {l.at(&Context::spill).disp, sizeof(Context::spill), true},
        {l.at(&Context::target).disp, 8, true},
        {l.at(&Context::vectors_loaded).disp, 1, false},
        {l.at(&Context::tsc_by_helper).disp, 1, false},
        {l.at(&Context::tsc_offset).disp, 8, false},
        {l.tsc_offset, 8, false},
        {l.tsc_aux, 8, false},
        {l.kernel_gs_base, 8, true},
    };
    for (const unsigned segment : {vm::x86::FS, vm::x86::GS})
      fields.push_back({segment_base(segment), 8, segment == vm::x86::GS && !code32_});
    for (const i32 segment : l.segments) fields.push_back({segment + l.selector, 2, false});
    return fields;
  }
  bool is_field(i32 at, u32 size, bool written) const {
    for (const Field& field : fields()) {
      if (at >= field.at && at + i64{size} <= field.at + i64{field.size} && (!written || field.written)) return true;
    }
    return false;
  }

  /// The slot field at `at`: its site and which field it is.
  struct SlotField {
    const Site* site = nullptr;
    enum class Which : u8 { Base, Limit, Delta } which = Which::Base;
  };
  SlotField slot_field(i32 at) const {
    for (const auto& [slot, site] : sites) {
      if (at == layout_.slot(slot, &Slot::base).disp) return {site, SlotField::Which::Base};
      if (at == layout_.slot(slot, &Slot::limit).disp) return {site, SlotField::Which::Limit};
      if (at == layout_.slot(slot, &Slot::delta).disp) return {site, SlotField::Which::Delta};
    }
    return {};
  }

  struct PageField {
    enum class Which : u8 { None, Read, Write, Delta } which = Which::None;
    unsigned view = 0;
    /// Of PageTag and PageDelta.
    u32 number() const { return view << 1 | (which == Which::Write ? 1 : 0); }
  };
  PageField page_field(i32 at) const {
    for (unsigned view = 0; view < 3; ++view) {
      if (at == layout_.page(view, &PageEntry::read_page, T2).disp) return {PageField::Which::Read, view};
      if (at == layout_.page(view, &PageEntry::write_page, T2).disp) return {PageField::Which::Write, view};
      if (at == layout_.page(view, &PageEntry::delta, T2).disp) return {PageField::Which::Delta, view};
    }
    return {};
  }

 private:
  const Layout& layout_;
  const bool code32_;
};

}  // namespace vireo::cpu::translate::verify
