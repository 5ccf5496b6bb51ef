// One vCPU of the translator. translate.h is the place to begin.
#pragma once

#include <mutex>
#include <unordered_set>

#include "cpu/interp/run_loop.h"
#include "cpu/translate/code_cache.h"
#include "cpu/translate/counts.h"
#include "cpu/translate/translate.h"
#include "cpu/translate/translations.h"

namespace vireo::cpu::translate {

class Translator final : public interp::RunLoop, interp::TranslationKeeper, vm::CodeListener {
 public:
  static Result<std::unique_ptr<Translator>> make(const vm::VcpuSetup& setup, const Options& options);
  ~Translator() override;

  vm::Stats stats() override;

  /// For the signal handler: whether `at` is translated code of this vCPU that stands at a guest instruction; then that
  /// instruction is the interpreter's, and the return value is where to go on.
  const u8* take_fault(const u8* at);
  /// The stack of return addresses that `address` is below of, so that it has overflowed: what RSP becomes; 0 if it is
  /// none.
  u64 overflowed_stack(u64 address) const;

 private:
  Translator(const vm::VcpuSetup& setup, const Options& options, host::CodeMemory code, host::Map log,
             host::Map stacks);

  void run_code() override;
  void drop_decoded() override { cache_.wants_flush = true, flush_cache(); }
  bool translatable() const;
  Mode current_mode() const;
  Mode mode() const { return known_[context_.mode].mode; }
  unsigned view() const { return known_[context_.mode].view; }
  void enter_mode();
  void read_clock();
  void learn_crossing(u16 mnemonic, unsigned from, u64 flags_before);
  /// What they depend on may have changed.
  void forget_crossings();

  // What translated code calls; each leaves Cpu at a boundary. See Thunks::call for what they return.
  static u64 on_access(Translator* self, u64 index);
  static u64 on_helper(Translator* self, u64 index);
  static u64 on_link(Translator* self, u64 index);
  static u64 on_jump(Translator* self, u64);
  static u64 on_leave(Translator* self, u64 index);
  static u64 on_fault(Translator* self, u64);
  u64 access_slowly(Site& site, bool failed);
  u64 access_scattered(Site& site);
  u64 access_crossing(Site& site);
  void note_code_written(const Site& site);
  u64 go_on(const Block& block, unsigned boundary, u64 forgotten);
  /// Goes on wherever RIP is, in whatever mode, unless the run loop is wanted.
  u64 go_anywhere();
  bool may_go_on() const;
  /// The block at `rip`, translated if need be; nullptr: leave. For a crossing one, the way to it is noted.
  Block* block_at(u64 rip, const Translations::Code& code, bool apart);
  Block* translate(u64 rip, const Translations::Code& code, const u64* second, bool apart);

  /// Registers come from translated code: the flags too.
  void take_flags() { cpu_.rflags = interp_flags(); }
  u64 interp_flags() const;
  void give_flags();
  void give_32();
  u64 rip_of(const Site& site) const { return site.block->rip + site.block->boundaries[site.boundary].guest; }
  const u8* host_of(const Block& block, unsigned boundary) const {
    return block.code + block.boundaries[boundary].host;
  }

  // TranslationKeeper: the CPU's TLB was flushed.
  void flush_all() override;
  void flush_non_global() override;
  void flush_page(u64 va) override;
  void system_calls_changed() override { forget_crossings(); }
  void reset_stacks();
  void flush_cache();
  void forget_all_code();

  // CodeListener: other threads.
  void page_becomes_code(u64 page) override;
  void code_changed(u64 page) override;
  void code_unwanted(u64 page) override;
  /// Carries out what other threads asked for. In the meantime nothing of this vCPU's is relied on.
  void serve_requests();
  bool begin_code();  ///< false: something was asked for and done; look again
  void end_code() { in_code_.store(false, std::memory_order_release); }

  static constexpr u64 kStackBytes = 64 * kKiB;  ///< the lowest page of each is out of bounds

  Layout layout_;
  Translations translations_;
  CodeCache cache_;
  host::Map stacks_;
  struct Known {
    Mode mode;
    unsigned view = 0;
  };
  Known known_[kModes];  ///< by index, which Context::mode is
  Counts counts_;
  bool interpret_next_ = false;  ///< what is at RIP is in no block
  const Stress stress_;
  bool entering_ = false;  ///< translated code: nothing has run since it was entered
  /// With attention everywhere: whether the jump that is being made leaves translated code.
  bool leaves_at_edge();

  std::atomic<bool> in_code_{false};  ///< translated code runs, or goes on without looking at requests
  std::atomic<bool> requests_{false};
  std::atomic<u64> served_{0};  ///< requests before this number are done
  std::mutex request_mutex_;
  u64 asked_ = 0;
  /// Sets: a vCPU that sleeps carries nothing out, however often the others ask.
  std::unordered_set<u64> pages_to_guard_, pages_to_check_, pages_to_drop_;
  struct CodeWrites {
    u32 count = 0, limit = 64;
  };
  std::unordered_map<u64, CodeWrites> code_writes_;  ///< by page of RAM

  Context context_;
};

/// The translator whose code this thread runs, for the signal handler.
void set_current(Translator* translator);
void install_fault_handler();

}  // namespace vireo::cpu::translate
