// Runs snippets on the host CPU, in this process: a signal handler swaps the whole register state on entry and on exit.
#pragma once

#include "cpu/x86/xsave.h"
#include "snippet.h"

namespace vireo::diff {

/// One per process. Installs handlers for SIGTRAP, SIGSEGV, SIGBUS, SIGILL and SIGFPE; must be made before any
/// interpreter, which puts its own before these for the last two.
class Native {
 public:
  Native();
  /// Host address of the data pages, to fill before and read after a run.
  u8* data() { return data_; }
  Outcome run(const Snippet& snippet);

 private:
  u8* code_ = nullptr;
  u8* data_ = nullptr;
};

}  // namespace vireo::diff
