#include "host/file_io.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

namespace vireo::host {
namespace {

constexpr std::size_t kMaxPieces = IOV_MAX;  ///< of one call; of bytes the kernel takes what it likes

off_t signed_offset(u64 offset) { return static_cast<off_t>(offset); }

/// `call(pieces, offset)` is preadv or pwritev.
template <class Call, class AtEnd>
int transfer(u64 offset, std::span<const iovec> memory, Call call, AtEnd at_end) {
  Scatter scatter(memory);
  while (!scatter.done()) {
    const auto window = scatter.window();
    const auto count = call(window.data(), static_cast<int>(window.size()), signed_offset(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno;
    if (count == 0) return at_end(scatter);
    scatter.advance(static_cast<u64>(count));
    offset += static_cast<u64>(count);
  }
  return 0;
}

template <class Call>
int uninterrupted(Call call) {
  for (;;) {
    if (call() == 0) return 0;
    if (errno != EINTR) return errno;
  }
}

}  // namespace

Scatter::Scatter(std::span<const iovec> memory) : memory_(memory) {
  for (const auto& piece : memory) left_ += piece.iov_len;
}

std::span<const iovec> Scatter::window() {
  const auto next = memory_.first(std::min(memory_.size(), kMaxPieces));
  if (skip_ == 0) return next;
  copy_.assign(next.begin(), next.end());
  copy_[0].iov_base = static_cast<u8*>(copy_[0].iov_base) + skip_;
  copy_[0].iov_len -= skip_;
  return copy_;
}

void Scatter::advance(u64 bytes) {
  left_ -= std::min(left_, bytes);
  while (bytes > 0 && !memory_.empty()) {
    const u64 here = memory_[0].iov_len - skip_;
    if (bytes < here) {
      skip_ += bytes;
      return;
    }
    bytes -= here;
    skip_ = 0;
    memory_ = memory_.subspan(1);
  }
  while (!memory_.empty() && memory_[0].iov_len == skip_) {
    memory_ = memory_.subspan(1);
    skip_ = 0;
  }
}

void Scatter::zero_rest() {
  for (const auto& piece : memory_) {
    if (piece.iov_len > skip_) std::memset(static_cast<u8*>(piece.iov_base) + skip_, 0, piece.iov_len - skip_);
    skip_ = 0;
  }
  memory_ = {};
  left_ = 0;
}

int read_all(int fd, u64 offset, std::span<const iovec> memory) {
  return transfer(
      offset, memory, [fd](const iovec* pieces, int count, off_t at) { return ::preadv(fd, pieces, count, at); },
      [](Scatter& rest) {
        rest.zero_rest();
        return 0;
      });
}

int write_all(int fd, u64 offset, std::span<const iovec> memory) {
  return transfer(
      offset, memory, [fd](const iovec* pieces, int count, off_t at) { return ::pwritev(fd, pieces, count, at); },
      [](Scatter&) { return EIO; });
}

int sync_data(int fd) {
  return uninterrupted([fd] { return ::fdatasync(fd); });
}

int punch_hole(int fd, u64 offset, u64 length) {
  return uninterrupted([&] {
    return ::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, signed_offset(offset), signed_offset(length));
  });
}

int zero_range(int fd, u64 offset, u64 length) {
  return uninterrupted([&] {
    return ::fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, signed_offset(offset), signed_offset(length));
  });
}

int set_size(int fd, u64 size) {
  return uninterrupted([&] { return ::ftruncate(fd, signed_offset(size)); });
}

int allocate(int fd, u64 offset, u64 length) {
  return uninterrupted([&] { return ::fallocate(fd, 0, signed_offset(offset), signed_offset(length)); });
}

Result<FileFacts> file_facts(int fd, const std::string& path) {
  struct statx status{};
#ifdef STATX_DIOALIGN
  constexpr unsigned kWanted = STATX_BASIC_STATS | STATX_DIOALIGN;
#else
  constexpr unsigned kWanted = STATX_BASIC_STATS;
#endif
  if (::statx(fd, "", AT_EMPTY_PATH, kWanted, &status) != 0) {
    return fail_errno(errno, fmt::format("cannot look at {}", path));
  }
  FileFacts facts;
  facts.size = status.stx_size;
  facts.allocated = status.stx_blocks * 512;
  facts.device = u64{status.stx_dev_major} << 32 | status.stx_dev_minor;
  facts.inode = status.stx_ino;
  facts.regular = S_ISREG(status.stx_mode);
  facts.block_device = S_ISBLK(status.stx_mode);
  if (facts.block_device) {
    int sector = 512;
    if (::ioctl(fd, BLKGETSIZE64, &facts.size) != 0 || ::ioctl(fd, BLKSSZGET, &sector) != 0) {
      return fail_errno(errno, fmt::format("cannot ask {} for its size", path));
    }
    facts.allocated = facts.size;
    facts.direct_alignment = static_cast<u32>(std::clamp(sector, 512, 4096));
  }
#ifdef STATX_DIOALIGN
  if ((status.stx_mask & STATX_DIOALIGN) != 0 && status.stx_dio_offset_align != 0) {
    facts.direct_alignment = std::max({512u, status.stx_dio_offset_align, status.stx_dio_mem_align});
  }
#endif
  return facts;
}

std::optional<Run> run_at(int fd, u64 offset) {
  const off_t data = ::lseek(fd, signed_offset(offset), SEEK_DATA);
  if (data < 0 && errno == ENXIO) {  // a hole up to the end, or beyond it
    const off_t end = ::lseek(fd, 0, SEEK_END);
    if (end <= signed_offset(offset)) return std::nullopt;
    return Run{false, static_cast<u64>(end) - offset};
  }
  if (data > signed_offset(offset)) return Run{false, static_cast<u64>(data) - offset};
  const off_t hole = data < 0 ? ::lseek(fd, 0, SEEK_END) : ::lseek(fd, signed_offset(offset), SEEK_HOLE);
  if (hole <= signed_offset(offset)) return std::nullopt;
  return Run{true, static_cast<u64>(hole) - offset};
}

Result<Fd> open_file(const std::string& path, OpenFile how) {
  const int flags = (how.write ? O_RDWR : O_RDONLY) | (how.direct ? O_DIRECT : 0) |
                    (how.create ? O_CREAT | O_EXCL : 0) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  Fd file(::open(path.c_str(), flags, 0644));
  if (!file && errno == EINVAL && how.direct) {
    return fail(ErrorKind::Usage, "the file system of {} has no direct I/O; choose cache=writeback", path);
  }
  if (!file && errno == EISDIR) return fail(ErrorKind::Usage, "{} is a directory, not a file", path);
  if (!file) return fail_errno(errno, fmt::format("cannot open {}", path));
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) return fail_errno(errno, fmt::format("cannot look at {}", path));
  if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode)) {
    return fail(ErrorKind::Usage, "{} is neither a file nor a block device", path);
  }
  return file;
}

}  // namespace vireo::host
