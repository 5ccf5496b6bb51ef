// `vireo` in a child process, with its standard streams in the test's hand.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "host/fd.h"

namespace vireo::cli {

class Process {
 public:
  /// Runs the program with these arguments. A terminal: standard input and output are one end of a pseudo terminal.
  explicit Process(std::vector<std::string> arguments, bool terminal = false);
  ~Process();

  void type(const std::string& text);
  /// Reads standard output until it contains `text`; false after ten seconds or at its end.
  bool await(const std::string& text);
  void signal(int number);
  /// Exit code, 128 + signal, or nothing when it does not end within ten seconds. Reads the rest of the output.
  std::optional<int> end();

  const std::string& out() const { return out_; }
  /// Standard error so far.
  std::string errors();
  /// The terminal is in raw mode.
  bool raw() const;
  pid_t pid() const { return pid_; }

 private:
  bool read_some(int milliseconds);
  pid_t pid_ = -1;
  host::Fd input_, output_, errors_;
  std::string out_;
};

/// A folder of its own for the test, removed at the end.
class Folder {
 public:
  Folder();
  ~Folder();
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace vireo::cli
