// A disk in memory for tests of devices: requests end at once, or when the test says so.
#pragma once

#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

#include "block/api/disk.h"

namespace vireo::test {

class MemoryDisk final : public block::Disk {
 public:
  explicit MemoryDisk(u64 size) : bytes(size) { geometry_.size = size; }

  block::Geometry geometry() const override { return geometry_; }
  block::Geometry& change_geometry() { return geometry_; }

  void submit(block::Request& request) override {
    {
      const std::lock_guard lock(mutex_);
      log.push_back(request.operation);
      waiting_.push_back(&request);
      if (hold) return;
    }
    complete_all();
  }
  /// Ends what waits, in `hold` as well.
  void complete_all() {
    for (;;) {
      block::Request* request = nullptr;
      {
        const std::lock_guard lock(mutex_);
        if (waiting_.empty()) return;
        request = waiting_.front();
        waiting_.erase(waiting_.begin());
      }
      request->done(*request, result == block::Status::Ok ? execute(*request) : result);
    }
  }
  void drain() override { complete_all(); }
  std::size_t waiting() {
    const std::lock_guard lock(mutex_);
    return waiting_.size();
  }

  std::vector<u8> bytes;
  std::vector<block::Operation> log;
  bool hold = false;
  block::Status result = block::Status::Ok;

 private:
  block::Status execute(const block::Request& request) {
    if (request.offset > bytes.size() || request.length > bytes.size() - request.offset)
      return block::Status::OutOfRange;
    u8* at = bytes.data() + request.offset;
    for (const auto& piece : request.memory) {
      if (request.operation == block::Operation::Read) std::memcpy(piece.iov_base, at, piece.iov_len);
      if (request.operation == block::Operation::Write) std::memcpy(at, piece.iov_base, piece.iov_len);
      at += piece.iov_len;
    }
    if (request.operation == block::Operation::WriteZeroes) std::memset(at, 0, request.length);
    if (request.operation == block::Operation::Discard) std::memset(at, 0xDD, request.length);
    return block::Status::Ok;
  }

  block::Geometry geometry_;
  std::mutex mutex_;
  std::vector<block::Request*> waiting_;
};

}  // namespace vireo::test
