// An image under another name until it is complete.
#pragma once

#include <utility>

#include "block/tools/tools.h"

namespace vireo::block {

class TemporaryDisk {
 public:
  TemporaryDisk() = default;
  TemporaryDisk(TemporaryDisk&& other) noexcept
      : path_(std::exchange(other.path_, {})), target_(std::move(other.target_)) {}
  TemporaryDisk& operator=(TemporaryDisk&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(target_, other.target_);
    return *this;
  }
  /// Without put_in_place() nothing remains.
  ~TemporaryDisk();

  static Result<TemporaryDisk> create(const std::string& target, const NewDisk& disk,
                                      const std::shared_ptr<IoThreads>& threads);
  const std::string& path() const { return path_; }
  Result<> put_in_place();

 private:
  std::string path_, target_;
};

}  // namespace vireo::block
