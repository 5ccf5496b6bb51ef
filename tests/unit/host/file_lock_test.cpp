#include "host/file_lock.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "host/file_io.h"

namespace vireo::host {
namespace {

struct Locks : testing::Test {
  void SetUp() override {
    path = testing::TempDir() + "vireo-lock-XXXXXX";
    Fd(::mkstemp(path.data()));
  }
  void TearDown() override { std::filesystem::remove(path); }
  Fd open(bool write) const { return std::move(open_file(path, {.write = write}).value()); }
  std::string path;
};

TEST_F(Locks, LetReadersReadTogether) {
  const Fd one = open(false), two = open(false);
  EXPECT_TRUE(lock_image(one.get(), path, Share::Readers));
  EXPECT_TRUE(lock_image(two.get(), path, Share::Readers));
}

TEST_F(Locks, KeepAWriterAlone) {
  const Fd one = open(true);
  ASSERT_TRUE(lock_image(one.get(), path, Share::Nobody));
  for (const bool write : {false, true}) {
    const Fd two = open(write);
    const auto refused = lock_image(two.get(), path, write ? Share::Nobody : Share::Readers);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::WrongState);
  }
}

TEST_F(Locks, KeepAWriterFromWhatIsRead) {
  const Fd one = open(false);
  ASSERT_TRUE(lock_image(one.get(), path, Share::Readers));
  const Fd two = open(true);
  EXPECT_FALSE(lock_image(two.get(), path, Share::Nobody));
}

TEST_F(Locks, NameTheirHolderAndGoWithHim) {
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const Fd file = open(true);
    const char good = lock_image(file.get(), path, Share::Nobody) ? 'y' : 'n';
    if (::write(pipe[1], &good, 1) == 1) ::pause();
    ::_exit(0);
  }
  char good = 'n';
  ASSERT_EQ(::read(pipe[0], &good, 1), 1);
  ASSERT_EQ(good, 'y');
  {
    const Fd file = open(true);
    const auto refused = lock_image(file.get(), path, Share::Nobody);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find(fmt::format("process {} (", child)), std::string::npos)
        << refused.error().message;
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  const Fd file = open(true);
  EXPECT_TRUE(lock_image(file.get(), path, Share::Nobody));
  ::close(pipe[0]);
  ::close(pipe[1]);
}

}  // namespace
}  // namespace vireo::host
