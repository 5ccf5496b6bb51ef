#include "snapshot/crc32c.h"

#include <array>

#include "base/bytes.h"

namespace vireo::snapshot {
namespace {

// Eight bytes a step: table[k][b] is the CRC of byte b followed by k zero bytes.
constexpr auto kTables = [] {
  std::array<std::array<u32, 256>, 8> tables{};
  for (u32 byte = 0; byte < 256; ++byte) {
    u32 crc = byte;
    for (int i = 0; i < 8; ++i) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82F63B78 : 0);
    tables[0][byte] = crc;
  }
  for (unsigned k = 1; k < 8; ++k) {
    for (u32 byte = 0; byte < 256; ++byte) {
      tables[k][byte] = (tables[k - 1][byte] >> 8) ^ tables[0][tables[k - 1][byte] & 0xFF];
    }
  }
  return tables;
}();

}  // namespace

u32 crc32c(u32 crc, std::span<const u8> bytes) {
  crc = ~crc;
  while (bytes.size() >= 8) {
    const u64 word = load<u64>(bytes.data()) ^ crc;
    crc = 0;
    for (unsigned i = 0; i < 8; ++i) crc ^= kTables[7 - i][(word >> (8 * i)) & 0xFF];
    bytes = bytes.subspan(8);
  }
  for (const u8 byte : bytes) crc = (crc >> 8) ^ kTables[0][(crc ^ byte) & 0xFF];
  return ~crc;
}

}  // namespace vireo::snapshot
