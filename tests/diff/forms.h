// Every instruction form that may be compared, found by decoding all opcodes with Zydis.
#pragma once

#include <Zydis/Zydis.h>

#include <map>
#include <string_view>
#include <vector>

#include "base/types.h"
#include "snippet.h"
#include "vm/x86/cpuid.h"

namespace vireo::diff {

enum class Class : u8 {
  Integer,
  Shift,
  Bits,
  MulDiv,
  String,
  Stack,
  Branch,
  Conditional,
  X87,
  Mmx,
  Sse,
  Avx,
  Avx2,
  Fma,
  Bmi,
  Crypto,
  Masked,
  Opmask,
  Evex,
  EvexPacked,  ///< compress, expand, gather, scatter
  State,
  Lock,
  Privileged,
  kCount
};
std::string_view name_of(Class of);

/// An opcode with its fixed parts; registers, addresses and immediates are free where an operand uses them.
struct Form {
  ZydisMnemonic mnemonic = ZYDIS_MNEMONIC_INVALID;
  Class of = Class::Integer;
  bool vex = false, evex = false;
  std::vector<u8> prefixes;  ///< 66, F2, F3
  u8 map = 0;                ///< 0: one byte, 1: 0F, 2: 0F 38, 3: 0F 3A
  u8 opcode = 0;
  u8 w = 0, l = 0, pp = 0;
  bool b = false;  ///< EVEX: broadcast, or rounding and exceptions
  bool modrm = false, memory = false, reg_free = false, rm_free = false, vvvv_free = false;
  u8 modrm_byte = 0;
  u8 immediate_size = 0;  ///< bytes at the end
  bool relative = false, vsib = false, moffs = false;
  bool wide_index = false;  ///< VSIB: 64-bit indices
  bool general = false;     ///< names a general register explicitly
  u16 memory_size = 0;
  u8 reg_count = 16, rm_count = 16, vvvv_count = 16;  ///< how many registers the field may name in 64-bit code
  bool mask_needed = false, mask_allowed = false, zeroing_allowed = false;
  u8 disp8_scale = 1;
};

struct SampleMask {
  u8 number = 0;
  bool zeroing = false;
};

/// As the guest's CPU decodes: as AMD's do, with the extensions it has.
ZydisDecoder make_decoder(Mode mode);

/// Forms of one mode by class and mnemonic.
class Forms {
 public:
  Forms(Mode mode, const vm::x86::CpuidTable& cpuid);
  using ByMnemonic = std::vector<std::vector<Form>>;
  const ByMnemonic& of(Class which) const { return classes_[static_cast<unsigned>(which)]; }
  std::size_t count() const;
  bool avx512() const { return announced_[ZYDIS_ISA_SET_AVX512F_512]; }
  const ZydisDecoder& decoder() const { return decoder_; }

 private:
  void try_form(const Form& form);
  void enumerate_evex();
  void probe_evex(Form& form) const;
  bool decodes(const Form& form, SampleMask mask) const;
  void add(const Form& form);

  const Mode mode_;
  std::vector<bool> announced_;
  ZydisDecoder decoder_;
  std::map<std::vector<int>, bool> seen_;
  std::map<ZydisMnemonic, std::vector<Form>> by_mnemonic_[static_cast<unsigned>(Class::kCount)];
  ByMnemonic classes_[static_cast<unsigned>(Class::kCount)];
};

/// Bytes of the form with registers 0 and, for memory, [rax + rcx]: what enumeration decodes. `disp`: with an 8-bit
/// displacement of 1.
std::vector<u8> sample(const Form& form, Mode mode, SampleMask mask = {}, bool disp = false);

}  // namespace vireo::diff
