// One case: a program and what its leading comments promise about it (README.md lists them).
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace vireo::test {

struct Case {
  std::vector<u8> program;
  unsigned cpus = 1;
  u64 high_ram = 0;  ///< bytes at 4 GiB
  bool kvm_needs_hardware = false;
  std::chrono::seconds timeout{60};
  enum class Expect : u8 { Pass, TripleFault } expect = Expect::Pass;
};

/// Reads the comments from the source and the program from the assembled file.
Result<Case> read_case(const std::string& source, const std::string& program);

}  // namespace vireo::test
