#include "cpu/translate/thunk_parts.h"
#include "vm/x86/regs.h"

namespace vireo::cpu::translate {

namespace {

class CrossThunk {
 public:
  CrossThunk(Emitter& e, const Layout& layout, Crossing crossing, unsigned mode)
      : e_(e), layout_(layout), crossing_(crossing), mode_(mode) {}

  void make(const u8* helper) {
    e_.pop(layout_.at(&Context::resume));
    e_.store(layout_.at(&Context::argument), T1);
    switch (crossing_) {
      case Crossing::SystemCall:
        call(helper);
        break;
      case Crossing::SystemReturn:
        come_back(helper);
        break;
      default:
        change_access(helper);
        break;
    }
  }

 private:
  template <class T>
  Mem landing(T Landing::* member, unsigned element = 0) const {
    return layout_.landing(crossing_, mode_, member, element);
  }

  /// T2 is the RIP behind the instruction.
  void call(const u8* helper) {
    e_.flags_to(T1);
    e_.store(layout_.at(&Context::spill), T1);
    e_.load(T1, field(layout_.rflags));
    e_.and_(T1, layout_.at(&Context::not_status_mask));
    e_.cmp(T1, landing(&Landing::flags_before));
    u8* const unlike = e_.jcc_later(Cond::NE);
    e_.cmp_byte(landing(&Landing::valid), 0);
    u8* const unknown = e_.jcc_later(Cond::E);
    e_.mov(home(vm::x86::RCX), T2);
    e_.load(T1, layout_.at(&Context::spill));
    e_.and_(T1, layout_.at(&Context::status_mask));
    e_.or_(T1, landing(&Landing::flags_before));
    e_.store(layout_.gpr(vm::x86::R11), T1);
    load_segments();
    e_.load(T1, landing(&Landing::target));
    enter_mode();
    e_.mov_imm(T2, 1);  // adding 0 to it clears all status flags
    e_.bytes(reinterpret_cast<const u8*>("\x49\x83\xC3\x00"), 4);
    land();
    e_.here32(unlike);
    e_.here32(unknown);
    e_.push(layout_.at(&Context::spill));
    e_.byte(0x9D);  // popfq
    e_.jmp(helper);
  }

  void come_back(const u8* helper) {
    e_.load(T1, layout_.gpr(vm::x86::R11));
    e_.mov(T2, T1);
    e_.and_(T1, layout_.at(&Context::not_status_mask));
    e_.cmp(T1, landing(&Landing::flags_after));
    u8* const unlike = e_.jcc_later(Cond::NE);
    e_.cmp_byte(landing(&Landing::valid), 0);
    u8* const unknown = e_.jcc_later(Cond::E);
    e_.cmp_byte(field(layout_.interrupts_held), 0);
    u8* const held = e_.jcc_later(Cond::NE);
    e_.mov(T1, home(vm::x86::RCX));
    e_.shr(T1, 47);  // in the upper half, or not canonical
    u8* const high = e_.jcc_later(Cond::NE);
    load_segments();
    e_.mov(T1, home(vm::x86::RCX));
    e_.load(T2, layout_.gpr(vm::x86::R11));
    e_.store(layout_.at(&Context::flags_ax), Host::RAX);  // AX as flags_ax is laid out, from RFLAGS in T2
    e_.movzx8(Host::RAX, T2);
    e_.shl(Host::RAX, 8);
    e_.shr(T2, 11);
    e_.and_imm32(T2, 1);
    e_.or_(Host::RAX, T2);
    e_.ax_to_flags();
    e_.load(Host::RAX, layout_.at(&Context::flags_ax));
    enter_mode();
    land();
    for (u8* const from : {unlike, unknown, held, high}) e_.here32(from);
    e_.jmp(helper);
  }

  void change_access(const u8* helper) {
    e_.load_byte(T1, landing(&Landing::valid));
    u8* const unknown = e_.jrcxz_later();
    e_.load(T1, field(layout_.rflags));
    const auto ac = static_cast<i32>(vm::x86::rflags::AC);
    e_.lea(T1, {.base = T1, .disp = crossing_ == Crossing::Stac ? ac : -ac});
    e_.store(field(layout_.rflags), T1);
    e_.mov(T1, T2);
    enter_mode();
    land();
    e_.here8(unknown);
    e_.jmp(helper);
  }

  void load_segments() {
    e_.load(T1, landing(&Landing::flags_after));
    e_.store(field(layout_.rflags), T1);
    for (unsigned i = 0; i < 3; ++i) {
      e_.load(T1, landing(&Landing::code, i));
      e_.store(field(layout_.segments[vm::x86::CS] + static_cast<i32>(i) * 8), T1);
      e_.load(T1, landing(&Landing::stack_segment, i));
      e_.store(field(layout_.segments[vm::x86::SS] + static_cast<i32>(i) * 8), T1);
    }
    e_.load32(T1, landing(&Landing::cpl));
    e_.store32(field(layout_.cpl), T1);
  }

  /// T1 is the RIP to go on at, and stays; no flags.
  void enter_mode() {
    e_.store(layout_.at(&Context::target), T1);
    e_.store(layout_.stack_pointer(mode_), Host::RSP);
    e_.load(T2, landing(&Landing::stack));
    e_.load(Host::RSP, {.base = T2});
    e_.load32(T2, landing(&Landing::mode));
    e_.store32(layout_.at(&Context::mode), T2);
    e_.load_byte(T2, landing(&Landing::view));
    e_.store8(field(layout_.cpu_view), T2);
  }

  void land() {
    e_.movzx16(T2, T1);
    e_.load(T1, landing(&Landing::jumps));
    e_.lea(T2, {.base = T1, .index = T2, .scale = 3});
    e_.load(T1, layout_.at(&Context::target));
    e_.jmp({.base = T2});
  }

  Emitter& e_;
  const Layout& layout_;
  const Crossing crossing_;
  const unsigned mode_;
};

}  // namespace

void make_cross(Emitter& e, const Layout& layout, Crossing crossing, unsigned mode, const u8* helper) {
  CrossThunk(e, layout, crossing, mode).make(helper);
}

}  // namespace vireo::cpu::translate
