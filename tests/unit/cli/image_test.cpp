// `vireo image`, as a person uses it; where QEMU's tools are installed, they say whether the images are right.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/types.h"
#include "cli/commands.h"
#include "unit/cli/process.h"

namespace vireo::cli {
namespace {

struct ImageCommand : testing::Test {
  /// The exit code; what it printed is in `out`.
  int image(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"vireo", "image"});
    std::vector<char*> line;
    for (auto& argument : arguments) line.push_back(argument.data());
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const int status = cli::main(static_cast<int>(line.size()), line.data());
    std::fflush(stdout);
    out = testing::internal::GetCapturedStdout();
    errors = testing::internal::GetCapturedStderr();
    return status;
  }
  nlohmann::json json() const { return nlohmann::json::parse(out); }
  void write(const std::string& name, std::string_view bytes, u64 size) {
    std::ofstream(folder / name, std::ios::binary) << bytes;
    std::filesystem::resize_file(folder / name, size);
  }
  std::string read(const std::string& name) {
    std::ifstream file(folder / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  bool same(const std::string& one, const std::string& other) { return read(one) == read(other); }

  Folder folder;
  std::string out, errors;
};

TEST_F(ImageCommand, MakesImagesAndTellsWhatTheyAre) {
  EXPECT_EQ(image({"create", folder / "a", "10M", "-o", "cluster_size=4K,lazy_refcounts=on"}), 0) << errors;
  EXPECT_EQ(image({"info", "-o", "json", folder / "a"}), 0);
  EXPECT_EQ(json()["version"], 1);
  EXPECT_EQ(json()["format"], "qcow2");
  EXPECT_EQ(json()["virtual-size"], 10 * kMiB);
  EXPECT_EQ(json()["cluster-size"], 4096);
  EXPECT_EQ(json()["format-specific"]["lazy-refcounts"], true);
  EXPECT_EQ(image({"info", folder / "a"}), 0);
  EXPECT_NE(out.find("virtual-size: 10 MiB (10485760 bytes)"), std::string::npos) << out;
  EXPECT_EQ(image({"create", "-f", "raw", folder / "r", "1M"}), 0);
  EXPECT_EQ(read("r"), std::string(kMiB, '\0'));
}

TEST_F(ImageCommand, EndsWithTheKindOfItsError) {
  EXPECT_EQ(image({}), 2);
  EXPECT_EQ(image({"create", folder / "a"}), 2);
  EXPECT_EQ(image({"create", folder / "a", "1M", "-o", "cluster_size=3K"}), 2);
  EXPECT_EQ(image({"create", folder / "a", "1M", "-o", "frob=on"}), 2);
  EXPECT_EQ(image({"create", "-f", "vmdk", folder / "a", "1M"}), 2);
  EXPECT_EQ(image({"create", "-b", "base", folder / "a"}), 2) << "without the backing file's format";
  EXPECT_EQ(image({"create", "-b", "base", "-F", "raw", folder / "a"}), 3);
  EXPECT_EQ(image({"info", folder / "a"}), 3);
  EXPECT_FALSE(std::filesystem::exists(folder / "a"));
  write("raw", "hello", 4096);
  EXPECT_EQ(image({"check", folder / "raw"}), 2);
  EXPECT_EQ(image({"create", folder / "a", "1M"}), 0);
  EXPECT_EQ(image({"snapshot", "-d", "none", folder / "a"}), 3);
  EXPECT_EQ(image({"resize", folder / "a", "512K"}), 2) << "without --shrink";
  EXPECT_EQ(image({"resize", "--shrink", folder / "a", "512K"}), 0);
}

TEST_F(ImageCommand, ConvertsThereAndBack) {
  write("raw", std::string(300000, 'x') + "end", 5 * kMiB + 512);
  for (const char* options : {"cluster_size=64K", "compression_type=zstd", "extended_l2=on", "compat=0.10"}) {
    for (const bool compress : {false, true}) {
      std::vector<std::string> line{"convert", "-o", options, folder / "raw", folder / "q"};
      if (compress) line.insert(line.begin() + 1, "-c");
      ASSERT_EQ(image(line), 0) << errors;
      ASSERT_EQ(image({"check", folder / "q"}), 0) << out;
      ASSERT_EQ(image({"convert", "-O", "raw", folder / "q", folder / "back"}), 0) << errors;
      EXPECT_TRUE(same("raw", "back")) << options << compress;
      if (compress) {
        EXPECT_LT(std::filesystem::file_size(folder / "q"), 700'000u);
      }
    }
  }
  for (const auto& entry : std::filesystem::directory_iterator(folder / "")) {
    EXPECT_NE(entry.path().extension(), ".tmp");
  }
}

TEST_F(ImageCommand, KeepsWhatAnOverlayReadsWhenItIsRebased) {
  write("base", std::string(200000, 'b'), kMiB);
  write("other", std::string(50000, 'o'), kMiB / 2);
  ASSERT_EQ(image({"create", "-b", "base", "-F", "raw", folder / "top"}), 0) << errors;
  ASSERT_EQ(image({"convert", "-O", "raw", folder / "top", folder / "before"}), 0);
  EXPECT_TRUE(same("base", "before"));
  for (const std::string backing : {"other", "", "base"}) {
    ASSERT_EQ(image({"rebase", "-b", backing, "-F", backing.empty() ? "" : "raw", folder / "top"}), 0) << errors;
    ASSERT_EQ(image({"check", folder / "top"}), 0);
    ASSERT_EQ(image({"info", "-o", "json", folder / "top"}), 0);
    EXPECT_EQ(json().value("backing-filename", ""), backing);
    ASSERT_EQ(image({"convert", "-O", "raw", folder / "top", folder / "after"}), 0) << errors;
    EXPECT_TRUE(same("before", "after")) << backing;
  }
}

TEST_F(ImageCommand, CommitsAnOverlayToItsBackingFile) {
  write("new", std::string(100000, 'n'), kMiB);
  write("base", std::string(200000, 'b'), kMiB / 2);
  ASSERT_EQ(image({"convert", "-b", "base", "-F", "raw", folder / "new", folder / "top"}), 0) << errors;
  ASSERT_EQ(image({"commit", folder / "top"}), 0) << errors;
  EXPECT_TRUE(same("new", "base"));
}

TEST_F(ImageCommand, KeepsSnapshots) {
  write("one", std::string(100000, '1'), kMiB);
  ASSERT_EQ(image({"convert", folder / "one", folder / "q"}), 0);
  ASSERT_EQ(image({"snapshot", "-c", "first", folder / "q"}), 0) << errors;
  EXPECT_EQ(image({"snapshot", "-c", "first", folder / "q"}), 4);
  ASSERT_EQ(image({"resize", folder / "q", "+1M"}), 0) << errors;
  ASSERT_EQ(image({"snapshot", "-o", "json", folder / "q"}), 0);
  EXPECT_EQ(json()["snapshots"][0]["name"], "first");
  ASSERT_EQ(image({"convert", "-l", "first", "-O", "raw", folder / "q", folder / "then"}), 0) << errors;
  EXPECT_TRUE(same("one", "then"));
  ASSERT_EQ(image({"snapshot", "-a", "first", folder / "q"}), 0) << errors;
  ASSERT_EQ(image({"convert", "-O", "raw", folder / "q", folder / "now"}), 0);
  EXPECT_TRUE(same("one", "now"));
  ASSERT_EQ(image({"snapshot", "-d", "1", folder / "q"}), 0) << errors;
  ASSERT_EQ(image({"snapshot", folder / "q"}), 0);
  EXPECT_EQ(out, "");
  EXPECT_EQ(image({"check", folder / "q"}), 0) << out;
}

TEST_F(ImageCommand, RepairsWhatWasDamaged) {
  write("raw", std::string(100000, 'r'), kMiB);
  ASSERT_EQ(image({"convert", "-O", "qcow2", folder / "raw", folder / "q"}), 0);
  {
    // Everything is counted once too little.
    std::fstream file(folder / "q", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(2 * 65536);
    file << std::string(64, '\0');
  }
  EXPECT_EQ(image({"check", folder / "q"}), 1);
  EXPECT_NE(out.find("corruptions: "), std::string::npos);
  EXPECT_EQ(image({"check", "-r", "leaks", folder / "q"}), 4);
  EXPECT_EQ(image({"check", "-r", "all", folder / "q"}), 0) << errors;
  EXPECT_EQ(image({"check", folder / "q"}), 0);
  ASSERT_EQ(image({"convert", "-O", "raw", folder / "q", folder / "back"}), 0);
  EXPECT_TRUE(same("raw", "back"));
}

}  // namespace
}  // namespace vireo::cli
