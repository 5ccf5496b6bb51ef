// Proves of a block's host code, after it was generated and without asking the generator, that it reaches nothing but
// guest RAM that a check let pass, and its own vCPU's context. Runs over every block in builds with sanitizers, the
// fuzzers among them, and with -DVIREO_VERIFY.
//
// One pass over the code in order of addresses follows values (symbols.h) through registers and the context. A check
// that is passed leaves a fact: so many bytes from this address are in the region of that slot. Branches forward carry
// values and facts to their target, where what meets is cut to what it has in common; a branch back has to bring all
// that was relied on there. Where C++ may enter (behind helpers, behind calls, at stubs) nothing is known.
//
//   access        slot's delta + address, address within a fact's bytes; a store needs a slot for stores
//   other memory  gs:[fields of the table in verify.cpp]; the stack by CALL and RET
//   jumps         instructions of the block, thunks, entries of edges (the block's own) and of jumps (16-bit index)
//   nothing else  no privileged instructions, segment registers or bases, interrupts, system calls, ports, strings,
//                 gathers, flags register by stack, host stack pointer
//
// Trusted: the thunks; C++ (that it fills slots as their sites say and leaves when something was forgotten); the
// interpreter, which may execute an instruction in a block's stead: registers are what they would be behind it.
#pragma once

#include <optional>
#include <string>

#include "cpu/translate/code_cache.h"

namespace vireo::cpu::translate {

#if defined(VIREO_VERIFY) || defined(__SANITIZE_ADDRESS__)
constexpr bool kVerify = true;
#elif defined(__has_feature)
constexpr bool kVerify = __has_feature(address_sanitizer);
#else
constexpr bool kVerify = false;
#endif

struct Violation {
  u32 offset = 0;  ///< in the block's code
  std::string what;
};

/// The first thing wrong with the block, which was just generated: none of its edges is linked. Its code is read from
/// `code`, where Block::code may be another view of it.
std::optional<Violation> find_violation(const Block& block, const u8* code, const Layout& layout, const Thunks& thunks,
                                        const Tables& tables);

/// Prints what is wrong with the block, its host code and its guest code, and ends the process.
[[noreturn]] void report_violation(const Block& block, const u8* code, const Violation& violation);

}  // namespace vireo::cpu::translate
