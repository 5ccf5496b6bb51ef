#include "block/file/file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <new>

#include "block/api/in_flight.h"
#include "host/file_io.h"

namespace vireo::block {
namespace {

constexpr u64 kZeroes = kMiB;  ///< bytes that are written at a time where the host cannot zero

Status status_of(int error) {
  switch (error) {
    case 0:
      return Status::Ok;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return Status::NoSpace;
    case EROFS:
    case EBADF:
    case EPERM:
      return Status::ReadOnly;
    case EOPNOTSUPP:
    case ENOSYS:
    case ENODEV:
      return Status::Unsupported;
    default:
      return Status::IoError;
  }
}

Io<> io(int error) {
  if (error == 0) return {};
  return std::unexpected(status_of(error));
}

u64 bytes_of(std::span<const iovec> memory) {
  u64 bytes = 0;
  for (const auto& piece : memory) bytes += piece.iov_len;
  return bytes;
}

/// Memory that direct I/O takes.
class Bounce {
 public:
  Bounce(u64 bytes, u32 alignment)
      : bytes_(bytes), alignment_{alignment}, data_(static_cast<u8*>(::operator new(bytes, alignment_))) {}
  ~Bounce() { ::operator delete(data_, alignment_); }
  Bounce(const Bounce&) = delete;
  Bounce& operator=(const Bounce&) = delete;
  iovec piece() const { return {data_, bytes_}; }
  void gather(u64 at, std::span<const iovec> memory) {
    u8* to = data_ + at;
    for (const auto& piece : memory) {
      std::memcpy(to, piece.iov_base, piece.iov_len);
      to += piece.iov_len;
    }
  }
  void scatter(u64 at, std::span<const iovec> memory) const {
    const u8* from = data_ + at;
    for (const auto& piece : memory) {
      std::memcpy(piece.iov_base, from, piece.iov_len);
      from += piece.iov_len;
    }
  }

 private:
  u64 bytes_;
  std::align_val_t alignment_;
  u8* data_;
};

class File final : public Storage {
 public:
  File(const std::string& path, host::Fd fd, const host::FileFacts& facts, const FileOptions& options,
       std::shared_ptr<IoThreads> threads)
      : path_(path), fd_(std::move(fd)), facts_(facts), options_(options), threads_(std::move(threads)) {}
  ~File() override { drain(); }

  const std::string& name() const override { return path_; }
  u64 size() const override;
  u64 allocated() const override;
  bool read_only() const override { return !options_.write; }
  bool grows() const override { return !facts_.block_device; }
  u32 alignment() const override { return direct() ? facts_.direct_alignment : facts_.block_device ? 512 : 1; }

  void submit(Request& request) override;
  void drain() override { in_flight_.drain(); }

  Io<> read(u64 offset, std::span<const iovec> memory) override;
  Io<> write(u64 offset, std::span<const iovec> memory) override;
  Io<> flush() override { return io(unsafe() || !options_.write ? 0 : host::sync_data(fd_.get())); }
  Io<> discard(u64 offset, u64 length) override { return io(host::punch_hole(fd_.get(), offset, length)); }
  Io<> write_zeroes(u64 offset, u64 length, bool may_unmap) override;
  Io<> resize(u64 size) override;
  std::optional<Stretch> stretch_at(u64 offset) const override;

 private:
  struct Pending : host::AsyncOperation {
    File* file;
    Request* request;
  };
  bool direct() const { return options_.cache == Cache::None; }
  bool unsafe() const { return options_.cache == Cache::Unsafe; }
  bool aligned(std::span<const iovec> memory) const;
  /// What direct I/O takes around a range.
  struct Range {
    u64 offset, length;
  };
  Range widen(u64 offset, u64 length) const {
    const u64 mask = direct() ? facts_.direct_alignment - 1 : 0;
    return {offset & ~mask, ((offset + length + mask) & ~mask) - (offset & ~mask)};
  }
  void submit_to_worker(Request& request);
  Io<> perform(const Request& request);
  void finish(Request& request, Status status);

  const std::string path_;
  const host::Fd fd_;
  const host::FileFacts facts_;
  const FileOptions options_;
  const std::shared_ptr<IoThreads> threads_;
  InFlight in_flight_;
};

u64 File::size() const {
  if (facts_.block_device) return facts_.size;
  const auto facts = host::file_facts(fd_.get(), path_);
  return facts ? facts->size : facts_.size;
}

u64 File::allocated() const {
  const auto facts = host::file_facts(fd_.get(), path_);
  return facts ? facts->allocated : 0;
}

bool File::aligned(std::span<const iovec> memory) const {
  if (!direct()) return true;
  const u64 mask = facts_.direct_alignment - 1;
  return std::ranges::all_of(memory, [&](const iovec& piece) {
    return ((reinterpret_cast<u64>(piece.iov_base) | piece.iov_len) & mask) == 0;
  });
}

void File::finish(Request& request, Status status) {
  request.done(request, status);
  in_flight_.end();
}

void File::submit(Request& request) {
  using Kind = host::AsyncOperation::Kind;
  in_flight_.begin();
  Kind kind = Kind::Read;
  switch (request.operation) {
    case Operation::Read:
      break;
    case Operation::Write:
      kind = Kind::Write;
      break;
    case Operation::Flush:
      if (unsafe() || !options_.write) return finish(request, Status::Ok);
      kind = Kind::SyncData;
      break;
    case Operation::Discard:
    case Operation::WriteZeroes:
      return submit_to_worker(request);
  }
  if (!options_.write && kind == Kind::Write) return finish(request, Status::ReadOnly);
  if (!aligned(request.memory)) return submit_to_worker(request);
  const auto done = [](host::AsyncOperation& operation, int error) {
    const std::unique_ptr<Pending> ended(static_cast<Pending*>(&operation));
    ended->file->finish(*ended->request, status_of(error));
  };
  threads_->async->submit(*new Pending{{kind, fd_.get(), request.offset, request.memory, done}, this, &request});
}

void File::submit_to_worker(Request& request) {
  threads_->workers.post([this, &request] {
    const auto done = perform(request);
    finish(request, done ? Status::Ok : done.error());
  });
}

Io<> File::perform(const Request& request) {
  switch (request.operation) {
    case Operation::Read:
      return read(request.offset, request.memory);
    case Operation::Write:
      return write(request.offset, request.memory);
    case Operation::Flush:
      return flush();
    case Operation::Discard:
      return discard(request.offset, request.length);
    case Operation::WriteZeroes:
      return write_zeroes(request.offset, request.length, request.may_unmap);
  }
  return std::unexpected(Status::Unsupported);
}

Io<> File::read(u64 offset, std::span<const iovec> memory) {
  const Range range = widen(offset, bytes_of(memory));
  if (aligned(memory) && range.offset == offset) return io(host::read_all(fd_.get(), offset, memory));
  const Bounce bounce(range.length, facts_.direct_alignment);
  const iovec piece = bounce.piece();
  TRY(io(host::read_all(fd_.get(), range.offset, {&piece, 1})));
  bounce.scatter(offset - range.offset, memory);
  return {};
}

Io<> File::write(u64 offset, std::span<const iovec> memory) {
  const u64 length = bytes_of(memory);
  const Range range = widen(offset, length);
  if (aligned(memory) && range.offset == offset) return io(host::write_all(fd_.get(), offset, memory));
  Bounce bounce(range.length, facts_.direct_alignment);
  const iovec piece = bounce.piece();
  if (range.length != length) TRY(io(host::read_all(fd_.get(), range.offset, {&piece, 1})));
  bounce.gather(offset - range.offset, memory);
  return io(host::write_all(fd_.get(), range.offset, {&piece, 1}));
}

Io<> File::write_zeroes(u64 offset, u64 length, bool may_unmap) {
  if (!options_.write) return std::unexpected(Status::ReadOnly);
  if (!facts_.block_device && offset + length > size()) TRY(resize(offset + length));
  const int error =
      may_unmap ? host::punch_hole(fd_.get(), offset, length) : host::zero_range(fd_.get(), offset, length);
  if (status_of(error) != Status::Unsupported) return io(error);
  alignas(4096) static std::array<u8, kZeroes> zeroes;
  while (length > 0) {
    const iovec piece{zeroes.data(), std::min(length, kZeroes)};
    TRY(io(host::write_all(fd_.get(), offset, {&piece, 1})));
    offset += piece.iov_len;
    length -= piece.iov_len;
  }
  return {};
}

Io<> File::resize(u64 size) {
  if (facts_.block_device) return std::unexpected(size <= facts_.size ? Status::Unsupported : Status::NoSpace);
  return io(host::set_size(fd_.get(), size));
}

std::optional<Stretch> File::stretch_at(u64 offset) const {
  if (facts_.block_device) {
    if (offset >= facts_.size) return std::nullopt;
    return Stretch{true, facts_.size - offset};
  }
  const auto run = host::run_at(fd_.get(), offset);
  if (!run) return std::nullopt;
  return Stretch{run->data, run->length};
}

}  // namespace

Result<std::unique_ptr<Storage>> open_file(const std::string& path, const FileOptions& options,
                                           std::shared_ptr<IoThreads> threads) {
  TRY_ASSIGN(auto fd,
             host::open_file(
                 path, {.write = options.write, .direct = options.cache == Cache::None, .create = options.create}));
  return use_file(std::move(fd), path, options, std::move(threads));
}

Result<std::unique_ptr<Storage>> use_file(host::Fd fd, const std::string& name, const FileOptions& options,
                                          std::shared_ptr<IoThreads> threads) {
  if (options.lock) {
    TRY(host::lock_image(fd.get(), name, options.write ? host::Share::Nobody : host::Share::Readers));
  }
  TRY_ASSIGN(const auto facts, host::file_facts(fd.get(), name));
  return std::make_unique<File>(name, std::move(fd), facts, options, std::move(threads));
}

}  // namespace vireo::block
