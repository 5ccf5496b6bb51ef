#include "host/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

namespace vireo::host {
namespace {

/// False with errno.
bool write_all(const Fd& file, std::span<const u8> bytes) {
  while (!bytes.empty()) {
    const auto count = ::write(file.get(), bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return true;
}

}  // namespace

Result<Place> Place::find(const std::string& path) {
  const std::filesystem::path whole(path);
  Place place;
  place.path_ = path;
  place.name_ = whole.filename();
  if (place.name_.empty())
    return fail(ErrorKind::Usage, "{} is not a regular file; name one that may be replaced", path);
  const auto folder = whole.has_parent_path() ? whole.parent_path().string() : ".";
  place.folder_ = Fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // Without the right to list it files can still be put there.
  if (!place.folder_ && errno == EACCES) place.folder_ = Fd(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!place.folder_) return fail_errno(errno, fmt::format("cannot create {}: its folder cannot be opened", path));
  return place;
}

NewFile::~NewFile() {
  if (file_) ::unlinkat(place_->folder().get(), temporary_name().c_str(), 0);
}

Result<NewFile> NewFile::create(const Place& place) {
  const int folder = place.folder().get();
  struct stat status{};
  if (::fstatat(folder, place.name().c_str(), &status, 0) == 0 && !S_ISREG(status.st_mode)) {
    return fail(ErrorKind::Usage, "{} is not a regular file; name one that may be replaced", place.path());
  }
  NewFile made;
  made.place_ = &place;
  made.file_ = Fd(::openat(folder, made.temporary_name().c_str(), kNewFileFlags, 0600));
  if (!made.file_) return fail_errno(errno, fmt::format("cannot create {}", made.temporary_path()));
  return made;
}

Result<> NewFile::write(std::span<const u8> bytes) {
  if (!write_all(file_, bytes)) return fail_errno(errno, fmt::format("cannot write {}", temporary_path()));
  return {};
}

Result<> NewFile::commit(Durability durability) {
  const bool flush = durability == Durability::Host;
  if (flush && ::fsync(file_.get()) != 0) return fail_errno(errno, fmt::format("cannot write {}", temporary_path()));
  const int folder = place_->folder().get();
  if (::renameat(folder, temporary_name().c_str(), folder, place_->name().c_str()) != 0) {
    return fail_errno(errno, fmt::format("cannot rename {} to {}", temporary_path(), place_->path()));
  }
  file_ = Fd();
  if (flush) ::fsync(folder);  // some file systems cannot; the file is complete either way
  return {};
}

Result<> put_in_place(const std::string& temporary, const std::string& path) {
  TRY_ASSIGN(const Place place, Place::find(path));
  if (::renameat(AT_FDCWD, temporary.c_str(), place.folder().get(), place.name().c_str()) != 0) {
    return fail_errno(errno, fmt::format("cannot rename {} to {}", temporary, path));
  }
  ::fsync(place.folder().get());  // some file systems cannot; the file is complete either way
  return {};
}

bool is_terminal(int fd) { return ::isatty(fd) == 1; }

Result<Fd> open_to_read(const std::string& path) {
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return fail_errno(errno, fmt::format("cannot open {}", path));
  struct stat status{};
  if (::fstat(file.get(), &status) == 0 && S_ISDIR(status.st_mode)) {
    return fail(ErrorKind::Usage, "{} is a directory, not a file", path);
  }
  return file;
}

void rewind(const Fd& file) { ::lseek(file.get(), 0, SEEK_SET); }

Result<Fd> nameless_file(const char* name) {
  Fd file(::memfd_create(name, MFD_CLOEXEC));
  if (!file) return fail_errno(errno, "cannot create a file in memory");
  return file;
}

Result<> append(const Fd& file, std::span<const u8> bytes) {
  ::lseek(file.get(), 0, SEEK_END);
  if (!write_all(file, bytes)) return fail_errno(errno, "cannot write to a file in memory");
  return {};
}

void empty(const Fd& file) {
  if (file && ::ftruncate(file.get(), 0) != 0) return;  // it only costs memory
}

namespace {

/// `read_more(at, count)` is read or pread into bytes[at..].
template <class Read>
Result<std::size_t> fill(std::span<u8> bytes, const std::string& path, Read read_more) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const auto count = read_more(bytes.data() + done, bytes.size() - done, done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno(errno, fmt::format("cannot read {}", path));
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  return done;
}

}  // namespace

Result<std::size_t> read_up_to(const Fd& file, std::span<u8> bytes, const std::string& path) {
  return fill(bytes, path, [&](u8* to, std::size_t count, std::size_t) { return ::read(file.get(), to, count); });
}

Result<std::size_t> read_at(const Fd& file, std::span<u8> bytes, u64 offset, const std::string& path) {
  return fill(bytes, path, [&](u8* to, std::size_t count, std::size_t done) {
    return ::pread(file.get(), to, count, static_cast<off_t>(offset + done));
  });
}

}  // namespace vireo::host
