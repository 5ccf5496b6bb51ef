// The smallest machine that can run a test program: RAM, a few ports, and whatever engine the test plugs in.
//
//   port 0xE9        byte written is appended to output()
//   port 0xF4        byte written ends the run with that exit code
//   port 0xE0..0xE3  four bytes of memory behind ports, for IN/OUT/INS/OUTS of any size
//   port 0xF5        byte written: the 8259 raises that vector (its INTR output) until it is acknowledged; read: 1
//   while it is raised port 0xF8        dword written: MSI data, sent to the local APIC whose id was written to port
//   0xF6 (a byte) before 0xD0000000       a page of memory behind MMIO; every access is counted: a read of port 0xF7
//   (dword) takes the count
//
// The rest of the ports read as ones, the rest of MMIO as zero.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "support/test_clock.h"
#include "vm/device/device.h"
#include "vm/engine/engine.h"
#include "vm/memory/memory.h"

namespace vireo::test {

/// How a run ended.
struct RunResult {
  enum class End : u8 { Exit, TripleFault, Failed, Timeout };
  End end = End::Timeout;
  u8 code = 0;            ///< Exit only
  std::string message{};  ///< Failed only
  unsigned cpu = 0;       ///< the vCPU that ended it
};

class TinyMachine final : public vm::MachineIo {
 public:
  static constexpr u64 kRamSize = 16 * kMiB;
  static constexpr u64 kMmioPage = 0xD0000000;
  static constexpr u64 kLoadAddress = 0x7C00;

  /// `high_ram` bytes (page aligned, may be 0) sit at 4 GiB.
  explicit TinyMachine(u64 high_ram = 0);

  vm::GuestMemory& memory() { return memory_; }
  TestClock& clock() { return clock_; }

  /// Where port 0xF8 sends its messages. Must outlive the run.
  void set_msi_sink(vm::MsiSink* sink) { msi_ = sink; }
  /// Called when port 0xF5 was written: an engine that waits in the kernel looks at pic_pending then.
  void set_pic_changed(std::function<void()> changed) { pic_changed_ = std::move(changed); }

  /// The program goes to kLoadAddress. False: it does not fit into the first 512 KiB.
  bool load(std::span<const u8> program);

  /// State in which the vCPUs start: the first one at 0000:7C00 in real mode, the others wait for INIT and SIPI.
  static vm::x86::CpuState start_state(unsigned cpu);

  /// One thread a vCPU until the program writes to port 0xF4, a vCPU gives up, or the time is over. Then every vCPU is
  /// parked and may be looked at. May be called again: exit code and result start anew.
  RunResult run(std::span<vm::Vcpu* const> vcpus, std::chrono::milliseconds timeout);

  /// What the program wrote to port 0xE9 so far (bounded).
  std::string output() const;

  // MachineIo
  u64 mmio_read(u64 gpa, u8 size) override;
  void mmio_write(u64 gpa, u8 size, u64 value) override;
  u32 port_read(u16 port, u8 size) override;
  void port_write(u16 port, u8 size, u32 value) override;
  bool pic_pending() override { return pic_vector_.load() >= 0; }
  u8 pic_acknowledge() override;

 private:
  void finish(RunResult result);

  vm::GuestMemory memory_;
  TestClock clock_;
  vm::MsiSink* msi_ = nullptr;
  std::function<void()> pic_changed_;
  std::atomic<int> pic_vector_{-1};
  std::atomic<u8> msi_destination_{0};

  mutable std::mutex mutex_;  ///< of everything below
  std::string output_;
  std::array<u8, 4> port_memory_{};
  std::array<u8, kPageSize> mmio_memory_{};
  u32 mmio_accesses_ = 0;
  bool finished_ = false;
  RunResult result_;
  std::condition_variable ended_;
};

}  // namespace vireo::test
