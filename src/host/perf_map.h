// Names for generated code that Linux's perf understands: /tmp/perf-PID.map, a line for each piece of code (Linux
// tools/perf/Documentation/jit-interface.txt).
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "base/types.h"
#include "host/fd.h"

namespace vireo::host {

class PerfMap {
 public:
  /// Opens this process's file, empty, in /tmp: perf looks nowhere else.
  static Result<std::unique_ptr<PerfMap>> create();

  const std::string& path() const { return path_; }
  /// From any thread. Code that was written over keeps its old line: what perf shows of an address that had more than
  /// one name is either. A line that cannot be written is left out.
  void add(const u8* code, u64 size, const std::string& name);

 private:
  PerfMap(Fd file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}
  Fd file_;
  std::string path_;
};

}  // namespace vireo::host
