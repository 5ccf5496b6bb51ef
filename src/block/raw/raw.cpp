#include "block/raw/raw.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace vireo::block {
namespace {

constexpr u64 kDiscardAlignment = 4096;

/// A write of the first block, of bytes that nobody can change any more.
struct GuardedWrite : Request {
  explicit GuardedWrite(const Request& from) : Request(from), bytes(from.length), original(&from) {
    u8* to = bytes.data();
    for (const auto& part : from.memory) {
      std::memcpy(to, part.iov_base, part.iov_len);
      to += part.iov_len;
    }
    piece = {bytes.data(), bytes.size()};
    memory = {&piece, 1};
    done = [](Request& request, Status status) {
      const std::unique_ptr<GuardedWrite> ended(static_cast<GuardedWrite*>(&request));
      auto& first = const_cast<Request&>(*ended->original);
      first.done(first, status);
    };
  }
  bool harmless() const { return probe(bytes).empty(); }

  std::vector<u8> bytes;
  iovec piece{};
  const Request* original;
};

class Raw final : public Image {
 public:
  Raw(std::unique_ptr<Storage> storage, Guard guard) : storage_(std::move(storage)), guard_(guard) { measure(); }

  Geometry geometry() const override { return geometry_; }
  void submit(Request& request) override {
    const Status status = check(request);
    if (status != Status::Ok) return request.done(request, status);
    if (guarded(request)) {
      submit_guarded(request);
    } else {
      storage_->submit(request);
    }
  }
  void drain() override { storage_->drain(); }

  std::string_view format() const override { return "raw"; }
  Status execute(const Request& request) override;
  Io<Extent> extent_at(u64 offset, u64 length) override;
  Io<> resize(u64 size) override {
    TRY(storage_->resize(size));
    measure();
    return {};
  }

 private:
  void measure();
  Status check(const Request& request) const;
  bool guarded(const Request& request) const {
    return guard_ == Guard::On && request.operation == Operation::Write && request.offset < kProbed;
  }
  void submit_guarded(Request& request);
  Io<> perform(const Request& request);

  const std::unique_ptr<Storage> storage_;
  const Guard guard_;
  Geometry geometry_;
};

void Raw::measure() {
  const u32 block = std::clamp(storage_->alignment(), 512u, 4096u);
  geometry_.size = (storage_->size() + block - 1) / block * block;
  geometry_.block_size = block;
  geometry_.physical_block_size = std::max(block, 4096u);
  geometry_.discard_alignment = kDiscardAlignment;
  geometry_.read_only = storage_->read_only();
  geometry_.write_zeroes = true;
}

Status Raw::check(const Request& request) const {
  const u64 mask = geometry_.block_size - 1;
  if (request.operation == Operation::Flush) return Status::Ok;
  if (((request.offset | request.length) & mask) != 0 || request.length > geometry_.size ||
      request.offset > geometry_.size - request.length) {
    return Status::OutOfRange;
  }
  if (request.operation == Operation::Read) return Status::Ok;
  if (geometry_.read_only) return Status::ReadOnly;
  return Status::Ok;
}

void Raw::submit_guarded(Request& request) {
  auto copy = std::make_unique<GuardedWrite>(request);
  if (!copy->harmless()) return request.done(request, Status::IoError);
  storage_->submit(*copy.release());
}

Io<> Raw::perform(const Request& request) {
  switch (request.operation) {
    case Operation::Read:
      return storage_->read(request.offset, request.memory);
    case Operation::Write:
      return storage_->write(request.offset, request.memory);
    case Operation::Flush:
      return storage_->flush();
    case Operation::Discard:
      return storage_->discard(request.offset, request.length);
    case Operation::WriteZeroes:
      return storage_->write_zeroes(request.offset, request.length, request.may_unmap);
  }
  return std::unexpected(Status::Unsupported);
}

Status Raw::execute(const Request& request) {
  const Status status = check(request);
  if (status != Status::Ok) return status;
  if (guarded(request)) {
    const GuardedWrite copy(request);
    if (!copy.harmless()) return Status::IoError;
    const auto done = perform(copy);
    return done ? Status::Ok : done.error();
  }
  const auto done = perform(request);
  return done ? Status::Ok : done.error();
}

Io<Extent> Raw::extent_at(u64 offset, u64 length) {
  const auto stretch = storage_->stretch_at(offset);
  if (!stretch) return Extent{Extent::Kind::Zero, length, false};
  // Whole blocks: one with some data in it is data.
  const u64 mask = geometry_.block_size - 1;
  u64 alike = stretch->data ? (stretch->length + mask) & ~mask : stretch->length & ~mask;
  bool data = stretch->data;
  if (alike == 0) {
    data = true;
    alike = geometry_.block_size;
  }
  return Extent{data ? Extent::Kind::Data : Extent::Kind::Zero, std::min(alike, length), false};
}

}  // namespace

std::unique_ptr<Image> make_raw(std::unique_ptr<Storage> storage, Guard guard) {
  return std::make_unique<Raw>(std::move(storage), guard);
}

}  // namespace vireo::block
