// Each case runs in a child process: there is no way out of a sandbox.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "host/file.h"
#include "host/sandbox.h"

namespace vireo::host {
namespace {

struct Ended {
  int status = 0;
  std::string errors;
};

constexpr int kKilled = 128 + SIGSYS;

struct Sandbox : testing::Test {
  void SetUp() override {
#if defined(__SANITIZE_ADDRESS__)
    GTEST_SKIP() << "AddressSanitizer makes system calls of its own";
#endif
    std::string name = std::filesystem::temp_directory_path() / "vireo-sandbox-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  /// How a process ends that does `work` in the sandbox: its result, or 128 + the signal that killed it.
  template <class Work>
  static Ended run(const SandboxNeeds& needs, Work work) {
    const Fd errors(::memfd_create("errors", 0));
    const pid_t child = ::fork();
    if (child == 0) {
      ::dup2(errors.get(), STDERR_FILENO);
      ::_exit(enter_sandbox(needs) ? work() : 99);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    std::string text(4096, '\0');
    const auto size = ::pread(errors.get(), text.data(), text.size(), 0);
    text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), text};
  }
  template <class Work>
  static int run(Work work) {
    return run(SandboxNeeds{}, std::move(work)).status;
  }

  std::string folder;
};

TEST_F(Sandbox, KillsAProcessThatMakesAForbiddenCall) {
  const std::pair<const char*, long (*)()> calls[] = {
      {"execve", [] { return static_cast<long>(::execl("/bin/true", "true", nullptr)); }},
      {"socket", [] { return static_cast<long>(::socket(AF_INET, SOCK_STREAM, 0)); }},
      {"ptrace", [] { return ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr); }},
      {"openat", [] { return static_cast<long>(::open("/dev/null", O_RDWR)); }},
      {"openat of a new file", [] { return static_cast<long>(::open("new", kNewFileFlags, 0600)); }},
      {"fork", [] { return static_cast<long>(::fork()); }},
      {"kill", [] { return static_cast<long>(::kill(::getppid(), 0)); }},
      {"tgkill", [] { return ::syscall(SYS_tgkill, 1, 1, 0); }},
      {"memfd_create", [] { return static_cast<long>(::memfd_create("code", 0)); }},
      {"bpf", [] { return ::syscall(SYS_bpf, 0, nullptr, 0); }},
      {"TIOCSTI", [] { return ::syscall(SYS_ioctl, 0, 0x5412, "x"); }},
      {"KVM_CREATE_VM", [] { return ::syscall(SYS_ioctl, 0, 0xAE01, 0); }},
      {"a call that does not exist", [] { return ::syscall(9999); }},
      {"execve as a 32-bit program",
       [] {
         long result = 0;
         asm volatile("int $0x80" : "=a"(result) : "a"(11), "b"(0), "c"(0), "d"(0) : "memory");
         return result;
       }},
      {"mmap of executable memory",
       [] {
         void* at = ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
         return static_cast<long>(at == MAP_FAILED);
       }},
      {"mprotect to executable",
       [] {
         void* at = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
         return static_cast<long>(::mprotect(at, 4096, PROT_READ | PROT_EXEC));
       }},
  };
  for (const auto& [name, call] : calls) {
    EXPECT_EQ(run([call = call] {
                call();
                return 0;
              }),
              kKilled)
        << name;
  }
}

TEST_F(Sandbox, RefusesToOpenAnythingToRead) {
  EXPECT_EQ(run([] { return ::open("/etc/passwd", O_RDONLY) < 0 ? errno : 0; }), EACCES);
}

TEST_F(Sandbox, KillsTheWholeProcessForWhatOneThreadDoes) {
  EXPECT_EQ(run([] {
              std::thread([] { ::socket(AF_INET, SOCK_STREAM, 0); }).join();
              return 0;
            }),
            kKilled);
}

TEST_F(Sandbox, LetsThreadsComeAndGoAndTheHeapGrowAndShrink) {
  const auto ended = run({.folders = {}, .requests = {}, .report = true}, [] {
    std::vector<std::vector<char>> heap(64);
    std::vector<std::thread> threads;
    for (auto& part : heap) {
      threads.emplace_back([&part] {
        for (std::size_t size = 1; size < (1 << 22); size *= 3) part.resize(size);
        part = {};
      });
    }
    for (auto& thread : threads) thread.join();
    return 7;
  });
  EXPECT_EQ(ended.status, 7);
  EXPECT_EQ(ended.errors, "");
}

TEST_F(Sandbox, NamesTheForbiddenCallWhenAskedTo) {
  const auto ended = run({.folders = {}, .requests = {}, .report = true}, [] {
    ::execl("/bin/true", "true", nullptr);
    return 0;
  });
  EXPECT_EQ(ended.status, 1);
  EXPECT_EQ(ended.errors, "vireo: the sandbox forbids the system call execve (number 59); the process ends\n");
}

TEST_F(Sandbox, ReplacesFilesInTheFoldersItWasToldAndNowhereElse) {
  const auto place = Place::find(folder + "/file");
  ASSERT_TRUE(place);
  const int at = place->folder().get();
  const SandboxNeeds needs{.folders = {at}, .requests = {}, .report = false};
  EXPECT_EQ(run(needs,
                [&] {
                  auto file = NewFile::create(*place);
                  const u8 text[] = {'n', 'e', 'w'};
                  return file && file->write(text) && file->commit() && NewFile::create(*place) ? 0 : 1;
                })
                .status,
            0);
  EXPECT_EQ(std::filesystem::file_size(folder + "/file"), 3u);
  EXPECT_FALSE(std::filesystem::exists(folder + "/file.tmp"));

  EXPECT_EQ(run(needs, [&] { return ::openat(at, "file", O_RDONLY) < 0 ? errno : 0; }).status, EACCES);
  EXPECT_EQ(run(needs, [&] { return ::openat(at, "file", O_RDWR); }).status, kKilled);
  EXPECT_EQ(run(needs, [&] { return ::openat(AT_FDCWD, "file", kNewFileFlags, 0600); }).status, kKilled);
}

TEST_F(Sandbox, APathLeadsOutOfAFolderNeitherUpNorFromTheRoot) {
  if (::syscall(SYS_landlock_create_ruleset, nullptr, 0, 1) < 1) GTEST_SKIP() << "the host's kernel has no Landlock";
  std::filesystem::create_directory(folder + "/inner");
  const auto place = Place::find(folder + "/inner/file");
  ASSERT_TRUE(place);
  const int at = place->folder().get();
  const auto outside = folder + "/outside";
  for (const auto& path : {outside, std::string("../outside")}) {
    EXPECT_EQ(run({.folders = {at}, .requests = {}, .report = false},
                  [&] { return ::openat(at, path.c_str(), kNewFileFlags, 0600) < 0 && errno == EACCES ? 0 : 1; })
                  .status,
              0)
        << path;
  }
  EXPECT_FALSE(std::filesystem::exists(outside));
}

TEST_F(Sandbox, AllowsTheDeviceRequestsItWasToldAlone) {
  static constexpr unsigned long kRequests[] = {0xAE80};  // KVM_RUN
  const SandboxNeeds needs{.folders = {}, .requests = kRequests, .report = false};
  EXPECT_EQ(run(needs, [] { return ::syscall(SYS_ioctl, 0, 0xAE80, 0) < 0 ? 3 : 4; }).status, 3);
  EXPECT_EQ(run(needs, [] { return ::syscall(SYS_ioctl, 0, 0xAE01, 0) < 0 ? 3 : 4; }).status, kKilled);
}

}  // namespace
}  // namespace vireo::host
