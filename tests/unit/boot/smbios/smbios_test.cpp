#include "boot/smbios/smbios.h"

#include <gtest/gtest.h>

#include <map>
#include <numeric>

#include "base/bytes.h"

namespace vireo::boot::smbios {
namespace {

struct Tables : testing::Test {
  Tables() { system.ranges = ranges; }
  /// Structure type -> its formatted part, and the strings behind it.
  std::multimap<u8, std::pair<std::vector<u8>, std::vector<std::string>>> parse() {
    std::multimap<u8, std::pair<std::vector<u8>, std::vector<std::string>>> out;
    const u8* at = memory.at(0xF0000, 0x10000);
    const u64 tables = load<u64>(at + 16);
    const u8* end = memory.at(tables, 1) + load<u32>(at + 12);
    for (const u8* p = memory.at(tables, 1); p < end;) {
      std::vector<std::string> strings;
      const u8* text = p + p[1];
      do {
        strings.emplace_back(reinterpret_cast<const char*>(text));
        text += strings.back().size() + 1;
      } while (*text != 0);
      out.insert({p[0], {{p, p + p[1]}, strings}});
      p = text + 1;
    }
    return out;
  }
  vm::GuestMemory memory = std::move(vm::GuestMemory::create({{.gpa = 0, .size = kMiB, .offset = 0}}).value());
  MemoryMap ranges = {{kMiB, 3 * kGiB - kMiB, MemoryType::Ram}, {4 * kGiB, 2 * kGiB, MemoryType::Ram}};
  System system = {.version = "1.2.3", .memory = 5 * kGiB};
};

TEST_F(Tables, HaveAnEntryPointWithGoodChecksum) {
  ASSERT_TRUE(write_tables(memory, system, 0xF0000, 0x100000));
  const u8* entry = memory.at(0xF0000, 24);
  EXPECT_EQ(std::string(entry, entry + 5), "_SM3_");
  EXPECT_EQ(entry[6], 24);
  EXPECT_EQ(std::accumulate(entry, entry + 24, 0u) & 0xFF, 0u);
}

TEST_F(Tables, DescribeTheSystemAndItsMemory) {
  ASSERT_TRUE(write_tables(memory, system, 0xF0000, 0x100000));
  const auto all = parse();
  EXPECT_EQ(all.count(19), 2u);
  EXPECT_EQ(all.count(127), 1u);
  const auto& [bios, bios_strings] = all.find(0)->second;
  EXPECT_EQ(bios.size(), 0x1Au);
  EXPECT_EQ(bios_strings[1], "1.2.3");
  const auto& [product, product_strings] = all.find(1)->second;
  EXPECT_EQ(product.size(), 0x1Bu);
  EXPECT_EQ(product_strings[product[5] - 1u], "Vireo PC");
  EXPECT_EQ(all.find(3)->second.first.size(), 0x16u);
  EXPECT_EQ(all.find(16)->second.first.size(), 0x17u);
  const auto& device = all.find(17)->second.first;
  EXPECT_EQ(device.size(), 0x28u);
  EXPECT_EQ(load<u16>(&device[0x0C]), 5 * 1024);
  EXPECT_EQ(all.find(19)->second.first.size(), 0x1Fu);
}

TEST_F(Tables, SayWhenTheyDoNotFit) { EXPECT_FALSE(write_tables(memory, system, 0xF0000, 0xF0040)); }

}  // namespace
}  // namespace vireo::boot::smbios
