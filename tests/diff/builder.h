// Builds one snippet: which start values registers were promised, and the bytes so far.
#pragma once

#include <optional>

#include "forms.h"
#include "random.h"
#include "snippet.h"

namespace vireo::diff {

class Builder {
 public:
  Builder(Random& random, const Forms& forms, bool code64);

  /// Appends an instruction of `form`. False: it could not be built (nothing was appended).
  bool add(const Form& form);
  /// Appends a few instructions that save and restore vector state.
  void add_state_exchange();
  /// Indirect jumps, calls and returns whose targets are known.
  void add_indirect_branch();
  /// Fixes branch targets, and gives every register its start value.
  Snippet finish();

 private:
  using Bytes = std::vector<u8>;
  struct Target {
    unsigned instruction;  ///< index
    unsigned at;           ///< offset of the displacement in the code
    unsigned size;
    bool absolute = false;  ///< a 32-bit immediate that takes the address itself
  };

  u64 data_address(unsigned size, bool aligned);
  /// The start value of a general register: what it was promised, or `wanted` from now on.
  u64 pin(unsigned reg, u64 wanted);
  bool encode(const Form& form, Bytes& out, std::optional<Target>& target);
  void encode_memory(const Form& form, unsigned reg, bool address32, Bytes& out, u8& rex);
  void prepare_registers(const Form& form);
  void note_looseness(ZydisMnemonic mnemonic);
  void append(const Bytes& bytes);

  Random& random_;
  const Forms& forms_;
  Snippet snippet_;
  std::array<std::optional<u64>, 16> pinned_;
  std::array<bool, 16> index_vector_{};  ///< vector register holds small indices: of 4 or 8 bytes
  std::array<bool, 16> wide_index_{};
  std::vector<Target> targets_;
  u64 last_address_ = kData;
  bool closed_ = false;  ///< nothing may follow
};

}  // namespace vireo::diff
