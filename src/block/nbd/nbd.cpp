#include "block/nbd/nbd.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "block/nbd/client.h"
#include "host/loop.h"

namespace vireo::block {
namespace {

using namespace nbd;

constexpr u64 kConnecting = 15'000'000'000;  // ns
constexpr u32 kMaxBlock = 4096;              ///< bytes (block/api/disk.h)
constexpr u64 kZeroes = kMiB;                ///< bytes that are written at a time where the server cannot zero

u64 bytes_of(std::span<const iovec> memory) {
  u64 bytes = 0;
  for (const auto& piece : memory) bytes += piece.iov_len;
  return bytes;
}

/// Zeroes as many as are wanted, over and over the same.
std::vector<iovec> zeroes(u64 length) {
  static std::array<u8, kZeroes> bytes;
  std::vector<iovec> pieces;
  for (u64 at = 0; at < length; at += kZeroes) pieces.push_back({bytes.data(), std::min(kZeroes, length - at)});
  return pieces;
}

/// A request in other words, whose end is the original's.
struct Substitute : Request {
  explicit Substitute(Request& from) : Request(from), original(&from) {
    done = [](Request& request, Status status) {
      const std::unique_ptr<Substitute> ended(static_cast<Substitute*>(&request));
      ended->finish(status);
    };
  }
  void finish(Status status) {
    if (status == Status::Ok && !copy.empty()) {
      const u8* from = copy.data() + skip;
      for (const auto& piece : original->memory) {
        const u64 count = std::min<u64>(piece.iov_len, static_cast<u64>(copy.data() + copy.size() - from));
        std::memcpy(piece.iov_base, from, count);
        from += count;
      }
    }
    original->done(*original, status);
  }

  Request* original;
  std::vector<iovec> pieces;
  std::vector<u8> copy;  ///< of a read that is wider than what was asked for
  u64 skip = 0;          ///< bytes of it before that
};

class Nbd final : public Storage {
 public:
  Nbd(std::string name, bool write, std::unique_ptr<Client> client)
      : name_(std::move(name)), write_(write), client_(std::move(client)), about_(client_->about()) {}

  const std::string& name() const override { return name_; }
  u64 size() const override { return about_.size; }
  bool read_only() const override { return !write_; }
  bool grows() const override { return false; }
  u32 alignment() const override { return about_.minimum_block; }

  void submit(Request& request) override;
  void drain() override { client_->drain(); }

  Io<> read(u64 offset, std::span<const iovec> memory) override {
    return run({.operation = Operation::Read, .offset = offset, .length = bytes_of(memory), .memory = memory});
  }
  Io<> write(u64 offset, std::span<const iovec> memory) override {
    return run({.operation = Operation::Write, .offset = offset, .length = bytes_of(memory), .memory = memory});
  }
  Io<> flush() override { return run({.operation = Operation::Flush}); }
  Io<> discard(u64 offset, u64 length) override {
    return run({.operation = Operation::Discard, .offset = offset, .length = length});
  }
  Io<> write_zeroes(u64 offset, u64 length, bool may_unmap) override {
    return run({.operation = Operation::WriteZeroes, .offset = offset, .length = length, .may_unmap = may_unmap});
  }
  Io<> resize(u64 size) override {
    if (size == about_.size) return {};
    return std::unexpected(size > about_.size ? Status::NoSpace : Status::Unsupported);
  }
  std::optional<Stretch> stretch_at(u64 offset) const override {
    if (offset >= about_.size) return std::nullopt;
    return Stretch{true, about_.size - offset};
  }

 private:
  /// Ok: it may go on.
  Status check(const Request& request) const;
  /// Nothing is to be done.
  bool is_nothing(const Request& request) const;
  bool as_it_is(const Request& request) const;
  void change(Substitute& request) const;
  Io<> run(const Request& request);

  const std::string name_;
  const bool write_;
  const std::unique_ptr<Client> client_;
  const Export about_;
};

Status Nbd::check(const Request& request) const {
  if (request.operation == Operation::Read) return Status::Ok;
  if (request.operation == Operation::Flush) return Status::Ok;
  if (!write_) return Status::ReadOnly;
  if (request.length > about_.size || request.offset > about_.size - request.length) return Status::NoSpace;
  if (((request.offset | request.length) & (about_.minimum_block - 1)) != 0) return Status::OutOfRange;
  return Status::Ok;
}

bool Nbd::is_nothing(const Request& request) const {
  if (request.operation == Operation::Flush) return !write_;
  return request.length == 0 || (request.operation == Operation::Discard && !about_.has(NBD_FLAG_SEND_TRIM));
}

bool Nbd::as_it_is(const Request& request) const {
  if (request.operation == Operation::WriteZeroes) return about_.has(NBD_FLAG_SEND_WRITE_ZEROES);
  if (request.operation != Operation::Read) return true;
  return request.length <= about_.size && request.offset <= about_.size - request.length &&
         ((request.offset | request.length) & (about_.minimum_block - 1)) == 0;
}

void Nbd::change(Substitute& request) const {
  if (request.operation == Operation::WriteZeroes) {
    request.operation = Operation::Write;
    request.pieces = zeroes(request.length);
    request.memory = request.pieces;
    return;
  }
  // A read: whole blocks as far as there are any, and zeroes beyond.
  const u64 mask = about_.minimum_block - 1;
  request.skip = request.offset & mask;
  const u64 begin = request.offset - request.skip, wanted = (request.skip + request.length + mask) & ~mask;
  const u64 end = about_.size & ~mask;
  request.copy.resize(wanted);
  request.offset = begin;
  request.length = begin >= end ? 0 : std::min(wanted, end - begin);
  request.pieces = {{request.copy.data(), request.length}};
  request.memory = request.pieces;
}

void Nbd::submit(Request& request) {
  const Status status = check(request);
  if (status != Status::Ok || is_nothing(request)) return request.done(request, status);
  if (as_it_is(request)) return client_->submit(request);
  auto other = std::make_unique<Substitute>(request);
  change(*other);
  if (other->length == 0) return other->finish(Status::Ok);
  client_->submit(*other.release());
}

Io<> Nbd::run(const Request& request) {
  Status status = check(request);
  if (status == Status::Ok && !is_nothing(request)) {
    if (as_it_is(request)) {
      status = client_->perform(request);
    } else {
      Request original = request;
      original.done = [](Request&, Status) {};
      Substitute other(original);
      change(other);
      if (other.length > 0) status = client_->perform(other);
      other.finish(status);
    }
  }
  if (status != Status::Ok) return std::unexpected(status);
  return {};
}

}  // namespace

Result<std::unique_ptr<Storage>> open_nbd(const std::string& text, const NbdOptions& options) {
  TRY_ASSIGN(const auto uri, parse_uri(text));
  TRY_ASSIGN(auto target, Target::find(uri));
  TRY_ASSIGN(auto wake, host::Wake::create());
  TRY_ASSIGN(auto link, Link::connect(target, wake, host::Loop::now_ns() + kConnecting, [] { return false; }));
  if (link->about().minimum_block > kMaxBlock) {
    return fail(ErrorKind::Usage, "{} is in blocks of {} bytes; a disk's have at most {}", text,
                link->about().minimum_block, kMaxBlock);
  }
  if (options.write && link->about().has(NBD_FLAG_READ_ONLY)) {
    return fail(ErrorKind::Usage, "{} is read-only at its server; add readonly", text);
  }
  auto client = std::make_unique<Client>(std::move(target), std::move(link), std::move(wake), options.patience_ns);
  return std::make_unique<Nbd>(text, options.write, std::move(client));
}

}  // namespace vireo::block
