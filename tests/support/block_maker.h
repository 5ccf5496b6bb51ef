// Makes translated blocks without running them, for tests that look at host code. The context's layout is made up, and
// always the same.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <initializer_list>

#include "cpu/interp/cpu.h"
#include "cpu/translate/code_cache.h"
#include "support/long_mode.h"

namespace vireo::test {

class BlockMaker {
 public:
  static constexpr cpu::translate::Mode kKernel{cpu::translate::Mode::Sse | cpu::translate::Mode::Avx};

  BlockMaker() {
    const auto state = LongMode::start_state();
    cpu.sys = state.sys;
    cpu.update_mode();
  }

  /// The block for this code, placed where guest code of `rip` would be in a page of its own. Addresses of instructions
  /// in `scattered` are checked by page entries.
  cpu::translate::Block& make(std::span<const u8> code, u64 rip = 0x8000, bool scattered = false,
                              bool ungrouped = false, cpu::translate::Mode mode = kKernel) {
    const u64 offset = 0x8000 + (rip & kPageMask);
    memory_.write(offset, code.data(), code.size());
    cache.scattered.clear();
    cache.ungrouped.clear();
    for (u64 at = 0; scattered && at < code.size(); ++at) cache.scattered.insert(rip + at);
    if (ungrouped) cache.ungrouped.insert(rip);
    auto* block = cache.translate(cpu, rip, offset, mode, cache.mode_index(mode));
    if (block == nullptr) std::abort();
    return *block;
  }

  const cpu::translate::Layout& layout() const { return layout_; }

 private:
  class Listener final : public vm::CodeListener {
    void page_becomes_code(u64) override {}
    void code_changed(u64) override {}
    void code_unwanted(u64) override {}
  };
  static cpu::translate::Layout make_layout(const cpu::translate::Context& context) {
    cpu::translate::Layout layout;
    layout.registers = 0x100;
    layout.rflags = 0x200;
    layout.attention = 0x208;
    layout.interrupts_held = 0x209;
    for (int i = 0; i < 6; ++i) layout.segment_base[i] = 0x210 + 8 * i;
    layout.mxcsr = 0x240;
    layout.opmask = 0x280;
    layout.vectors = 0x400;
    layout.context = 0x1000;
    layout.object = &context;
    return layout;
  }

  vm::GuestMemory memory_ = vm::GuestMemory::create({{.gpa = 0, .size = kMiB, .offset = 0}}).value();
  NoIo io_;
  StandingClock clock_;
  NoApic apic_;
  NoParavirt paravirt_;
  Listener listener_;
  std::unique_ptr<cpu::translate::Context> context_ = std::make_unique<cpu::translate::Context>();
  cpu::translate::Layout layout_ = make_layout(*context_);

 public:
  cpu::interp::Cpu cpu{{.id = 0,
                        .memory = memory_,
                        .io = io_,
                        .clock = clock_,
                        .apic = &apic_,
                        .paravirt = &paravirt_,
                        .cpuid = cpu::x86::make_cpuid({})}};
  cpu::translate::CodeCache cache{memory_, listener_, *context_, layout_, host::CodeMemory::create(kMiB).value(), {}};
};

}  // namespace vireo::test
