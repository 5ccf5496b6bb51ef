// QEMU's NBD server on a file, for tests: a Unix socket and a raw image in a folder of their own.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "base/types.h"
#include "host/stream.h"

extern char** environ;

namespace vireo::test {

inline int shell(const std::string& command) { return WEXITSTATUS(std::system(command.c_str())); }

class NbdServer {
 public:
  explicit NbdServer(u64 size) {
    folder_ = testing::TempDir() + "vireo-nbd-XXXXXX";
    EXPECT_NE(::mkdtemp(folder_.data()), nullptr);
    std::ofstream(image()).close();
    std::filesystem::resize_file(image(), size);
  }
  ~NbdServer() {
    kill();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  NbdServer(const NbdServer&) = delete;
  NbdServer& operator=(const NbdServer&) = delete;

  static bool installed() {
    return shell("qemu-nbd --version >/dev/null 2>&1 && qemu-io --version >/dev/null 2>&1") == 0;
  }

  const std::string& folder() const { return folder_; }
  std::string image() const { return folder_ + "/image"; }
  std::string socket() const { return folder_ + "/socket"; }
  std::string uri(const std::string& more = "") const { return "nbd+unix:///?socket=" + socket() + more; }

  /// Returns when it listens.
  void start(std::vector<std::string> options = {}) {
    std::filesystem::remove(socket());
    std::vector<std::string> words{"qemu-nbd", "--persistent", "--shared=0", "--socket=" + socket()};
    words.insert(words.end(), options.begin(), options.end());
    words.push_back("--format=raw");
    words.push_back(image());
    std::vector<char*> arguments;
    for (auto& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    ASSERT_EQ(::posix_spawnp(&process_, "qemu-nbd", nullptr, nullptr, arguments.data(), environ), 0);
    for (int i = 0; i < 2000 && !listens(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    ASSERT_TRUE(listens());
  }
  void kill() {
    if (process_ == 0) return;
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
    process_ = 0;
  }
  std::vector<u8> content() const {
    std::ifstream file(image(), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

 private:
  bool listens() const {
    const auto address = host::unix_stream(socket());
    return address && host::start_connecting(*address);
  }

  std::string folder_;
  pid_t process_ = 0;
};

}  // namespace vireo::test
