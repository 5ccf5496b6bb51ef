// From a plan to host code.
//
// Code of a block:  [indirect entry: RCX is the RIP wanted; is it this block's?] [entry: hot code] [cold code]
// Everything that may fail in hot code branches to cold code, which calls C++ (thunks.h) with an index into Tables.
#pragma once

#include <deque>
#include <vector>

#include "cpu/translate/plan.h"
#include "cpu/translate/thunks.h"

namespace vireo::cpu::translate {

/// What calls from translated code refer to. Append only, until the whole code cache is flushed; deques, which grow
/// without a copy.
struct Tables {
  std::deque<Site> sites;
  std::deque<Helper> helpers;
  std::deque<Edge> edges;
  u32 slots = 0, edge_slots = 0;
};

/// Instructions that cannot be generated become helpers; call before planning.
void settle_kind(GuestInsn& insn, bool odd_flags);
void make_helper(GuestInsn& insn);

class Generator {
 public:
  Generator(Emitter& emit, const Layout& layout, const Thunks& thunks, Tables& tables, Context& context)
      : e_(emit), layout_(layout), thunks_(thunks), tables_(tables), context_(context) {}

  /// Fills block.code, entry, boundaries. `helper_insn(i)` decodes instruction i for the interpreter,
  /// `crossing_at(rip)` says whether one's writes are known to cross pages. The emitter may have overflowed afterwards.
  template <class HelperInsn, class CrossingAt>
  void run(const Plan& plan, Mode mode, unsigned view, Block& block, HelperInsn helper_insn, CrossingAt crossing_at) {
    plan_ = &plan;
    block_ = &block;
    mode_ = mode;
    view_ = view;
    begin();
    for (at_ = 0; at_ < plan.count; ++at_) {
      crossing_ = crossing_at(plan.insns[at_].rip);
      begin_instruction();
      const Kind kind = plan.insns[at_].kind;
      if (kind == Kind::Helper || kind == Kind::HelperEnd || kind == Kind::ReadTsc || kind == Kind::Strings ||
          kind == Kind::Cross)
        tables_.helpers.push_back({.block = block_, .boundary = static_cast<u16>(at_), .insn = helper_insn(at_)});
      if (kind == Kind::Helper || kind == Kind::HelperEnd) {
        emit_helper();
      } else {
        emit_instruction();
      }
    }
    finish();
  }

 private:
  struct Cold {
    enum class Kind : u8 { Site, Link, FarBranch, Vectors, Helper } kind = Kind::Site;
    u8* from[2] = {};
    u32 index = 0;
    bool restore_flags = false, restore_from_memory = false;
    const u8* back = nullptr;      ///< where hot code goes on, if it does
    Call call = Call::Leave;       ///< Site
    const Group* group = nullptr;  ///< what the check is of
    const u8* first = nullptr;     ///< the thunk of Thunks::bounce's kind that is called before C++
  };

  // generate.cpp
  void begin();
  void begin_instruction();
  void finish();
  void emit_attention();
  void emit_vectors_check();
  void emit_helper();
  void emit_edge(u64 target);
  void emit_cold(const Cold& cold);
  void emit_before_call(const Cold& cold);
  void emit_after_call(const Cold& cold);
  u32 new_edge(u64 target);
  bool crosses(u64 target) const { return (target ^ block_->rip) >> kPageShift != 0; }

  // generate_memory.cpp
  void emit_check(u16 group);
  void emit_range_check(const Group& group, Site& site, bool live, Cold& cold);
  void address_to_t1(const Group& group, bool with_disp);
  Mem access(const Access& access, const MemOperand& mem);
  void save_flags(bool in_memory);
  void restore_flags(bool from_memory);

  // generate_insn.cpp
  void emit_instruction();
  void emit_plain(const GuestInsn& insn);
  void emit_lea(const GuestInsn& insn);
  void emit_push(const GuestInsn& insn);
  void emit_push_flags();
  void emit_sti(const GuestInsn& insn);
  void emit_pop(const GuestInsn& insn);
  void emit_leave(const GuestInsn& insn);
  void emit_swapgs();
  void emit_read_tsc(const GuestInsn& insn);
  void emit_read_segment(const GuestInsn& insn);
  void emit_strings(const GuestInsn& insn);
  void emit_cross(const GuestInsn& insn);
  void emit_branch(const GuestInsn& insn);
  void emit_call(const GuestInsn& insn);
  void emit_jump_to(const GuestInsn& insn);
  void emit_call_to(const GuestInsn& insn);
  void emit_return(const GuestInsn& insn);
  void emit_return_site(u64 rip);
  void target_to_t1(const GuestInsn& insn);
  /// Goes on at `expected` (RCX, then) or jumps to `otherwise`. Clobbers RCX and R11, no flags.
  void emit_expect(u64 expected, const u8* otherwise);
  Mem stack_slot(i32 disp);  ///< loads T1
  // As wide as pointers are in this mode.
  void load_pointer(Host to, const Mem& from);
  void store_pointer(const Mem& to, Host from);
  void store_pointer_imm(const Mem& to, i32 value);
  void lea_pointer(Host to, const Mem& from);

  Emitter& e_;
  const Layout& layout_;
  const Thunks& thunks_;
  Tables& tables_;
  Context& context_;
  const Plan* plan_ = nullptr;
  Block* block_ = nullptr;
  Mode mode_;
  unsigned view_ = 0;
  unsigned at_ = 0;
  bool crossing_ = false;  ///< the instruction's writes are known to cross pages
  unsigned attention_at_ = 0;
  bool vectors_checked_ = false;
  std::vector<Cold> cold_;
  std::vector<u32> group_slots_;
};

}  // namespace vireo::cpu::translate
