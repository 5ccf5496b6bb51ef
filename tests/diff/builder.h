// Builds one snippet: which start values registers were promised, and the bytes so far.
#pragma once

#include <optional>

#include "forms.h"
#include "random.h"
#include "snippet.h"

namespace vireo::diff {

class Builder {
 public:
  /// Calm: instructions mostly work on what is there, rather than fault.
  Builder(Random& random, const Forms& forms, Mode mode, bool calm);

  /// Appends an instruction of `form`. False: it could not be built (nothing was appended).
  bool add(const Form& form);
  /// Appends a few instructions that save and restore vector state.
  void add_state_exchange();
  /// Indirect jumps, calls and returns whose targets are known.
  void add_indirect_branch();
  /// A call of a function right behind it, which returns in some way. 64-bit code.
  void add_call();
  /// A jump back that is taken a few times.
  void add_loop();
  /// A register that addresses are made from moves by a constant, or to another register.
  void add_address_step();
  /// Fixes branch targets, and gives every register its start value.
  Snippet finish();

 private:
  using Bytes = std::vector<u8>;
  static constexpr unsigned kLongestCode = 200;  ///< bytes: offsets in it fit one
  struct Target {
    unsigned instruction;  ///< index
    unsigned at;           ///< offset of the displacement in the code
    unsigned size;
    bool absolute = false;  ///< an immediate that takes the offset itself
  };

  bool code64() const { return snippet_.mode == Mode::Bits64; }
  unsigned registers() const { return code64() ? 16 : 8; }
  /// Offset of the next instruction in its code segment.
  u64 here() const { return snippet_.start - code_base(snippet_.mode) + snippet_.code.size(); }
  void keep_exchange_comparable(u64 offset);
  u8 random_components();

  /// Offset of an operand in the data segment.
  u64 data_offset(unsigned size, bool aligned);
  /// The start value of a general register: what it was promised, or `wanted` from now on.
  u64 pin(unsigned reg, u64 wanted);
  /// A register to make an address from.
  unsigned choose_base();
  /// Registers that the instruction writes and later ones rely on.
  bool spoils(const ZydisDecodedInstruction& in, const ZydisDecodedOperand* operands, u16& written);
  /// What the bytes of one instruction need to know of each other.
  struct Encoding {
    unsigned address_size = 8;
    unsigned reg = 0, rm = 0;
    u8 rex = 0;
    bool reg_high = false, index_high = false;  ///< EVEX.R' and, for VSIB, EVEX.V'
    unsigned rip_at = 0;                        ///< offset of a RIP-relative displacement after the opcode, 0: none
    Bytes tail;                                 ///< ModRM and what follows
  };
  // builder_encode.cpp
  bool encode(const Form& form, Bytes& out, std::optional<Target>& target);
  void encode_prefixes(const Form& form, Encoding& encoding, Bytes& out);
  void encode_opcode(const Form& form, const Encoding& encoding, Bytes& out);
  void encode_evex(const Form& form, const Encoding& encoding, Bytes& out);
  unsigned vector_registers(unsigned most) const { return code64() ? most : 8; }
  void encode_operands(const Form& form, Encoding& encoding);
  void encode_memory(const Form& form, Encoding& encoding);
  void encode_memory16(const Form& form, u64 offset, Encoding& encoding);
  bool encode_immediate(const Form& form, Encoding& encoding, std::optional<Target>& target);
  void prepare_registers(const Form& form);
  void note_looseness(ZydisMnemonic mnemonic);
  void append(const Bytes& bytes);

  Random& random_;
  const Forms& forms_;
  const bool calm_;
  Snippet snippet_;
  std::array<std::optional<u64>, 16> pinned_;
  std::array<u64, 16> moved_{};                     ///< what straight-line code has added to the start value
  u16 written_ = 0, counters_ = 0, addresses_ = 0;  ///< sets of general registers
  std::array<bool, 32> index_vector_{};             ///< vector register holds small indices: of 4 or 8 bytes
  std::array<bool, 32> wide_index_{};
  std::vector<Target> targets_;
  u64 last_offset_ = 0;  ///< of the last memory operand
  bool closed_ = false;  ///< nothing may follow
  /// A register may hold an address of the snippet; an indirect jump goes anywhere. Both together may go round for
  /// ever.
  bool knows_code_ = false, jumps_anywhere_ = false;
};

}  // namespace vireo::diff
