// Which host register holds which guest register, and where everything else is, as seen from GS.
//
// Guest registers live in host registers wherever translated code runs; the mapping is the same at every instruction
// boundary, so any boundary can be entered and left. Host RSP is the stack of return addresses (translator.h), RCX and
// R11 are free within an instruction: that leaves 13 registers for 16. R10, R11 and R15 of the guest, which compilers
// use least, stay in Cpu::r and are loaded where they are used.
#pragma once

#include <array>

#include "cpu/translate/context.h"
#include "cpu/translate/emit.h"
#include "vm/x86/regs.h"

namespace vireo::cpu::translate {

constexpr Host T1 = Host::RCX, T2 = Host::R11;

constexpr std::array<Host, 16> kHome = {
    Host::RAX, Host::R10, Host::RDX,  Host::RBX,  Host::R15, Host::RBP, Host::RSI, Host::RDI,
    Host::R8,  Host::R9,  Host::None, Host::None, Host::R12, Host::R13, Host::R14, Host::None,
};
constexpr Host kStack = kHome[vm::x86::RSP];

inline Host home(unsigned reg) { return kHome[reg]; }

/// C++ functions that translated code calls (Context::function), each with an index as its argument.
enum class Call : u8 { Access, Helper, Link, Jump, Leave, Fault, kCount };

/// Distances from the GS base.
struct Layout {
  i32 registers = 0;  ///< Cpu::r
  i32 rflags = 0, attention = 0, interrupts_held = 0;
  i32 segment_base[6] = {}, segments[6] = {};  ///< segments: vm::x86::Segment
  i32 selector = 0;                            ///< within a vm::x86::Segment
  i32 cpl = 0, cpu_view = 0, kernel_gs_base = 0, tsc_aux = 0, tsc_offset = 0;
  i32 vectors = 0, mxcsr = 0, opmask = 0;  ///< Cpu::fpu
  i32 context = 0;
  const Context* object = nullptr;  ///< the one at that distance
  bool avx512 = false;              ///< vectors are 32 of 64 bytes, and there are opmasks; else 16 of 32 bytes

  Mem saved(unsigned index) const { return field(context + offset_of(&Context::saved) + static_cast<i32>(index) * 8); }
  Mem part(unsigned index, u64 Context::Part::* member) const {
    return field(context + offset_of(&Context::parts) + static_cast<i32>(index * sizeof(Context::Part)) +
                 distance(kPart, kPart.*member));
  }
  i32 bounce() const { return context + offset_of(&Context::bounce); }
  Mem gpr(unsigned reg) const { return field(registers + static_cast<i32>(reg) * 8); }
  Mem base_of(unsigned segment, bool code32) const {
    if (!code32) return field(segment_base[segment]);
    return field(context + offset_of(&Context::segment_base) + static_cast<i32>(segment - vm::x86::FS) * 8);
  }
  template <class T>
  Mem at(T Context::* member) const {
    return field(context + offset_of(member));
  }
  Mem function(Call call) const { return field(context + offset_of(&Context::function) + static_cast<i32>(call) * 8); }
  Mem slot(u32 index, u64 Slot::* member) const {
    return field(context + offset_of(&Context::slots) + static_cast<i32>(index * sizeof(Slot)) +
                 distance(kSlot, kSlot.*member));
  }
  /// Of the slot whose byte offset in its table is in `at`.
  template <class T>
  Mem slot(Host at, T Slot::* member) const {
    return {.base = at, .gs = true, .disp = context + offset_of(&Context::slots) + distance(kSlot, kSlot.*member)};
  }
  Mem edge(u32 index) const { return field(context + offset_of(&Context::edges) + static_cast<i32>(index) * 8); }
  template <class T>
  Mem landing(Crossing crossing, unsigned mode, T Landing::* member, unsigned element = 0) const {
    const auto index = static_cast<i32>(static_cast<unsigned>(crossing) * kModes + mode);
    return field(context + offset_of(&Context::landings) + index * static_cast<i32>(sizeof(Landing)) +
                 distance(kLanding, kLanding.*member) + static_cast<i32>(element) * 8);
  }
  Mem stack_pointer(unsigned mode) const {
    return field(context + offset_of(&Context::stack_pointers) + static_cast<i32>(mode) * 8);
  }
  /// Of the entry whose byte offset in its table is in `at`.
  Mem page(unsigned view, u64 PageEntry::* member, Host at) const {
    return {.base = at,
            .gs = true,
            .disp = context + offset_of(&Context::pages) + static_cast<i32>(view * kPageEntries * sizeof(PageEntry)) +
                    distance(kPageEntry, kPageEntry.*member)};
  }
  /// Of the one of Context::refilled whose byte offset is in `at`; with `index`, its slots.
  Mem refilled_count(Host at) const {
    return {
        .base = at, .gs = true, .disp = context + offset_of(&Context::refilled) + distance(kRefilled, kRefilled.count)};
  }
  Mem refilled_slot(Host at, Host index) const {
    return {.base = at,
            .index = index,
            .scale = 2,
            .gs = true,
            .disp = context + offset_of(&Context::refilled) + distance(kRefilled, kRefilled.slots)};
  }
  Mem jump(unsigned mode, Host index) const {
    return {.index = index,
            .scale = 3,
            .gs = true,
            .disp = context + offset_of(&Context::jumps) + static_cast<i32>(mode * kJumpEntries * 8)};
  }

 private:
  template <class T>
  i32 offset_of(T Context::* member) const {
    return distance(*object, object->*member);
  }
  template <class Whole, class Part>
  static i32 distance(const Whole& whole, const Part& part) {
    return static_cast<i32>(reinterpret_cast<const u8*>(&part) - reinterpret_cast<const u8*>(&whole));
  }
  static constexpr Slot kSlot{};
  static constexpr PageEntry kPageEntry{};
  static constexpr Refilled kRefilled{};
  static constexpr Context::Part kPart{};
  static constexpr Landing kLanding{};
};

}  // namespace vireo::cpu::translate
