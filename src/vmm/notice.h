// Lines that a person at the terminal expects, log level or not; --quiet silences them.
#pragma once

#include <fmt/core.h>

#include <cstdio>

namespace vireo::vmm {

class Notices {
 public:
  explicit Notices(bool quiet) : quiet_(quiet) {}
  template <class... Args>
  void operator()(fmt::format_string<Args...> format, Args&&... args) const {
    if (!quiet_) fmt::print(stderr, "vireo: {}\n", fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  bool quiet_;
};

}  // namespace vireo::vmm
