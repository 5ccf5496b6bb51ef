// A host for the machine under test: time that stands still, CPUs that only keep their state, a power switch that is
// watched.
#pragma once

#include <map>

#include "base/bytes.h"
#include "machine/pc/pc.h"
#include "support/memory_disk.h"

namespace vireo::machine {

class StillClock final : public vm::Clock {
 public:
  u64 now_ns() const override { return 1000; }
  u64 tsc() const override { return 2000; }
  u64 tsc_khz() const override { return 2'000'000; }
  vm::TscScale tsc_scale() const override { return {}; }
  u64 tsc_at_ns(u64 ns) const override { return 2 * ns; }
  u64 ns_at_tsc(u64 tsc) const override { return tsc / 2; }
  u64 wall_ns() const override { return 1'700'000'000'000'000'000; }
  std::unique_ptr<vm::Timer> make_timer(std::function<void()>) override { return std::make_unique<NoTimer>(); }

 private:
  class NoTimer final : public vm::Timer {
    void arm(u64) override {}
    void cancel() override {}
  };
};

class PowerSwitch final : public vm::PowerControl {
 public:
  void request(Request what) override { ++count[what]; }
  std::map<Request, int> count;
};

class KeptVcpu final : public vm::Vcpu {
 public:
  explicit KeptVcpu(const vm::VcpuSetup& setup) : id_(setup.id), setup_(setup) {}
  unsigned id() const override { return id_; }
  vm::Exit run() override { return {}; }
  void kick() override { ++kicks; }
  vm::x86::CpuState state() override { return kept; }
  Result<> set_state(const vm::x86::CpuState& state) override {
    kept = state;
    if (setup_.apic != nullptr) setup_.apic->set_state(state.apic);
    return {};
  }
  vm::LocalApic& apic() { return *setup_.apic; }
  vm::x86::CpuState kept;
  int kicks = 0;

 private:
  const unsigned id_;
  vm::VcpuSetup setup_;
};

class Console final : public chardev::ByteChannel {
 public:
  bool write(std::span<const u8> bytes) override {
    text.append(bytes.begin(), bytes.end());
    return true;
  }
  void flush() override {}
  void set_sink(chardev::ByteSink* sink) override { input = sink; }
  void resume_input() override {}
  std::string text;
  chardev::ByteSink* input = nullptr;
};

/// A PVH kernel of one page at 1 MiB.
inline std::vector<u8> pvh_kernel() {
  ByteWriter out;
  out.put(0x464C457Fu), out.put(u32{0x00010101}), out.put(u64{0});
  out.put(u16{2}), out.put(u16{3}), out.put(u32{1}), out.put(u32{0}), out.put(u32{52}), out.put(u32{0}),
      out.put(u32{0});
  out.put(u16{52}), out.put(u16{32}), out.put(u16{2}), out.put(u16{0}), out.put(u16{0}), out.put(u16{0});
  for (const u32 word : {4u, 116u, 0u, 0u, 20u, 20u, 0u, 4u}) out.put(word);            // PT_NOTE
  for (const u32 word : {1u, 136u, 0u, 0x100000u, 4u, 0x1000u, 7u, 4u}) out.put(word);  // PT_LOAD
  for (const u32 word : {4u, 4u, 18u, 0x006E6558u, 0x100000u, 0xFEEDC0DEu}) out.put(word);
  return out.bytes();
}

struct FakeHost {
  StillClock clock;
  PowerSwitch power;
  Console console, port;
  test::MemoryDisk disk{64 * kKiB};
  PcHost get() {
    return {.clock = clock,
            .power = power,
            .serial = {&console},
            .disks = {{.disk = &disk, .serial = "first"}, {.disk = &disk, .serial = "second"}},
            .console_ports = {{.channel = &port, .name = "port"}},
            .balloon = true,
            .random = [](std::span<u8>) {},
            .make_vcpu = [](const vm::VcpuSetup& setup) -> Result<std::unique_ptr<vm::Vcpu>> {
              return std::make_unique<KeptVcpu>(setup);
            },
            .cpuid = [](unsigned) { return vm::x86::CpuidTable{{{.leaf = 0x80000008, .eax = 40}}}; },
            .make_fabric = {},
            .open_file = {}};
  }
};

}  // namespace vireo::machine
