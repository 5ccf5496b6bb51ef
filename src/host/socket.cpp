#include "host/socket.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace vireo::host {
namespace {

constexpr mode_t kOwnerOnly = 0600;
constexpr int kBacklog = 16;
constexpr std::size_t kMaxPassed = 16;

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return fail(ErrorKind::Usage, "the path of a socket has at most {} bytes, '{}' has {}", sizeof address.sun_path - 1,
                path, path.size());
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

const sockaddr* generic(const sockaddr_un& address) { return reinterpret_cast<const sockaddr*>(&address); }

/// Removes what a process that ended has left. The folder is locked meanwhile, so that of two that start at a time one
/// finds the other's socket.
Result<> remove_stale(const Place& place, const sockaddr_un& address) {
  struct stat status{};
  if (::fstatat(place.folder().get(), place.name().c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return {};
    return fail_errno(errno, fmt::format("cannot look at '{}'", place.path()));
  }
  if (!S_ISSOCK(status.st_mode)) {
    return fail(ErrorKind::Usage, "'{}' exists and is no socket; name another or remove it", place.path());
  }
  const Fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe) return fail_errno(errno, "cannot make a socket");
  if (::connect(probe.get(), generic(address), sizeof address) == 0 || errno == EAGAIN) {
    return fail(ErrorKind::WrongState, "another process listens at '{}'; name another socket or end that process",
                place.path());
  }
  if (errno != ECONNREFUSED) return fail_errno(errno, fmt::format("cannot replace '{}'", place.path()));
  if (::unlinkat(place.folder().get(), place.name().c_str(), 0) != 0) {
    return fail_errno(errno, fmt::format("cannot replace '{}'", place.path()));
  }
  return {};
}

}  // namespace

Result<UnixListener> UnixListener::create(const std::string& path) {
  TRY_ASSIGN(const auto address, address_of(path));
  UnixListener made;
  TRY_ASSIGN(auto place, Place::find(path));
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail_errno(errno, "cannot make a socket");
  // What bind() gives the name as mode is this one's, so that it never has another.
  if (::fchmod(socket.get(), kOwnerOnly) != 0) return fail_errno(errno, "cannot make a socket");
  const Fd lock(::openat(place.folder().get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (lock) ::flock(lock.get(), LOCK_EX);
  TRY(remove_stale(place, address));
  if (::bind(socket.get(), generic(address), sizeof address) != 0) {
    return fail_errno(errno, fmt::format("cannot make the socket '{}'", path));
  }
  struct stat status{};
  if (::fstatat(place.folder().get(), place.name().c_str(), &status, 0) == 0) {
    made.device_ = status.st_dev;
    made.inode_ = status.st_ino;
  }
  made.place_ = std::move(place);
  made.fd_ = std::move(socket);
  if (::listen(made.fd_.get(), kBacklog) != 0) return fail_errno(errno, fmt::format("cannot listen at '{}'", path));
  return made;
}

bool UnixListener::is_ours() const {
  struct stat status{};
  return ::fstatat(place_.folder().get(), place_.name().c_str(), &status, 0) == 0 && status.st_dev == device_ &&
         status.st_ino == inode_;
}

UnixListener::~UnixListener() {
  if (fd_ && is_ours()) ::unlinkat(place_.folder().get(), place_.name().c_str(), 0);
}

Fd UnixListener::accept() const { return Fd(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)); }

Moved receive(const Fd& socket, std::span<u8> bytes, std::vector<Fd>& passed) {
  iovec where{.iov_base = bytes.data(), .iov_len = bytes.size()};
  alignas(cmsghdr) u8 control[CMSG_SPACE(kMaxPassed * sizeof(int))];
  msghdr message{};
  message.msg_iov = &where;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t count = 0;
  do {
    count = ::recvmsg(socket.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (count < 0 && errno == EINTR);
  if (count < 0) return {.count = 0, .ended = errno != EAGAIN};
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t number = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < number; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
      passed.emplace_back(fd);
    }
  }
  return {.count = static_cast<std::size_t>(count), .ended = count == 0};
}

Moved receive(const Fd& socket, std::span<u8> bytes) {
  ssize_t count = 0;
  do {
    count = ::read(socket.get(), bytes.data(), bytes.size());
  } while (count < 0 && errno == EINTR);
  if (count < 0) return {.count = 0, .ended = errno != EAGAIN};
  return {.count = static_cast<std::size_t>(count), .ended = count == 0};
}

void end_sending(const Fd& socket) { ::shutdown(socket.get(), SHUT_WR); }

bool peer_is_gone(const Fd& socket) {
  pollfd state{.fd = socket.get(), .events = 0, .revents = 0};
  return ::poll(&state, 1, 0) == 1 && (state.revents & (POLLHUP | POLLERR)) != 0;
}

Moved send(const Fd& socket, std::span<const u8> bytes) {
  ssize_t count = 0;
  do {
    count = ::send(socket.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (count < 0 && errno == EINTR);
  if (count < 0) return {.count = 0, .ended = errno != EAGAIN};
  return {.count = static_cast<std::size_t>(count), .ended = false};
}

}  // namespace vireo::host
