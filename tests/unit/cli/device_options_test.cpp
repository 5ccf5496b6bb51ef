#include <gtest/gtest.h>

#include "cli/config_file.h"
#include "cli/console_option.h"
#include "cli/share_option.h"
#include "cli/vsock_option.h"

namespace vireo::cli {
namespace {

TEST(VsockOption, NamesASocketAndAContext) {
  const auto vsock = parse_vsock("cid=52,socket=/run/v.sock");
  ASSERT_TRUE(vsock);
  EXPECT_EQ(vsock->cid, 52u);
  EXPECT_EQ(vsock->socket, "/run/v.sock");
  EXPECT_EQ(parse_vsock("socket=v")->cid, 3u);
}

TEST(VsockOption, RefusesWhatCannotBe) {
  for (const char* text : {"", "cid=3", "socket=", "socket=v,cid=2", "socket=v,cid=4294967295", "socket=v,cid=x",
                           "socket=v,cid", "socket=v,port=1"}) {
    const auto vsock = parse_vsock(text);
    ASSERT_FALSE(vsock) << text;
    EXPECT_EQ(vsock.error().kind, ErrorKind::Usage);
  }
}

TEST(ShareOption, NamesAFolderOrASocket) {
  const auto folder = parse_share("tag=work,path=/srv/work,readonly");
  ASSERT_TRUE(folder);
  EXPECT_EQ(folder->tag, "work");
  EXPECT_EQ(folder->path, "/srv/work");
  EXPECT_TRUE(folder->read_only);
  const auto socket = parse_share("socket=/run/fs.sock,tag=work");
  ASSERT_TRUE(socket);
  EXPECT_EQ(socket->socket, "/run/fs.sock");
}

TEST(ShareOption, RefusesWhatCannotBe) {
  for (const char* text : {"", "tag=work", "path=/srv", "tag=,path=/srv", "tag=work,path=/a,socket=/b",
                           "tag=work,socket=/b,readonly", "tag=work,path=/a,readonly=yes",
                           "tag=work,path=/a,cache=none", "tag=1234567890123456789012345678901234567,path=/a"}) {
    const auto share = parse_share(text);
    ASSERT_FALSE(share) << text;
    EXPECT_EQ(share.error().kind, ErrorKind::Usage);
  }
}

TEST(VirtioConsoleOption, IsAConsoleThatMayHaveAName) {
  EXPECT_EQ(parse_virtio_console("pty")->console.kind, vmm::Console::Kind::Pty);
  const auto port = parse_virtio_console("socket,name=org.qemu.guest_agent.0,path=/run/agent");
  ASSERT_TRUE(port);
  EXPECT_EQ(port->name, "org.qemu.guest_agent.0");
  EXPECT_EQ(port->console.path, "/run/agent");
}

TEST(VirtioConsoleOption, RefusesWhatCannotBe) {
  for (const char* text :
       {"", "name=x", "pty,name=", "pty,name=a/b", "pty,name=a b", "pty,name=x,name=y", "file,name=x"}) {
    EXPECT_FALSE(parse_virtio_console(text)) << text;
  }
}

TEST(DeviceOptions, AreInConfigurationFiles) {
  vmm::Config config;
  const auto applied = apply_config_text(R"(
vsock = "socket=v"
share = ["tag=a,path=/a", "tag=b,socket=/b"]
input = ["keyboard", "tablet"]
virtio-console = "pty"
)",
                                         "vm.toml", config);
  ASSERT_TRUE(applied) << applied.error().message;
  EXPECT_EQ(config.vsock->socket, "v");
  EXPECT_EQ(config.shares.size(), 2u);
  EXPECT_EQ(config.inputs, (std::vector{virtio::InputKind::Keyboard, virtio::InputKind::Tablet}));
  EXPECT_EQ(config.virtio_consoles.size(), 1u);
  EXPECT_FALSE(apply_config_text(R"(share = ["tag=a,path=/a", "tag=a,path=/b"])", "vm.toml", config));
  EXPECT_FALSE(apply_config_text(R"(input = "joystick")", "vm.toml", config));
}

}  // namespace
}  // namespace vireo::cli
