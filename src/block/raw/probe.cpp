#include <algorithm>

#include "block/raw/raw.h"

namespace vireo::block {
namespace {

struct Signature {
  std::size_t at;
  std::string_view bytes;
  std::string_view format;
};

using namespace std::string_view_literals;
constexpr Signature kSignatures[] = {
    {0, "QFI\xFB"sv, "qcow2"},
    {0, "QED\0"sv, "qed"},
    {0, "KDMV"sv, "vmdk"},
    {0, "COWD"sv, "vmdk"},
    {0, "vhdxfile"sv, "vhdx"},
    {0, "# Disk DescriptorFile"sv, "vmdk"},
    {0, "conectix"sv, "vpc"},
    {0x40, "\x7F\x10\xDA\xBE"sv, "vdi"},
    {0, "WithoutFreeSpace"sv, "parallels"},
};

}  // namespace

std::string_view probe(std::span<const u8> beginning) {
  for (const auto& signature : kSignatures) {
    if (beginning.size() < signature.at + signature.bytes.size()) continue;
    const auto at = beginning.subspan(signature.at, signature.bytes.size());
    if (std::ranges::equal(at, signature.bytes, [](u8 a, char b) { return a == static_cast<u8>(b); })) {
      return signature.format;
    }
  }
  return {};
}

}  // namespace vireo::block
