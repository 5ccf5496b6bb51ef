// Runs snippets on a software engine: long mode, CPL 3, the same addresses as on the host.
#pragma once

#include <memory>

#include "snippet.h"
#include "vm/engine/engine.h"

namespace vireo::diff {

/// The CPUID of the guest: what software engines implement and the host has.
vm::x86::CpuidTable guest_cpuid();

/// The translator's stress variants: every second instruction interpreted; all accesses checked by the table of pages.
enum class EngineKind : u8 { Interpret, Translate, TranslateFallback, TranslatePages };

class Guest {
 public:
  explicit Guest(EngineKind engine);
  ~Guest();
  /// The data pages, to fill before and read after a run.
  u8* data();
  Outcome run(const Snippet& snippet);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace vireo::diff
