#include "vmm/passed_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace vireo::vmm {
namespace {

using api::Json;

struct Passed : testing::Test {
  api::Commands commands;
  PassedFiles files;

  Passed() { files.add_commands(commands); }
  api::Answer ask(const char* name, const Json& arguments = Json::object(), const char* file = nullptr, int flags = 0) {
    std::vector<host::Fd> descriptors;
    if (file != nullptr) descriptors.emplace_back(::open(file, flags | O_CLOEXEC));
    return commands.run(name, arguments, descriptors);
  }
};

TEST_F(Passed, ASetWithoutANumberGetsTheNextOne) {
  EXPECT_EQ((*ask("add-fd", Json::object(), "/dev/zero"))["fdset-id"], 0);
  EXPECT_EQ((*ask("add-fd", Json::object(), "/dev/zero"))["fdset-id"], 1);
  EXPECT_EQ((*ask("add-fd", {{"fdset-id", 1}}, "/dev/zero"))["fdset-id"], 1);
  EXPECT_EQ(ask("query-fdsets")->size(), 2u);
  EXPECT_EQ((*ask("query-fdsets"))[1]["fds"].size(), 2u);
}

TEST_F(Passed, TheFileThatWasOpenedAsNeededIsTaken) {
  ASSERT_TRUE(ask("add-fd", {{"fdset-id", 3}}, "/dev/zero", O_RDONLY));
  EXPECT_EQ(files.open("/dev/fdset/3", true).error().kind, ErrorKind::Denied);
  ASSERT_TRUE(ask("add-fd", {{"fdset-id", 3}}, "/dev/zero", O_RDWR));
  EXPECT_TRUE(host::access_of(*files.open("/dev/fdset/3", true)).write);
  EXPECT_FALSE(host::access_of(*files.open("/dev/fdset/3", false)).write);
}

TEST_F(Passed, OnlySetsCanBeOpened) {
  for (const char* name : {"", "/etc/passwd", "/dev/fdset/", "/dev/fdset/x", "/dev/fdset/1x", "/dev/fdset/-1"}) {
    EXPECT_EQ(files.open(name, false).error().kind, ErrorKind::Usage) << name;
  }
  EXPECT_EQ(files.open("/dev/fdset/1", false).error().kind, ErrorKind::NotFound);
}

TEST_F(Passed, WhatIsInUseStaysWhenItsSetGoes) {
  ASSERT_TRUE(ask("add-fd", {{"fdset-id", 3}}, "/dev/zero"));
  const auto used = files.open("/dev/fdset/3", false);
  ASSERT_TRUE(ask("remove-fd", {{"fdset-id", 3}}));
  char byte = 1;
  EXPECT_EQ(::read(used->get(), &byte, 1), 1);
  EXPECT_FALSE(files.open("/dev/fdset/3", false));
}

TEST_F(Passed, OneFileOfASetCanBeRemoved) {
  const auto first = *ask("add-fd", {{"fdset-id", 3}}, "/dev/zero");
  ASSERT_TRUE(ask("add-fd", {{"fdset-id", 3}}, "/dev/zero"));
  EXPECT_TRUE(ask("remove-fd", {{"fdset-id", 3}, {"fd", first["fd"]}}));
  EXPECT_FALSE(ask("remove-fd", {{"fdset-id", 3}, {"fd", first["fd"]}}));
  EXPECT_EQ((*ask("query-fdsets"))[0]["fds"].size(), 1u);
}

TEST_F(Passed, TheyAreBounded) {
  for (std::size_t i = 0; i < PassedFiles::kMaxFiles; ++i) ASSERT_TRUE(ask("add-fd", Json::object(), "/dev/zero"));
  EXPECT_FALSE(ask("add-fd", Json::object(), "/dev/zero"));
  EXPECT_FALSE(ask("add-fd", {{"fdset-id", -1}}, "/dev/zero"));
}

}  // namespace
}  // namespace vireo::vmm
