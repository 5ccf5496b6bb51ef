#include "vhost/user/virtiofsd.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <cstring>

namespace vireo::vhost::user {
namespace {

constexpr const char* kProgram = "/usr/lib/qemu/virtiofsd";
constexpr int kListener = 3;  ///< its descriptor in the child

Result<std::string> whole_path(const std::string& folder) {
  std::array<char, PATH_MAX> path{};
  struct stat status{};
  if (::realpath(folder.c_str(), path.data()) == nullptr || ::stat(path.data(), &status) != 0) {
    return fail_errno(errno, fmt::format("cannot share '{}'", folder));
  }
  if (!S_ISDIR(status.st_mode)) return fail(ErrorKind::Usage, "cannot share '{}': it is no folder", folder);
  return std::string(path.data());
}

struct Ends {
  host::Fd listener, client;
};

/// A socket whose name is gone before anybody else can use it.
Result<Ends> connected_listener() {
  std::string folder = "/tmp/vireo-XXXXXX";
  if (const char* temporary = std::getenv("TMPDIR"); temporary != nullptr)
    folder = fmt::format("{}/vireo-XXXXXX", temporary);
  if (::mkdtemp(folder.data()) == nullptr) return fail_errno(errno, fmt::format("cannot make a folder '{}'", folder));
  const std::string path = folder + "/s";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  Ends ends{.listener = host::Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)),
            .client = host::Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0))};
  const bool made = ends.listener && ends.client && ::bind(ends.listener.get(), generic, sizeof address) == 0 &&
                    ::listen(ends.listener.get(), 1) == 0 && ::connect(ends.client.get(), generic, sizeof address) == 0;
  const int error = errno;
  ::unlink(path.c_str());
  ::rmdir(folder.c_str());
  if (!made) return fail_errno(error, "cannot make a socket for virtiofsd");
  return ends;
}

// ---- In the child, which has no other thread: what fails is said on standard error, and ends it.

[[noreturn]] void give_up(const char* what) {
  fmt::print(stderr, "vireo: cannot start virtiofsd: {}: {}\n", what, std::strerror(errno));
  ::_exit(1);
}

void write_file(const char* path, const std::string& text) {
  const int file = ::open(path, O_WRONLY | O_CLOEXEC);
  if (file < 0 || ::write(file, text.data(), text.size()) != static_cast<ssize_t>(text.size())) give_up(path);
  ::close(file);
}

void become_root_of_a_namespace() {
  const auto user = ::geteuid();
  const auto group = ::getegid();
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) give_up("user namespaces, needed without root");
  write_file("/proc/self/setgroups", "deny");
  write_file("/proc/self/uid_map", fmt::format("0 {} 1", user));
  write_file("/proc/self/gid_map", fmt::format("0 {} 1", group));
}

void make_read_only(const std::string& folder) {
  if (::mount(nullptr, "/", nullptr, MS_PRIVATE | MS_REC, nullptr) != 0) give_up("private mounts");
  if (::mount(folder.c_str(), folder.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0)
    give_up("a mount of the folder");
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  if (::mount_setattr(AT_FDCWD, folder.c_str(), AT_RECURSIVE, &attributes, sizeof attributes) != 0) {
    give_up("a read-only mount of the folder (Linux 5.12)");
  }
}

/// Commas separate its options, and a backslash keeps one from it.
std::string escaped(const std::string& path) {
  std::string text;
  for (const char c : path) {
    if (c == ',' || c == '\\') text += '\\';
    text += c;
  }
  return text;
}

[[noreturn]] void run_child(int listener, const std::string& folder, bool read_only) {
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::setsid();  // a terminal's keys are for the machine
  const bool root = ::geteuid() == 0;
  if (!root) become_root_of_a_namespace();
  if (root && read_only && ::unshare(CLONE_NEWNS) != 0) give_up("a mount namespace");
  if (read_only) make_read_only(folder);
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  const int nothing = ::open("/dev/null", O_RDONLY);
  if (::dup2(listener, kListener) < 0 || ::dup2(nothing, 0) < 0 || ::dup2(2, 1) < 0 ||
      ::syscall(SYS_close_range, unsigned{kListener + 1}, ~0U, 0U) != 0) {
    give_up("its descriptors");
  }
  ::fcntl(kListener, F_SETFD, 0);
  const std::string listen = fmt::format("--fd={}", kListener), source = "source=" + escaped(folder);
  ::execl(kProgram, kProgram, listen.c_str(), "--rlimit-nofile=0", "-o", source.c_str(), "-o", "sandbox=namespace",
          "-o", "log_level=err", nullptr);
  give_up(kProgram);
}

}  // namespace

Result<Connection> start(const Virtiofsd& options) {
  if (::access(kProgram, X_OK) != 0) {
    return fail(ErrorKind::NotFound,
                "there is no {}; install qemu-system-common, or name a daemon's socket=", kProgram);
  }
  TRY_ASSIGN(const auto folder, whole_path(options.folder));
  TRY_ASSIGN(auto ends, connected_listener());
  const pid_t child = ::fork();
  if (child < 0) return fail_errno(errno, "cannot start virtiofsd");
  if (child == 0) run_child(ends.listener.get(), folder, options.read_only);
  return Connection(std::move(ends.client), fmt::format("virtiofsd for '{}'", options.folder));
}

}  // namespace vireo::vhost::user
