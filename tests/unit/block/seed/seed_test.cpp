#include "block/seed/seed.h"

#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>

#include <map>

#include "block/seed/iso9660.h"

namespace vireo::block {
namespace {

/// What another implementation reads from an image: name -> content. With `options` of its reader.
std::map<std::string, std::string> read_image(const std::vector<u8>& image, const char* options = "") {
  std::map<std::string, std::string> files;
  archive* reader = archive_read_new();
  archive_read_support_format_iso9660(reader);
  EXPECT_EQ(archive_read_set_options(reader, options), ARCHIVE_OK);
  EXPECT_EQ(archive_read_open_memory(reader, image.data(), image.size()), ARCHIVE_OK) << archive_error_string(reader);
  archive_entry* entry = nullptr;
  int status = ARCHIVE_OK;
  while ((status = archive_read_next_header(reader, &entry)) == ARCHIVE_OK) {
    if (archive_entry_filetype(entry) == AE_IFDIR) continue;
    std::string content(static_cast<std::size_t>(archive_entry_size(entry)), '\0');
    EXPECT_EQ(archive_read_data(reader, content.data(), content.size()), static_cast<la_ssize_t>(content.size()));
    files[archive_entry_pathname(entry)] = content;
  }
  EXPECT_EQ(status, ARCHIVE_EOF) << archive_error_string(reader);
  archive_read_free(reader);
  return files;
}

std::vector<u8> image_of(const Seed& seed) {
  auto image = make_seed(seed);
  EXPECT_TRUE(image) << (image ? "" : image.error().message);
  return image ? *image : std::vector<u8>();
}

std::string instance_id(const Seed& seed) {
  const auto meta_data = read_image(image_of(seed))["meta-data"];
  return meta_data.substr(0, meta_data.find('\n'));
}

std::string error_of(const Seed& seed) {
  auto image = make_seed(seed);
  if (image) return "none";
  EXPECT_EQ(image.error().kind, ErrorKind::Usage);
  return image.error().message;
}

TEST(Seed, HoldsUserDataAndMetaDataOnAVolumeLabelledCidata) {
  const auto image =
      image_of({.user_data = "#cloud-config\npackages: [gcc]\n", .ssh_keys = "", .hostname = "guest-1.example"});
  EXPECT_EQ(std::string(image.begin() + 16 * 2048 + 40, image.begin() + 16 * 2048 + 46), "cidata");
  auto files = read_image(image);
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(files["user-data"], "#cloud-config\npackages: [gcc]\n");
  EXPECT_NE(files["meta-data"].find("local-hostname: 'guest-1.example'\n"), std::string::npos);
  EXPECT_EQ(files["meta-data"].find("public-keys"), std::string::npos);
}

TEST(Seed, CanBeReadWithoutJoliet) {
  auto files = read_image(image_of({.user_data = "#!/bin/sh\n", .ssh_keys = "", .hostname = ""}), "!joliet");
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(files["USER-DATA"], "#!/bin/sh\n");
}

TEST(Seed, GivesEveryPublicKeyAndLeavesOutComments) {
  auto files = read_image(image_of({.user_data = "",
                                    .ssh_keys = "# mine\nssh-ed25519 AAAA it's me\r\n\necdsa-sha2-nistp256 BBBB\n",
                                    .hostname = ""}));
  EXPECT_NE(files["meta-data"].find("public-keys:\n  - 'ssh-ed25519 AAAA it''s me'\n  - 'ecdsa-sha2-nistp256 BBBB'\n"),
            std::string::npos)
      << files["meta-data"];
  EXPECT_EQ(files["user-data"], "#cloud-config\n{}\n");
}

TEST(Seed, IsTheSameForTheSameContentAndAnotherInstanceForAnother) {
  const Seed seed{.user_data = "#cloud-config\n", .ssh_keys = "ssh-ed25519 AAAA\n", .hostname = "a"};
  EXPECT_EQ(image_of(seed), image_of(seed));
  for (auto change : {+[](Seed& s) { s.user_data += "#\n"; }, +[](Seed& s) { s.ssh_keys = "ssh-ed25519 AAAB\n"; },
                      +[](Seed& s) { s.hostname = "b"; }}) {
    Seed other = seed;
    change(other);
    EXPECT_NE(instance_id(seed), instance_id(other));
  }
}

TEST(Seed, RefusesWhatCloudInitWouldIgnore) {
  EXPECT_NE(error_of({.user_data = "packages: [gcc]\n", .ssh_keys = "", .hostname = ""}).find("#cloud-config"),
            std::string::npos);
  EXPECT_NE(
      error_of({.user_data = "#" + std::string(kMaxUserData, 'x'), .ssh_keys = "", .hostname = ""}).find("larger"),
      std::string::npos);
}

TEST(Seed, RefusesKeysThatAreNone) {
  const auto refused = [](std::string keys) {
    return error_of({.user_data = "", .ssh_keys = std::move(keys), .hostname = ""}).starts_with("the ssh key");
  };
  EXPECT_TRUE(refused("-----BEGIN OPENSSH PRIVATE KEY-----\n"));
  EXPECT_TRUE(refused("hello\n"));
  EXPECT_TRUE(refused("ssh-ed25519\n"));
  EXPECT_TRUE(refused("ssh-ed25519 AAAA\tx\n"));
  EXPECT_TRUE(refused("# nothing\n"));
  EXPECT_TRUE(refused("ssh-ed25519 " + std::string(kMaxSshKeys, 'A')));
}

TEST(Seed, RefusesHostNamesThatAreNone) {
  for (const char* name : {"-a", "a-", "a..b", ".a", "a.", "a b", "a_b", "a'", "a\n"}) {
    EXPECT_TRUE(error_of({.user_data = "", .ssh_keys = "", .hostname = name}).starts_with("the host name")) << name;
  }
  EXPECT_TRUE(
      error_of({.user_data = "", .ssh_keys = "", .hostname = std::string(64, 'a')}).starts_with("the host name"));
  for (const char* name : {"a", "a-b.c1", "1"}) {
    EXPECT_EQ(error_of({.user_data = "", .ssh_keys = "", .hostname = name}), "none") << name;
  }
}

TEST(Iso9660, HoldsFilesOfEverySizeAroundASector) {
  for (const std::size_t size : {0, 1, 2047, 2048, 2049, 100000}) {
    const std::string first(size, 'a'), second = "after";
    auto image = make_iso9660("label", std::array{IsoFile{"first", first}, IsoFile{"second.txt", second}});
    ASSERT_TRUE(image);
    auto files = read_image(*image);
    EXPECT_EQ(files["first"], first) << size;
    EXPECT_EQ(files["second.txt"], second) << size;
  }
}

TEST(Iso9660, RefusesWhatItHasNoRoomFor) {
  const std::string large((16 << 20) + 1, 'x');
  EXPECT_FALSE(make_iso9660("label", std::array{IsoFile{"name", large}}));
  EXPECT_FALSE(make_iso9660("label", std::array{IsoFile{"a/b", ""}}));
  EXPECT_FALSE(make_iso9660("label", std::array{IsoFile{"", ""}}));
  EXPECT_FALSE(make_iso9660("", {}));
  EXPECT_FALSE(make_iso9660("label", std::vector<IsoFile>(9, IsoFile{"name", ""})));
}

}  // namespace
}  // namespace vireo::block
