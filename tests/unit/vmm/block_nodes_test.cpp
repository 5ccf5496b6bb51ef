#include "vmm/block_nodes.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <map>

#include "unit/block/temporary_file.h"

namespace vireo::vmm {
namespace {

using api::Json;

std::string why(const Json& object) {
  const auto options = api::BlockOptions::parse(object);
  return options ? "" : options.error().message;
}

TEST(BlockOptions, WhatIsNotUnderstoodIsAnError) {
  const Json file = {{"driver", "file"}, {"filename", "a"}};
  EXPECT_EQ(why(file), "");
  EXPECT_EQ(why({{"driver", "raw"}, {"file", file}, {"node-name", "n"}, {"discard", "unmap"}}), "");
  EXPECT_EQ(why({{"driver", "qcow2"}, {"file", "f"}, {"backing", nullptr}}), "");
  EXPECT_EQ(why({{"filename", "a"}}), "Parameter 'driver' is missing");
  EXPECT_EQ(why({{"driver", 5}}), "Invalid parameter type for 'driver', expected: string");
  EXPECT_EQ(why({{"driver", "nbd"}}), "Parameter 'driver' does not accept value 'nbd'");
  EXPECT_EQ(why({{"driver", "file"}}), "Parameter 'filename' is missing");
  EXPECT_EQ(why({{"driver", "raw"}}), "Parameter 'file' is missing");
  EXPECT_EQ(why({{"driver", "raw"}, {"file", 5}}), "Invalid parameter type for 'file', expected: BlockdevRef");
  EXPECT_EQ(why({{"driver", "raw"}, {"file", file}, {"backing", nullptr}}), "Parameter 'backing' is unexpected");
  EXPECT_EQ(why({{"driver", "raw"}, {"file", file}, {"filename", "a"}}), "Parameter 'filename' is unexpected");
  EXPECT_EQ(why({{"driver", "raw"}, {"file", file}, {"node-name", "1 2"}}), "Invalid node-name: '1 2'");
  EXPECT_EQ(why({{"driver", "raw"}, {"file", file}, {"cache", {{"x", true}}}}), "Parameter 'cache.x' is unexpected");
  EXPECT_NE(why({{"driver", "raw"}, {"file", {{"driver", "file"}}}}), "");
}

TEST(BlockOptions, NestingIsBounded) {
  Json object = {{"driver", "file"}, {"filename", "a"}};
  for (unsigned i = 1; i < api::BlockOptions::kMaxDepth; ++i) object = {{"driver", "raw"}, {"file", object}};
  EXPECT_EQ(why(object), "");
  EXPECT_NE(why({{"driver", "raw"}, {"file", object}}), "");
}

/// Nodes over files that "passed" names.
struct Nodes {
  test::TemporaryFile image, other;
  std::map<std::string, std::string> passed;
  int flags = 0;
  BlockNodes nodes{[this](const std::string& name, bool to_write) -> Result<host::Fd> {
    if (!passed.contains(name)) return fail(ErrorKind::NotFound, "there is no {}", name);
    return host::Fd(::open(passed[name].c_str(), (to_write ? O_RDWR : O_RDONLY) | flags | O_CLOEXEC));
  }};

  Nodes() {
    passed["image"] = image.path();
    passed["other"] = other.path();
    for (const auto& [name, path] : passed) {
      const host::Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
      EXPECT_EQ(::ftruncate(fd.get(), 1 << 20), 0);
    }
  }
  std::string add(const Json& object) {
    const auto options = api::BlockOptions::parse(object);
    if (!options) return options.error().message;
    const auto added = nodes.add(*options);
    return added ? "" : added.error().message;
  }
  static Json file(const char* name, bool read_only = false) {
    return {{"driver", "file"}, {"filename", name}, {"read-only", read_only}};
  }
};

TEST(BlockNodes, ADiskIsOneDevicesAtATimeAndGoesWhenItIsFree) {
  Nodes rig;
  EXPECT_EQ(rig.add({{"driver", "raw"}, {"node-name", "n"}, {"file", Nodes::file("image")}}), "");
  auto lease = rig.nodes.take("n", "device");
  ASSERT_TRUE(lease);
  EXPECT_EQ((*lease)->image->geometry().size, 1u << 20);
  EXPECT_EQ(rig.nodes.list().at(0)->device, "device");
  EXPECT_EQ(rig.nodes.take("n", "another").error().kind, ErrorKind::WrongState);
  EXPECT_EQ(rig.nodes.remove("n").error().kind, ErrorKind::WrongState);
  lease->reset();
  EXPECT_TRUE(rig.nodes.list().at(0)->device.empty());
  EXPECT_TRUE(rig.nodes.remove("n"));
  EXPECT_EQ(rig.nodes.remove("n").error().kind, ErrorKind::NotFound);
  EXPECT_EQ(rig.nodes.take("n", "device").error().kind, ErrorKind::NotFound);
}

TEST(BlockNodes, AFileHasOneWriter) {
  Nodes rig;
  auto named = Nodes::file("image");
  named["node-name"] = "f";
  EXPECT_EQ(rig.add(named), "");
  EXPECT_NE(rig.add({{"driver", "raw"}, {"node-name", "n"}, {"file", Nodes::file("image")}}), "");
  EXPECT_NE(rig.add({{"driver", "raw"}, {"node-name", "n"}, {"file", Nodes::file("image", true)}, {"read-only", true}}),
            "");
  EXPECT_EQ(rig.add({{"driver", "raw"}, {"node-name", "n"}, {"file", "f"}}), "");
  EXPECT_NE(rig.add({{"driver", "raw"}, {"node-name", "m"}, {"file", "f"}}), "");
  EXPECT_FALSE(rig.nodes.take("f", "device"));
  EXPECT_FALSE(rig.nodes.remove("f"));
  EXPECT_TRUE(rig.nodes.remove("n"));
  EXPECT_TRUE(rig.nodes.take("f", "device"));
}

TEST(BlockNodes, WhatFailsLeavesNothing) {
  Nodes rig;
  const Json named = {{"driver", "file"}, {"filename", "image"}, {"node-name", "f"}};
  EXPECT_NE(rig.add({{"driver", "qcow2"}, {"node-name", "n"}, {"file", named}}), "");  // it is none
  EXPECT_NE(rig.add({{"driver", "raw"}, {"node-name", "f"}, {"file", named}}), "");    // twice the same name
  EXPECT_TRUE(rig.nodes.list().empty());
  rig.flags = O_APPEND;
  EXPECT_NE(rig.add(named), "");
  rig.flags = 0;
  rig.passed["image"] = "/dev/null";
  EXPECT_NE(rig.add(named), "");
  rig.passed["image"] = rig.image.path();
  EXPECT_EQ(rig.add(named), "");
  // The lock is there, for others, and goes with the node.
  const host::Fd theirs(::open(rig.image.path().c_str(), O_RDWR | O_CLOEXEC));
  EXPECT_FALSE(host::lock_image(theirs.get(), "it", host::Share::Readers));
  EXPECT_TRUE(rig.nodes.remove("f"));
  EXPECT_TRUE(host::lock_image(theirs.get(), "it", host::Share::Nobody));
}

TEST(BlockNodes, NamesOfNodesWithinGoWithTheWholeThing) {
  Nodes rig;
  const Json within = {{"driver", "file"}, {"filename", "image"}, {"node-name", "f"}};
  EXPECT_EQ(rig.add({{"driver", "raw"}, {"node-name", "n"}, {"file", within}}), "");
  EXPECT_EQ(rig.nodes.list().size(), 2u);
  EXPECT_TRUE(rig.nodes.remove("n"));
  EXPECT_TRUE(rig.nodes.list().empty());
}

}  // namespace
}  // namespace vireo::vmm
