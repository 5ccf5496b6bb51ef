#include "host/sandbox_calls.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "host/file.h"

namespace vireo::host {
namespace {

/// Which uses of a call are meant, besides its row's own conditions.
enum class Only : u8 {
  Any,
  ThisProcess,   ///< argument 0 is this process
  OurFolders,    ///< argument 0 is a folder in which files are replaced; without one the call is forbidden
  OurRequests,   ///< argument 1 is a device request that the machine needs
  OurFiles,      ///< there are files to be opened again, and no others can be
  NoFiles,       ///< it is not so
  Wire,          ///< a socket that listens already takes a connection of another machine
  BlockServers,  ///< disks are at servers
  Internet,      ///< the guest's network ends in sockets of this process
  Listeners,     ///< argument 0 is a socket at which connections are accepted
  Sockets,       ///< there is such a socket
  TheirFolders,  ///< argument 0 is a folder that has the name of such a socket
};

struct Row {
  int call;
  const char* why;
  Only only = Only::Any;
  std::array<scmp_arg_cmp, 2> when = {};  ///< both must hold
  int refused = 0;                        ///< an error number: the call is not made, and fails with it
};

constexpr scmp_arg_cmp masked(unsigned argument, u64 mask, u64 value) {
  return {argument, SCMP_CMP_MASKED_EQ, mask, value};
}
/// The kernel takes these arguments as 32 bits.
constexpr scmp_arg_cmp equal(unsigned argument, u64 value) { return masked(argument, 0xFFFFFFFF, value & 0xFFFFFFFF); }

constexpr scmp_arg_cmp kNotExecutable = masked(2, PROT_EXEC, 0);
/// A thread of this process, in no new namespace (0x7E020080: CLONE_NEW*).
constexpr u64 kThread = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD;
constexpr scmp_arg_cmp kThreadOnly = masked(0, kThread | CLONE_PTRACE | CLONE_VFORK | 0x7E020080, kThread);

// The list. Everything else kills the process.
constexpr Row kAllowed[] = {
    // Descriptors that are open already
    {SCMP_SYS(read), "console input, eventfd, timerfd, signalfd"},
    {SCMP_SYS(write), "console output, log, wake-ups, the file that is saved"},
    {SCMP_SYS(writev), "the C library's last words (abort, assert)"},
    {SCMP_SYS(pread64), "boot files, the pagemap, the kept state file"},
    {SCMP_SYS(sendto), "output to a socket, to its peer alone", Only::Any, {equal(4, 0), equal(5, 0)}},
    {SCMP_SYS(shutdown), "a connection ends, or half of one"},
    {SCMP_SYS(lseek), "boot files"},
    {SCMP_SYS(ftruncate), "boot files in memory are emptied after use"},
    {SCMP_SYS(fsync), "a saved file is on the disk before it gets its name"},
    {SCMP_SYS(fstat), "standard streams"},
    {SCMP_SYS(newfstatat), "fstat, as the C library does it", Only::Any, {equal(3, AT_EMPTY_PATH)}},
    {SCMP_SYS(fcntl), "boot files are opened again by duplicating them", Only::Any, {equal(1, F_DUPFD_CLOEXEC)}},
    {SCMP_SYS(close), "whatever is done with"},
    // Disks (open and locked before; the ring's operations are restricted to these as well)
    {SCMP_SYS(io_uring_enter), "disk requests are submitted and waited for"},
    {SCMP_SYS(preadv), "disks, where there is no io_uring; an image's tables"},
    {SCMP_SYS(pwritev), "the same"},
    {SCMP_SYS(fdatasync), "a guest's flush; an image's tables in order"},
    {SCMP_SYS(fallocate), "the guest discards or zeroes"},
    {SCMP_SYS(statx), "how large is an image's file?", Only::Any, {masked(2, AT_EMPTY_PATH, AT_EMPTY_PATH)}},
    // Disks at servers; a server that was lost is connected to anew, at the addresses that were found at first
    {SCMP_SYS(sendmsg), "requests and their data, to the peer alone", Only::BlockServers},
    {SCMP_SYS(socket), "a server is back", Only::BlockServers, {equal(0, AF_UNIX)}},
    {SCMP_SYS(socket), "the same", Only::BlockServers, {equal(0, AF_INET)}},
    {SCMP_SYS(socket), "the same", Only::BlockServers, {equal(0, AF_INET6)}},
    {SCMP_SYS(connect), "the same", Only::BlockServers},
    {SCMP_SYS(getsockopt), "whether that came about", Only::BlockServers, {equal(1, SOL_SOCKET), equal(2, SO_ERROR)}},
    {SCMP_SYS(setsockopt), "requests do not wait for company; lost peers", Only::BlockServers, {equal(1, IPPROTO_TCP)}},
    {SCMP_SYS(setsockopt), "the same", Only::BlockServers, {equal(1, SOL_SOCKET), equal(2, SO_KEEPALIVE)}},
    // Files that are replaced (NewFile)
    {SCMP_SYS(newfstatat), "it may replace a regular file only", Only::OurFolders, {equal(3, 0)}},
    {SCMP_SYS(openat), "the new version beside it", Only::OurFolders, {equal(2, kNewFileFlags)}},
    {SCMP_SYS(renameat), "the new version takes the old one's place", Only::OurFolders},
    {SCMP_SYS(unlinkat), "an unfinished version goes", Only::OurFolders, {equal(2, 0)}},
    // Sockets at which others connect
    {SCMP_SYS(accept4), "somebody connects", Only::Listeners},
    {SCMP_SYS(recvmsg), "what a connection brings, with descriptors", Only::Sockets},
    {SCMP_SYS(fcntl), "how a file that is passed was opened", Only::Sockets, {equal(1, F_GETFL)}},
    {SCMP_SYS(fcntl), "an image among them is locked", Only::Sockets, {equal(1, F_OFD_SETLK)}},
    {SCMP_SYS(fcntl), "who else has locked it?", Only::Sockets, {equal(1, F_OFD_GETLK)}},
    {SCMP_SYS(ioctl), "how large is a block device that is passed?", Only::Sockets, {equal(1, BLKGETSIZE64)}},
    {SCMP_SYS(ioctl), "its sectors", Only::Sockets, {equal(1, BLKSSZGET)}},
    {SCMP_SYS(newfstatat), "is the socket's name still ours?", Only::TheirFolders, {equal(3, 0)}},
    {SCMP_SYS(unlinkat), "the name goes at the end", Only::TheirFolders, {equal(2, 0)}},
    {SCMP_SYS(openat),
     "the C library asks /proc and /sys for advice, and does without",
     Only::NoFiles,
     {masked(2, O_ACCMODE, O_RDONLY)},
     EACCES},
    {SCMP_SYS(openat),
     "/etc/resolv.conf; of others the file restriction says no",
     Only::OurFiles,
     {masked(2, O_ACCMODE, O_RDONLY)}},
    // The guest's network
    {SCMP_SYS(accept4), "the machine at the other end of a wire", Only::Wire},
    {SCMP_SYS(setsockopt),
     "frames to it do not wait for company",
     Only::Wire,
     {equal(1, IPPROTO_TCP), equal(2, TCP_NODELAY)}},
    // and when it is by libslirp
    {SCMP_SYS(socket), "a connection of the guest", Only::Internet, {equal(0, AF_INET)}},
    {SCMP_SYS(socket), "the same", Only::Internet, {equal(0, AF_INET6)}},
    {SCMP_SYS(connect), "the same", Only::Internet},
    {SCMP_SYS(bind), "a forward of a port", Only::Internet},
    {SCMP_SYS(listen), "the same", Only::Internet},
    {SCMP_SYS(accept), "a connection to the guest", Only::Internet},
    {SCMP_SYS(accept4), "the same", Only::Internet},
    {SCMP_SYS(sendto), "bytes of the guest", Only::Internet},
    {SCMP_SYS(recvfrom), "bytes to the guest", Only::Internet},
    {SCMP_SYS(recvmsg), "errors that a datagram met", Only::Internet},
    {SCMP_SYS(readv), "bytes to the guest", Only::Internet},
    {SCMP_SYS(setsockopt), "what libslirp wants of sockets", Only::Internet},
    {SCMP_SYS(getsockopt), "whether a connection came about", Only::Internet},
    {SCMP_SYS(getsockname), "the port of a forward", Only::Internet},
    {SCMP_SYS(epoll_create1), "a user network is added", Only::Internet},
    {SCMP_SYS(getppid), "its random numbers, by glib", Only::Internet},
    {SCMP_SYS(getpeername), "who connects to a forward", Only::Internet},
    {SCMP_SYS(fcntl), "sockets that do not block", Only::Internet, {equal(1, F_GETFL)}},
    {SCMP_SYS(fcntl), "the same", Only::Internet, {equal(1, F_SETFL)}},
    {SCMP_SYS(ioctl), "how long is the next datagram?", Only::Internet, {equal(1, FIONREAD)}},
    {SCMP_SYS(newfstatat),
     "has /etc/resolv.conf changed?",
     Only::Internet,
     {equal(0, static_cast<u32>(AT_FDCWD)), equal(3, 0)}},
    // Event loop
    {SCMP_SYS(epoll_wait), "the loop sleeps"},
    {SCMP_SYS(epoll_ctl), "watchers come, change and go"},
    {SCMP_SYS(timerfd_settime), "the loop's timer"},
    {SCMP_SYS(poll), "does the console take or have bytes?"},
    // Terminal and devices
    {SCMP_SYS(ioctl), "is it a terminal? its mode", Only::Any, {equal(1, TCGETS)}},
    {SCMP_SYS(ioctl), "raw mode after a stop", Only::Any, {equal(1, TCSETS)}},
    {SCMP_SYS(ioctl), "are we in the terminal's background?", Only::Any, {equal(1, TIOCGPGRP)}},
    {SCMP_SYS(ioctl), "KVM", Only::OurRequests},
    {SCMP_SYS(getpgrp), "are we in the terminal's background?"},
    // Memory; nothing becomes executable any more
    {SCMP_SYS(mmap), "heap, thread stacks, boot files while they are read", Only::Any, {kNotExecutable}},
    {SCMP_SYS(mprotect), "heap, thread stacks", Only::Any, {kNotExecutable}},
    {SCMP_SYS(munmap), "the same"},
    {SCMP_SYS(mremap), "heap"},
    {SCMP_SYS(brk), "heap"},
    {SCMP_SYS(madvise), "guest memory goes back to the host; stacks of ended threads"},
    // Threads
    {SCMP_SYS(clone), "vCPUs, the thread that saves", Only::Any, {kThreadOnly}},
    {SCMP_SYS(clone3), "its flags cannot be looked at; the C library then takes clone", Only::Any, {}, ENOSYS},
    {SCMP_SYS(set_robust_list), "a thread starts"},
    {SCMP_SYS(rseq), "a thread starts"},
    {SCMP_SYS(sigaltstack), "a thread starts or ends"},
    {SCMP_SYS(prctl), "its name", Only::Any, {equal(0, PR_SET_NAME)}},
    {SCMP_SYS(gettid), "kicks, log"},
    {SCMP_SYS(getpid), "kicks, abort"},
    {SCMP_SYS(tgkill), "kicks, abort, stop", Only::ThisProcess},
    {SCMP_SYS(futex), "locks, HLT"},
    {SCMP_SYS(membarrier), "code tracking (vm/memory)"},
    {SCMP_SYS(sched_yield), "waiting for another thread"},
    {SCMP_SYS(sched_getaffinity), "how many CPUs the heap is for"},
    {SCMP_SYS(exit), "a thread ends"},
    {SCMP_SYS(exit_group), "the process ends"},
    // Signals
    {SCMP_SYS(rt_sigaction), "a fatal signal becomes fatal again in its handler"},
    {SCMP_SYS(rt_sigprocmask), "threads start, KVM's timer"},
    {SCMP_SYS(rt_sigreturn), "handlers return"},
    {SCMP_SYS(restart_syscall), "a sleep goes on after SIGCONT"},
    // Time, where the vDSO cannot tell it
    {SCMP_SYS(clock_gettime), "the machine's clocks"},
    {SCMP_SYS(clock_nanosleep), "sleeps"},
    {SCMP_SYS(nanosleep), "sleeps"},
    {SCMP_SYS(gettimeofday), "log"},
    {SCMP_SYS(time), "the RTC"},
    {SCMP_SYS(getrandom), "the guest's entropy device; the C library's heap in other versions"},
};

class Filter {
 public:
  Filter(bool report, bool files)
      : files_(files), context_(::seccomp_init(report ? SCMP_ACT_TRAP : SCMP_ACT_KILL_PROCESS)) {
    if (!context_) return;
    error_ = ::seccomp_attr_set(context_.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);  // no 32-bit calls
    // What follows is left out where the kernel does not have it. Threads are not there yet, by rule.
    prefer(SCMP_FLTATR_CTL_TSYNC, 1);
    // Before Linux 5.16 a filter also slowed the whole process down against speculative store bypass. What a guest must
    // not learn by speculation is the engines' care.
    prefer(SCMP_FLTATR_CTL_SSB, 1);
    prefer(SCMP_FLTATR_CTL_OPTIMIZE, 2);  // binary tree
  }

  void allow(const Row& row, const SandboxNeeds& needs) {
    switch (row.only) {
      case Only::Any:
        return allow(row, scmp_arg_cmp{});
      case Only::ThisProcess:
        return allow(row, equal(0, static_cast<u64>(::getpid())));
      case Only::OurFolders:
        for (const int folder : needs.folders) allow(row, equal(0, static_cast<u64>(folder)));
        return;
      case Only::OurFiles:
      case Only::NoFiles:
        if ((row.only == Only::OurFiles) == (files_ && !needs.readable.empty())) allow(row, scmp_arg_cmp{});
        return;
      case Only::Wire:
        if (needs.accepts) allow(row, scmp_arg_cmp{});
        return;
      case Only::BlockServers:
        if (needs.block_servers) allow(row, scmp_arg_cmp{});
        return;
      case Only::Internet:
        if (needs.internet) allow(row, scmp_arg_cmp{});
        return;
      case Only::OurRequests:
        for (const unsigned long request : needs.requests) allow(row, equal(1, request));
        return;
      case Only::Listeners:
        for (const auto& listener : needs.listeners) allow(row, equal(0, static_cast<u64>(listener.socket)));
        return;
      case Only::Sockets:
        if (!needs.listeners.empty()) allow(row, scmp_arg_cmp{});
        return;
      case Only::TheirFolders:
        for (const auto& listener : needs.listeners) allow(row, equal(0, static_cast<u64>(listener.folder)));
        return;
    }
  }

  Result<> load() {
    if (context_ && error_ == 0) error_ = ::seccomp_load(context_.get());
    if (!context_) return fail_errno(ENOMEM, "cannot restrict system calls");
    if (error_ != 0) return fail_errno(-error_, "cannot restrict system calls");
    return {};
  }

 private:
  void prefer(scmp_filter_attr attribute, u32 value) { (void)::seccomp_attr_set(context_.get(), attribute, value); }
  void allow(const Row& row, const scmp_arg_cmp& more) {
    std::vector<scmp_arg_cmp> conditions;
    for (const auto& condition : {row.when[0], row.when[1], more}) {
      if (condition.op != _SCMP_CMP_MIN) conditions.push_back(condition);
    }
    add(row.refused == 0 ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(static_cast<u32>(row.refused)), row.call, conditions);
  }
  void add(u32 action, int call, std::span<const scmp_arg_cmp> conditions) {
    if (!context_ || error_ != 0) return;
    error_ = ::seccomp_rule_add_array(context_.get(), action, call, static_cast<unsigned>(conditions.size()),
                                      conditions.data());
  }

  struct Release {
    void operator()(void* context) const { ::seccomp_release(context); }
  };
  const bool files_;
  std::unique_ptr<void, Release> context_;
  int error_ = 0;  ///< the first, negative
};

// The names are looked up before: a signal handler may not allocate.
constexpr int kNames = 512;
std::array<char[32], kNames> names;

void learn_names() {
  for (int call = 0; call < kNames; ++call) {
    char* name = ::seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, call);
    std::strncpy(names[static_cast<std::size_t>(call)], name == nullptr ? "unknown" : name, sizeof names[0] - 1);
    std::free(name);
  }
}

void report_call(int, siginfo_t* info, void*) {
  const int call = info->si_syscall;
  const char* name = call >= 0 && call < kNames ? names[static_cast<std::size_t>(call)] : "unknown";
  std::array<char, 160> line;
  const auto end =
      fmt::format_to_n(line.data(), line.size(),
                       "vireo: the sandbox forbids the system call {} (number {}); the process ends\n", name, call);
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), std::min(end.size, line.size()));
  std::quick_exit(1);  // a terminal in raw mode is restored
}

Result<> report_violations() {
  learn_names();
  struct sigaction action{};
  action.sa_sigaction = report_call;
  action.sa_flags = SA_SIGINFO;
  if (::sigaction(SIGSYS, &action, nullptr) != 0) return fail_errno(errno, "cannot handle SIGSYS");
  return {};
}

}  // namespace

Result<> restrict_system_calls(const SandboxNeeds& needs, bool files) {
  if (needs.report) TRY(report_violations());
  Filter filter(needs.report, files);
  for (const auto& row : kAllowed) filter.allow(row, needs);
  return filter.load();
}

}  // namespace vireo::host
