#include "cli/disk_option.h"

#include <gtest/gtest.h>

#include "cli/config_file.h"

namespace vireo::cli {
namespace {

TEST(DiskOption, IsAFileAndWhatIsSaidOfIt) {
  const auto plain = parse_disk("a=b,,c.img");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->file, "a=b,c.img");
  EXPECT_FALSE(plain->format);
  EXPECT_FALSE(plain->read_only);
  EXPECT_EQ(plain->cache, block::Cache::Writeback);
  const auto all = parse_disk("x,format=raw,readonly,cache=none,serial=abc-1");
  ASSERT_TRUE(all);
  EXPECT_EQ(all->format, block::Format::Raw);
  EXPECT_TRUE(all->read_only);
  EXPECT_EQ(all->cache, block::Cache::None);
  EXPECT_EQ(all->serial, "abc-1");
}

TEST(DiskOption, ThatMakesNoSenseIsRefused) {
  for (const char* text :
       {"", ",format=raw", "x,", "x,,,", "x,format=vmdk", "x,format", "x,cache=fast", "x,readonly=yes",
        "x,serial=", "x,serial=123456789012345678901", "x,serial=a b", "x,size=1", "x,=1"}) {
    const auto disk = parse_disk(text);
    ASSERT_FALSE(disk) << text;
    EXPECT_EQ(disk.error().kind, ErrorKind::Usage);
  }
}

TEST(DiskOption, MayBeAListInTheConfigurationFile) {
  vmm::Config config;
  ASSERT_TRUE(apply_config_text("disk = [\"a\", \"b,readonly\"]", "vm.toml", config));
  ASSERT_EQ(config.disks.size(), 2u);
  EXPECT_EQ(config.disks[0].file, "a");
  EXPECT_TRUE(config.disks[1].read_only);
  ASSERT_TRUE(apply_config_text("disk = \"c\"", "vm.toml", config));
  ASSERT_EQ(config.disks.size(), 1u);
  EXPECT_FALSE(apply_config_text("disk = [true]", "vm.toml", config));
}

}  // namespace
}  // namespace vireo::cli
