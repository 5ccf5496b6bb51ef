#include "host/connector.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <vector>

#include "host/sandbox.h"
#include "host/socket.h"

namespace vireo::host {
namespace {

constexpr std::size_t kDigits = 10;  ///< of the largest number

struct Question {
  u32 id = 0, number = 0;
};

// ---- The child. Its one descriptor is the channel, 0.

bool restrict_child() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || !drop_capabilities()) return false;
  scmp_filter_ctx filter = ::seccomp_init(SCMP_ACT_KILL_PROCESS);
  if (filter == nullptr) return false;
  int error = 0;
  const auto allow = [&](int call) {
    if (error == 0) error = ::seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0);
  };
  for (const int call : {SCMP_SYS(recvfrom), SCMP_SYS(sendmsg), SCMP_SYS(connect), SCMP_SYS(close),
                         SCMP_SYS(exit_group), SCMP_SYS(exit)}) {
    allow(call);
  }
  if (error == 0) {
    const scmp_arg_cmp of_unix{.arg = 0, .op = SCMP_CMP_EQ, .datum_a = AF_UNIX, .datum_b = 0};
    error = ::seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, &of_unix);
  }
  if (error == 0) error = ::seccomp_load(filter);
  ::seccomp_release(filter);
  return error == 0;
}

void pass(u32 id, int socket) {
  iovec bytes{.iov_base = &id, .iov_len = sizeof id};
  alignas(cmsghdr) u8 control[CMSG_SPACE(sizeof socket)] = {};
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  if (socket >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof socket);
    std::memcpy(CMSG_DATA(part), &socket, sizeof socket);
  }
  if (::sendmsg(0, &message, MSG_NOSIGNAL) < 0) ::_exit(0);
}

[[noreturn]] void serve(sockaddr_un address, std::size_t prefix) {
  Question question;
  while (::recv(0, &question, sizeof question, 0) == static_cast<ssize_t>(sizeof question)) {
    char* digits = address.sun_path + prefix;
    *std::to_chars(digits, digits + kDigits, question.number).ptr = '\0';
    const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const bool there =
        socket >= 0 && ::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    pass(question.id, there ? socket : -1);
    if (socket >= 0) ::close(socket);
  }
  ::_exit(0);
}

[[noreturn]] void run_child(int channel, const sockaddr_un& address, std::size_t prefix) {
  sigset_t all;
  ::sigfillset(&all);
  ::sigprocmask(SIG_BLOCK, &all, nullptr);  // it ends with its parent, not by a terminal's keys
  const bool alone = ::dup2(channel, 0) == 0 && ::syscall(SYS_close_range, 1U, ~0U, 0U) == 0;
  if (!alone || !restrict_child()) ::_exit(1);
  serve(address, prefix);
}

}  // namespace

Result<Connector> Connector::create(const std::string& prefix) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (prefix.size() + kDigits >= sizeof address.sun_path) {
    return fail(ErrorKind::Usage, "'{}' is too long for a socket's path with a port's number behind it", prefix);
  }
  std::memcpy(address.sun_path, prefix.data(), prefix.size());
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return fail_errno(errno, "cannot make a pair of sockets");
  }
  Fd ours(ends[0]);
  const Fd theirs(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) return fail_errno(errno, "cannot start the process that connects to sockets");
  if (child == 0) run_child(theirs.get(), address, prefix.size());
  return Connector(std::move(ours));
}

bool Connector::ask(u32 id, u32 number) const {
  const Question question{.id = id, .number = number};
  const auto sent = send(channel_, {reinterpret_cast<const u8*>(&question), sizeof question});
  return sent.count == sizeof question;
}

std::optional<Connector::Answer> Connector::answer() const {
  Answer answer;
  std::array<u8, sizeof answer.id> bytes;
  std::vector<Fd> passed;
  const auto got = receive(channel_, bytes, passed);
  if (got.count != bytes.size()) return std::nullopt;
  std::memcpy(&answer.id, bytes.data(), bytes.size());
  if (!passed.empty()) answer.socket = std::move(passed.front());
  return answer;
}

}  // namespace vireo::host
