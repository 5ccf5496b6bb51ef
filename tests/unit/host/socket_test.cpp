#include "host/socket.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

namespace vireo::host {
namespace {

Fd connect_to(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return {};
  return socket;
}

/// Sends a byte with copies of `fd`.
void pass(const Fd& socket, int fd, std::size_t copies) {
  char byte = 'x';
  iovec data{&byte, 1};
  std::vector<u8> control(CMSG_SPACE(copies * sizeof fd));
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  auto* part = CMSG_FIRSTHDR(&message);
  part->cmsg_level = SOL_SOCKET;
  part->cmsg_type = SCM_RIGHTS;
  part->cmsg_len = CMSG_LEN(copies * sizeof fd);
  for (std::size_t i = 0; i < copies; ++i) std::memcpy(CMSG_DATA(part) + i * sizeof fd, &fd, sizeof fd);
  EXPECT_EQ(::sendmsg(socket.get(), &message, 0), 1);
}

std::size_t open_descriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

struct Socket : testing::Test {
  void SetUp() override {
    std::string name = std::filesystem::temp_directory_path() / "vireo-socket-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder = name;
    path = folder / "socket";
  }
  void TearDown() override { std::filesystem::remove_all(folder); }
  std::filesystem::path folder, path;
};

TEST_F(Socket, OnlyItsOwnerMayConnectAndItsNameGoesWithIt) {
  {
    const auto listener = UnixListener::create(path);
    ASSERT_TRUE(listener) << listener.error().message;
    struct stat status{};
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
    EXPECT_FALSE(listener->accept());
    EXPECT_TRUE(connect_to(path));
    EXPECT_TRUE(listener->accept());
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(Socket, ALeftOverNameIsTakenOver) {
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.native().size());
  ASSERT_EQ(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ::close(socket);
  ASSERT_TRUE(std::filesystem::exists(path));
  const auto listener = UnixListener::create(path);
  ASSERT_TRUE(listener) << listener.error().message;
  EXPECT_TRUE(connect_to(path));
}

TEST_F(Socket, ANameAtWhichSomebodyListensIsLeftAlone) {
  const auto first = UnixListener::create(path);
  ASSERT_TRUE(first);
  const auto second = UnixListener::create(path);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::WrongState);
  EXPECT_TRUE(connect_to(path));
}

TEST_F(Socket, AFileIsNotReplaced) {
  std::ofstream(path) << "precious";
  const auto listener = UnixListener::create(path);
  ASSERT_FALSE(listener);
  EXPECT_EQ(listener.error().kind, ErrorKind::Usage);
  EXPECT_EQ(std::filesystem::file_size(path), 8u);
}

TEST_F(Socket, ANameThatAnotherHasTakenIsNotRemoved) {
  {
    const auto listener = UnixListener::create(path);
    ASSERT_TRUE(listener);
    std::filesystem::remove(path);
    std::ofstream(path) << "another's";
  }
  EXPECT_TRUE(std::filesystem::exists(path));
}

TEST_F(Socket, APathThatIsTooLongIsRefused) {
  const auto listener = UnixListener::create((folder / std::string(120, 'x')).string());
  ASSERT_FALSE(listener);
  EXPECT_EQ(listener.error().kind, ErrorKind::Usage);
}

TEST_F(Socket, DescriptorsArePassedWithTheBytes) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const Fd ours(ends[0]), theirs(ends[1]);
  pass(theirs, 0, 2);
  std::vector<Fd> passed;
  u8 bytes[16];
  const auto got = receive(ours, bytes, passed);
  EXPECT_EQ(got.count, 1u);
  EXPECT_FALSE(got.ended);
  EXPECT_EQ(passed.size(), 2u);
}

TEST_F(Socket, MoreDescriptorsThanAreTakenAreClosed) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const Fd ours(ends[0]), theirs(ends[1]);
  const auto before = open_descriptors();
  pass(theirs, 0, 100);
  {
    std::vector<Fd> passed;
    u8 bytes[16];
    EXPECT_EQ(receive(ours, bytes, passed).count, 1u);
    EXPECT_LE(passed.size(), 17u);
  }
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(Socket, TellsAPeerThatIsGoneFromOneThatIsSilent) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const Fd ours(ends[0]);
  Fd theirs(ends[1]);
  std::vector<Fd> passed;
  u8 bytes[16] = {};
  EXPECT_FALSE(receive(ours, bytes, passed).ended);
  std::vector<u8> many(1 << 20);
  const auto sent = send(ours, many);
  EXPECT_LT(sent.count, many.size());
  EXPECT_FALSE(send(ours, many).ended);
  theirs = Fd();
  Fd(std::move(theirs));
  EXPECT_TRUE(send(ours, many).ended);
}

}  // namespace
}  // namespace vireo::host
