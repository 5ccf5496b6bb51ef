#include "open_flags.h"

#include <Zydis/Zydis.h>

#include "forms.h"
#include "vm/x86/regs.h"

namespace vireo::diff {

using namespace vm::x86;

namespace {

/// What one instruction does to flags, and where it goes.
struct Step {
  u64 tested = 0, defined = 0, undefined = 0;
  bool falls = true, anywhere = false;
  std::optional<u64> target;  ///< offset in the snippet
};

/// Counts that may be zero leave all flags alone.
bool surely_changes_flags(const ZydisDecodedInstruction& in, const ZydisDecodedOperand* operands) {
  if (in.meta.category == ZYDIS_CATEGORY_STRINGOP) return false;
  const bool shift = in.meta.category == ZYDIS_CATEGORY_SHIFT || in.meta.category == ZYDIS_CATEGORY_ROTATE ||
                     in.mnemonic == ZYDIS_MNEMONIC_SHLD || in.mnemonic == ZYDIS_MNEMONIC_SHRD;
  if (!shift) return true;
  for (unsigned i = 0; i < in.operand_count; ++i) {
    if (operands[i].type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
      return (operands[i].imm.value.u & (in.operand_width == 64 ? 63u : 31u)) != 0;
  }
  return false;
}

Step describe(const ZydisDecodedInstruction& in, const ZydisDecodedOperand* operands, u64 next) {
  Step step;
  if (in.cpu_flags != nullptr) {
    const auto& flags = *in.cpu_flags;
    step.tested = flags.tested & rflags::kStatus;
    step.undefined = flags.undefined & rflags::kStatus;
    if (surely_changes_flags(in, operands))
      step.defined = (flags.modified | flags.set_0 | flags.set_1) & rflags::kStatus & ~step.undefined;
  }
  const bool direct = operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE && operands[0].imm.is_relative;
  switch (in.meta.category) {
    case ZYDIS_CATEGORY_COND_BR:
    case ZYDIS_CATEGORY_UNCOND_BR:
    case ZYDIS_CATEGORY_CALL:
    case ZYDIS_CATEGORY_RET:
      step.falls = in.meta.category == ZYDIS_CATEGORY_COND_BR;
      if (direct) {
        step.target = next + operands[0].imm.value.u;
      } else {
        step.anywhere = true;
      }
      break;
    default:
      break;
  }
  return step;
}

}  // namespace

std::optional<u64> open_flags(const Snippet& snippet) {
  static const ZydisDecoder decoders[] = {make_decoder(Mode::Bits64), make_decoder(Mode::Bits32),
                                          make_decoder(Mode::Bits16)};
  std::vector<Step> steps;
  const u64 size = snippet.code.size();
  std::vector<int> at(size + 1, -1);  ///< index of the instruction at an offset
  for (u64 offset = 0; offset < size;) {
    ZydisDecodedInstruction in;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoders[static_cast<u8>(snippet.mode)], snippet.code.data() + offset,
                                             size - offset, &in, operands)))
      break;  // nothing goes on from here
    at[offset] = static_cast<int>(steps.size());
    offset += in.length;
    steps.push_back(describe(in, operands, offset));
  }
  const auto count = steps.size();
  if (at[size] < 0) at[size] = static_cast<int>(count);  // where it has run through
  std::vector<u64> open(count + 1, 0);
  std::vector<bool> reached(count + 1, false);
  reached[0] = true;
  for (bool changed = true; changed;) {
    changed = false;
    const auto flow = [&](std::size_t to, u64 flags) {
      if (reached[to] && !(flags & ~open[to])) return;
      reached[to] = changed = true;
      open[to] |= flags;
    };
    for (std::size_t i = 0; i < count; ++i) {
      if (!reached[i]) continue;
      const Step& step = steps[i];
      if (step.tested & open[i]) return {};
      const u64 after = (open[i] & ~step.defined) | step.undefined;
      if (step.falls) flow(i + 1, after);
      if (step.target) {  // outside of the snippet there is INT3
        const bool inside = *step.target <= size && at[*step.target] >= 0;
        flow(inside ? static_cast<std::size_t>(at[*step.target]) : count, after);
      }
      for (std::size_t to = 0; step.anywhere && to <= count; ++to) flow(to, after);
    }
  }
  return open[count];
}

}  // namespace vireo::diff
