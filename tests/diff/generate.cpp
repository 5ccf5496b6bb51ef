#include "generate.h"

#include <cstring>

#include "builder.h"

namespace vireo::diff {

void fill_data(Random& random, Data& data) {
  for (std::size_t at = 0; at < data.size(); at += 64) {
    random.vector(data.data() + at, 64);
    if (at % 512 != 0) continue;
    u8 value[10];  // extended precision and packed decimal operands
    random.float80(value);
    std::memcpy(data.data() + at, value, 10);
    for (unsigned i = 0; i < 9; ++i) data[at + 32 + i] = static_cast<u8>(random.below(10) << 4 | random.below(10));
    data[at + 41] = random.pick<u8>({0, 0x80});
  }
}

Generator::Generator(const vm::x86::CpuidTable& cpuid)
    : forms_{{Mode::Bits64, cpuid}, {Mode::Bits32, cpuid}, {Mode::Bits16, cpuid}} {}

Snippet Generator::make(Random& random, std::optional<Class> only, unsigned longest, bool only64) {
  const Mode mode = random.percent(70) || only64 ? Mode::Bits64 : random.percent(50) ? Mode::Bits32 : Mode::Bits16;
  const Forms& all = forms(mode);
  const u64 length = 1 + (random.percent(longest > 10 ? 20 : 50) ? 0 : random.below(longest));
  // Hardly any long snippet would come to its end if each of its instructions had its usual chance to fault.
  const bool calm = length > 4 && random.percent(70);
  Builder builder(random, all, mode, calm);
  for (u64 i = 0; i < length; ++i) {
    const Class of = only ? *only : static_cast<Class>(random.below(static_cast<u64>(Class::kCount)));
    if (calm && of == Class::Privileged) continue;
    if (calm && random.percent(10)) {
      builder.add_address_step();
      continue;
    }
    if (of == Class::State && random.percent(70)) {
      builder.add_state_exchange();
      continue;
    }
    if (of == Class::Branch) {
      const u64 kind = random.below(10);
      if (kind < 2) builder.add_indirect_branch();
      if (kind == 2 || kind == 3) builder.add_call();
      if (kind == 4 || kind == 5) builder.add_loop();
      if (kind < 6) continue;
    }
    const auto& mnemonics = all.of(of);
    if (mnemonics.empty()) continue;
    const auto& forms = mnemonics[random.below(mnemonics.size())];
    for (unsigned attempt = 0; attempt < 3; ++attempt) {
      if (builder.add(forms[random.below(forms.size())])) break;
    }
  }
  return builder.finish();
}

}  // namespace vireo::diff
