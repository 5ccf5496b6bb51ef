// An owned file descriptor.
#pragma once

#include <utility>

namespace vireo::host {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd();

  /// Another descriptor of the same open file; empty when there is none left.
  Fd duplicate() const;
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

/// How its file was opened; neither for what is not open.
struct Access {
  bool read = false, write = false;
  bool append = false;  ///< writes go to the end, wherever they are meant for
  bool direct = false;  ///< past the page cache
};
Access access_of(const Fd& fd);

}  // namespace vireo::host
