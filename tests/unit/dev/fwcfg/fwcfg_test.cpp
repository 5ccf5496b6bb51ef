#include "dev/fwcfg/fwcfg.h"

#include <gtest/gtest.h>

#include <array>

#include "base/bytes.h"

namespace vireo::dev {
namespace {

using namespace fwcfg;

class FwCfgTest : public testing::Test {
 protected:
  static constexpr u64 kMemory = 64 * kKiB, kAccess = 0x1000, kBuffer = 0x2000;

  void select(u16 key) { chip_.port_write(kSelector, 2, key); }
  std::string read(std::size_t count) {
    std::string text;
    for (std::size_t i = 0; i < count; ++i) text.push_back(static_cast<char>(chip_.port_read(kData, 1)));
    return text;
  }
  /// Runs a DMA operation; what its control field says afterwards.
  u32 dma(u32 control, u32 length, u64 address, u64 at = kAccess) {
    std::array<u8, kDmaAccessSize> access{};
    store_be(access.data(), control);
    store_be(&access[4], length);
    store_be(&access[8], address);
    memory_.write(at, access.data(), access.size());
    chip_.port_write(kDmaHigh, 4, std::byteswap(static_cast<u32>(at >> 32)));
    chip_.port_write(kDmaLow, 4, std::byteswap(static_cast<u32>(at)));
    memory_.read(at, access.data(), access.size());
    return load_be<u32>(access.data());
  }
  std::string buffer(std::size_t size) {
    std::string text(size, 0);
    memory_.read(kBuffer, text.data(), size);
    return text;
  }
  static std::vector<u8> bytes(std::string_view text) { return {text.begin(), text.end()}; }

  vm::GuestMemory memory_ = std::move(*vm::GuestMemory::create({{.gpa = 0, .size = kMemory, .offset = 0}}));
  FwCfg chip_{memory_};
};

TEST_F(FwCfgTest, SaysWhoItIs) {
  select(FW_CFG_SIGNATURE);
  EXPECT_EQ(read(4), "QEMU");
  select(FW_CFG_ID);
  EXPECT_EQ(chip_.port_read(kData, 1), FW_CFG_VERSION | FW_CFG_VERSION_DMA);
  EXPECT_EQ(std::byteswap(chip_.port_read(kDmaHigh, 4)), 0x51454D55u);
  EXPECT_EQ(std::byteswap(chip_.port_read(kDmaLow, 4)), 0x20434647u);
}

TEST_F(FwCfgTest, ListsItsFilesSorted) {
  chip_.add_file("etc/b", bytes("bb"));
  chip_.add_file("etc/a", u64{5});
  select(FW_CFG_FILE_DIR);
  const auto text = read(4 + 2 * kFileEntrySize);
  const u8* at = reinterpret_cast<const u8*>(text.data());
  EXPECT_EQ(load_be<u32>(at), 2u);
  EXPECT_EQ(load_be<u32>(at + 4), 8u);
  EXPECT_STREQ(text.c_str() + 12, "etc/a");
  EXPECT_STREQ(text.c_str() + 12 + kFileEntrySize, "etc/b");
  select(load_be<u16>(at + 8 + kFileEntrySize));
  EXPECT_EQ(read(3), std::string("bb\0", 3)) << "zeros follow the end";
}

TEST_F(FwCfgTest, CopiesIntoMemoryAndFillsWithZeros) {
  chip_.add_file("f", bytes("0123456789"));
  memory_.write(kBuffer, "xxxxxxxxxxxxxxxx", 16);
  EXPECT_EQ(dma(u32{FW_CFG_FILE_FIRST} << 16 | FW_CFG_DMA_CTL_SELECT | FW_CFG_DMA_CTL_SKIP, 4, 0), 0u);
  EXPECT_EQ(dma(FW_CFG_DMA_CTL_READ, 3, kBuffer), 0u);
  EXPECT_EQ(buffer(4), "456x");
  EXPECT_EQ(dma(FW_CFG_DMA_CTL_READ, 8, kBuffer), 0u);
  EXPECT_EQ(buffer(9), std::string("789\0\0\0\0\0x", 9));
  EXPECT_EQ(dma(FW_CFG_DMA_CTL_SKIP, ~0u, 0), 0u) << "no offset wraps around";
  EXPECT_EQ(dma(FW_CFG_DMA_CTL_SKIP, ~0u, 0), 0u);
  EXPECT_EQ(read(1), std::string(1, 0));
}

TEST_F(FwCfgTest, RefusesToWriteAndWhatIsNotMemory) {
  chip_.add_file("f", bytes("0123"));
  select(FW_CFG_FILE_FIRST);
  EXPECT_EQ(dma(FW_CFG_DMA_CTL_WRITE, 1, kBuffer), FW_CFG_DMA_CTL_ERROR);
  EXPECT_EQ(dma(FW_CFG_DMA_CTL_READ, 2, kMemory - 1), FW_CFG_DMA_CTL_ERROR);
  EXPECT_EQ(dma(FW_CFG_DMA_CTL_READ, ~0u, kBuffer), FW_CFG_DMA_CTL_ERROR);
  chip_.port_write(kDmaLow, 4, std::byteswap(static_cast<u32>(kMemory - 8)));  // an access that is not all memory
  chip_.port_write(kData, 1, 'x');
  EXPECT_EQ(read(4), "0123");
}

TEST_F(FwCfgTest, MakesAnItemWhenItIsSelected) {
  char made = 'a';
  chip_.add_file("f", 2, [&made] { return std::vector<u8>{static_cast<u8>(made), '.'}; });
  made = 'b';
  select(FW_CFG_FILE_FIRST);
  EXPECT_EQ(read(1), "b");
  made = 'c';
  EXPECT_EQ(read(1), ".");
  select(FW_CFG_FILE_FIRST);
  EXPECT_EQ(read(2), "c.");
}

TEST_F(FwCfgTest, GoesOnFromASavedState) {
  chip_.add_file("f", bytes("0123"));
  select(FW_CFG_FILE_FIRST);
  EXPECT_EQ(read(2), "01");
  const auto saved = chip_.save();
  chip_.reset();
  EXPECT_EQ(read(1), "Q");
  ASSERT_TRUE(chip_.load(saved));
  EXPECT_EQ(read(2), "23");
  auto bad = saved;
  bad.bytes.pop_back();
  EXPECT_FALSE(chip_.load(bad));
}

}  // namespace
}  // namespace vireo::dev
