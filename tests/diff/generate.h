// Snippets from forms: random registers, addresses, immediates and start state.
#pragma once

#include <optional>

#include "forms.h"
#include "random.h"
#include "snippet.h"

namespace vireo::diff {

/// The data pages before patches, the same for all snippets of a seed.
void fill_data(Random& random, Data& data);

class Generator {
 public:
  explicit Generator(const vm::x86::CpuidTable& cpuid);
  /// `only`: every instruction of that class. Most are 64-bit code, the rest 32- and 16-bit code of compatibility mode,
  /// unless `only64`.
  Snippet make(Random& random, std::optional<Class> only, unsigned longest, bool only64 = false);
  const Forms& forms(Mode mode) const { return forms_[static_cast<u8>(mode)]; }

 private:
  const Forms forms_[3];
};

}  // namespace vireo::diff
