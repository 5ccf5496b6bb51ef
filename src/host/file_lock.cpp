#include "host/file_lock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <optional>

namespace vireo::host {
namespace {

// QEMU's permissions, as bytes after the bases.
constexpr off_t kDoes = 100, kDoesNotShare = 200;
constexpr unsigned kConsistentRead = 1 << 0, kWrite = 1 << 1, kResize = 1 << 3;
constexpr unsigned kPermissions = 4;

struct Rights {
  unsigned does = 0, does_not_share = 0;
};

Rights rights_of(Share share) {
  if (share == Share::Readers) return {kConsistentRead, kWrite | kResize};
  return {kConsistentRead | kWrite | kResize, kWrite | kResize};
}

/// An open file description lock on one byte; `type` comes back as F_UNLCK when nobody is in the way of F_OFD_GETLK.
int call_lock(int fd, int command, short& type, off_t byte) {
  struct flock lock{};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  while (::fcntl(fd, command, &lock) != 0) {
    if (errno != EINTR) return errno;
  }
  type = lock.l_type;
  return 0;
}

bool is_number(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

/// The kernel does not tell whose an open file description lock is, but which locks a process's descriptors carry.
bool carries_locks(const std::filesystem::path& process, const std::string& descriptor) {
  std::ifstream info(process / "fdinfo" / descriptor);
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("lock:")) return true;
  }
  return false;
}

std::optional<std::string> holder(int fd) {
  namespace fs = std::filesystem;
  struct stat ours{};
  if (::fstat(fd, &ours) != 0) return std::nullopt;
  std::error_code ignored;
  for (fs::directory_iterator process("/proc", ignored), end; process != end; process.increment(ignored)) {
    if (!is_number(process->path().filename())) continue;
    for (fs::directory_iterator file(process->path() / "fd", ignored); file != end; file.increment(ignored)) {
      struct stat theirs{};
      const auto name = file->path().filename().string();
      if (::stat(file->path().c_str(), &theirs) != 0 || theirs.st_dev != ours.st_dev || theirs.st_ino != ours.st_ino) {
        continue;
      }
      const bool same = process->path().filename() == std::to_string(::getpid());
      if ((same && name == std::to_string(fd)) || !carries_locks(process->path(), name)) continue;
      std::string command;
      std::ifstream(process->path() / "comm") >> command;
      return fmt::format("process {} ({})", process->path().filename().string(), command);
    }
    ignored.clear();
  }
  return std::nullopt;
}

/// Somebody else has one of these bytes.
Result<bool> taken(int fd, off_t base, unsigned bytes) {
  for (unsigned i = 0; i < kPermissions; ++i) {
    if ((bytes >> i & 1) == 0) continue;
    short type = F_WRLCK;
    if (const int error = call_lock(fd, F_OFD_GETLK, type, base + i); error != 0) {
      return fail_errno(error, "cannot look at locks");
    }
    if (type != F_UNLCK) return true;
  }
  return false;
}

}  // namespace

Result<> lock_image(int fd, const std::string& path, Share share) {
  const Rights rights = rights_of(share);
  for (unsigned i = 0; i < kPermissions; ++i) {
    for (const auto& [base, bytes] : {std::pair{kDoes, rights.does}, std::pair{kDoesNotShare, rights.does_not_share}}) {
      if ((bytes >> i & 1) == 0) continue;
      short type = F_RDLCK;
      const int error = call_lock(fd, F_OFD_SETLK, type, base + i);
      if (error == EOPNOTSUPP || error == ENOLCK || error == EINVAL) return {};
      if (error != 0 && error != EAGAIN && error != EACCES)
        return fail_errno(error, fmt::format("cannot lock {}", path));
    }
  }
  TRY_ASSIGN(const bool they_forbid, taken(fd, kDoesNotShare, rights.does));
  TRY_ASSIGN(const bool they_do, taken(fd, kDoes, rights.does_not_share));
  if (!they_forbid && !they_do) return {};
  return fail(ErrorKind::WrongState, "{} is in use by {}{}", path, holder(fd).value_or("another process"),
              share == Share::Readers ? ", which may write to it" : "");
}

void unlock_image(int fd) {
  for (unsigned i = 0; i < kPermissions; ++i) {
    for (const off_t base : {kDoes, kDoesNotShare}) {
      short type = F_UNLCK;
      (void)call_lock(fd, F_OFD_SETLK, type, base + i);
    }
  }
}

}  // namespace vireo::host
