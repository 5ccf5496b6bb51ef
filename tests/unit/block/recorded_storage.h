// Storage in memory that records what reaches it and when, so that a power cut at any moment can be played.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "block/api/storage.h"

namespace vireo::test {

/// What reached all storages of one disk, in order.
struct WriteLog {
  struct Entry {
    unsigned storage;
    bool flush;
    u64 offset;
    std::vector<u8> bytes;  ///< empty and not a flush: the size became `offset`
  };
  std::vector<Entry> entries;
};

class RecordedStorage final : public block::Storage {
 public:
  RecordedStorage(std::vector<u8> bytes, unsigned number, std::shared_ptr<WriteLog> log)
      : bytes_(std::move(bytes)), number_(number), log_(std::move(log)) {}

  const std::vector<u8>& bytes() const { return bytes_; }
  /// How many writes still succeed.
  u64 writes_left = ~u64{0};

  const std::string& name() const override { return name_; }
  u64 size() const override { return bytes_.size(); }
  bool read_only() const override { return false; }
  void submit(block::Request& request) override {
    block::Io<> done;
    switch (request.operation) {
      case block::Operation::Read:
        done = read(request.offset, request.memory);
        break;
      case block::Operation::Write:
        done = write(request.offset, request.memory);
        break;
      case block::Operation::Flush:
        done = flush();
        break;
      case block::Operation::Discard:
      case block::Operation::WriteZeroes:
        done = write_zeroes(request.offset, request.length, true);
    }
    request.done(request, done ? block::Status::Ok : done.error());
  }
  void drain() override {}

  using Storage::read;
  using Storage::write;
  block::Io<> read(u64 offset, std::span<const iovec> memory) override {
    for (const auto& piece : memory) {
      if (piece.iov_len == 0) continue;
      const u64 there = offset >= size() ? 0 : std::min<u64>(piece.iov_len, size() - offset);
      std::memset(piece.iov_base, 0, piece.iov_len);
      if (there > 0) std::memcpy(piece.iov_base, bytes_.data() + offset, there);
      offset += piece.iov_len;
    }
    return {};
  }
  block::Io<> write(u64 offset, std::span<const iovec> memory) override {
    std::vector<u8> bytes;
    for (const auto& piece : memory) {
      const auto* from = static_cast<const u8*>(piece.iov_base);
      bytes.insert(bytes.end(), from, from + piece.iov_len);
    }
    return put(offset, std::move(bytes));
  }
  block::Io<> flush() override {
    log_->entries.push_back({number_, true, 0, {}});
    return {};
  }
  block::Io<> discard(u64 offset, u64 length) override {
    if (offset >= size()) return {};
    return put(offset, std::vector<u8>(std::min(length, size() - offset), 0xDD));
  }
  block::Io<> write_zeroes(u64 offset, u64 length, bool) override {
    if (length > kMost) return std::unexpected(block::Status::NoSpace);
    return put(offset, std::vector<u8>(length));
  }
  block::Io<> resize(u64 size) override {
    if (size > kMost) return std::unexpected(block::Status::NoSpace);
    log_->entries.push_back({number_, false, size, {}});
    bytes_.resize(size);
    return {};
  }
  std::optional<block::Stretch> stretch_at(u64 offset) const override {
    if (offset >= size()) return std::nullopt;
    return block::Stretch{true, size() - offset};
  }

  static void apply(std::vector<u8>& file, u64 offset, std::span<const u8> bytes) {
    if (file.size() < offset + bytes.size()) file.resize(offset + bytes.size());
    std::ranges::copy(bytes, file.begin() + static_cast<std::ptrdiff_t>(offset));
  }

 private:
  block::Io<> put(u64 offset, std::vector<u8> bytes) {
    if (bytes.empty()) return {};
    if (offset > kMost || bytes.size() > kMost - offset) return std::unexpected(block::Status::NoSpace);
    if (writes_left == 0) return std::unexpected(block::Status::IoError);
    --writes_left;
    apply(bytes_, offset, bytes);
    log_->entries.push_back({number_, false, offset, std::move(bytes)});
    return {};
  }

  static constexpr u64 kMost = 64 * kMiB;  ///< bytes that it holds
  std::string name_ = "recorded";
  std::vector<u8> bytes_;
  const unsigned number_;
  const std::shared_ptr<WriteLog> log_;
};

}  // namespace vireo::test
