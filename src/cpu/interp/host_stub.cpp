#include "cpu/interp/host_stub.h"

namespace vireo::cpu::interp {

namespace {

using namespace vm::x86;

constexpr u16 kCalleeSaved = bit(RBX) | bit(RBP) | bit(R12) | bit(R13) | bit(R14) | bit(R15);

/// The few encodings stubs are made of (SDM 2). Memory operands are [base + disp32].
class Emitter {
 public:
  explicit Emitter(u8* to) : begin_(to), at_(to) {}
  unsigned size() const { return static_cast<unsigned>(at_ - begin_); }

  template <class... Bytes>
  void bytes(Bytes... values) {
    ((*at_++ = static_cast<u8>(values)), ...);
  }
  void raw(const HostBytes& from) {
    for (unsigned i = 0; i < from.size; ++i) *at_++ = from.byte[i];
  }
  void push(unsigned reg) { reg_form(0x50, reg); }
  void pop(unsigned reg) { reg_form(0x58, reg); }
  void move_immediate(unsigned reg, u64 value) {
    bytes(0x48 | reg >> 3, 0xB8 | (reg & 7));
    store<u64>(at_, value);
    at_ += 8;
  }
  void load_general(unsigned reg, unsigned base, i32 disp) { general(0x8B, reg, base, disp); }
  void store_general(unsigned reg, unsigned base, i32 disp) { general(0x89, reg, base, disp); }
  void load_xmm(unsigned reg, unsigned base, i32 disp) { xmm(0x10, reg, base, disp); }
  void store_xmm(unsigned reg, unsigned base, i32 disp) { xmm(0x11, reg, base, disp); }
  void load_ymm(unsigned reg, unsigned base, i32 disp) { ymm(0x10, reg, base, disp); }
  void store_ymm(unsigned reg, unsigned base, i32 disp) { ymm(0x11, reg, base, disp); }
  void load_zmm(unsigned reg, unsigned base, i32 disp) { zmm(0x6F, reg, base, disp); }
  void store_zmm(unsigned reg, unsigned base, i32 disp) { zmm(0x7F, reg, base, disp); }
  void load_opmask(unsigned reg, unsigned base, i32 disp) { opmask(0x90, reg, base, disp); }
  void store_opmask(unsigned reg, unsigned base, i32 disp) { opmask(0x91, reg, base, disp); }
  void zero_xmm(unsigned reg) {  // VXORPS reg, xmm, xmm: clears the whole register
    const unsigned low = reg & 7;
    bytes(0xC4, 0x41 | (reg < 8 ? 0xA0 : 0), (~reg & 15) << 3, 0x57, 0xC0 | low << 3 | low);
  }
  /// 0F AE /digit: FXSAVE 0, FXRSTOR 1, LDMXCSR 2, STMXCSR 3.
  void state(unsigned digit, bool wide, unsigned base, i32 disp) {
    if (wide || base >= 8) bytes(0x40 | (wide ? 8 : 0) | base >> 3);
    bytes(0x0F, 0xAE);
    operand(digit, base, disp);
  }
  /// FF /6 and 8F /0.
  void push_memory(unsigned base, i32 disp) {
    if (base >= 8) bytes(0x41);
    bytes(0xFF);
    operand(6, base, disp);
  }
  void pop_memory(unsigned base, i32 disp) {
    if (base >= 8) bytes(0x41);
    bytes(0x8F);
    operand(0, base, disp);
  }

 private:
  void reg_form(unsigned opcode, unsigned reg) {
    if (reg >= 8) bytes(0x41);
    bytes(opcode | (reg & 7));
  }
  void operand(unsigned reg, unsigned base, i32 disp) {  // base is never RSP or R12: no SIB
    bytes(0x80 | (reg & 7) << 3 | (base & 7));
    store<i32>(at_, disp);
    at_ += 4;
  }
  void general(unsigned opcode, unsigned reg, unsigned base, i32 disp) {
    bytes(0x48 | (reg >> 3) << 2 | base >> 3, opcode);
    operand(reg, base, disp);
  }
  void xmm(unsigned opcode, unsigned reg, unsigned base, i32 disp) {  // MOVUPS
    bytes(0x40 | (reg >> 3) << 2 | base >> 3, 0x0F, opcode);
    operand(reg, base, disp);
  }
  void ymm(unsigned opcode, unsigned reg, unsigned base, i32 disp) {  // VMOVUPS ymm
    bytes(0xC4, 0x41 | (reg < 8 ? 0x80 : 0) | (base < 8 ? 0x20 : 0), 0x7C, opcode);
    operand(reg, base, disp);
  }

  void zmm(unsigned opcode, unsigned reg, unsigned base, i32 disp) {  // VMOVDQU64 zmm
    const unsigned inverted = (reg & 8 ? 0 : 0x80) | (base < 8 ? 0x20 : 0) | (reg & 16 ? 0 : 0x10);
    bytes(0x62, 0x41 | inverted, 0xFE, 0x48, opcode);
    operand(reg, base, disp);
  }
  void opmask(unsigned opcode, unsigned reg, unsigned base, i32 disp) {  // KMOVQ
    bytes(0xC4, 0xC1 | (base < 8 ? 0x20 : 0), 0xF8, opcode);
    operand(reg, base, disp);
  }

  u8* const begin_;
  u8* at_;
};

template <class Function>
void for_each(u32 set, Function function) {
  for (unsigned i = 0; i < 32; ++i) {
    if (set & bit(i)) function(i);
  }
}

class StubWriter {
 public:
  StubWriter(const StubPlan& plan, Cpu& cpu, HostFrame& frame, u8* to)
      : plan_(plan), regs_(plan.regs), cpu_(cpu), frame_(frame), emit_(to) {}

  Stub write(const u8* executable) {
    for_each(saved(), [&](unsigned reg) { emit_.push(reg); });
    emit_.move_immediate(regs_.context, reinterpret_cast<u64>(&cpu_));
    emit_.move_immediate(regs_.memory, reinterpret_cast<u64>(&frame_));
    load();
    Stub stub;
    stub.entry = executable;
    stub.fault.instruction = executable + emit_.size();
    emit_.raw(plan_.instruction);
    put_back();
    leave(0);
    stub.fault.bail_out = executable + emit_.size();
    save_x87();  // a switch to MMX may come before the fault
    leave(1);
    stub.size = emit_.size();
    return stub;
  }

 private:
  u16 saved() const {
    u16 used = regs_.gpr_used;
    if (used & bit(RSP)) used |= static_cast<u16>(bit(regs_.rsp_as));
    return used & kCalleeSaved;
  }
  bool saves_mxcsr() const { return plan_.mxcsr || plan_.x87; }
  unsigned host_number(unsigned guest) const { return guest == RSP ? regs_.rsp_as : guest; }
  i32 in_cpu(const void* member) const {
    return static_cast<i32>(static_cast<const u8*>(member) - reinterpret_cast<const u8*>(&cpu_));
  }
  i32 in_frame(const void* member) const {
    return static_cast<i32>(static_cast<const u8*>(member) - reinterpret_cast<const u8*>(&frame_));
  }

  void load() {
    if (saves_mxcsr()) emit_.state(3, false, regs_.memory, in_frame(&frame_.mxcsr));
    if (plan_.x87) emit_.state(1, true, regs_.memory, in_frame(frame_.x87));  // loads an MXCSR of its own
    if (plan_.mxcsr) emit_.state(2, false, regs_.context, in_cpu(&cpu_.fpu.mxcsr));
    for_each(regs_.vector_used, [&](unsigned reg) {
      const i32 at = in_cpu(cpu_.fpu.zmm[reg].data());
      plan_.evex  ? emit_.load_zmm(reg, regs_.context, at)
      : plan_.vex ? emit_.load_ymm(reg, regs_.context, at)
                  : emit_.load_xmm(reg, regs_.context, at);
    });
    for_each(regs_.opmask_used,
             [&](unsigned reg) { emit_.load_opmask(reg, regs_.context, in_cpu(&cpu_.fpu.opmask[reg])); });
    if (plan_.flags) {
      emit_.push_memory(regs_.memory, in_frame(&frame_.flags));
      emit_.bytes(0x9D);  // POPFQ
    }
    for_each(regs_.gpr_used,
             [&](unsigned reg) { emit_.load_general(host_number(reg), regs_.context, in_cpu(&cpu_.r[reg])); });
  }

  void put_back() {
    if (plan_.flags) {
      emit_.bytes(0x9C);  // PUSHFQ
      emit_.pop_memory(regs_.memory, in_frame(&frame_.flags));
    }
    for_each(regs_.gpr_written,
             [&](unsigned reg) { emit_.store_general(host_number(reg), regs_.context, in_cpu(&cpu_.r[reg])); });
    for_each(regs_.vector_written, [&](unsigned reg) {
      const i32 at = in_cpu(cpu_.fpu.zmm[reg].data());
      if (plan_.evex) {
        emit_.store_zmm(reg, regs_.context, at);
        return;
      }
      if (!plan_.vex) {
        emit_.store_xmm(reg, regs_.context, at);
        return;
      }
      // A VEX write clears the register up to its full length (SDM 1 14.5).
      emit_.store_ymm(reg, regs_.context, at);
      emit_.zero_xmm(reg);
      emit_.store_ymm(reg, regs_.context, at + 32);
    });
    for_each(regs_.opmask_written,
             [&](unsigned reg) { emit_.store_opmask(reg, regs_.context, in_cpu(&cpu_.fpu.opmask[reg])); });
    save_x87();
  }

  void save_x87() {
    if (!plan_.x87) return;
    emit_.state(0, true, regs_.memory, in_frame(frame_.x87));
    emit_.bytes(0xDB, 0xE3);  // FNINIT
  }

  /// Gives the host its state back and returns `result`.
  void leave(unsigned result) {
    if (plan_.mxcsr) emit_.state(3, false, regs_.context, in_cpu(&cpu_.fpu.mxcsr));
    if (saves_mxcsr()) emit_.state(2, false, regs_.memory, in_frame(&frame_.mxcsr));
    if (plan_.vex && regs_.vector_used != 0) emit_.bytes(0xC5, 0xF8, 0x77);  // VZEROUPPER
    for (unsigned reg = 16; reg-- > 0;) {
      if (saved() & bit(reg)) emit_.pop(reg);
    }
    emit_.bytes(0xB8, result, 0, 0, 0, 0xC3);  // MOV EAX, result; RET
  }

  const StubPlan& plan_;
  const HostRegs& regs_;
  Cpu& cpu_;
  HostFrame& frame_;
  Emitter emit_;
};

}  // namespace

Stub emit_stub(const StubPlan& plan, Cpu& cpu, HostFrame& frame, u8* to, const u8* executable) {
  return StubWriter(plan, cpu, frame, to).write(executable);
}

}  // namespace vireo::cpu::interp
