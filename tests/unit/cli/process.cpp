#include "process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <iostream>

#include "base/types.h"
#include "cli/commands.h"
#include "host/loop.h"

namespace vireo::cli {
namespace {

constexpr int kPatience = 10'000;  // ms; a slow sanitizer build on a busy machine is the measure

}  // namespace

Process::Process(std::vector<std::string> arguments, bool terminal) {
  int in[2] = {-1, -1}, out[2] = {-1, -1};
  if (terminal) {
    EXPECT_EQ(::openpty(&out[0], &out[1], nullptr, nullptr, nullptr), 0);
  } else {
    EXPECT_EQ(::pipe(in), 0);
    EXPECT_EQ(::pipe(out), 0);
  }
  errors_ = host::Fd(::memfd_create("errors", 0));
  std::cout.flush();
  std::fflush(nullptr);  // what waits here is not the child's to print
  pid_ = ::fork();
  if (pid_ == 0) {
    if (terminal) {
      ::login_tty(out[1]);
    } else {
      ::dup2(in[0], 0);
      ::dup2(out[1], 1);
    }
    ::dup2(errors_.get(), 2);
    for (int fd = 3; fd < 64; ++fd) ::close(fd);
    arguments.insert(arguments.begin(), "vireo");
    std::vector<char*> words;
    for (auto& word : arguments) words.push_back(word.data());
    std::exit(cli::main(static_cast<int>(words.size()), words.data()));
  }
  if (terminal) {
    output_ = host::Fd(out[0]);
    input_ = output_.duplicate();
  } else {
    input_ = host::Fd(in[1]);
    output_ = host::Fd(out[0]);
    ::close(in[0]);
  }
  ::close(out[1]);
}

Process::~Process() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void Process::type(const std::string& text) {
  EXPECT_EQ(::write(input_.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
}

bool Process::read_some(int milliseconds) {
  pollfd ready{output_.get(), POLLIN, 0};
  if (::poll(&ready, 1, milliseconds) <= 0) return true;
  char buffer[4096];
  const auto count = ::read(output_.get(), buffer, sizeof buffer);
  if (count <= 0) return false;
  out_.append(buffer, static_cast<std::size_t>(count));
  return true;
}

bool Process::await(const std::string& text) {
  const u64 until = host::Loop::now_ns() + u64{kPatience} * 1'000'000;
  bool open = true;
  while (out_.find(text) == std::string::npos) {
    if (!open || host::Loop::now_ns() > until) return false;
    open = read_some(100);
  }
  return true;
}

void Process::signal(int number) { ::kill(pid_, number); }

std::optional<int> Process::end() {
  const u64 until = host::Loop::now_ns() + u64{kPatience} * 1'000'000;
  while (host::Loop::now_ns() < until) {
    int status = 0;
    if (!read_some(10)) ::usleep(2000);
    if (::waitpid(pid_, &status, WNOHANG) != pid_) continue;
    pid_ = -1;
    for (pollfd ready{output_.get(), POLLIN, 0}; ::poll(&ready, 1, 0) > 0 && read_some(0);) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  return {};
}

std::string Process::errors() {
  std::string text(1 << 16, '\0');
  const auto count = ::pread(errors_.get(), text.data(), text.size(), 0);
  text.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
  return text;
}

bool Process::raw() const {
  termios mode{};
  return ::tcgetattr(output_.get(), &mode) == 0 && (mode.c_lflag & ICANON) == 0;
}

Folder::Folder() {
  std::string name = std::filesystem::temp_directory_path() / "vireo-test-XXXXXX";
  EXPECT_NE(::mkdtemp(name.data()), nullptr);
  path_ = name;
}

Folder::~Folder() { std::filesystem::remove_all(path_); }

}  // namespace vireo::cli
