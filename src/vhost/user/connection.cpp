#include "vhost/user/connection.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

namespace vireo::vhost::user {
namespace {

constexpr time_t kPatience = 10;  ///< seconds
constexpr std::size_t kMostPassed = 8;

}  // namespace

Result<Connection> connect(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return fail(ErrorKind::Usage, "the path of a socket has at most {} bytes, '{}' has {}", sizeof address.sun_path - 1,
                path, path.size());
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  host::Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return fail_errno(errno, "cannot make a socket");
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return fail_errno(errno, fmt::format("cannot connect to '{}'; is virtiofsd running there?", path));
  }
  return Connection(std::move(socket), path);
}

Result<> Connection::send(Request request, u32 flags, std::span<const u8> body, std::span<const int> passed) {
  const timeval patience{.tv_sec = kPatience, .tv_usec = 0};
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  const Header header{
      .request = static_cast<u32>(request), .flags = flag::Version | flags, .size = static_cast<u32>(body.size())};
  std::vector<u8> bytes(sizeof header);
  std::memcpy(bytes.data(), &header, sizeof header);
  bytes.insert(bytes.end(), body.begin(), body.end());
  iovec where{.iov_base = bytes.data(), .iov_len = bytes.size()};
  alignas(cmsghdr) std::array<u8, CMSG_SPACE(kMostPassed * sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &where;
  message.msg_iovlen = 1;
  if (!passed.empty()) {
    const std::size_t length = passed.size() * sizeof(int);
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(length);
    cmsghdr* part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(length);
    std::memcpy(CMSG_DATA(part), passed.data(), length);
  }
  if (::sendmsg(socket_.get(), &message, MSG_NOSIGNAL) != static_cast<ssize_t>(bytes.size())) {
    return fail_errno(errno, fmt::format("{} does not listen", who_));
  }
  return {};
}

Result<> Connection::receive(std::span<u8> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
    if (count < 0 && errno == EINTR) continue;
    if (count == 0) return fail(ErrorKind::Failed, "{} has hung up; its own messages say why", who_);
    if (count < 0 && errno == EAGAIN) return fail(ErrorKind::Failed, "{} does not answer", who_);
    if (count < 0) return fail_errno(errno, fmt::format("cannot hear {}", who_));
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

Result<u64> Connection::answer(Request request) {
  Header header;
  u64 value = 0;
  TRY(receive({reinterpret_cast<u8*>(&header), sizeof header}));
  if (header.request != static_cast<u32>(request) || (header.flags & flag::VersionMask) != flag::Version ||
      (header.flags & flag::Reply) == 0 || header.size != sizeof value) {
    return fail(ErrorKind::Failed, "{} does not speak vhost-user", who_);
  }
  TRY(receive({reinterpret_cast<u8*>(&value), sizeof value}));
  return value;
}

Result<u64> Connection::ask(Request request) {
  TRY(send(request, 0, {}, {}));
  return answer(request);
}

Result<> Connection::tell(Request request, std::span<const u8> body, std::span<const int> passed) {
  TRY(send(request, acknowledges_ ? flag::NeedReply : 0, body, passed));
  if (!acknowledges_) return {};
  TRY_ASSIGN(const u64 status, answer(request));
  if (status != 0) {
    return fail(ErrorKind::Failed, "{} refuses vhost-user request {} ({})", who_, static_cast<u32>(request), status);
  }
  return {};
}

}  // namespace vireo::vhost::user
