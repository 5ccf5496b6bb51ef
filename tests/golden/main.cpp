// golden_translate FILE [--rebase]: compares the host code of fixed guest code with the file, or writes the file.
#include <fmt/format.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <sstream>

#include "cpu/translate/translate.h"
#include "print.h"
#include "support/block_maker.h"

namespace vireo::golden {
namespace {

struct Case {
  const char* code;
  const char* what;
  bool scattered = false;
};
#include "cases.inc"

constexpr u64 kRip = 0xFFFFFFFF81000000;

std::vector<u8> bytes_of(const char* hex) {
  std::istringstream stream(hex);
  std::vector<u8> bytes;
  unsigned value;
  while (stream >> std::hex >> value) bytes.push_back(static_cast<u8>(value));
  return bytes;
}

/// Between two instructions that need no flags and give some, only its own code.
std::string instruction(test::BlockMaker& maker, const Case& one) {
  constexpr u8 before[] = {0x31, 0xC0}, after[] = {0x31, 0xC0, 0xC3};  // xor eax, eax; ...; xor eax, eax; ret
  std::vector<u8> code(std::begin(before), std::end(before));
  const auto own = bytes_of(one.code);
  code.insert(code.end(), own.begin(), own.end());
  code.insert(code.end(), std::begin(after), std::end(after));
  const auto& block = maker.make(code, kRip, one.scattered);
  Printer printer(block, maker.layout(), maker.cache.thunks());
  const auto& boundaries = block.boundaries;
  const u32 begin = boundaries[1].host;
  const u32 end = boundaries.size() > 2 ? boundaries[2].host : block.code_size;
  return fmt::format("# {} ({})\n{}\n", one.what, one.code, printer.print(begin, end));
}

std::string whole(test::BlockMaker& maker, const Case& one) {
  const auto& block = maker.make(bytes_of(one.code), kRip, one.scattered);
  Printer printer(block, maker.layout(), maker.cache.thunks());
  return fmt::format("# {} ({})\n{}\n", one.what, one.code, printer.print(0, block.code_size));
}

std::string all() {
  std::string text = "# Host code of guest code: tests/golden/README.md\n\n";
  test::BlockMaker maker;
  for (const Case& one : kInstructions) {
    maker.cache.flush();
    text += instruction(maker, one);
  }
  for (const Case& one : kBlocks) {
    maker.cache.flush();
    text += whole(maker, one);
  }
  return text;
}

int compare(const std::string& expected, const std::string& now) {
  std::istringstream a(expected), b(now);
  std::string wanted, got, title;
  for (unsigned line = 1;; ++line) {
    const bool more_wanted = static_cast<bool>(std::getline(a, wanted)), more = static_cast<bool>(std::getline(b, got));
    if (!more_wanted && !more) return 0;
    if (got.starts_with("#")) title = got;
    if (more_wanted && more && wanted == got) continue;
    fmt::print("line {} differs, in {}\n  golden: {}\n  now:    {}\nIf that is right, --rebase writes the file anew.\n",
               line, title, more_wanted ? wanted : "(ends)", more ? got : "(ends)");
    return 1;
  }
}

int run(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: golden_translate FILE [--rebase]\n");
    return 2;
  }
  if (const auto can = cpu::translate::supported(); !can) {
    fmt::print("skipped: {}\n", can.error().message);
    return 77;
  }
  const std::string now = all();
  if (argc > 2 && std::string(argv[2]) == "--rebase") {
    std::ofstream file(argv[1]);
    file << now;
    return file.flush() ? 0 : 1;
  }
  std::ifstream file(argv[1]);
  return compare({std::istreambuf_iterator<char>(file), {}}, now);
}

}  // namespace
}  // namespace vireo::golden

int main(int argc, char** argv) { return vireo::golden::run(argc, argv); }
