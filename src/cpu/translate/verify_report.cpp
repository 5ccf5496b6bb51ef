#include <Zydis/Zydis.h>

#include <cstdio>
#include <cstdlib>

#include "cpu/translate/verify.h"
#include "cpu/translate/verify_host.h"

namespace vireo::cpu::translate {

namespace {

void print_line(u64 address, const u8* bytes, unsigned length, bool here) {
  ZydisDisassembledInstruction text;
  std::fprintf(stderr, "%s %016llx ", here ? ">>" : "  ", static_cast<unsigned long long>(address));
  for (unsigned i = 0; i < length; ++i) std::fprintf(stderr, " %02x", bytes[i]);
  const bool known = ZYAN_SUCCESS(ZydisDisassembleIntel(ZYDIS_MACHINE_MODE_LONG_64, address, bytes, length, &text));
  std::fprintf(stderr, "%*s%s\n", static_cast<int>(3 * (16 - std::min(length, 15u))), "", known ? text.text : "?");
}

void print_code(u64 address, const u8* bytes, u64 size, u64 mark) {
  for (u64 at = 0; at < size;) {
    ZydisDecodedInstruction in;
    const bool known =
        ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&verify::decoder(), nullptr, bytes + at, size - at, &in));
    const unsigned length = known ? in.length : 1;
    print_line(address + at, bytes + at, length, at == mark);
    at += length;
  }
}

}  // namespace

void report_violation(const Block& block, const u8* code, const Violation& violation) {
  std::fprintf(stderr,
               "vireo: translated code is not safe: %s, at offset %u of the block for %#llx. This is a bug in vireo.\n",
               violation.what.c_str(), violation.offset, static_cast<unsigned long long>(block.rip));
  std::fprintf(stderr, "host code:\n");
  print_code(reinterpret_cast<u64>(block.code), code, block.code_size, violation.offset);
  std::fprintf(stderr, "guest code:\n");
  print_code(block.rip, block.source.data(), block.source.size(), ~u64{0});
  std::abort();
}

}  // namespace vireo::cpu::translate
