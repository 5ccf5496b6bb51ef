// The part of the verifier that follows values: what one host instruction reads, writes and may reach.
#pragma once

#include <optional>
#include <string>

#include "cpu/translate/verify.h"
#include "cpu/translate/verify_fields.h"
#include "cpu/translate/verify_host.h"
#include "cpu/translate/verify_state.h"

namespace vireo::cpu::translate::verify {

class Machine {
 public:
  using Kind = Symbol::Kind;

  Machine(const Layout& layout, unsigned mode, bool code32) : fields_(layout, code32), mode_(mode), code32_(code32) {}

  /// Whether every memory operand is allowed; else fail() was called.
  bool check_memory(const Decoded& insn);
  /// What an instruction that does not branch does. False: fail() was called.
  bool compute(const Decoded& insn);
  /// The branch, which was decided by these flags, was not taken.
  void fall_through(const Decoded& insn, const Compared& flags);
  /// Through an edge or the table of jumps, which check_memory has seen.
  bool through_table(const ZydisDecodedOperand& operand) const;

 protected:
  /// Notes what is wrong, if it is the first thing; returns false.
  bool fail(std::string what) {
    if (!violation_) violation_ = Violation{.offset = offset_, .what = std::move(what)};
    return false;
  }
  State unknown();
  /// What does not last: where C++ was called, or may come in.
  void forget_scratch();

  Fields fields_;
  const unsigned mode_;
  /// Guest registers hold 32 bits. What a check covers keeps away from both ends of the 4 GiB, and displacements off a
  /// register are smaller than that (kWrapMargin): what is within it has not wrapped, so sums of 32 and of 64 bits are
  /// the same there, and elsewhere nothing is concluded from them.
  const bool code32_;
  Symbols symbols_;
  State now_;
  u32 offset_ = 0;  ///< of the instruction that is looked at
  std::optional<Violation> violation_;

 private:
  std::optional<Value> address(const ZydisDecodedOperand& operand);
  bool check_context(const ZydisDecodedOperand& operand, const ZydisDecodedInstruction& in);
  bool check_access(const ZydisDecodedOperand& operand);
  void learn(const Site& site, const Value& start, u64 size);
  void constant_checked(const Value& value);
  /// What guest registers hold: a symbol and a constant, so that addresses made of them do not grow.
  std::optional<Value> compute32(const Decoded& insn);
  Value simple(const Value& value) { return value.count <= 1 ? value : symbols_.fresh(); }
  Value load(const ZydisDecodedOperand& from, unsigned target);
  bool store(const ZydisDecodedOperand& to, const ZydisDecodedOperand& from);
  Compared compare(const Value& left, const ZydisDecodedOperand& right);
  void clobber(const Decoded& insn);
};

}  // namespace vireo::cpu::translate::verify
